"""Reads of consent: what the gate locks, how a subject stands, which record was in force."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import DateTimeField, Exists, Func, OuterRef, QuerySet

from consent.programs.models import MiniProgram
from consent.records.grants import FIELDS, AuthorisingRecord, Coverage, Covered, Grant, Waiting, of_state, until_14
from consent.records.models import ConsentRecord, ConsentState, State
from consent.statements import Int8s, ask

# The union is of what one snapshot shows: who is about to withdraw is either told or locked. Of the former only ids.
_LOCK = f"""
    WITH leaving AS MATERIALIZED (SELECT DISTINCT subject_id FROM withdrawal_intent WHERE subject_id = ANY(%(subjects)s)),
    locked AS MATERIALIZED (
        SELECT {", ".join(FIELDS)} FROM consent_state
        WHERE subject_id = ANY(%(subjects)s) AND purpose_id = ANY(%(purposes)s)
            AND subject_id NOT IN (SELECT subject_id FROM leaving)
        ORDER BY subject_id, purpose_id FOR SHARE)
    SELECT * FROM locked
    UNION ALL SELECT subject_id{"".join(", NULL" for _ in FIELDS[1:])} FROM leaving
"""
_CLOCK = "SELECT clock_timestamp()"
_COVERAGE = """
    SELECT told.purpose_id, told.notice_id, told.categories, told.retention_days, min(later.effective_at)
    FROM notice_purpose told
    JOIN notice told_in ON told_in.id = told.notice_id
    LEFT JOIN (SELECT m.purpose_id, n.audience, n.version, n.effective_at
               FROM notice_purpose m JOIN notice n ON n.id = m.notice_id WHERE m.material) later
      ON later.purpose_id = told.purpose_id AND later.audience = told_in.audience AND later.version > told_in.version
    WHERE told.program_id = %s
    GROUP BY told.purpose_id, told.notice_id, told.categories, told.retention_days
"""
# A row at least: of a mini-program without notices one that tells the time alone.
_CLOCK_AND_COVERAGE = (
    f"SELECT clock_timestamp(), covered.* FROM (SELECT) AS always LEFT JOIN ({_COVERAGE}) covered ON true"
)
# Noon in UTC is when a day has begun everywhere on earth.
_TURNED_14 = """
    SELECT subject_id FROM subject
    WHERE program_id = %s AND under_14 AND turns_14_on <= (clock_timestamp() AT TIME ZONE 'UTC' - interval '12 hours')::date
      AND NOT restricted AND NOT erasure_pending AND subject_id > %s
    ORDER BY subject_id LIMIT %s
"""


def db_now() -> datetime:
    """The database's clock: the one clock of all nodes. After a lock it is later than whatever the lock waited for."""
    with connection.cursor() as cursor:
        cursor.execute(_CLOCK)
        row = cursor.fetchone()
    now: datetime = row[0]
    return now


def today(program_id: int) -> date:
    """The day it is in the mini-program's zone. Within its tenant."""
    zone = MiniProgram.objects.get(id=program_id).zone
    return db_now().astimezone(ZoneInfo(zone)).date()


class Clock(Func):
    """The same time within the statement that writes it, without a round trip of its own."""

    function = "clock_timestamp"
    output_field = DateTimeField()


def coverage(program_id: int) -> dict[tuple[int, int], Coverage]:
    """(purpose id, notice id) -> Coverage, for every published version."""
    return _covered(ask(_COVERAGE, [program_id]).rows())


def _covered(rows: Iterable[tuple[Any, ...]]) -> dict[tuple[int, int], Coverage]:
    return {
        (purpose_id, notice_id): Coverage(frozenset(categories), retention_days, lapses_at)
        for purpose_id, notice_id, categories, retention_days, lapses_at in rows
    }


class AskedGrants:
    """Locks a batch's consent states for the rest of the transaction (I2) and reads them, and what the gate needs beside.

    The states are locked in key order, all at once, but of those who are about to withdraw something: a batch that begins
    after an intent was committed takes no lock on that subject, so that readers cannot keep a withdrawal waiting for ever.
    To be made within `together`, and read after it.
    """

    def __init__(self, program_id: int, subject_ids: list[int], purpose_ids: list[int]) -> None:
        subjects, purposes = Int8s.of(subject_ids), Int8s.of(purpose_ids)
        self._locked = ask(_LOCK, {"subjects": subjects, "purposes": purposes})
        # By another statement, after the lock: inside the locking SELECT the time would be early.
        self._told = ask(_CLOCK_AND_COVERAGE, [program_id])

    def grants(self) -> tuple[dict[tuple[int, int], Grant], set[int]]:
        """(subject id, purpose id) -> Grant, and the ids of those who are leaving."""
        leaving: set[int] = set()
        grants: dict[tuple[int, int], Grant] = {}
        for row in self._locked.rows():
            if row[1] is None:
                leaving.add(row[0])
            else:
                grants[row[:2]] = Grant._make(row)
        return grants, leaving

    def clock_and_covered(self) -> tuple[datetime, dict[tuple[int, int], Coverage]]:
        """A time later than whatever the locks waited for, and the mini-program's coverage."""
        rows = self._told.rows()
        return rows[0][0], _covered(row[1:] for row in rows if row[1] is not None)


def turned_14(program_id: int, *, after: int, limit: int) -> list[int]:
    """Subjects still kept as under 14 though their birthday has begun everywhere (`begun_everywhere`), ordered, from an id on.

    Without those whose data nobody may add to: they come of age once that is over.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TURNED_14, [program_id, after, limit])
        return [row[0] for row in cursor.fetchall()]


def pending_records(grants: Iterable[Grant]) -> Waiting:
    """The records that the grants hold as pending. Few do: nothing is asked where none does."""
    pending = {record_id: grant.subject_id for grant in grants for record_id in grant.pending}
    if not pending:
        return {}
    rows = ConsentRecord.objects.filter(id__in=list(pending), subject_id__in=set(pending.values()))
    return {record.record_id: record for record in _authorising(rows)}


def earlier_records(pairs: Iterable[tuple[int, int]]) -> list[AuthorisingRecord]:
    """The authorising records since a record last ended the pairs' grants, newest first.

    Which of them is the one in force at a time before the last renewal.
    """
    subjects, purposes = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    ended = ConsentRecord.objects.filter(
        subject_id=OuterRef("subject_id"),
        purpose_id=OuterRef("purpose_id"),
        version__gt=OuterRef("version"),
        state__in=(State.REFUSED, State.WITHDRAWN, State.EXPIRED, State.INVALIDATED),
    )
    rows = ConsentRecord.objects.filter(
        ~Exists(ended), subject_id__in=subjects, purpose_id__in=purposes, authorises_from__isnull=False
    ).order_by("subject_id", "purpose_id", "-authorises_from", "-version")
    return _authorising(rows)


def _authorising(rows: QuerySet[ConsentRecord]) -> list[AuthorisingRecord]:
    return [
        AuthorisingRecord(
            row.subject_id,
            row.purpose_id,
            row.id,
            row.notice_id,
            row.authorises_from,
            until_14(row.authorises_until, row.corrected_at, row.subject.turns_14_on),
        )
        for row in rows.select_related("subject")
        if row.notice_id is not None and row.authorises_from is not None
    ]


def standing(states: Iterable[ConsentState], covered: Covered, now: datetime) -> dict[int, Grant]:
    """One subject's grants as they stand now, by purpose id."""
    grants = [of_state(state) for state in states]
    waiting = pending_records(grants)
    return {grant.purpose_id: grant.at(now, waiting, covered) for grant in grants}
