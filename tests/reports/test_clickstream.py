"""The reports of a real clickstream, put into the table by its owner, equal the slow counts of the same."""

import csv
import gzip
import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from reports.metrics.calendar import Interval
from reports.metrics.frequency import Frequency
from reports.metrics.funnel import Funnel
from reports.metrics.intervals import Between
from reports.metrics.paths import Paths
from reports.metrics.retention import Retention
from reports.metrics.trends import Trends
from tests.reports import (
    oracle_distributions,
    oracle_pages,
    oracle_retention,
    oracle_sessions,
    test_distributions,
    test_funnel_oracle,
    test_intervals,
    test_lifecycle,
    test_overview,
    test_pages,
    test_paths,
    test_trends_oracle,
)
from tests.reports.events import History, Seen
from tests.reports.test_retention import shown
from tests.reports.test_visits import reported

FILE = os.environ.get("ZHIQING_CLICKSTREAM", "")

SHIFT = timedelta(weeks=613)
"""The file's events are older than the event table takes."""

pytestmark = pytest.mark.skipif(not FILE, reason="ZHIQING_CLICKSTREAM names no clickstream file")

ASKED = [
    Retention(periods=5),
    Retention(cohort="recurring", periods=5),
    Retention(mode="on_or_after", clock="rolling_24h", periods=5),
]

VIEW = "page_view"
SOME = 8_000
"""So many of the events are enough where the slow count looks at each event anew for each event or day."""
FUNNELS = [Funnel((VIEW,) * 4, timedelta(minutes=5)), Funnel((VIEW,) * 3, timedelta(days=1), "strict", field="page")]

TRENDS = [Trends(event="page_view", compare=True), Trends(field="page")]


def clickstream() -> list[Seen]:
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        return [
            Seen(
                row["subject"],
                datetime.fromisoformat(row["occurred_at"].replace("Z", "+00:00")) + SHIFT,
                name=VIEW,
                page=row["page"],
                event_id=f"e{n:06}",
            )
            for n, row in enumerate(csv.DictReader(file))
        ]


@pytest.mark.long
@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_a_clickstream(history: Callable[..., History], zone: str) -> None:
    there, seen = history(zone), clickstream()
    there.add_all(seen)
    days = sorted(one.at.astimezone(seen[0].at.tzinfo).date() for one in seen)
    first, last = days[0], days[-1]
    test_pages.compare(test_pages.reported(there, first, last), oracle_pages.pages(seen, zone, first, last))
    spread = test_distributions.reported(there, first, last)
    assert spread == oracle_distributions.distributions(seen, zone, first, last)
    by: Any
    for by in get_args(Interval):
        assert reported(there, first, last, by) == oracle_sessions.sessions(seen, zone, first, last, by)
        for trend in TRENDS:
            test_trends_oracle.check(there, seen, first, last, by, trend)
        for asked in ASKED:
            found = shown(there, first.isoformat(), last.isoformat(), asked, interval=by)
            assert found == oracle_retention.retention(seen, zone, first, last, by, asked)


def test_ways_and_frequencies_of_a_clickstream(history: Callable[..., History]) -> None:
    there, seen = history("Asia/Shanghai"), clickstream()[:SOME]
    there.add_all(seen)
    days = sorted(one.at.astimezone(ZoneInfo(there.program.zone)).date() for one in seen)
    first, last = days[0], days[-1]
    soon = max(one.at for one in seen) + timedelta(days=3)
    by: Any
    for by in get_args(Interval):
        test_lifecycle.compare(there, seen, [], first, last, by, soon)
        test_intervals.compare(there, seen, first, last, by, soon, Between(VIEW, VIEW, timedelta(hours=1)))
    test_lifecycle.compare_stickiness(there, seen, first, last)
    test_overview.check_overview(there, seen, first, min(last, first + timedelta(days=2)))
    for frequency in (Frequency(), Frequency("days"), Frequency(event=VIEW)):
        test_intervals.compare_frequency(there, seen, first, last, frequency)
    for funnel in FUNNELS:
        test_funnel_oracle.compare(there, seen, first, last, soon, funnel)
    page = Counter(one.page for one in seen).most_common(1)[0][0]
    for paths in (Paths(start=page, steps=6), Paths(end=page, steps=4)):
        test_paths.compare(there, seen, first, last, paths)
