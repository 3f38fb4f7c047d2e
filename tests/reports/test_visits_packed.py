"""Reports that are mostly answered from packed days and tallies, where some days have rollups, some have none, and not everybody
counts: as the slow count has it."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.metrics.frequency import Frequency
from reports.metrics.trends import Trends
from tests.consent.rights import Working
from tests.reports import oracle_distributions, oracle_sessions
from tests.reports.events import History
from tests.reports.rolled import roll
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories
from tests.reports.test_distributions import reported as distributed
from tests.reports.test_funnel_oracle import saying
from tests.reports.test_intervals import compare_frequency
from tests.reports.test_overview import check_overview, check_shares
from tests.reports.test_trends_oracle import check as check_trends
from tests.reports.test_visits import reported

Histories = Callable[..., History]
NAMED = st.fixed_dictionaries(
    {"name": st.sampled_from(["page_view", "page_view", "share", "launch", "hide", "tap"])},
    optional={
        "scene": st.sampled_from(["1001", "1007", "1044"]),
        "page": st.sampled_from(["home", "list"]),
        "context": st.fixed_dictionaries(
            {}, optional={"os": st.sampled_from(["ios", "android"]), "app_version": st.sampled_from(["8.0", "10.0"])}
        ),
    },
)
OF_ROLLUPS = st.one_of(
    st.builds(Trends, event=st.sampled_from([None, "page_view"]), compare=st.booleans()),
    st.builds(
        Trends,
        event=st.sampled_from([None, "page_view"]),
        field=st.just("event"),
        only=st.sampled_from([None, frozenset(["page_view"]), frozenset(["share", "tap"])]),
        compare=st.booleans(),
    ),
    st.builds(
        Trends,
        event=st.sampled_from([None, "page_view"]),
        field=st.sampled_from(["scene", "page", "os", "app_version"]),
        only=st.sampled_from([None, frozenset(["1001", "ios", "8.0", "home"])]),
        compare=st.booleans(),
    ),
)
FREQUENCIES = [Frequency(by, event) for by in ("events", "days") for event in (None, "page_view")]
ROLLED = ("rollup", "rollup_day", "rollup_events")


@pytest.mark.long
@drawing(40)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Histories, as_worker: Working, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        happened = saying(data, data.draw(histories(around)), NAMED)
        there.clear()
        for forgotten in ROLLED:
            there.owner.execute(f"DELETE FROM {forgotten}".encode())
        there.owner.execute("UPDATE subject SET restricted = false")
        there.add_all(happened)
        days = [around.date() + timedelta(days=n) for n in range(-9, 12)]
        left_out = data.draw(st.sets(st.sampled_from(days), max_size=4))
        with as_worker():
            roll(there.program, [day for day in days if day not in left_out])
        gone = data.draw(st.sampled_from([None, "ann"]))
        if gone in there.ids:
            there.flag(gone, "restricted")
        counted = [one for one in happened if one.subject != gone]
        first = around.date() + timedelta(days=data.draw(st.integers(-5, 3)))
        last = first + timedelta(days=data.draw(st.integers(0, 4)))
        by = data.draw(st.sampled_from(["day", "day", "week", "month"]))
        assert reported(there, first, last, by) == oracle_sessions.sessions(counted, zone, first, last, by)
        assert distributed(there, first, last) == oracle_distributions.distributions(counted, zone, first, last)
        check_shares(there, counted, first, last, by)
        check_overview(there, counted, first, last)
        check_trends(there, counted, first, last, by, data.draw(OF_ROLLUPS))
        compare_frequency(there, counted, first, last, data.draw(st.sampled_from(FREQUENCIES)))

    compared()
