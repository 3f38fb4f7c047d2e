"""The service as the predicate test sees it: over HTTP, with a clock that can be moved on."""

from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import psycopg
from hypothesis import assume

from consent.notices.actions import publish_notice
from consent.notices.document import NoticeText
from tests.cast import AT_ONCE, example_notice, for_minors, make_program, now
from tests.tracking.predicate_draws import TYPES
from tests.tracking.predicate_model import Told, Version
from tracking.catalogue import Catalogue, Declaration, import_catalogue

SLOW = timedelta(seconds=1.5)

# Time passes for the service by moving everything it has stored back.
_PASS = """
    WITH shift AS (SELECT make_interval(secs => %(seconds)s) AS by),
    records AS (
        UPDATE consent_record SET occurred_at = occurred_at - by, corrected_at = corrected_at - by,
            received_at = received_at - by, authorises_from = authorises_from - by,
            authorises_until = authorises_until - by
        FROM shift WHERE program_id = %(program)s),
    states AS (
        UPDATE consent_state SET record_from = record_from - by, grant_from = grant_from - by,
            grant_until = grant_until - by, barrier_at = barrier_at - by, asked_at = asked_at - by
        FROM shift WHERE program_id = %(program)s),
    subjects AS (
        UPDATE subject SET barrier_at = barrier_at - by FROM shift
        WHERE program_id = %(program)s AND barrier_at IS NOT NULL)
    UPDATE notice SET effective_at = effective_at - by FROM shift WHERE program_id = %(program)s
"""
_PASS_EVENTS = """
    WITH shift AS (SELECT make_interval(secs => %(seconds)s) AS by),
    moved AS (
        UPDATE event SET occurred_at = occurred_at - by, corrected_at = corrected_at - by,
            received_at = received_at - by, day = ((occurred_at - by) AT TIME ZONE 'UTC')::date
        FROM shift WHERE program_id = %(program)s AND day = ANY(%(days)s) RETURNING subject_id, day)
    INSERT INTO subject_day (subject_id, day, program_id)
    SELECT DISTINCT subject_id, day, %(program)s FROM moved ON CONFLICT DO NOTHING
"""


def text_of(told: dict[str, Told]) -> NoticeText:
    """The example notice, telling of these purposes this."""
    example = example_notice()
    purposes = [
        msgspec.structs.replace(
            purpose,
            categories=sorted(told[purpose.code].categories),
            validity_days=validity.days if (validity := told[purpose.code].validity) else None,
            methods=["collection", "storage", *(["profiling"] if told[purpose.code].profiled else [])],
            retention_days=told[purpose.code].kept,
        )
        for purpose in example.purposes
        if purpose.code in told
    ]
    return msgspec.structs.replace(example, purposes=purposes)


class Service:
    """A mini-program of its own. The model's times are the service's plus what has passed (`ahead`)."""

    def __init__(self, owner: psycopg.Connection) -> None:
        self.owner = owner
        self.ahead = timedelta(0)
        self.program = make_program()
        declared = {
            name: Declaration(purpose=purpose, categories=sorted(categories))
            for name, (purpose, categories) in TYPES.items()
        }
        import_catalogue(program_id=self.program.id, catalogue=Catalogue(declared), by="test", now=now())

    def now(self) -> datetime:
        return now() + self.ahead

    def sent(self, at: datetime) -> str:
        """A time of the model's as it is sent."""
        return (at - self.ahead).isoformat()

    def day(self, at: datetime) -> date:
        return (at - self.ahead).date()

    def let_pass(self, gap: timedelta, event_days: set[date]) -> None:
        told = {"seconds": gap.total_seconds(), "program": self.program.id}
        if event_days:
            new = {day - gap - timedelta(days=1) + timedelta(days=n) for day in event_days for n in (0, 1)}
            self.owner.execute("SELECT ensure_event_days(%s)", [sorted(new)])
            self.owner.execute(_PASS_EVENTS, told | {"days": sorted(event_days)})
        self.owner.execute(_PASS, told)
        self.ahead += gap

    def publish(self, told: dict[str, Told], effective_at: datetime | None, *, dated_back: timedelta) -> Version:
        """`dated_back`: an owner's edit afterwards, since only a program's first notice may be dated back."""
        effective, text = None if effective_at is None else effective_at - self.ahead, text_of(told)
        made, minors = (
            publish_notice(
                program_id=self.program.id,
                text=told_to,
                effective_at=effective,
                lead=AT_ONCE,
                by="test",
                now=now(),
            )
            for told_to in (text, for_minors(text))
        )
        # In force at the same instant, since the model knows one version where the service has two.
        self.owner.execute("UPDATE notice SET effective_at = %s WHERE id = %s", [made.effective_at, minors.pk])
        if dated_back:
            self.owner.execute(
                "UPDATE notice SET effective_at = effective_at - %s WHERE id IN (%s, %s)",
                [dated_back, made.pk, minors.pk],
            )
        return Version(made.version, made.sha256, minors.sha256, made.effective_at - dated_back + self.ahead, told)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """A call, none of which may take so long that the margins no longer hold."""
        began = now()
        response = self.program.post(path, body)
        assume(now() - began < SLOW)
        return response

    def times(self, record_id: str) -> tuple[datetime, datetime]:
        """When a record was received, and its corrected time."""
        received, corrected = self._row(
            "SELECT received_at, corrected_at FROM consent_record WHERE record_id = %s", record_id
        )
        return received + self.ahead, corrected + self.ahead

    def reopened(self, pseudonym: str) -> datetime:
        (barrier,) = self._row("SELECT barrier_at FROM subject WHERE pseudonym = %s", pseudonym)
        reopened: datetime = barrier + self.ahead
        return reopened

    def _row(self, query: str, of: str) -> tuple[Any, ...]:
        row = self.owner.execute(query, [of]).fetchone()
        assert row is not None
        return row

    def record_of(self, event_id: str, day: date) -> str:
        row = self.owner.execute(
            "SELECT r.record_id FROM event e JOIN consent_record r ON r.id = e.consent_record_id"
            " AND r.subject_id = e.subject_id WHERE e.program_id = %s AND e.event_id = %s AND e.day = %s",
            [self.program.id, event_id, day],
        ).fetchone()
        assert row is not None, f"{event_id} is not there"
        return str(row[0])

    def no_intent_is_left(self) -> None:
        """An act that has been answered, recorded or refused, leaves no intent behind."""
        left = self.owner.execute(
            "SELECT count(*) FROM withdrawal_intent WHERE program_id = %s", [self.program.id]
        ).fetchone()
        assert left == (0,)

    def end_undo_window(self, request_id: str) -> None:
        self.owner.execute("UPDATE subject_request SET undo_until = received_at WHERE id = %s", [request_id])
        self.owner.execute(
            "UPDATE holder_run SET not_before = received_at FROM subject_request r"
            " WHERE r.id = request_id AND request_id = %s",
            [request_id],
        )

    def stored(self) -> list[tuple[str, str]]:
        """Event ids with the records they name."""
        rows = self.owner.execute(
            "SELECT e.event_id, r.record_id::text FROM event e LEFT JOIN consent_record r"
            " ON r.id = e.consent_record_id AND r.subject_id = e.subject_id WHERE e.program_id = %s",
            [self.program.id],
        )
        return rows.fetchall()
