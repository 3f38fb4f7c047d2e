"""The log of risk monitoring (PIPL 51, DSL 29): a look at what the service knows already, and remarks on what it found.

run(program_id=…, keyring=…, sinks=…, by=…)   # looks now, and keeps what was found
daily(program_id=…, keyring=…, sinks=…)       # unless a look was taken less than a day ago
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Q

from consent import identifiers
from consent.errors import NotFound, invalid
from consent.ledger.audit import audit
from consent.ledger.sinks import Sink
from consent.monitoring.checks import Check, Kind, Looked, checks
from consent.monitoring.models import RiskRemark, RiskRun
from consent.programs.tenancy import tenant
from consent.records.queries import db_now
from consent.vault.keyring import Keyring

logger = logging.getLogger("zhiqing.monitoring")
SYSTEM = "system"
DAILY = timedelta(hours=23)
"""A look every day, at an hour that moves but little."""


@dataclass(frozen=True)
class Outcome:
    """What a check found; `found`: None where it failed, which is above. `since`: the run from which on it is one finding, as
    RFC 3339; None: it is not above."""

    found: int | None
    threshold: int
    above: bool
    since: str | None


@dataclass(frozen=True)
class Finding:
    """A check of a run. `remarked`: somebody has said something of it, on this run or another that saw the same finding."""

    code: str
    outcome: Outcome
    remarked: bool


def run(*, program_id: int, keyring: Keyring, sinks: Sequence[Sink], by: str) -> RiskRun:
    """One look, kept."""
    with tenant(program_id):
        _alone(program_id)
        return _look(program_id, keyring, sinks, by)


def daily(*, program_id: int, keyring: Keyring, sinks: Sequence[Sink]) -> RiskRun | None:
    """None where one was taken less than a day ago."""
    with tenant(program_id):
        _alone(program_id)
        before = newest(program_id)
        if before is not None and before.checked_at > db_now() - DAILY:
            return None
        return _look(program_id, keyring, sinks, SYSTEM)


def newest(program_id: int) -> RiskRun | None:
    """Under the tenant."""
    return RiskRun.objects.filter(program_id=program_id).order_by("-checked_at", "-id").first()


def findings(of: RiskRun) -> list[Finding]:
    """Every check of the run, as declared and then those that are no more. Under the tenant."""
    outcomes = {code: Outcome(**told) for code, told in of.found.items()}
    remarked = _remarked(of.program_id, outcomes)
    order = [*checks(), *sorted(outcomes)]
    return [Finding(code, outcomes[code], code in remarked) for code in sorted(outcomes, key=order.index)]


def unremarked(of: RiskRun) -> list[Finding]:
    """What is above and nobody has said anything of. Under the tenant."""
    return [finding for finding in findings(of) if finding.outcome.above and not finding.remarked]


def remark(*, program_id: int, run_id: int, check_code: str, said: str, done: str, by: str) -> RiskRemark:
    """Raises NotFound; Invalid `nothing_said`, `identifier_in_text`, `not_above` where the check found nothing that needs a remark."""
    if not said.strip():
        raise invalid("nothing_said", "say something of it", "/remark")
    identifiers.refuse_in(remark=said, done=done)
    with tenant(program_id):
        of = RiskRun.objects.filter(program_id=program_id, id=run_id).first()
        if of is None:
            raise NotFound("not_found", "this mini-program has no such look at risks")
        if not of.found.get(check_code, {}).get("above"):
            raise invalid("not_above", "name a check that is above its threshold", "/check")
        made = RiskRemark.objects.create(
            program_id=program_id, run=of, check_code=check_code, by=by, remark=said.strip(), done=done.strip()
        )
        audit(
            program_id=program_id,
            actor=by,
            action="risk.remarked",
            target=f"risk_run:{run_id}",
            details={"check": check_code},
        )
    return made


def _look(program_id: int, keyring: Keyring, sinks: Sequence[Sink], by: str) -> RiskRun:
    before, now = newest(program_id), db_now()
    looked = Looked(program_id, now, None if before is None else before.checked_at, keyring, sinks)
    outcomes = {code: _outcome(check, looked, before) for code, check in checks().items()}
    return RiskRun.objects.create(
        program_id=program_id,
        checked_at=now,
        by=by,
        found={code: asdict(outcome) for code, outcome in outcomes.items()},
        above=sum(outcome.above for outcome in outcomes.values()),
    )


def _outcome(check: Check, looked: Looked, before: RiskRun | None) -> Outcome:
    """What stands above and has not grown is one finding, however many runs see it; what happens is one of each run."""
    found = _counted(check, looked)
    if found is not None and found <= check.threshold:
        return Outcome(found, check.threshold, above=False, since=None)
    last = Outcome(**before.found[check.code]) if before is not None and check.code in before.found else None
    same = check.kind == Kind.STANDING and last is not None and last.above and not _grown(last.found, found)
    since = last.since if last is not None and same else looked.now.isoformat()
    return Outcome(found, check.threshold, above=True, since=since)


def _counted(check: Check, looked: Looked) -> int | None:
    """None where the check failed: the others are looked at all the same."""
    try:
        with transaction.atomic():
            return check.count(looked)
    except Exception:
        fields = {"program": looked.program_id, "check": check.code}
        logger.exception("a check of risk monitoring failed", extra={"fields": fields})
        return None


def _grown(last: int | None, found: int | None) -> bool:
    """To fail, or to fail no more, is to have grown."""
    return last is not found if last is None or found is None else found > last


def _remarked(program_id: int, outcomes: Mapping[str, Outcome]) -> set[str]:
    """The codes of findings that a remark is about: one on a run that saw the same finding, which `since` tells."""
    same = Q()
    for code, outcome in outcomes.items():
        if outcome.since is not None:
            same |= Q(("check_code", code), (f"run__found__{code}__since", outcome.since))
    if not same:
        return set()
    rows = RiskRemark.objects.filter(same, program_id=program_id)
    return set(rows.values_list("check_code", flat=True).distinct())


def _alone(program_id: int) -> None:
    """Of two that look at once, the second sees what the first has kept."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('risk_run', %s))", [program_id])
