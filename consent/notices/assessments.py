"""Impact assessments (PIPL 55, 56), and which purposes may be active: none that needs an assessment and has none, and none that
crosses the border and has no mechanism that lets it (38)."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from operator import attrgetter
from typing import NamedTuple

import msgspec
from django.db import connection

from consent.errors import Conflict, Invalid, NotFound, invalid
from consent.ledger.audit import audit
from consent.notices import told
from consent.notices.document import NoticeText
from consent.notices.models import Audience, Conclusion, Ground, ImpactAssessment, Purpose
from consent.notices.queries import newest_told
from consent.processing import mechanisms
from consent.programs.tenancy import role, tenant
from consent.records.models import AUTHORISING, ConsentState

KEPT = "3 years"
"""After its purpose ended, as PostgreSQL reads it; the database's own policy lets nothing younger be deleted."""

_OVER = """
    program_id = %(program)s AND created_at < %(now)s::timestamptz - %(kept)s::interval AND EXISTS (
        SELECT FROM purpose WHERE purpose.id = purpose_id AND NOT purpose.active
        AND purpose.ended_at < %(now)s::timestamptz - %(kept)s::interval
    )
"""


def record(
    *,
    program_id: int,
    purpose: str,
    reference: str,
    assessed_on: date,
    conclusion: str,
    covers: Collection[str] | None,
    document_sha256: str | None,
    by: str,
    today: date,
) -> bool:
    """Keep that a purpose was assessed. `covers`: the grounds looked at; None for those it has now.

    One that came to `not_acceptable` about a ground that the purpose has, and is the newest about it, ends the purpose too.
    Answers whether it was not kept before. Raises NotFound (no such purpose), Invalid (in the future, unknown ground), Conflict
    `assessment_recorded` (another one under this reference, or one that looked at less).
    """
    if assessed_on > today:
        raise invalid("assessed_in_the_future", "record an assessment once it is done", "/assessed_on")
    if not reference.strip() or len(reference) > 200:
        raise invalid("invalid_reference", "give the number it is filed under, in at most 200 characters", "/reference")
    if not set(covers or ()) <= set(Ground.values):
        raise invalid("unknown_ground", f"covers are of {', '.join(Ground.values)}", "/covers")
    if document_sha256 is not None and not re.fullmatch("[0-9a-f]{64}", document_sha256):
        raise invalid("invalid_sha256", "write the sha256 as 64 hexadecimal digits", "/document_sha256")
    with tenant(program_id):
        assessed = _held(program_id, purpose)
        looked_at = sorted(needed(program_id, purpose) if covers is None else set(covers))
        kept = ImpactAssessment.objects.filter(purpose=assessed, reference=reference).first()
        if kept is not None:
            if (kept.assessed_on, kept.conclusion, kept.document_sha256) != (assessed_on, conclusion, document_sha256):
                detail = "another assessment is recorded under this reference; an assessment is never changed"
                raise Conflict("assessment_recorded", detail)
            if not set(looked_at) <= set(kept.covers):
                detail = (
                    f"under this reference {', '.join(kept.covers) or 'nothing'} is recorded as looked at, and that is never"
                    " changed; take a reference of its own for what it also looked at"
                )
                raise Conflict("assessment_recorded", detail)
            return False
        ImpactAssessment.objects.create(
            program_id=program_id,
            purpose=assessed,
            reference=reference,
            assessed_on=assessed_on,
            conclusion=conclusion,
            covers=looked_at,
            document_sha256=document_sha256,
            recorded_by=by,
        )
        audit(program_id=program_id, actor=by, action="purpose.assessed", target=f"purpose:{purpose}")
        looked_at_now = needed(program_id, purpose) & set(looked_at)
        if conclusion == Conclusion.NOT_ACCEPTABLE and lacking(program_id, {purpose: looked_at_now}):
            _deactivate(held=assessed, by=by)
        return True


def activate(*, program_id: int, purpose: str, by: str) -> bool:
    """Let consents to the purpose be taken and its events be stored; answers whether it was not active before.

    Raises NotFound, Invalid `purpose_not_told`, Conflict `assessment_missing`, `mechanism_missing` (the notice names none),
    `mechanism_not_valid` (none is recorded that is valid today).
    """
    with tenant(program_id):
        held = _held(program_id, purpose)
        said = _told(program_id, purpose)
        if not said:
            raise Invalid("purpose_not_told", "publish a notice that tells of the purpose first")
        missing = lacking(program_id, {purpose: needed(program_id, purpose)})
        if missing:
            raise Conflict("assessment_missing", missing_detail(missing[purpose]))
        if any(told.without_mechanism(version) for version in said.values()):
            detail = "publish a version that names each recipient abroad and by what the information may go there first"
            raise Conflict("mechanism_missing", detail)
        without = unlet(program_id, [purpose])
        if without:
            raise Conflict("mechanism_not_valid", mechanisms.missing_detail(without[purpose]))
        changed = not held.active
        if changed:
            held.active, held.ended_at = True, None
            held.save(update_fields=["active", "ended_at"])
            audit(program_id=program_id, actor=by, action="purpose.activated", target=f"purpose:{purpose}")
        return changed


def deactivate(*, program_id: int, purpose: str, by: str) -> bool:
    """End the purpose: no consent to it is taken, none of its events stored, and the next purges erase what was collected
    under it. Answers whether it was active before. Raises NotFound.
    """
    with tenant(program_id):
        return _deactivate(held=_held(program_id, purpose), by=by)


