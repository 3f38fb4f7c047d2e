"""What the status call answers: every launch's first call, so one query in one round trip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from consent.errors import invalid
from consent.programs.tenancy import tenant_together
from consent.records.grants import FIELDS, AuthorisingRecord, Coverage, Grant, turning_14, until_14
from consent.records.models import AUTHORISING, State
from consent.statements import ask
from consent.vault import identities
from consent.vault.identities import AskedSubjects, Vault
from consent.vault.lookup import Identifiers

# A row for each purpose; for each of its records to come one more, and one more for the notice of such a record. The
# subject is found by itself, not by a join, since its lookup is sharded by another key.
STATUS = f"""
    SELECT p.id, p.code, p.necessary, p.active,
        told.notice_id, told_in.sha256, told.categories, told.retention_days,
        material.first, material.newest,
        r.id, r.notice_id, r.authorises_from, r.authorises_until, r.corrected_at, b.turns_14_on,
        {", ".join(f"s.{name}" for name in FIELDS)}
    FROM purpose p
    LEFT JOIN consent_state s ON s.purpose_id = p.id
        AND s.subject_id = (SELECT min(subject_id) FROM subject_lookup WHERE index = ANY(%b))
    LEFT JOIN consent_record r ON r.subject_id = s.subject_id AND r.id = ANY(s.pending)
    LEFT JOIN subject b ON b.subject_id = s.subject_id
    LEFT JOIN notice_purpose told ON told.purpose_id = p.id AND told.notice_id IN (s.notice_id, r.notice_id)
    LEFT JOIN notice told_in ON told_in.id = told.notice_id
    LEFT JOIN LATERAL (
        SELECT min(later_in.effective_at) AS first,
            max(later_in.effective_at) FILTER (WHERE later_in.effective_at <= clock_timestamp()) AS newest
        FROM notice_purpose later JOIN notice later_in ON later_in.id = later.notice_id
        WHERE later.purpose_id = p.id AND later.material
          AND later_in.audience = told_in.audience AND later_in.version > told_in.version
    ) material ON true
    WHERE p.program_id = %s
    ORDER BY p.id
"""
_CLOCK = "SELECT clock_timestamp()"


@dataclass(frozen=True)
class PurposeStatus:
    """The API's answer of `/consents/status` for one purpose; `notice` is the sha256 of the version consented to."""

    purpose: str
    state: str
    allowed: bool
    service_allowed: bool
    may_prompt: bool
    renewal_required: bool
    expires_at: datetime | None
    notice: str | None


@dataclass(frozen=True)
class _Purpose:
    code: str
    necessary: bool
    active: bool


@dataclass
class _Held:
    """What the query found, by purpose, by (purpose, notice), by record and by notice; and of the subject their birthday. `broadened`:
    when the newest material version after that notice took effect, where one has."""

    purposes: dict[int, _Purpose] = field(default_factory=dict)
    grants: dict[int, Grant] = field(default_factory=dict)
    covered: dict[tuple[int, int], Coverage] = field(default_factory=dict)
    broadened: dict[tuple[int, int], datetime | None] = field(default_factory=dict)
    waiting: dict[int, AuthorisingRecord] = field(default_factory=dict)
    sha256: dict[int, str] = field(default_factory=dict)
    turns_14_on: date | None = None


def status(
    *,
    vault: Vault,
    program_id: int,
    identifiers: Identifiers,
    purposes: Sequence[str] | None,
    prompt_cooldown: timedelta,
) -> list[PurposeStatus]:
    """Every active purpose, or those named. A subject nobody knows is one about whom nothing was decided.

    Raises Invalid `unknown_purpose`, Conflict `identity_conflict`.
    """
    named = identities.checked(identifiers)
    with tenant_together(program_id):
        subjects = AskedSubjects(vault, program_id, [named.items()])
        asked = ask(STATUS, [subjects.wanted, program_id])
        # After what it is compared with: a grant that was seen has begun.
        clock = ask(_CLOCK)
    subjects.each()
    held, now = _held(asked.rows()), clock.rows()[0][0]
    refuse_unknown(purposes, {purpose.code for purpose in held.purposes.values()})
    closed = turning_14(held.turns_14_on, now) or any(
        grant.erasure_pending or grant.restricted for grant in held.grants.values()
    )
    return [
        _status(purpose_id, purpose, held, now, prompt_cooldown, closed)
        for purpose_id, purpose in held.purposes.items()
        if (purpose.active if purposes is None else purpose.code in purposes)
    ]


