"""contribution equals the slow count on any history, and adds up exactly."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.metrics.contribution import Contribution
from tests.reports import oracle_contribution
from tests.reports.events import Seen
from tests.reports.test_activity_oracle import SHAPES, ZONES, drawing, histories
from tests.reports.test_contribution import Histories, beside, rows

SAID: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": st.sampled_from(["page_view", "payment", "payment", "tap"])},
    optional={
        "scene": st.sampled_from(["1001", "1007", "1011"]),
        "properties": st.fixed_dictionaries({}, optional={"amount": st.sampled_from([0, 0.1, 1, -5, 12.5, "much"])}),
    },
)
ASKED = st.one_of(
    st.builds(Contribution, st.sampled_from(["scene", "event"]), st.sampled_from(["events", "subjects"])),
    st.builds(Contribution, st.just("scene"), st.sampled_from(["events", "subjects"]), st.just("payment")),
    st.builds(Contribution, st.just("scene"), st.sampled_from(["sum", "mean"]), st.just("payment"), st.just("amount")),
    st.builds(
        Contribution, st.just("scene"), st.just("ratio"), st.just("payment"), per=st.sampled_from([None, "page_view"])
    ),
)


def approximately(values: Iterable[Any]) -> Any:
    return pytest.approx([float(one) for one in values], abs=1e-9)


@drawing(45)
@pytest.mark.parametrize(("zone", "around"), list(ZONES.items())[:3])
def test_any_history(history: Histories, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data(), asked=ASKED, start=st.integers(-2, 2), days=st.integers(1, 4))
    def compared(data: Any, asked: Contribution, start: int, days: int) -> None:
        said = data.draw(st.lists(SAID, min_size=5, max_size=9))
        happened = [
            Seen(one.subject, one.at, one.session, one.skew, **said[n % len(said)])
            for n, one in enumerate(data.draw(histories(around)))
        ]
        first = around.date() + timedelta(days=start)
        last, length = first + timedelta(days=days - 1), timedelta(days=days)
        there.clear()
        there.add_all(happened)
        released = there.ask(f"{first}", f"{last}", metric="contribution", options=asked)
        slow = oracle_contribution.contributions(
            happened, zone, [(first - length, last - length), (first, last)], asked
        )
        if slow is None:
            assert beside(released) == [None] * 4
            return
        own, change, residual = slow
        found = {key: cells[0] for key, cells in rows(released, "contribution").items()}
        found = {value: one for value, one in found.items() if value != "other"}
        assert found.keys() == own.keys()
        assert list(found.values()) == approximately(own[value] for value in found)
        assert beside(released)[2:] == approximately((change, residual))
        assert sum(found.values()) + beside(released)[3] == pytest.approx(float(change), abs=1e-9)
        if asked.measure != "subjects":
            assert abs(residual) == 0

    compared()