def _deactivate(*, held: Purpose, by: str) -> bool:
    changed = held.active
    if changed:
        held.active = False
        held.save(update_fields=["active"])
        audit(program_id=held.program_id, actor=by, action="purpose.deactivated", target=f"purpose:{held.code}")
    return changed


def consenting(program_id: int, purpose: str) -> int:
    """How many people's newest decision about the purpose is a consent. Raises NotFound."""
    with tenant(program_id):
        held = _held(program_id, purpose)
        return ConsentState.objects.filter(program_id=program_id, purpose=held, state__in=AUTHORISING).count()


def needed(program_id: int, purpose: str) -> frozenset[str]:
    """The grounds on which the purpose needs an assessment, by the newest version for each audience."""
    said = _told(program_id, purpose)
    return frozenset().union(*(told.grounds(version, audience) for audience, version in said.items()))


def unlet(program_id: int, purposes: Collection[str]) -> dict[str, list[str]]:
    """Purpose code -> its recipients abroad, by the newest version for each audience, for which no mechanism is valid today;
    left out where there is none such. Within the mini-program's tenant."""
    told_now = [newest_told(program_id, audience) for audience in Audience.values]
    wanted = {
        code: sorted({name for versions in told_now if code in versions for name in told.going_to(versions[code])})
        for code in purposes
    }
    return mechanisms.lacking(program_id, wanted)


def active(program_id: int) -> set[str]:
    """The codes of the purposes that are active."""
    return set(Purpose.objects.filter(program_id=program_id, active=True).values_list("code", flat=True))


def unlet_now(program_id: int) -> dict[str, list[str]]:
    """As `unlet`, of the purposes that are active."""
    return unlet(program_id, sorted(active(program_id)))


class _Concluded(NamedTuple):
    assessed_on: date
    purpose: str
    covers: Collection[str]
    conclusion: str


def lacking(program_id: int, wanted: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Purpose code -> those of its grounds for which no assessment stands; left out where there is none such."""
    return _lacking(wanted, _recorded(program_id, wanted))


def _recorded(program_id: int, purposes: Collection[str]) -> list[_Concluded]:
    """In the order of recording."""
    rows = ImpactAssessment.objects.filter(program_id=program_id, purpose__code__in=purposes).order_by("id")
    return [_Concluded(*row) for row in rows.values_list("assessed_on", "purpose__code", "covers", "conclusion")]


def _lacking(wanted: Mapping[str, Collection[str]], assessed: Iterable[_Concluded]) -> dict[str, list[str]]:
    """Of those of one day the last one counts."""
    concluded = {
        (of.purpose, ground): of.conclusion
        for of in sorted(assessed, key=attrgetter("assessed_on"))
        for ground in of.covers
    }
    standing = {key for key, conclusion in concluded.items() if conclusion != Conclusion.NOT_ACCEPTABLE}
    missing = {code: sorted(g for g in asked if (code, g) not in standing) for code, asked in wanted.items()}
    return {code: left for code, left in missing.items() if left}


def wanting(program_id: int, text: NoticeText) -> dict[str, list[str]]:
    """As `lacking` once a notice is published, whose assessments are recorded then: what it names, and what is recorded."""
    kept = named_and_kept(program_id, text)
    wanted = {item.code: told.grounds(msgspec.to_builtins(item), text.audience) for item in text.purposes}
    named = [
        _Concluded(item.assessment.assessed_on, item.code, wanted[item.code], item.assessment.conclusion)
        for item in text.purposes
        if item.assessment is not None and item.code not in kept
    ]
    return _lacking(wanted, [*_recorded(program_id, wanted), *named])


def named_and_kept(program_id: int, text: NoticeText) -> set[str]:
    """The purposes of a notice whose assessment, by the reference that it names, is recorded already: it covers what it covers
    there. Within the mini-program's tenant."""
    named = {(item.code, item.assessment.reference) for item in text.purposes if item.assessment is not None}
    rows = ImpactAssessment.objects.filter(program_id=program_id, reference__in={reference for _, reference in named})
    return {code for code, reference in rows.values_list("purpose__code", "reference") if (code, reference) in named}


def wanting_mechanism(program_id: int, text: NoticeText) -> dict[str, list[str]]:
    """As `unlet`, of the purposes of a notice that is to be published."""
    going = {item.code: told.going_to(msgspec.to_builtins(item)) for item in text.purposes}
    return mechanisms.lacking(program_id, going)


def missing_detail(grounds: Collection[str]) -> str:
    return f"record an impact assessment that came to acceptable first, covering {', '.join(grounds)} (PIPL 55)"


def _told(program_id: int, purpose: str) -> dict[str, dict[str, object]]:
    found = {audience: newest_told(program_id, audience).get(purpose) for audience in Audience.values}
    return {audience: version for audience, version in found.items() if version is not None}


def _held(program_id: int, code: str) -> Purpose:
    held = Purpose.objects.select_for_update(no_key=True).filter(program_id=program_id, code=code).first()
    if held is None:
        raise NotFound("not_found", "no notice of this mini-program names this purpose")
    return held


def over(program_id: int, *, now: datetime) -> int:
    """How many may be kept no longer."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM impact_assessment WHERE {_OVER}", _kept(program_id, now))
        return int(cursor.fetchone()[0])


def forget_old(program_id: int, *, now: datetime) -> int:
    """Delete what may be kept no longer, as zq_erase under the tenant; answers how many."""
    with role("zq_erase"), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM impact_assessment WHERE {_OVER}", _kept(program_id, now))
        return int(cursor.rowcount)


def _kept(program_id: int, now: datetime) -> dict[str, int | str | datetime]:
    return {"program": program_id, "now": now, "kept": KEPT}
