"""Whatever happens to a history: subtracting equals rebuilding, cell for cell, and reports equal the slow count."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.programs.tenancy import role, tenant
from consent.rights.holders import holder_of
from consent.vault.models import Subject
from reports.metrics.calendar import Interval
from reports.metrics.retention import Retention
from tests.consent.rights import Working
from tests.reports import oracle, oracle_lifecycle, oracle_retention
from tests.reports.events import History, Seen
from tests.reports.rolled import left, note_late, packed_of, rebuilt, roll, wrong
from tests.reports.test_activity_oracle import SHAPES, drawing, reported
from tests.reports.test_lifecycle import rows, told
from tests.reports.test_retention import table
from tracking import derived
from tracking.models import EventType

AROUND = {
    "Asia/Shanghai": datetime(2025, 3, 5, tzinfo=UTC),
    "America/New_York": datetime(2025, 3, 9, tzinfo=UTC),
}
PEOPLE = ("ann", "bob", "cem", "dan")
PURPOSES = ("analytics", "personalisation")
NAMES = {"analytics": "for_analytics_only", "personalisation": "for_personalisation_only"}
"""An event type of each purpose."""
ASKED = st.builds(
    Retention,
    cohort=st.sampled_from(["first_time", "first_time", "recurring"]),
    cohort_event=st.sampled_from([None, None, *NAMES.values()]),
    return_event=st.sampled_from([None, None, *NAMES.values()]),
    mode=st.sampled_from(["on", "on_or_after"]),
    periods=st.integers(1, 4),
)
OPERATIONS = ("late", "roll", "roll", "withdraw", "collect", "erase", "restrict", "lift", "reconsent")


@st.composite
def moments(draw: st.DrawFn, around: datetime) -> list[Seen]:
    """Some events of a subject, for either purpose, with pauses at and beside the limits of a session."""
    subject, session = draw(st.sampled_from(PEOPLE)), draw(st.sampled_from([None, None, "one"]))
    at = around + timedelta(minutes=draw(st.integers(-2 * 1440, 2 * 1440)))
    seen = []
    for pause in draw(st.lists(st.sampled_from([0, 1799, 1800, 1801, 40_000, 86_400, 86_401]), min_size=1, max_size=6)):
        skew = timedelta(seconds=draw(st.sampled_from([0, 0, 86_400, -86_400])))
        purpose = draw(st.sampled_from(PURPOSES))
        seen.append(Seen(subject, at, session, skew, purpose, NAMES[purpose]))
        at += timedelta(seconds=pause)
    return seen


class World:
    """A history, what of it is stored, and whose consents stand."""

    def __init__(self, history: History, around: datetime, as_worker: Working) -> None:
        self.history, self.as_worker = history, as_worker
        self.days = [around.date() + timedelta(days=n) for n in range(-5, 7)]
        self.as_of = around + timedelta(days=200)
        self.stored: list[Seen] = []
        self.remembered: list[Seen] = []
        """All that was ever stored of those who are not erased: their days are remembered."""
        self.ended: set[tuple[str, str]] = set()
        self.flagged: set[str] = set()
        history.owner.execute("DELETE FROM rollup")
        history.owner.execute("DELETE FROM rollup_day")
        history.owner.execute("DELETE FROM rollup_events")
        history.owner.execute("DELETE FROM day_change")
        history.clear()
        history.ids.clear()

    def late(self, seen: list[Seen]) -> None:
        """Stored after their days may have been built; nothing is stored of whom the gate keeps out."""
        some = [one for one in seen if one.subject not in self.flagged and (one.subject, one.purpose) not in self.ended]
        self.history.add_all(some)
        for one in some:
            note_late(self.history, one.at.astimezone(ZoneInfo(self.history.program.zone)).date())
        self.stored += some
        self.remembered += some

    def roll(self, data: st.DataObject) -> None:
        with self.as_worker():
            roll(self.history.program, data.draw(st.lists(st.sampled_from(self.days), unique=True)))

    def withdraw(self, who: str, purpose: str) -> None:
        self.history.end_consent(who, purpose=purpose)
        self.ended.add((who, purpose))

    def collect(self, who: str, purpose: str) -> None:
        """A worker erases what a withdrawal left, some days first."""
        if (who, purpose) not in self.ended:
            return
        theirs = [one for one in self.stored if (one.subject, one.purpose) == (who, purpose)]
        days = sorted({(one.at + one.skew).date() for one in theirs})
        for some in (days[::2], days[1::2]):
            with self.as_worker(), tenant(self.history.program.id):
                self._delete(who, purpose, some)
            gone = [one for one in theirs if (one.at + one.skew).date() in some]
            self.stored = [one for one in self.stored if one not in gone]
            self.check()

    def _delete(self, who: str, purpose: str, days: list[date]) -> None:
        subject_id = self.history.ids[who]
        delete = "DELETE FROM event WHERE subject_id = %s AND day = ANY(%s) AND type_id = %s"
        type_id = EventType.objects.get(program_id=self.history.program.id, name=NAMES[purpose]).pk
        going = derived.some_going(self.history.program.id, subject_id, days)
        with going, role("zq_erase"), connection.cursor() as cursor:
            cursor.execute(delete, [subject_id, days, type_id])

    def reconsent(self, who: str, purpose: str) -> None:
        """Only once everything is collected; before that tests/reports/test_rollups.py."""
        if (who, purpose) in self.ended:
            self.collect(who, purpose)
            self.history.end_consent(who, "given", purpose)
            self.ended.remove((who, purpose))

    def restrict(self, who: str) -> None:
        self.history.flag(who, "restricted")
        self.flagged.add(who)

    def lift(self, who: str) -> None:
        if who in self.flagged:
            self.history.owner.execute(
                "UPDATE subject SET restricted = false WHERE subject_id = %s", [self.history.ids[who]]
            )
            with tenant(self.history.program.id):
                subject = Subject.objects.get(id=self.history.ids[who])
                holder_of("reports.rollups").stand_again(subject=subject)
            self.flagged.remove(who)

    def erase(self, who: str) -> None:
        """Rollups, a builder in between, then the events; whoever comes back is a new subject."""
        subject_id, program = self.history.ids[who], self.history.program
        self.history.flag(who, "erasure_pending")
        with self.as_worker():
            for name in ("reports.rollups", "tracking.events"):
                holder = holder_of(name)
                finished = False
                while not finished:
                    with tenant(program.id):
                        finished = holder.erase(program_id=program.id, subject_id=subject_id, limit=7).finished
                with tenant(program.id):
                    assert holder.count(program_id=program.id, subject_id=subject_id) == 0
                assert packed_of(program, subject_id) == []
                if name == "reports.rollups":
                    roll(program, self.days[::3], anew=True)
        with tenant(program.id):
            assert holder_of("reports.rollups").count(program_id=program.id, subject_id=subject_id) == 0
        self.history.owner.execute("DELETE FROM consent_state WHERE subject_id = %s", [subject_id])
        self.history.owner.execute("DELETE FROM subject WHERE subject_id = %s", [subject_id])
        del self.history.ids[who]
        self.stored = [one for one in self.stored if one.subject != who]
        self.remembered = [one for one in self.remembered if one.subject != who]
        self.ended = {(subject, purpose) for subject, purpose in self.ended if subject != who}
        self.flagged.discard(who)

    def counted(self) -> list[Seen]:
        return [
            one
            for one in self.stored
            if one.subject not in self.flagged and (one.subject, one.purpose) not in self.ended
        ]

    def check(self) -> None:
        program = self.history.program
        assert wrong(program, self.days) == []
        first, last = self.days[0], self.days[-1]
        assert reported(self.history, first, last) == oracle.activity(self.counted(), program.zone, first, last)

    def check_metrics(self, data: st.DataObject) -> None:
        """What else is answered from rollups."""
        there, zone, counted = self.history, self.history.program.zone, self.counted()
        first, last = data.draw(st.sampled_from(self.days[3:6])), data.draw(st.sampled_from(self.days[6:10]))
        by: Interval = data.draw(st.sampled_from(["day", "day", "week", "month"]))
        asked = data.draw(ASKED)
        named = (first.isoformat(), last.isoformat())
        found = table(there.ask(*named, metric="retention", interval=by, options=asked, as_of=self.as_of))
        assert found == oracle_retention.retention(counted, zone, first, last, by, asked)
        gone = [one for one in self.remembered if one not in counted]
        lived = told(there, *named, interval=by, as_of=self.as_of)
        slow = oracle_lifecycle.lifecycle(counted, gone, zone, first, last, by, self.as_of)
        assert {
            next(iter(row.keys.values())): {name: cell.value for name, cell in row.cells.items()}
            for row in lived.tables["data"]
        } == slow
        sticky = told(there, *named, "stickiness", as_of=self.as_of)
        by_date, by_number = oracle_lifecycle.stickiness(counted, zone, first, last)
        assert rows(sticky) == by_date
        assert rows(sticky, table="active_days") == {number: [some] for number, some in by_number.items()}


def step(world: World, operation: str, data: st.DataObject, around: datetime) -> None:
    if operation == "late":
        world.late(data.draw(moments(around)))
    elif operation == "roll":
        world.roll(data)
    elif world.history.ids:
        who = data.draw(st.sampled_from(sorted(world.history.ids)))
        if operation in {"withdraw", "collect", "reconsent"}:
            getattr(world, operation)(who, data.draw(st.sampled_from(PURPOSES)))
        else:
            getattr(world, operation)(who)


def add_types(history: History) -> None:
    for purpose, name in NAMES.items():
        history.owner.execute(
            "INSERT INTO event_type (program_id, name, purpose_id, description, status, categories, properties, version)"
            " SELECT program_id, %s, id, '', 'active', '{behaviour}', '{}', 1 FROM purpose WHERE program_id = %s AND code = %s",
            [name, history.program.id, purpose],
        )


@pytest.mark.long
@drawing(30)
@pytest.mark.parametrize(("zone", "around"), AROUND.items())
def test_any_history_of_rollups(
    history: Callable[..., History],
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
    zone: str,
    around: datetime,
    examples: int,
) -> None:
    there = history(zone)
    add_types(there)
    # Most days here are not built, and are to be answered beside those that are.
    monkeypatch.setattr("reports.rollups.read.FEW", 10_000)
    monkeypatch.setattr("reports.rollups.read.IDS_AT_ONCE", 2)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        world = World(there, around, as_worker)
        monkeypatch.setattr("reports.metrics.lifecycle.LOOKED_UP", data.draw(st.sampled_from([-(10**9), 10**9])))
        monkeypatch.setattr("reports.metrics.lifecycle.PART_BITS", data.draw(st.sampled_from([1, 22])))
        for _ in range(2):
            world.late(data.draw(moments(around)))
        world.roll(data)
        for operation in data.draw(st.lists(st.sampled_from(OPERATIONS), max_size=10)):
            step(world, operation, data, around)
            world.check()
        world.check_metrics(data)
        with as_worker():
            roll(there.program, world.days)
        world.check()
        world.check_metrics(data)
        flagged = [there.ids[who] for who in world.flagged]
        for day in world.days:
            # Who was restricted after a day was built is in it, and counts nowhere.
            assert left(there.program, day, flagged) == rebuilt(there.program, day)
        taken_from = [row for row in packed_of(there.program) if row[1] not in flagged]
        with as_worker():
            roll(there.program, world.days, anew=True)
        assert packed_of(there.program) == taken_from

    compared()
