"""A report names its days: the database opens the partitions it needs, and no others."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import connection

from consent.programs.tenancy import tenant
from reports.metrics.activity import scanned
from reports.metrics.registry import Question
from reports.rollups.contribution import Days
from tests.reports.events import ACCEPTED, History


def named(plan: Any) -> set[str]:
    """The names of all tables in a plan."""
    if isinstance(plan, list):
        return {name for item in plan for name in named(item)}
    if not isinstance(plan, dict):
        return set()
    own = {plan["Relation Name"]} if "Relation Name" in plan else set()
    return own | {name for value in plan.values() for name in named(value)}


def opened_for(history: History, metric: str) -> set[str]:
    """The partitions that the one scan of the events opens, for October 15."""
    asked: list[tuple[str, Any]] = []

    def noting(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if "event e" in sql:
            asked.append((sql, parameters))
        return execute(sql, parameters, many, context)

    stream = psycopg.Cursor.stream

    def streaming(cursor: Any, sql: str, parameters: Any, **more: Any) -> Any:
        asked.append((sql, parameters))
        return stream(cursor, sql, parameters, **more)

    with connection.execute_wrapper(noting), pytest.MonkeyPatch.context() as patched:
        patched.setattr(psycopg.Cursor, "stream", streaming)
        history.ask("2025-10-15", "2025-10-15", metric=metric)
    # Its own first. What the gate needs of the types of events is asked of the days asked alone, from rollups where there are any.
    (sql, parameters), *of_types = asked
    assert len(of_types) <= 1
    assert sql.count("event e\n") <= 2, "one scan, and one of the days before for what goes on"
    with tenant(history.program.id), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
        plan = cursor.fetchone()[0]
    return {name for name in named(json.loads(plan) if isinstance(plan, str) else plan) if name.startswith("event_2")}


def test_only_the_days_needed_are_opened(history: Callable[..., History]) -> None:
    shanghai = history()
    shanghai.owner.execute(
        "SELECT ensure_event_days(ARRAY(SELECT d::date FROM generate_series(date '2025-09-01', date '2025-11-10', interval '1 day') d))"
    )
    opened = opened_for(shanghai, "activity")
    # 30 days that end with the 15th begin on September 16; the month ends on October 31. In UTC as sent, with 24 h of
    # clock error on either side: from September 14, 16:00 to November 1, 16:00.
    days = [date(2025, 9, 14) + timedelta(days=n) for n in range(49)]
    assert days[-1] == date(2025, 11, 1)
    assert opened == {f"event_{day:%Y%m%d}" for day in days}


@pytest.mark.parametrize(
    ("metric", "first", "last"),
    [
        # Sessions: 72 h before and 24 h after the local day, and 24 h of clock error.
        ("sessions", "2025-10-10", "2025-10-17"),
        ("pages", "2025-10-10", "2025-10-17"),
        ("distributions", "2025-10-10", "2025-10-17"),
        ("trends", "2025-10-13", "2025-10-16"),
    ],
)
def test_a_metric_reads_its_events_once_and_opens_only_the_days_needed(
    history: Callable[..., History], metric: str, first: str, last: str
) -> None:
    shanghai = history()
    shanghai.owner.execute(
        "SELECT ensure_event_days(ARRAY(SELECT d::date FROM generate_series(date '2025-10-01', date '2025-10-31', interval '1 day') d))"
    )
    opened = opened_for(shanghai, metric)
    begins, ends = date.fromisoformat(first), date.fromisoformat(last)
    assert opened == {f"event_{begins + timedelta(days=n):%Y%m%d}" for n in range((ends - begins).days + 1)}


def test_the_utc_days_of_a_local_day_are_at_most_two_more_on_either_side() -> None:
    day = date(2025, 10, 15)
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12", "Asia/Tehran", "America/New_York", "Asia/Kathmandu", "UTC"):
        asked = Question(1, ZoneInfo(zone), day, day, datetime.now(UTC), accepted=ACCEPTED)
        days = Days(1, asked.zone, *scanned(asked), (day, day)).parameters()["days"]
        assert date(2025, 9, 14) <= days[0] <= date(2025, 9, 15)
        assert date(2025, 11, 1) <= days[-1] <= date(2025, 11, 2)
