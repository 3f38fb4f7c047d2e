"""The report `anomalies`: on series put together by hand, and on what was stored, over HTTP."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import Invalid
from reports.api.answers.derived import AnomaliesAnswered
from reports.metrics.anomalies import WINDOW, Anomalies, derive
from reports.metrics.holidays import marked
from reports.metrics.series import Measure, Series
from reports.metrics.trends import Trends
from reports.privacy.dimensions import ReleasedRow
from tests.reports.events import History, Seen, local
from tests.reports.serial import DAY, NEVER, question, released, weekly
from tests.reports.test_activity_oracle import SHAPES, ZONES, drawing, histories

Histories = Callable[..., History]
FIRST = date(2025, 6, 2)
"""A Monday; the first day judged. None of the weeks about it has a holiday but June 2 itself."""


def judged(
    values: Sequence[int | None], first: date = FIRST, days: int = 1, as_of: datetime = NEVER, **asked: Any
) -> list[ReleasedRow]:
    """The last `days` of the series, from `first` on; before it there was nothing."""
    before = WINDOW + days - len(values)
    padded = [0] * before + list(values) if before > 0 else values[-before:]
    asking = question(first, first + (days - 1) * DAY, Anomalies(**asked), as_of)
    return list(derive(asking, released(first - WINDOW * DAY, padded)).tables["data"])


def told(row: ReleasedRow) -> dict[str, Any]:
    return {name: cell.value for name, cell in row.cells.items()}


def test_a_planted_spike_is_found_and_a_normal_week_is_not() -> None:
    values = weekly(FIRST - 20 * 7 * DAY, 22 * 7)
    values[-4] = round(values[-4] * 1.4)
    values[-9] = round(values[-9] * 0.6)
    found = judged(values, days=14)
    odd = [row.keys["date"] for row in found if row.cells["anomalous"].value]
    assert odd == ["2025-06-07", "2025-06-12"], [told(row) for row in found]
    low, high = (found[n].cells["score"].value for n in (5, 10))
    assert low < -3.5 and high > 3.5
    assert all(row.keys["reason"] is None for row in found)


@pytest.mark.parametrize("scale", ["sqrt", "log"])
def test_quiet_days_are_seldom_odd(scale: Any) -> None:
    odd = 0
    for seed in range(5):
        rows = judged(weekly(FIRST - 130 * DAY, 190, seed=seed), days=60, scale=scale)
        odd += sum(row.cells["anomalous"].value for row in rows)
    assert odd <= 9, "3 % of 300"


def test_a_trend_and_the_season_are_expected() -> None:
    values = weekly(FIRST - 20 * 7 * DAY, 21 * 7, growth=0.01)
    rows = judged(values, days=7)
    for row in rows:
        assert abs(row.cells["expected"].value / row.cells["value"].value - 1) < 0.12
    weekend, weekday = rows[5].cells["expected"].value, rows[2].cells["expected"].value
    assert 1.3 < weekend / weekday < 1.7


def test_a_day_is_judged_by_the_days_before_it_alone() -> None:
    values = weekly(FIRST - 60 * DAY, 70)
    (alone,) = judged(values[:61])
    for later in ([0] * 9, [10**6] * 9):
        assert judged([*values[:61], *later], days=10)[0] == alone
    (odd,) = judged([*values[:60], 9 * values[60]])
    assert odd.cells["expected"] == alone.cells["expected"], "nor by itself"
    assert odd.cells["expected_high"] == alone.cells["expected_high"]


def test_five_weeks_are_needed_from_the_first_day_that_is_not_zero() -> None:
    values = weekly(FIRST - 35 * DAY, 36)
    (row,) = judged(values)
    assert (row.keys["reason"], row.cells["expected"].value is None) == (None, False)
    for short in (values[1:], [0, 0, *values[1:]], [None] * 5 + values[1:]):
        (row,) = judged(short)
        assert row.keys["reason"] == "short_history"
        assert row.cells["value"].value == values[-1]
        assert {str(cell.status) for name, cell in row.cells.items() if name != "value"} == {"not_observable"}


def test_the_deviation_is_a_counts_at_least() -> None:
    (row,) = judged([100] * 100)
    assert told(row) | {"score": 0} == {
        "value": 100, "expected": 100, "expected_low": 68.062, "expected_high": 138.062, "score": 0, "anomalous": False,
    }  # fmt: skip
    # The root is 10 ± 3.5 · 0.5; the logarithm of 101 ± 3.5 · 10 / 101.
    (row,) = judged([100] * 100, scale="log")
    assert [round(row.cells[name].value, 1) for name in ("expected_low", "expected_high")] == [70.4, 141.8]
    assert judged([100] * 99 + [69])[0].cells["anomalous"].value is False
    assert judged([100] * 99 + [68])[0].cells["anomalous"].value is True
    assert judged([*[100] * 99, 68])[0].cells["score"].value == pytest.approx((68**0.5 - 10) / 0.5, abs=1e-3)
    (row,) = judged([1] * 100)
    assert row.cells["expected_low"].value == 0


def test_a_suppressed_day_is_not_judged_and_is_filled_for_the_others_and_told() -> None:
    values: list[int | None] = list(weekly(FIRST - 60 * DAY, 63))
    values[60] = None
    day, later, _ = judged(values, days=3)
    assert (day.keys["reason"], {cell.value for cell in day.cells.values()}) == ("suppressed", {None})
    assert {str(cell.status) for cell in day.cells.values()} == {"suppressed"}
    assert (later.keys["reason"], later.keys["filled_days"], day.keys["filled_days"]) == (None, 1, 0)
    values[60] = values[53]
    assert judged(values, days=3)[1].cells["expected"] == later.cells["expected"], "the value of a week before"


def test_a_history_full_of_gaps_judges_nothing() -> None:
    values: list[int | None] = list(weekly(FIRST - 60 * DAY, 61))
    for n in range(6):
        values[10 + 8 * n] = None
    (row,) = judged(values)
    assert (row.keys["reason"], row.keys["filled_days"]) == (None, 6)
    values[59] = None
    (row,) = judged(values)
    assert (row.keys["reason"], row.keys["filled_days"]) == ("gaps", 7)


def test_filled_days_say_nothing_of_the_spread() -> None:
    """Where each is as the week before, a robust deviation would shrink."""
    uneven = [round(one * (1 + 0.2 * (n * n % 5 - 2))) for n, one in enumerate(weekly(FIRST - 50 * DAY, 51))]
    values: list[int | None] = list(uneven)
    for n in range(40, 45):
        values[n] = None
    filled: list[int | None] = [*values[:40], *(values[n - 7] for n in range(40, 45)), *values[45:]]
    (row,), (as_if_told,) = judged(values), judged(filled)
    assert row.cells["expected"] == as_if_told.cells["expected"]
    assert row.cells["expected_high"] != as_if_told.cells["expected_high"]


def test_a_day_that_goes_on_is_not_judged() -> None:
    values = weekly(FIRST - 60 * DAY, 62)
    yesterday, today = judged(values, days=2, as_of=local("2025-06-03 23:59:59"))
    assert (yesterday.keys["reason"], today.keys["reason"]) == (None, "not_over")
    assert today.cells["value"].value == values[-1]


@pytest.mark.parametrize(
    ("day", "kind", "holiday"),
    [
        ("2025-10-01", "holiday", "National Day"),
        ("2025-10-04", "holiday", "National Day"),
        ("2025-10-11", "adjusted_working_day", "National Day"),
        ("2025-10-12", "weekend", None),
        ("2025-10-13", "working_day", None),
        ("2098-10-01", "unpublished", None),
    ],
)
def test_the_calendar_of_the_prc(day: str, kind: str, holiday: str | None) -> None:
    assert marked(date.fromisoformat(day)) == (kind, holiday)


def test_holidays_are_marked() -> None:
    row, *_ = judged(weekly(FIRST - 60 * DAY, 61))
    assert (row.keys["calendar"], row.keys["holiday"]) == ("holiday", "Dragon Boat Festival")


# --- on what was stored ---


def crowd(day: date, people: int, name: str = "page_view") -> list[Seen]:
    return [Seen(f"s{n}", local(f"{day} 12:00:00"), name=name) for n in range(people)]


@pytest.fixture
def shop(history: Histories) -> History:
    """Twenty people a day for 40 days until June 2, 2025, but on May 30, when there were three; on June 2, 90 came."""
    there = history()
    there.add_all(
        one
        for n in range(41)
        for day in [FIRST - n * DAY]
        for one in crowd(day, {FIRST: 90, date(2025, 5, 30): 3}.get(day, 20))
    )
    return there


BODY = {"from": "2025-05-30", "to": "2025-06-02"}


def test_the_answer_over_http(shop: History) -> None:
    response = shop.program.post("reports/anomalies", BODY)
    assert response.status_code == 200, response.content
    msgspec.json.decode(response.content, type=AnomaliesAnswered, strict=True)
    answer = response.json()
    assert answer["privacy"] == {"mode": "threshold", "k": 10, "suppressed_cells": 6, "range_withheld": False}
    assert [(row["value"], row["reason"], row["anomalous"], row["filled_days"]) for row in answer["data"]] == [
        (None, "suppressed", None, 0),
        (20, None, False, 1),
        (20, None, False, 1),
        (90, None, True, 1),
    ]
    assert answer["data"][3] | {"status": None} == {
        "date": "2025-06-02",
        "calendar": "holiday",
        "holiday": "Dragon Boat Festival",
        "filled_days": 1,
        "reason": None,
        "value": 90,
        "expected": pytest.approx(20, abs=0.01),
        "expected_low": pytest.approx(7.41, abs=0.01),
        "expected_high": pytest.approx(38.71, abs=0.01),
        "score": pytest.approx(10.029, abs=0.01),
        "anomalous": True,
        "closed": True,
        "status": None,
    }
    assert "3.5 deviations" in answer["definition"]


def test_csv(shop: History) -> None:
    written = shop.program.post("reports/anomalies", BODY, Accept="text/csv")
    rows = list(csv.DictReader(io.StringIO(written.content.decode(), newline="")))
    assert [(row["date"], row["value"], row["anomalous"], row["expected_status"]) for row in rows] == [
        ("2025-05-30", "", "", "suppressed"),
        ("2025-05-31", "20", "false", "ok"),
        ("2025-06-01", "20", "false", "ok"),
        ("2025-06-02", "90", "true", "ok"),
    ]
    assert "data" not in json.loads(written["Zhiqing-Report"])


def test_a_sandbox_is_told_everything_and_another_program_nothing(history: Histories) -> None:
    synthetic, other = history(sandbox=True), history()
    synthetic.add_all(one for n in range(41) for one in crowd(FIRST - n * DAY, 3))
    body = {"from": "2025-06-02", "to": "2025-06-02"}
    (row,) = synthetic.program.post("reports/anomalies", body).json()["data"]
    assert (row["value"], row["expected"], row["anomalous"]) == (3, 3.0, False)
    (row,) = other.program.post("reports/anomalies", body).json()["data"]
    assert (row["value"], row["reason"]) == (0, "short_history")


def test_a_day_is_judged_alike_in_every_range(shop: History) -> None:
    def of(first: str) -> Any:
        asked = Anomalies(Series("events"))
        return shop.ask(first, "2025-06-02", k=10, metric="anomalies", options=asked).tables["data"][-1]

    assert of("2025-06-02") == of("2025-05-31") == of("2025-04-01")


@pytest.mark.parametrize(
    ("more", "code", "pointer"),
    [
        ({"from": "2025-03-01", "to": "2025-06-01"}, "invalid_range", "/to"),  # 93 days
        ({"measure": "sessions", "event": "tap"}, "event_unavailable", "/event"),
        ({"event": "nothing"}, "unknown_event", "/event"),
        ({"measure": "people"}, "invalid", "/measure"),
        ({"scale": "linear"}, "invalid", "/scale"),
        ({"interval": "week"}, "interval_unavailable", "/interval"),
        ({"breakdown": "os"}, "breakdown_unavailable", "/breakdown"),
        ({"filters": [{"field": "os", "op": "eq", "value": "x"}]}, "filters_unavailable", "/filters"),
        ({"privacy": "dp"}, "privacy_unavailable", "/privacy"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, more: dict[str, Any], code: str, pointer: str) -> None:
    response = history().program.post("reports/anomalies", BODY | more)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["errors"][0]["pointer"]) == (422, code, pointer)


def test_the_longest_range(history: Histories) -> None:
    response = history().program.post("reports/anomalies", {"from": "2025-03-02", "to": "2025-06-01"})
    assert (response.status_code, len(response.json()["data"])) == (200, 92)


def test_an_unknown_event_in_the_domain(history: Histories) -> None:
    with pytest.raises(Invalid, match="unknown_event"):
        history().ask("2025-06-02", "2025-06-02", metric="anomalies", options=Anomalies(Series("events", "nothing")))


# --- its values are those of other reports ---


def column(rows: Sequence[ReleasedRow], name: str) -> dict[str, Any]:
    return {row.keys["date"]: row.cells[name] for row in rows}


@drawing(15)
@pytest.mark.parametrize(("zone", "around"), list(ZONES.items())[1:3])
def test_the_values_are_those_of_activity_and_trends(
    history: Histories, zone: str, around: datetime, examples: int
) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(
        seen=histories(around),
        k=st.integers(1, 3),
        start=st.integers(-5, 3),
        days=st.integers(0, 5),
        event=st.sampled_from([None, "tap"]),
        measure=st.sampled_from(["subjects", "events", "sessions"]),
    )
    def compared(seen: list[Seen], k: int, start: int, days: int, event: str | None, measure: Measure) -> None:
        first = around.date() + timedelta(days=start)
        last = first + timedelta(days=days)
        there.clear()
        there.add_all(replace(one, name=("tap", "page_view")[n % 2]) for n, one in enumerate(seen))
        named = event if measure != "sessions" else None
        asked = Anomalies(Series(measure, named))
        rows = there.ask(f"{first}", f"{last}", k=k, metric="anomalies", options=asked).tables["data"]
        if named is None:
            others = there.ask(f"{first}", f"{last}", k=k).tables["data"]
            expected = column(others, {"subjects": "dau"}.get(measure, measure))
        else:
            others = there.ask(f"{first}", f"{last}", k=k, metric="trends", options=Trends(named)).tables["data"]
            expected = column(others, measure)
        assert column(rows, "value") == expected

    compared()


ONE_DAY = [("ann", "page_view")] * 8 + [("ann", "tap")] * 6 + [("bob", "tap")]


def test_a_day_of_an_event_is_told_only_where_the_others_are_hidden_well(history: Histories) -> None:
    """All 15 events less bob's and ann's 7 taps would be ann's page views; k is 2."""
    there = history()
    there.add_all(Seen(who, local("2025-03-01 12:00:00"), name=name) for who, name in ONE_DAY)
    day = ("2025-03-01", "2025-03-01")
    (of_all,) = there.ask(*day, k=2).tables["data"]
    assert of_all.cells["events"].value == 15
    for measure in ("events", "subjects"):
        for event in ("tap", "page_view"):
            (row,) = there.ask(*day, k=2, metric="trends", options=Trends(event)).tables["data"]
            assert str(row.cells[measure].status) == "suppressed"
            asked = Anomalies(Series(measure, event))
            (row,) = there.ask(*day, k=2, metric="anomalies", options=asked).tables["data"]
            assert (row.cells["value"].value, str(row.cells["value"].status)) == (None, "suppressed")
    asked = Anomalies(Series("events", "tap"))
    assert there.ask(*day, metric="anomalies", options=asked).tables["data"][0].cells["value"].value == 7
