"""Rollups where retention takes whole days of events, and where another mini-program keeps its own for longer."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import psycopg
import pytest

from consent.programs.tenancy import tenant
from reports.metrics.retention import Retention
from reports.rollups.build import buildable
from reports.rollups.read import with_events
from tests.cast import Program, now
from tests.consent.retaining import events, purge
from tests.consent.rights import Working
from tests.reports.events import History, Seen
from tests.reports.rolled import held, roll, wrong
from tests.reports.test_retention import table

DAY = timedelta(days=1)
KEPT = 365
"""Days, as the notice tells."""
EMPTY = """
    INSERT INTO rollup_day (program_id, day, zone, changes, built_at)
    SELECT %s, d::date, %s, 0, now() FROM generate_series(%s::date, %s::date, interval '1 day') d
    ON CONFLICT (program_id, day) DO UPDATE SET zone = excluded.zone, changes = 0, built_at = excluded.built_at
"""
# A purge that drops days that other tests left has made the rows of those after them.


def at(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour), UTC)


def test_no_rollup_rests_on_events_that_went_with_their_day(
    history: Callable[..., History], owner: psycopg.Connection, as_worker: Working
) -> None:
    """A visit of days, of which the beginning goes: what is left of it begins elsewhere."""
    shanghai = history()
    program, zone = shanghai.program, ZoneInfo(shanghai.program.zone)
    dropped = now().date() - (KEPT + 1) * DAY
    shanghai.add(
        # By a clock a day behind.
        Seen("ann", at(dropped + DAY, 20), "one", skew=-DAY, event_id="first"),
        Seen("ann", at(dropped + 2 * DAY, 19), "one", event_id="second"),
        Seen("ann", at(dropped + 3 * DAY, 18), "one", event_id="third"),
    )
    days = [dropped + n * DAY for n in range(16)]
    with as_worker():
        roll(program, [day for day in days if day in set(buildable(program.id, zone, now()))])
        assert held(program, days[-1]) is not None
    purge(program, as_worker)
    assert events(owner) == ["second", "third"]
    assert wrong(program, days) == []
    assert held(program, days[-1]) is not None


def test_what_was_built_of_such_days_is_purged(
    history: Callable[..., History], owner: psycopg.Connection, as_worker: Working
) -> None:
    shanghai = history()
    dropped = now().date() - (KEPT + 1) * DAY
    shanghai.add(Seen("ann", at(dropped + 4 * DAY, 12)))
    days = [dropped + n * DAY for n in range(16)]
    with as_worker():
        roll(shanghai.program, days)
    purge(shanghai.program, as_worker)
    assert [day for day in days if held(shanghai.program, day) is not None] == days[8:]
    assert owner.execute("SELECT count(*) FROM rollup").fetchone() == (0,)


@pytest.mark.parametrize("mode", ["on", "on_or_after"])
def test_retention_is_answered_from_rollups_where_others_keep_events_for_longer(
    history: Callable[..., History],
    other: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
    mode: Literal["on", "on_or_after"],
) -> None:
    shanghai = history()
    program, zone, today = shanghai.program, ZoneInfo(shanghai.program.zone), now().date()
    owner.execute("UPDATE notice_purpose SET retention_days = 1095 WHERE program_id = %s", [other.id])
    long_ago = History(other, owner)
    long_ago.add(Seen("zoe", at(today - 1000 * DAY, 12)))
    came = {"ann": (9, 8, 6), "bob": (8, 4), "cem": (9,), "dee": (8,)}
    shanghai.add(*(Seen(who, at(today - age * DAY, 12)) for who, ages in came.items() for age in ages))
    options = Retention(periods=3, mode=mode)
    asked: dict[str, Any] = {"options": options, "metric": "retention", "as_of": now()}
    first, last = ((today - age * DAY).isoformat() for age in (9, 7))
    counted = table(shanghai.ask(first, last, **asked))
    gated = table(shanghai.ask(first, last, **asked, k=2))
    assert [size for size, _ in gated.values()] == [2, None, 0], "beside ann, who was there before"
    purge(program, as_worker)
    span = buildable(program.id, zone, now())
    owner.execute(EMPTY, [program.id, program.zone, span.first, span.last])
    with as_worker():
        roll(program, [today - age * DAY for age in range(4, 11)], anew=True)
    monkeypatch.setattr("reports.metrics.retention._from_events", None)
    assert table(shanghai.ask(first, last, **asked)) == counted
    assert table(shanghai.ask(first, last, **asked, k=2)) == gated
    with tenant(program.id):
        read = with_events(program.id, date.min, today, as_of=now())
    assert read is not None and read[0] > today - (KEPT + 10) * DAY, "others' days are not read"
