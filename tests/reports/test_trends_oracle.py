"""trends equals the slow count on any history, in any zone."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.metrics.trends import Trends
from reports.privacy.dimensions import ReleasedRow
from tests.reports import oracle_trends
from tests.reports.events import History, Seen
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories
from tests.reports.test_trends import Histories, key_of, told


def compare(lines: Iterable[ReleasedRow], slow: oracle_trends.Table) -> None:
    """All equal, and the exact p90 in the bin that is told."""
    found = {}
    for row in lines:
        key = key_of(row)
        found[key if isinstance(key, tuple) else (key, None)] = {name: cell.value for name, cell in row.cells.items()}
    assert found.keys() == slow.keys()
    for which, expected in slow.items():
        own = found[which]
        value, edges, exact = own.pop("p90", None), own.pop("p90_bin", None), expected.pop("p90", None)
        assert own == expected
        if exact is None:
            assert (value, edges) == (None, None)
        else:
            assert edges[0] <= float(exact) < edges[1] and edges[0] <= value <= edges[1]


SAID: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": st.sampled_from(["page_view", "payment", "payment", "share"])},
    optional={
        "scene": st.sampled_from(["1001", "1007"]),
        "page": st.sampled_from(["home", "item"]),
        "context": st.fixed_dictionaries({}, optional={"os": st.sampled_from(["ios", "android"])}),
        "properties": st.fixed_dictionaries(
            {},
            optional={
                "amount": st.sampled_from([0, 0.1, 0.2, 1, -5, 12.5, 999_999.99, "much", True]),
                "channel": st.sampled_from(["friend", "group"]),
            },
        ),
    },
)
FIELD = st.sampled_from([None, None, "event", "scene", "page", "os"])
ASKED: st.SearchStrategy[Trends] = st.one_of(
    st.builds(Trends, event=st.sampled_from([None, "page_view"]), field=FIELD, compare=st.booleans()),
    st.builds(Trends, event=st.just("payment"), property=st.sampled_from([None, "amount"]), field=FIELD),
    st.builds(Trends, event=st.just("share"), field=st.just("properties.channel"), compare=st.booleans()),
    st.builds(
        Trends,
        event=st.just("payment"),
        property=st.just("amount"),
        field=st.sampled_from(["scene", "page"]),
        only=st.frozensets(st.sampled_from(["1001", "1007", "home", "nowhere"]), min_size=1),
    ),
)


@drawing(40)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Histories, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        bare = data.draw(histories(around))
        said = data.draw(st.lists(SAID, min_size=5, max_size=9))
        happened = [
            Seen(one.subject, one.at, one.session, one.skew, **said[n % len(said)]) for n, one in enumerate(bare)
        ]
        first = around.date() + timedelta(days=data.draw(st.integers(-5, 3)))
        last = first + timedelta(days=data.draw(st.integers(0, 9)))
        by, asked = data.draw(st.sampled_from(["day", "day", "week", "month"])), data.draw(ASKED)
        there.clear()
        there.add_all(happened)
        check(there, happened, first, last, by, asked)

    compared()


def check(history: History, happened: list[Seen], first: date, last: date, by: Any, asked: Trends) -> None:
    """The report of a history, and of the intervals before it, equals the slow count."""
    zone = history.program.zone
    released = told(history, first.isoformat(), last.isoformat(), asked, interval=by)
    compare(released.tables["data"], oracle_trends.trends(happened, zone, first, last, by, asked))
    if asked.compare:
        before = oracle_trends.earlier(first, last, by)
        compare(released.tables["previous"], oracle_trends.trends(happened, zone, *before, by, asked))
