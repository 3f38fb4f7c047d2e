"""What an act makes the service owe: the erasure of what was collected under a purpose (PIPL 47).

Written with the record itself, so that no withdrawal is acknowledged without it (I5); consent.rights.collected does it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from consent.records.models import ConsentRecord, PurposeErasure, State
from consent.vault.models import Subject

_TAKES_ALONG = (State.REFUSED, State.WITHDRAWN, State.INVALIDATED)
_SHORTER = """
    INSERT INTO purpose_erasure
        (subject_id, purpose_id, version, program_id, kept_days, asked_at, owed_from, not_before, attempts, affected)
    SELECT given.subject_id, given.purpose_id, given.version, given.program_id, told.retention_days, given.received_at,
           greatest(given.received_at, given.authorises_from), greatest(given.received_at, given.authorises_from), 0, 0
    FROM consent_record given
    JOIN notice_purpose told ON told.purpose_id = given.purpose_id AND told.notice_id = given.notice_id
    WHERE given.subject_id = %s AND given.id = ANY(%s) AND EXISTS (
        SELECT FROM consent_record earlier
        JOIN notice_purpose before ON before.purpose_id = earlier.purpose_id AND before.notice_id = earlier.notice_id
        WHERE earlier.subject_id = given.subject_id AND earlier.purpose_id = given.purpose_id
          AND earlier.version < given.version AND earlier.authorises_from IS NOT NULL
          AND before.retention_days > told.retention_days
    )
    ON CONFLICT DO NOTHING
"""
"""Where the same act tells that no guardian stood by what was before, all of that is owed already (`owe_unguarded`)."""


@dataclass(frozen=True)
class Unguarded:
    """A grant of a child that no guardian stood by: what the records before `version` authorised should not have been collected."""

    purpose_id: int
    version: int


def owe_unguarded(subject: Subject, found: Sequence[Unguarded], *, told: datetime, now: datetime) -> None:
    """What was collected from a child before its age was known, whoever consents from now on (PIPL 31, 47). `told`: attributes that
    were set by then go, too."""
    PurposeErasure.objects.bulk_create(
        (_all_of(subject.id, subject.program_id, one.purpose_id, one.version, told=told, now=now) for one in found),
        # Of what a shorter retention took some, all goes now.
        update_conflicts=True,
        unique_fields=["subject", "purpose", "version"],
        update_fields=["kept_days", "asked_at", "owed_from", "not_before", "attempts", "done_at"],
    )


def owe(records: Sequence[ConsentRecord]) -> None:
    """One subject's new records about purposes whose consent stood: one that ends it takes what was collected under it
    along, one that agrees to a shorter retention what is older than that.

    A consent that no guardian stood by ends with all that it collected; one that ran out leaves it to its retention.
    """
    PurposeErasure.objects.bulk_create(
        (
            _all_of(
                record.subject_id,
                record.program_id,
                record.purpose_id,
                record.version,
                told=record.received_at,
                now=record.received_at,
            )
            for record in records
            if record.state in _TAKES_ALONG
        ),
        ignore_conflicts=True,  # as above
    )
    given = [record for record in records if record.authorises_from is not None]
    if given:
        with connection.cursor() as cursor:
            cursor.execute(_SHORTER, [given[0].subject_id, [record.id for record in given]])


def _all_of(
    subject_id: int, program_id: int, purpose_id: int, version: int, *, told: datetime, now: datetime
) -> PurposeErasure:
    """All that records before `version` authorised."""
    return PurposeErasure(
        subject_id=subject_id,
        purpose_id=purpose_id,
        version=version,
        program_id=program_id,
        asked_at=told,
        owed_from=now,
        not_before=now,
    )
