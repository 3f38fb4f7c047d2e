"""Where ranges may end, and what a withheld one looks like."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap64

from reports.metrics.calendar import month as month_of
from reports.metrics.calendar import period
from reports.privacy.figures import Month
from reports.privacy.ranges import may_end
from tests.reports.events import History, Seen, local

ZONE = ZoneInfo("Asia/Shanghai")
FIRST = date(2025, 9, 1)
DAY = timedelta(days=1)
NEVER = datetime(2098, 1, 1, tzinfo=ZONE)
K = 3


def months(came: Mapping[date, BitMap64]) -> Callable[[date], Month]:
    def month(first: date) -> Month:
        begins, ends = month_of(first)
        return Month(period(begins, ends, ZONE), {day: some for day, some in came.items() if begins <= day <= ends})

    return month


def there(days: list[tuple[int, set[int]]]) -> dict[date, BitMap64]:
    found: dict[date, BitMap64] = {}
    for n, some in days:
        if some:
            found[FIRST + n * DAY] = found.get(FIRST + n * DAY, BitMap64()) | BitMap64(some)
    return found


def ends(came: Mapping[date, BitMap64], as_of: datetime = NEVER) -> list[date]:
    return [day for n in range(-3, 95) if may_end(day := FIRST + n * DAY, months(came), K, as_of)]


@given(st.lists(st.tuples(st.integers(0, 90), st.sets(st.integers(0, 9), max_size=4)), max_size=40))
def test_between_any_two_ends_are_k_or_nobody(days: list[tuple[int, set[int]]]) -> None:
    came = there(days)
    allowed = ends(came)
    for n, before in enumerate(allowed):
        for after in allowed[n + 1 :]:
            between = BitMap64().union(*(some for day, some in came.items() if before < day <= after))
            assert not between or len(between) >= K, (before, after)


def test_where_k_come_each_day_all_days_are_ends() -> None:
    assert len(ends(there([(n, {1, 2, 3}) for n in range(91)]))) == 98


def test_where_few_come_each_day_a_month_that_had_k_is_a_range() -> None:
    allowed = ends(there([(n, {n % 5}) for n in range(91)]))
    assert {date(2025, 8, 31), date(2025, 9, 30), date(2025, 10, 31), date(2025, 11, 30)} <= set(allowed)
    assert 20 < len(allowed) < 50, "about one in three days"


def test_days_without_anybody_about_those_with_k_are_ends() -> None:
    came = there([(9, {1}), (10, {2}), (11, {3, 4})])
    assert [day for day in ends(came) if day < date(2025, 10, 1)] == [
        day for n in range(-3, 30) if not 9 <= n < 11 for day in [FIRST + n * DAY]
    ]


def test_a_month_of_few_joins_the_next() -> None:
    came = there([(9, {1}), *((n, {1, 2, 3}) for n in range(30, 61))])
    assert date(2025, 9, 30) not in ends(came)
    assert date(2025, 8, 31) in ends(came)
    assert date(2025, 10, 1) in ends(came)


def test_in_a_month_that_goes_on_k_have_to_have_come_since() -> None:
    came = there([(n, {1, 2, 3}) for n in range(9)] + [(9, {1})])
    as_of = local("2025-09-12 12:00:00")
    assert max(day for day in ends(came, as_of) if day.month == 9) == date(2025, 9, 8)
    assert date(2025, 9, 9) not in ends(came, as_of), "the one of the 10th is all who came since"
    del came[date(2025, 9, 10)]
    assert date(2025, 9, 9) in ends(came, as_of)


@pytest.fixture
def shop(history: Callable[..., History]) -> History:
    """Fifteen on each day, and on October 12 one."""
    made = history()
    days = [date(2025, 10, n) for n in range(6, 20) if n != 12]
    made.add_all(
        Seen(f"s{n}", local(f"{day} 12:00:00"), name="page_view", page="home") for day in days for n in range(15)
    )
    made.add(Seen("s0", local("2025-10-12 12:00:00"), name="page_view", page="home"))
    return made


def test_a_withheld_range_tells_nothing_and_no_value(shop: History) -> None:
    body = {"from": "2025-10-06", "to": "2025-10-12"}
    answer = shop.program.post("reports/pages", body).json()
    assert (answer["views"], answer["subjects"], answer["withdrawn_subjects"]) == (None, None, 0)
    ((page, other, views, closed),) = [
        (row["page"], row["page_other"], row["views"], row["closed"]) for row in answer["data"]
    ]
    assert (page, other, views, closed) == (None, True, None, True)
    assert answer["privacy"]["suppressed_cells"] > 10
    assert answer["privacy"]["range_withheld"]
    early, late = (shop.program.post("reports/pages", body | {"to": f"2025-10-{day}"}).json() for day in (11, 13))
    assert (early["views"], early["subjects"]) == (90, 15)
    assert not early["privacy"]["range_withheld"]
    assert (late["views"], late["subjects"]) == (None, 15), (
        "the views less those that trends tells of days would be the 12th's"
    )
    paths = shop.program.post("reports/paths", body).json()["data"]
    assert {row["name"] for row in paths["nodes"]} == {None}
    assert {row["sessions"] for row in paths["nodes"]} == {None}


def test_a_range_that_was_withheld_is_told_once_it_may_be(shop: History) -> None:
    body = {"from": "2025-10-06", "to": "2025-10-12"}
    assert shop.program.post("reports/pages", body).json()["views"] is None
    shop.add_all(Seen(f"s{n}", local("2025-10-12 13:00:00"), name="page_view", page="home") for n in range(15))
    assert shop.program.post("reports/pages", body).json()["views"] == 106
    shop.owner.execute("DELETE FROM event WHERE day = '2025-10-12' AND program_id = %s", [shop.program.id])
    shop.add(Seen("s0", local("2025-10-12 12:00:00"), name="page_view", page="home"))
    told = shop.program.post("reports/pages", body).json()
    assert (told["views"], told["privacy"]["range_withheld"]) == (106, False), "what was told stands"


def test_what_is_worked_out_of_a_withheld_range_says_so(shop: History) -> None:
    body = {"from": "2025-10-10", "to": "2025-10-12", "breakdown": "event"}
    told = shop.program.post("reports/contribution", body).json()
    assert {row["value_after"] for row in told["data"]} == {None}
    assert told["privacy"]["range_withheld"]
    assert not shop.program.post("reports/contribution", body | {"to": "2025-10-11"}).json()["privacy"][
        "range_withheld"
    ]
