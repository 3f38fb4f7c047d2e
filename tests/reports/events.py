"""Histories for reports: events of exact times, put into the table by its owner, past the gate and the clock."""

import itertools
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.types.json import Jsonb

from reports.metrics.calendar import Interval
from reports.metrics.registry import Question, answer
from reports.privacy.threshold import Released
from tests.cast import Program

_numbers = itertools.count(1)
ACCEPTED = timedelta(days=400)
"""How long after its day an event may come, unless a server is configured otherwise."""


@dataclass(frozen=True)
class Seen:
    """A subject was seen at `at` (its corrected time); the phone's clock was wrong by `skew`."""

    subject: str
    at: datetime
    session: str | None = None
    skew: timedelta = timedelta(0)
    purpose: str = "analytics"
    name: str | None = None
    """The event type; any of its purpose, where it does not matter."""
    page: str | None = None
    dwell_ms: int | None = None
    scene: str | None = None
    context: dict[str, str] | None = None
    properties: dict[str, Any] | None = None
    event_id: str | None = None
    """Events at one instant are in the order of their ids; one is made up, where it does not matter."""


def local(text: str, zone: str = "Asia/Shanghai", fold: int = 0) -> datetime:
    """`2026-10-05 23:59:59` on that zone's clock; `fold=1` for the second of two."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


@dataclass
class History:
    """What a mini-program's subjects did. A subject is named in the test and exists from its first event on."""

    program: Program
    owner: psycopg.Connection
    ids: dict[str, int] = field(default_factory=dict)
    days: set[date] = field(default_factory=set)

    def add(self, *seen: Seen) -> None:
        self.add_all(seen)

    def add_all(self, seen: Iterable[Seen]) -> None:
        found = list(seen)
        self._know({one.subject for one in found})
        self._make_days({(one.at + one.skew).astimezone(UTC).date() for one in found})
        types, pages = self._types(), self._pages({one.page for one in found if one.page})
        copy = (
            "COPY event (subject_id, consent_record_id, type_id, program_id, occurred_at, corrected_at, received_at, day,"
            " event_id, session_id, page_id, dwell_ms, scene, context, properties) FROM STDIN"
        )
        self._note_days({(one.subject, (one.at + one.skew).astimezone(UTC).date()) for one in found})
        with self.owner.cursor() as cursor, cursor.copy(copy) as copied:
            for one in found:
                occurred = one.at + one.skew
                copied.write_row(
                    (
                        self.ids[one.subject],
                        0,
                        types[one.name or one.purpose],
                        self.program.id,
                        occurred,
                        one.at,
                        one.at,
                        occurred.astimezone(UTC).date(),
                        one.event_id or f"e{next(_numbers)}",
                        one.session,
                        pages.get(one.page or ""),
                        one.dwell_ms,
                        one.scene,
                        Jsonb(one.context) if one.context else None,
                        Jsonb(one.properties) if one.properties else None,
                    )
                )

    def clear(self) -> None:
        """Forget the events; the subjects stay."""
        self.owner.execute("DELETE FROM event")
        self.owner.execute("DELETE FROM subject_day")

    def flag(self, subject: str, flag: str) -> None:
        """Restrict a subject, or mark it for erasure."""
        self.owner.execute(f"UPDATE subject SET {flag} = true WHERE subject_id = %s", [self.ids[subject]])

    def end_consent(self, subject: str, state: str = "withdrawn", purpose: str = "analytics") -> None:
        self.owner.execute(
            "UPDATE consent_state SET state = %s FROM purpose p"
            " WHERE p.id = purpose_id AND p.code = %s AND subject_id = %s",
            [state, purpose, self.ids[subject]],
        )

    def ask(
        self,
        first: str,
        last: str,
        *,
        k: int = 1,
        as_of: datetime | None = None,
        metric: str = "activity",
        interval: Interval = "day",
        options: object = None,
        accepted: timedelta = ACCEPTED,
    ) -> Released:
        """The released metric, asked for the first time; with k = 1 and all days closed, that is every figure as it is."""
        self.owner.execute("DELETE FROM frozen_line WHERE program_id = %s", [self.program.id])
        question = Question(
            self.program.id,
            ZoneInfo(self.program.zone),
            date.fromisoformat(first),
            date.fromisoformat(last),
            as_of or datetime(2099, 1, 1, tzinfo=UTC),
            interval,
            options,
            accepted=accepted,
        )
        return answer(metric, question, k=k).released

    def table(self, first: str, last: str, *columns: str, table: str = "data") -> dict[str, list[float | None]]:
        """Row's key -> the values of some columns."""
        return {
            next(iter(row.keys.values())): [row.cells[column].value for column in columns]
            for row in self.ask(first, last).tables[table]
        }

    def _know(self, subjects: set[str]) -> None:
        for subject in sorted(subjects - self.ids.keys()):
            row = self.owner.execute(
                "INSERT INTO subject (program_id, pseudonym, erasure_handle, version, restricted, erasure_pending,"
                " under_14) VALUES (%s, %s, %s, 1, false, false, false) RETURNING subject_id",
                [self.program.id, uuid.uuid4(), secrets.token_bytes(16)],
            ).fetchone()
            assert row is not None
            self.ids[subject] = row[0]
            self.owner.execute(
                "INSERT INTO consent_state (subject_id, purpose_id, program_id, state, record_id, notice_id, record_from,"
                " grant_from, asked_at, restricted, erasure_pending, guardian_pending, renewal_required, version)"
                " SELECT %s, p.id, p.program_id, 'given', 0, n.id, '2000-01-01Z', '2000-01-01Z', '2000-01-01Z',"
                " false, false, false, false, 1 FROM purpose p JOIN notice n ON n.program_id = p.program_id"
                " WHERE p.program_id = %s",
                [row[0], self.program.id],
            )

    def _make_days(self, days: set[date]) -> None:
        self.owner.execute("SELECT ensure_event_days(%s::date[])", [sorted(days - self.days)])
        self.days |= days

    def _note_days(self, active: set[tuple[str, date]]) -> None:
        known = [(self.ids[subject], day) for subject, day in sorted(active)]
        self.owner.execute(
            "INSERT INTO subject_day (subject_id, day, program_id)"
            " SELECT s, d, %s FROM unnest(%s::bigint[], %s::date[]) AS u(s, d) ON CONFLICT DO NOTHING",
            [self.program.id, [subject for subject, _ in known], [day for _, day in known]],
        )

    def _pages(self, paths: set[str]) -> dict[str, int]:
        self.owner.execute(
            "INSERT INTO page (program_id, path) SELECT %s, unnest(%s::text[]) ON CONFLICT DO NOTHING",
            [self.program.id, sorted(paths)],
        )
        rows = self.owner.execute("SELECT path, id FROM page WHERE program_id = %s", [self.program.id]).fetchall()
        return {str(path): int(page_id) for path, page_id in rows}

    def _types(self) -> dict[str, int]:
        """Purpose -> an event type for it, made where the catalogue has none."""
        self.owner.execute(
            "INSERT INTO event_type (program_id, name, purpose_id, description, status, categories, properties, version)"
            " SELECT p.program_id, 'for_' || p.code, p.id, '', 'active', '{behaviour}', '{}', 1 FROM purpose p"
            " WHERE p.program_id = %s AND NOT EXISTS (SELECT FROM event_type t WHERE t.purpose_id = p.id)",
            [self.program.id],
        )
        rows = self.owner.execute(
            "SELECT p.code, min(t.id) FROM event_type t JOIN purpose p ON p.id = t.purpose_id"
            " WHERE t.program_id = %s GROUP BY p.code",
            [self.program.id],
        ).fetchall()
        named = self.owner.execute(
            "SELECT name, id FROM event_type WHERE program_id = %s", [self.program.id]
        ).fetchall()
        return {str(code): int(type_id) for code, type_id in named + rows}
