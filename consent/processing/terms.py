"""Processors and cross-border mechanisms: kept, changed, and what is told when the term of one ends.

The end of a term deactivates nothing: what a purpose is doing is not stopped in silence. It is told once as it comes near
and once when it is over, and officers see it until they act.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Q

from consent.errors import Conflict, NotFound, invalid
from consent.ledger.audit import audit
from consent.processing.models import Mechanism, MechanismKind, Processor, Stage, Term
from consent.programs.tenancy import tenant
from consent.records.queries import today

SOON = timedelta(days=30)
"""How long before its end a term is told of."""

LONGEST = {
    "name": 200, "contact": 400, "method": 1000, "measures": 4000, "contract": 200,
    "recipient": 200, "reference": 200, "ground": 1000,
}  # fmt: skip
"""Characters of each text."""
OPTIONAL = ("reference", "ground")
"""Texts one of which stands for the other."""


@dataclass(frozen=True)
class Ending:
    """A term that came to a stage since the last time; `kind`: processor or mechanism."""

    kind: str
    id: int
    stage: Stage


def add(model: type[Processor | Mechanism], *, program_id: int, given: Mapping[str, Any], by: str) -> Term:
    """Raises Invalid `until_before_from`, `missing_purpose`, `missing_category`, `missing_reference`, `missing_ground`,
    `invalid_text`."""
    _check(given)
    with tenant(program_id):
        made = model.objects.create(program_id=program_id, **given)
        _audit(made, "added", sorted(given), by=by)
    return made


def mark(term: Term) -> str:
    """What tells one state of it from another, whatever was told of its end: an officer changes the one that they have seen."""
    fields = [field.attname for field in term._meta.concrete_fields if field.name != "noted"]
    return hashlib.sha256(repr([getattr(term, name) for name in fields]).encode()).hexdigest()


def change(
    model: type[Processor | Mechanism],
    *,
    program_id: int,
    term_id: int,
    given: Mapping[str, Any],
    seen: str | None = None,
    by: str,
) -> bool:
    """`given`: all its fields. `seen`: the `mark` of what they were when somebody filled them in; None where the caller has locked
    the row. What was told of its end is told anew where that moves. Answers whether anything differs.

    Raises Invalid as `add`, NotFound, Conflict `changed_meanwhile`.
    """
    _check(given)
    with tenant(program_id):
        held = model.objects.select_for_update(no_key=True).filter(id=term_id, program_id=program_id).first()
        if held is None:
            raise NotFound("not_found", "this mini-program has nothing of this number")
        changed = sorted(name for name, value in given.items() if getattr(held, name) != value)
        # Of two officers with the form before them the second would take back what the first has changed.
        if changed and seen is not None and mark(held) != seen:
            raise Conflict("changed_meanwhile", "somebody else has changed it: read it first")
        for name in changed:
            setattr(held, name, given[name])
        if "valid_until" in changed:
            held.noted = None
        if changed:
            held.save(update_fields=[*changed, "noted"])
            _audit(held, "changed", changed, by=by)
    return bool(changed)


def stage(term: Term, *, today: date) -> Stage | None:
    """Whether it has ended, or ends soon."""
    if term.valid_until is None or term.valid_until > today + SOON:
        return None
    return Stage.ENDED if term.valid_until < today else Stage.ENDING


def at_stage(wanted: Stage, *, today: date) -> Q:
    """Those terms of which `stage` answers it."""
    return Q(valid_until__lt=today) if wanted == Stage.ENDED else Q(valid_until__range=(today, today + SOON))


def remind(program_id: int) -> list[Ending]:
    """Note what has come to a stage since the last time, with an audit entry each; answers it."""
    with tenant(program_id):
        day = today(program_id)
        return [
            *(_noted(mechanism, day) for mechanism in _unnoted(Mechanism, program_id, day)),
            *(_noted(processor, day) for processor in _unnoted(Processor, program_id, day)),
        ]


def _unnoted(model: type[Processor | Mechanism], program_id: int, day: date) -> list[Any]:
    new = Q(valid_until__lt=day) & ~Q(noted=Stage.ENDED) | Q(noted__isnull=True)
    rows = model.objects.select_for_update(no_key=True).filter(new, program_id=program_id, valid_until__lte=day + SOON)
    return list(rows.order_by("id"))


def _noted(term: Processor | Mechanism, day: date) -> Ending:
    found = stage(term, today=day)
    assert found is not None  # the statement asked for those alone
    term.noted = found
    term.save(update_fields=["noted"])
    _audit(term, found.value, [], by="system")
    return Ending(_kind(term), term.pk, found)


def _kind(term: Term) -> str:
    return str(term._meta.model_name)


def _audit(term: Term, what: str, fields: list[str], *, by: str) -> None:
    until = term.valid_until.isoformat() if term.valid_until else None
    details = {"purposes": term.purposes, "until": until, **({"fields": fields} if fields else {})}
    audit(
        program_id=term.program_id,
        actor=by,
        action=f"{_kind(term)}.{what}",
        target=f"{_kind(term)}:{term.pk}",
        details=details,
    )


def _check(given: Mapping[str, Any]) -> None:
    for name, most in LONGEST.items():
        said = given.get(name)
        if said is not None and (len(said) > most or (not said.strip() and name not in OPTIONAL)):
            raise invalid("invalid_text", f"give {name} in 1 to {most} characters", f"/{name}")
    if not given.get("categories", True):
        raise invalid("missing_category", "name the categories of information", "/categories")
    if not given["purposes"]:
        raise invalid("missing_purpose", "name the purposes it is for", "/purposes")
    if given["valid_until"] is not None and given["valid_until"] < given["valid_from"]:
        raise invalid("until_before_from", "the last day is the first or a later one", "/valid_until")
    wanted = "ground" if given.get("kind") == MechanismKind.EXEMPTION else "reference"
    if "kind" in given and not given[wanted]:
        raise invalid(
            f"missing_{wanted}", "an exemption has its ground, any other mechanism its reference", f"/{wanted}"
        )
