"""Turning 14 ends what a guardian consented to; each purpose is asked for anew (PIPL 31).

This is bookkeeping. The gate has refused since the birthday began anywhere on earth, by `grant_until`; once it has begun
everywhere, a record says so for each purpose, and the subject is no longer one who needs a guardian.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from consent.ledger.audit import audit
from consent.notices.models import Audience
from consent.programs.tenancy import tenant
from consent.records import erasures, minors, projection
from consent.records.entries import insert
from consent.records.grants import EVERYWHERE, begun_everywhere, until_14
from consent.records.models import ConsentRecord, ConsentState
from consent.records.queries import db_now, turned_14
from consent.vault.models import Subject
from consent.webhooks import actions as webhooks

LOOKED_AT_ONCE = 500
LATE_AFTER = timedelta(days=1)
"""From when the birthday has begun everywhere; the task runs each hour."""

logger = logging.getLogger("zhiqing.records")


def end_guardianships(program_id: int) -> int:
    """Of all who have turned 14 by now; answers how many subjects. A transaction each, so that a killed run has done
    whole subjects and the next does the others; who cannot be done now holds up nobody."""
    done = 0
    for subject_id in _due(program_id):
        try:
            done += come_of_age(program_id, subject_id)
        except Exception:
            logger.exception("a subject's turning 14 was put off", extra={"fields": {"program": program_id}})
    return done


def _due(program_id: int) -> Iterator[int]:
    after = 0
    while True:
        with tenant(program_id):
            found = turned_14(program_id, after=after, limit=LOOKED_AT_ONCE)
        if not found:
            return
        yield from found
        after = found[-1]


def overdue(program_id: int, *, now: datetime) -> int:
    """How many subjects are still kept as under 14 a day after they turned 14. Under the tenant.

    Without those whose data nobody may add to: they come of age once that is over.
    """
    last = (now - LATE_AFTER - EVERYWHERE).astimezone(UTC).date()
    late = Subject.objects.filter(program_id=program_id, under_14=True, turns_14_on__lte=last)
    return late.filter(restricted=False, erasure_pending=False).count()


def come_of_age(program_id: int, subject_id: int) -> bool:
    """False where somebody else has the subject, or it is done, or the subject is gone."""
    with tenant(program_id):
        subject = Subject.objects.select_for_update(no_key=True, skip_locked=True).filter(id=subject_id).first()
        if subject is None or not subject.under_14 or subject.restricted or subject.erasure_pending:
            return False
        locked = ConsentState.objects.select_for_update().filter(subject=subject).order_by("purpose_id")
        held = {state.purpose_id: state for state in locked}
        now = db_now()
        if not minors.turned_14(subject, now):
            return False
        ended = end_guardianship(subject, held, now)
        subject.save(update_fields=["version", "under_14"])
        audit(
            program_id=program_id,
            actor="system",
            action="consent.turned_14",
            target=f"program:{program_id}",
            details={"purposes": ended},
            # The day only: the entry outlives the subject, and the hour would tell more of a birthday.
            at=now.replace(hour=0, minute=0, second=0, microsecond=0),
        )
        return True


def end_guardianship(subject: Subject, held: dict[int, ConsentState], now: datetime) -> int:
    """End every grant of a subject who has turned 14, and answer how many. The locks on subject and states are held; the
    caller saves the subject.

    The gate let nothing through since the birthday that was known: this writes down that it is so. What was collected
    without a guardian's consent has to go, whatever the person consents to from now on: that is for what follows it.
    """
    subject.version, subject.under_14 = subject.version + 1, False
    records = minors.ended_at_14(subject, list(held.values()), now)
    insert(subject, records)
    webhooks.tell_consents(subject, records)
    erasures.owe(records)
    for record in records:
        projection.lapse(held[record.purpose_id], record)
    projection.write(held.values())
    return len(records)


def end_at_14(subject: Subject, given: list[ConsentState]) -> None:
    """A birthday that is told later ends what was given before it, too."""
    records = _in_force(subject, given)
    for state in given:
        state.grant_until = until_14(state.grant_until, records[state.record_id].corrected_at, subject.turns_14_on)
        state.save(update_fields=["grant_until"])


def end_childhood(subject: Subject, given: list[ConsentState], now: datetime) -> None:
    """Of somebody who had turned 14 when the birthday was first told. Nobody stood by what they gave under the general notice before
    it: what that collected has to go, up to the first consent that they gave since, and where there is none the grant ends as
    invalidated. What a guardian stood by, under the minors' notice, is left to its retention."""
    assert subject.turns_14_on is not None
    grown = begun_everywhere(subject.turns_14_on)
    alone, since = _authorising(subject, given, grown)
    unguarded = [state for state in given if state.purpose_id in alone]
    ended = {state.purpose_id: state for state in unguarded if state.purpose_id not in since}
    for state in ended.values():
        state.guardian_pending = True
    for state in unguarded:
        first = since.get(state.purpose_id)
        if first is None:
            continue
        erasures.owe_unguarded(
            subject, [erasures.Unguarded(state.purpose_id, first.version)], told=first.received_at, now=now
        )
        if state.grant_from is not None and state.grant_from < grown:
            state.grant_from = first.authorises_from
            state.save(update_fields=["grant_from"])
    if ended:
        end_guardianship(subject, ended, now)


def _authorising(
    subject: Subject, given: list[ConsentState], grown: datetime
) -> tuple[set[int], dict[int, ConsentRecord]]:
    """The purposes that the subject consented to before that under the general notice, and of each its first consent since."""
    rows = ConsentRecord.objects.filter(
        subject=subject, purpose_id__in=[state.purpose_id for state in given], authorises_from__isnull=False
    )
    before = rows.filter(corrected_at__lt=grown, notice__audience=Audience.GENERAL)
    since: dict[int, ConsentRecord] = {}
    for record in rows.filter(corrected_at__gte=grown).order_by("version"):
        since.setdefault(record.purpose_id, record)
    return set(before.values_list("purpose_id", flat=True)), since


def _in_force(subject: Subject, given: list[ConsentState]) -> dict[int, ConsentRecord]:
    rows = ConsentRecord.objects.filter(subject=subject, id__in=[state.record_id for state in given])
    return {record.id: record for record in rows}
