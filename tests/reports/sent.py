"""What a mini-program sent, and when, counted by the service's own writer at exact times of receipt."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from consent.api.shapes import SubjectNamed
from consent.programs.tenancy import tenant
from reports.metrics.calendar import Interval
from reports.metrics.registry import Question, answer
from reports.privacy.threshold import Released
from tests.cast import Program
from tests.reports.events import ACCEPTED
from tracking.ingest import counting, screen
from tracking.ingest.gate import Candidate
from tracking.ingest.outcome import Outcome
from tracking.ingest.parse import NOTHING, Batch, Read, Refusal, SentEvent


@dataclass(frozen=True)
class Sent:
    """An event and its answer: `accepted`, `duplicate`, or the code of a refusal. `who` None: it could not be read.

    `age`: how long before its receipt it happened. `known`: the service knows the subject.
    """

    who: str | None
    answer: str = "accepted"
    name: str = "page_view"
    age: timedelta = timedelta(0)
    known: bool = True


@dataclass
class Receipts:
    """A mini-program's server processes: each remembers by itself, and has a slot of its own unless some share one."""

    program: Program
    owner: psycopg.Connection
    monkeypatch: pytest.MonkeyPatch
    slots: int = 32
    memories: dict[int, Any] = field(default_factory=lambda: defaultdict(dict))

    def receive(self, at: datetime, *sent: Sent, process: int = 0) -> None:
        """One batch."""
        with self._in_process(process), tenant(self.program.id):
            types = screen.AskedCatalogue(self.program.id, {one.name for one in sent}).types()
            batch = Batch([None] * len(sent), [], {}, None, False)
            candidates, stored = [], {}
            for place, one in enumerate(sent):
                read = _read(place, one, at)
                batch.read.append(read)
                if read is not None and one.known and one.name in types:
                    when = read.sent.occurred_at
                    candidates.append(Candidate(read, _number(one), types[one.name], when.date(), when))
                if one.answer in ("accepted", "duplicate"):
                    stored[place] = one.answer == "accepted"
                else:
                    batch.refused[place] = Refusal(one.answer)
            zone = ZoneInfo(self.program.zone)
            counted = counting.Counting(self.program.id, zone, at, batch, types, candidates)
            counted.remember(counted.write(Outcome(batch.event_ids, batch.refused, stored)))

    def ask(
        self, first: str, last: str, *, k: int = 1, interval: Interval = "day", as_of: datetime | None = None
    ) -> Released:
        """Asked for the first time."""
        self.owner.execute("DELETE FROM frozen_line WHERE program_id = %s", [self.program.id])
        question = Question(
            self.program.id,
            ZoneInfo(self.program.zone),
            date.fromisoformat(first),
            date.fromisoformat(last),
            as_of or datetime(2099, 1, 1, tzinfo=UTC),
            interval,
            accepted=ACCEPTED,
        )
        return answer("quality", question, k=k).released

    def clear(self) -> None:
        self.owner.execute("DELETE FROM ingest_count")
        self.memories.clear()

    @contextmanager
    def _in_process(self, number: int) -> Iterator[None]:
        with self.monkeypatch.context() as patched:
            patched.setattr(counting, "_days", self.memories[number])
            patched.setattr(counting, "slot", lambda: number % self.slots)
            yield


def _read(place: int, one: Sent, at: datetime) -> Read | None:
    if one.who is None:
        return None
    sent = SentEvent("e", one.name, SubjectNamed(openid=one.who), at - one.age)
    return Read(place, sent, (("openid", one.who),), NOTHING, NOTHING)


def _number(one: Sent) -> int:
    return int.from_bytes((one.who or "").encode())


def rows(released: Released) -> dict[tuple[str, str | None], dict[str, float | None]]:
    """(day, event type) -> what is not 0."""
    found = {}
    for row in released.tables["data"]:
        key, event = row.keys.values()
        cells = {name: cell.value for name, cell in row.cells.items() if cell.value != 0}
        if cells:
            found[key, event] = cells
    return found


def totals(released: Released) -> dict[str, float | None]:
    """The same over all of them."""
    return {
        name: cell.value for name, cell in released.totals.items() if name != "withdrawn_subjects" and cell.value != 0
    }
