"""Weeks and months beside their days: what the days leave of a longer interval rests on k, or on nobody."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyroaring import BitMap64

from reports.metrics.calendar import month, period, week
from reports.privacy.figures import Count, Dimension, Figures, Row
from reports.privacy.threshold import release
from tests.reports.events import local
from tests.reports.test_dimensions import Happened, by, crowd, key

ZONE = ZoneInfo("Asia/Shanghai")
K = 10
LATER = local("2025-12-01 00:00:00")
MONDAY, SUNDAY = date(2025, 10, 6), date(2025, 10, 12)
WEEK = [MONDAY + timedelta(days=n) for n in range(7)]
CROWD = set(range(100, 130))
SIX, SIX_OTHERS = set(range(6)), set(range(10, 16))
INTERVALS = {"week": week, "month": month}


def october(n: int) -> date:
    """Its first is a Wednesday, its last a Friday."""
    return date(2025, 10, n)


def told(came: Mapping[date, set[int]], interval: str = "week", as_of: datetime = LATER) -> float | None:
    """The events of the interval with MONDAY, one of each subject a day; on other days than those named the crowd came."""
    first, last = INTERVALS[interval](MONDAY)
    days: dict[date, set[int]] = {first + timedelta(days=n): CROWD for n in range((last - first).days + 1)}
    days.update(came)
    by_day = [Row(period(day, day, ZONE), {"date": str(day)}, {"events": events(some)}) for day, some in days.items()]
    whole = Row(period(first, last, ZONE), {interval: str(first)}, {"events": events(*days.values())})
    released = release(Figures({"data": [whole]}), k=K, as_of=as_of, by_day=[Figures({"data": by_day})])
    value: float | None = released.tables["data"][0].cells["events"].value
    assert value in (None, sum(map(len, days.values())))
    return value


def events(*days: set[int]) -> Count:
    return Count(sum(map(len, days)), subjects=BitMap64().union(*map(BitMap64, days)))


@pytest.mark.parametrize(
    ("came", "is_told"),
    [
        ({}, True),
        ({SUNDAY: set()}, True),
        ({SUNDAY: SIX}, False),
        ({MONDAY: SIX, SUNDAY: SIX}, False),
        ({MONDAY: SIX, SUNDAY: SIX_OTHERS}, True),
    ],
)
def test_a_week(came: dict[date, set[int]], is_told: bool) -> None:
    assert (told(came) is not None) == is_told


def test_a_day_that_goes_on_is_not_told_by_its_week() -> None:
    """Nobody came yet, which is not told: the week so far less its other days would tell when somebody does."""
    assert told({SUNDAY: set()}, as_of=local("2025-10-12 12:00:00")) is None
    assert told({SUNDAY: CROWD}, as_of=local("2025-10-12 12:00:00")) == 210


@pytest.mark.parametrize(
    ("came", "is_told"),
    [
        ({october(8): SIX}, False),
        ({october(8): SIX, october(9): SIX_OTHERS}, True),
        ({october(8): SIX, october(15): SIX_OTHERS}, True),  # both weeks are hidden
        # The twelve of the one week are told with it; the six of the other are left.
        ({october(8): SIX, october(9): SIX_OTHERS, october(15): SIX}, False),
        # Weeks that lie in two months, at either end.
        ({october(1): SIX, october(8): SIX_OTHERS}, False),
        ({october(31): SIX, october(8): SIX_OTHERS}, False),
        ({october(1): SIX, october(2): SIX_OTHERS}, True),
        ({october(1): SIX, october(8): SIX, october(9): SIX_OTHERS}, False),
    ],
)
def test_a_month(came: dict[date, set[int]], is_told: bool) -> None:
    assert (told(came, "month") is not None) == is_told


# --- By value ---


def rows(days: Mapping[date, list[Happened]], column: str = "events", interval: str = "week", **more: Any) -> Any:
    """Of the interval with MONDAY: by value, or of the values of `only`."""
    first, last = INTERVALS[interval](MONDAY)

    def line(begins: date, ends: date, name: str, happened: Sequence[Happened]) -> Dimension:
        return Dimension(period(begins, ends, ZONE), "page", by(happened), keys={name: str(begins)}, **more)

    by_day = Figures({"data": [line(day, day, "date", happened) for day, happened in days.items()]})
    whole = line(first, last, interval, [one for happened in days.values() for one in happened])
    found = release(Figures({"data": [whole]}), k=K, as_of=LATER, by_day=[by_day]).tables["data"]
    if "only" in more:
        return found[0].cells[column].value
    return {key(row): row.cells[column].value for row in found}


MANY = crowd(0, 30, "a") + crowd(0, 20, "b")


def test_a_value_that_few_have_on_a_day_and_who_is_hidden_with_it() -> None:
    """On the Sunday all are told together: less b of the week they tell nine, and so they do less a."""
    days = dict.fromkeys(WEEK, MANY)
    assert rows(days) == {"a": 210, "b": 140}
    assert rows(days | {SUNDAY: crowd(0, 30, "a") + crowd(0, 9, "b")}) == {"a": None, "b": None}


def test_a_value_of_a_filter() -> None:
    days = dict.fromkeys(WEEK, MANY)
    only = frozenset({"b"})
    assert rows(days, only=only) == 140
    assert rows(days | {SUNDAY: crowd(0, 30, "a") + crowd(0, 9, "b")}, only=only) is None


def test_a_part_that_few_are_not_in() -> None:
    """Three had b and not the part. Hidden with them are those of a: less these the Sunday's rest would be the three."""
    both = [one for part in (True, False) for value in "ab" for one in crowd(0, 20, value, part=part)]
    days = dict.fromkeys(WEEK, both)
    assert rows(days, "part") == {"a": 140, "b": 140}
    few = [one for one in both if one.value == "a" or one.part or one.subject < 3]
    assert rows(days | {SUNDAY: few}, "part") == {"a": None, "b": None}


def test_a_month_by_value_is_looked_at_by_week() -> None:
    days = {october(n): crowd(0, 30, "a") for n in range(1, 32)}
    assert rows(days | {october(8): crowd(0, 6, "a"), october(9): crowd(10, 16, "a")}, interval="month") == {"a": 882}
    assert rows(days | {october(1): crowd(0, 6, "a"), october(9): crowd(10, 16, "a")}, interval="month") == {"a": None}