def refuse_unknown(purposes: Sequence[str] | None, known: set[str]) -> None:
    """Raises Invalid `unknown_purpose`, with the place of the first."""
    for place, code in enumerate(purposes or ()):
        if code not in known:
            raise invalid("unknown_purpose", "no notice of this mini-program names this purpose", f"/purposes/{place}")


def _held(rows: Sequence[tuple[Any, ...]]) -> _Held:
    held = _Held()
    for purpose_id, code, necessary, active, *more in rows:
        notice_id, sha256, categories, days, lapses_at, broadened_at, *more = more
        record_id, of_notice, since, until, corrected_at, turns_14_on, *state = more
        held.purposes[purpose_id] = _Purpose(code, necessary, active)
        if state[0] is None:
            continue
        grant = held.grants[purpose_id] = Grant._make(state)
        held.turns_14_on = turns_14_on
        if notice_id is not None:
            held.covered[purpose_id, notice_id] = Coverage(frozenset(categories), days, lapses_at)
            held.broadened[purpose_id, notice_id] = broadened_at
            held.sha256[notice_id] = sha256
        if record_id is not None:
            until = until_14(until, corrected_at, turns_14_on)
            held.waiting[record_id] = AuthorisingRecord(
                grant.subject_id, purpose_id, record_id, of_notice, since, until
            )
    return held


def _status(
    purpose_id: int, purpose: _Purpose, held: _Held, now: datetime, prompt_cooldown: timedelta, closed: bool
) -> PurposeStatus:
    """`closed`: no grant can begin, of whatever purpose: the subject asked to be erased, is restricted, or is turning 14."""
    if purpose_id not in held.grants:
        return PurposeStatus(
            purpose=purpose.code,
            state=State.UNKNOWN,
            allowed=False,
            service_allowed=not (purpose.necessary and purpose.active),
            may_prompt=purpose.active and not closed,
            renewal_required=False,
            expires_at=None,
            notice=None,
        )
    grant = held.grants[purpose_id].at(now, held.waiting, held.covered)
    told = grant.told(held.covered)
    refusal = grant.refusal(now, told)
    lapsed = told is not None and told.lapsed(now)
    renewal = refusal == "renewal_required" or (lapsed and grant.state in AUTHORISING)
    cooling = _cooling(grant, held, now, prompt_cooldown)
    # A grant that is not yet in force (its notice takes effect later) allows nothing now, and need not be asked for.
    wanting = refusal not in (None, "outside_consent")
    return PurposeStatus(
        purpose=purpose.code,
        state=grant.as_told(refusal),
        allowed=refusal is None and purpose.active,
        service_allowed=refusal is None or not (purpose.necessary and purpose.active),
        may_prompt=purpose.active and not cooling and not closed and wanting,
        renewal_required=renewal,
        expires_at=grant.grant_until,
        notice=_sha256(grant, held.sha256),
    )


def _cooling(grant: Grant, held: _Held, now: datetime, prompt_cooldown: timedelta) -> bool:
    """Whether somebody who said no is not to be asked yet. A material version ends that if it took effect after they said it."""
    if grant.state not in (State.REFUSED, State.WITHDRAWN) or grant.barrier_at is None:
        return False
    broadened_at = held.broadened.get((grant.purpose_id, grant.notice_id)) if grant.notice_id is not None else None
    anew = broadened_at is not None and broadened_at > grant.barrier_at
    return now < grant.barrier_at + prompt_cooldown and not anew


def _sha256(grant: Grant, known: Mapping[int, str]) -> str | None:
    return known[grant.notice_id] if grant.notice_id is not None else None
