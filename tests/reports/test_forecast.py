"""The report `forecast`: on series put together by hand, and on what was stored, over HTTP."""

import csv
import io
import json
import math
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import msgspec
import pytest
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import Invalid
from reports.api.answers.derived import ForecastAnswered
from reports.metrics import forecast as forecasts
from reports.metrics import seasons
from reports.metrics.backtest import Foreseen, backtest, errors, naive, needed
from reports.metrics.forecast import Forecast, derive
from reports.metrics.series import Series
from reports.metrics.trends import Trends
from reports.privacy.threshold import Released
from tests.reports import oracle_backtest
from tests.reports.events import History, Seen, local
from tests.reports.serial import DAY, NEVER, question, released, weekly

Histories = Callable[..., History]
FIRST = date(2025, 6, 2)


def told(values: Sequence[int | None], horizon: int = 7, *, not_closed: int = 0) -> Released:
    asked = question(FIRST, FIRST + (len(values) - 1) * DAY, Forecast(horizon=horizon))
    with translation.override("en"):
        return derive(asked, released(FIRST, values, not_closed=not_closed))


def beside(answer: Released) -> dict[str, Any]:
    return {name: cell.value for name, cell in answer.totals.items()}


def column(answer: Released, name: str, table: str = "data") -> list[Any]:
    return [row.cells[name].value for row in answer.tables[table]]


def test_a_season_with_a_trend_is_continued_and_beats_the_naive_forecast() -> None:
    values = weekly(FIRST, 140, growth=0.01)
    answer = told(values[:126], 14)
    assert beside(answer)["model"] == "ets"
    assert beside(answer)["better_than_naive"] is True
    assert beside(answer)["skill"] > 0.25
    assert beside(answer)["note"].startswith("On its own past this forecast was wrong by ")
    assert beside(answer)["coverage"] >= 0.85
    assert (beside(answer)["origins"], beside(answer)["scored"], beside(answer)["fallbacks"]) == (12, 168, 0)
    off = [abs(one - came) / came for one, came in zip(column(answer, "forecast"), values[126:], strict=True)]
    assert max(off) < 0.15
    assert all(
        low < one < high
        for low, one, high in zip(*(column(answer, name) for name in ("low", "forecast", "high")), strict=True)
    )
    assert column(answer, "naive") == values[119:126] * 2
    assert [row.keys["date"] for row in answer.tables["data"]][::13] == ["2025-10-06", "2025-10-19"]
    assert [(row.keys["calendar"], row.keys["holiday"]) for row in answer.tables["data"]][:7:6] == [
        ("holiday", "Mid-autumn Festival"),
        ("weekend", None),
    ]


def seasonal_walk(days: int, seed: int) -> list[int]:
    """Each weekday as a week before, and a step of its own: nothing can be known better than that."""
    drawn = random.Random(seed)
    roots = [drawn.gauss(30, 3) for _ in range(7)]
    for n in range(7, days):
        roots.append(roots[n - 7] + drawn.gauss(0, 1))
    return [round(max(one, 1) ** 2) for one in roots]


def test_where_nothing_is_better_than_the_week_before_it_says_so() -> None:
    worse = [beside(told(seasonal_walk(100, seed), 7)) for seed in range(3)]
    assert max(one["skill"] for one in worse) < 0.1, "nothing to gain"
    plainly = [one for one in worse if one["skill"] <= 0]
    assert plainly
    for one in plainly:
        assert one["better_than_naive"] is False
        assert one["note"].endswith("no better than repeating the week before: take the naive values instead.")


def test_white_noise_is_forecast_by_its_mean_and_no_better() -> None:
    """Its naive errors are of two days' noise, those of the mean of one: the skill can be 1 - 1 / √2, and no more."""
    drawn = random.Random(5)
    skills = [beside(told([round(drawn.gauss(400, 20)) for _ in range(120)]))["skill"] for _ in range(3)]
    assert abs(sum(skills) / 3 - (1 - 1 / math.sqrt(2))) < 0.15


def test_the_errors_by_days_ahead_make_up_those_over_all() -> None:
    answer = told(weekly(FIRST, 90), 14)
    whole, rows = beside(answer), answer.tables["backtest"]
    assert [row.keys["days_ahead"] for row in rows] == list(range(1, 15))
    assert sum(column(answer, "scored", "backtest")) == whole["scored"]
    for name in ("mae", "naive_mae", "coverage"):
        assert sum(column(answer, name, "backtest")) / 14 == pytest.approx(whole[name], abs=1e-3)
    assert whole["skill"] == pytest.approx(1 - whole["mae"] / whole["naive_mae"], abs=2e-3)


def test_mase_is_in_units_of_a_weeks_change() -> None:
    values = weekly(FIRST, 90)
    change = [abs(one - before) for one, before in zip(values[7:], values, strict=False)]
    answer = beside(told(values))
    assert answer["mase"] == pytest.approx(answer["mae"] / (sum(change) / len(change)), abs=1e-3)


def test_the_history_ends_with_the_last_closed_day() -> None:
    values = weekly(FIRST, 90)
    answer = told([*values, 10**6, 10**6], not_closed=2)
    assert answer.tables["data"] == told(values).tables["data"]
    assert [row.keys["date"] for row in answer.tables["history"]][-1] == "2025-08-30"
    assert answer.tables["data"][0].keys["date"] == "2025-08-31"


def test_the_backtest_knows_nothing_of_what_came() -> None:
    """Each origin's forecast is that of the history up to it."""
    values = weekly(FIRST, 60)
    seen: list[list[float]] = []

    def noting(history: Sequence[float], horizon: int) -> Any:
        seen.append(list(history))
        return [Foreseen(0, 0, 0)] * horizon, True

    tested = backtest(values, [True] * 60, 7, 35, noting)
    assert [len(history) for history in seen] == [53, 48, 43, 38]
    assert all(history == values[: len(history)] for history in seen)
    assert [(one.ahead, one.came) for one in tested.compared[:7]] == list(zip(range(1, 8), values[53:], strict=True))


@settings(max_examples=60, deadline=None, database=None)
@given(
    days=st.lists(st.tuples(st.integers(0, 500), st.booleans() | st.just(value=True)), min_size=36, max_size=130),
    horizon=st.integers(1, 28),
)
def test_the_naive_errors_are_those_of_the_slow_count(days: list[tuple[int, bool]], horizon: int) -> None:
    values, is_told = [value for value, _ in days], [one for _, one in days]

    def repeats(history: Sequence[float], ahead: int) -> Any:
        return [Foreseen(one, one, one) for one in naive(history, ahead)], True

    tested = backtest(values, is_told, horizon, 35, repeats)
    slow = oracle_backtest.naive_errors(values, is_told, horizon)
    assert tested.origins == len(range(len(values) - horizon, 34, -5)[:12])
    for ahead in (None, *range(1, horizon + 1)):
        of = errors([one for one in tested.compared if ahead in (None, one.ahead)])
        expected = oracle_backtest.mean(slow, ahead)
        assert (of.naive_mae is None) == (expected is None)
        if expected is not None:
            assert of.naive_mae == pytest.approx(float(expected))
            assert of.mae == of.naive_mae
            assert of.skill == (0 if expected else None), "against itself"


# --- what cannot be forecast ---


def refused(values: Sequence[int | None], horizon: int = 7, **more: Any) -> str:
    with pytest.raises(Invalid) as raised:
        told(values, horizon, **more)
    assert raised.value.errors[0].pointer in ("/from", "/measure")
    return raised.value.code


@pytest.mark.parametrize(("horizon", "least"), [(1, 51), (7, 57), (28, 78)])
def test_a_history_has_four_origins_at_least(horizon: int, least: int) -> None:
    assert needed(horizon, 35) == least
    values = weekly(FIRST, least)
    assert beside(told(values, horizon))["origins"] == 4
    assert refused(values[1:], horizon) == "history_too_short"
    assert refused([0, *values[1:]], horizon) == "history_too_short", "before the first day there is nothing"
    assert refused(values, horizon, not_closed=1) == "history_too_short"
    assert refused([0] * 200) == "history_too_short"


def test_a_history_of_suppressed_days_is_refused_and_a_few_are_filled_and_told() -> None:
    values: list[int | None] = list(weekly(FIRST, 80))
    assert refused([None] * 80) == refused([*values[:30], *[None] * 50]) == "history_suppressed"
    assert refused([None] * 30 + values[30:]) == "history_suppressed"
    values[-3] = values[40] = None
    answer = told(values)
    assert (beside(answer)["filled_days"], beside(answer)["history_days"]) == (2, 80)
    assert [n for n, row in enumerate(answer.tables["history"]) if row.keys["filled"]] == [40, 77]
    assert [column(answer, "value", "history")[n] for n in (40, 77)] == [None, None], (
        "it is not told what stands for it"
    )
    assert beside(answer)["scored"] == beside(told(weekly(FIRST, 80)))["scored"] - 2
    assert column(answer, "naive")[4] == values[-10]


def test_a_constant_history_is_refused_and_one_that_repeats_itself_is_the_naive_one() -> None:
    assert refused([50] * 80) == "history_constant"
    answer = beside(told([10, 20, 30, 40, 50, 60, 70] * 12))
    assert (answer["naive_mae"], answer["skill"], answer["better_than_naive"]) == (0, None, False)


def test_a_fit_that_does_not_come_out_is_told_and_the_naive_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    values = weekly(FIRST, 90)
    monkeypatch.setattr(forecasts, "smoothed", lambda history, horizon: None)
    answer = told(values, 8)
    assert (beside(answer)["model"], beside(answer)["fallbacks"]) == ("seasonal_naive", beside(answer)["origins"])
    assert column(answer, "forecast") == pytest.approx(column(answer, "naive"))
    assert (beside(answer)["skill"], beside(answer)["better_than_naive"]) == (pytest.approx(0, abs=1e-9), False)
    width = [high - low for low, high in zip(column(answer, "low"), column(answer, "high"), strict=True)]
    assert width[7] == pytest.approx(width[0] * math.sqrt(2), rel=1e-4), "a week later"


def test_a_fit_that_is_not_done_in_time_did_not_come_out(monkeypatch: pytest.MonkeyPatch) -> None:
    roots = [math.sqrt(one) for one in weekly(FIRST, 90)]
    assert seasons.smoothed(roots, 7) is not None
    monkeypatch.setattr(seasons, "ITERATIONS", 1)
    assert seasons.smoothed(roots, 7) is None


def test_numbers_that_are_none_did_not_come_out() -> None:
    assert seasons.smoothed([0.0] * 60, 7) is None


def test_the_interval_is_no_narrower_than_a_counts() -> None:
    values = [round(10_000 * one) for one in (1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6)] * 12
    values[20] += 1
    answer = told(values, 1)
    low, middle, high = (column(answer, name)[0] for name in ("low", "forecast", "high"))
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(middle), rel=1e-3)


# --- on what was stored ---


@pytest.fixture
def shop(history: Histories) -> History:
    """Sixty days until August 31, 2025, with more people at weekends and, on August 1, three."""
    there = history()
    last = date(2025, 8, 31)
    for n in range(60):
        day = last - n * DAY
        people = 3 if day == date(2025, 8, 1) else 20 + 10 * (day.weekday() >= 5) + n % 4
        there.add_all(Seen(f"s{who}", local(f"{day} 12:00:00"), name="page_view") for who in range(people))
    return there


BODY = {"from": "2025-06-01", "to": "2025-08-31", "measure": "events", "event": "page_view", "horizon": 3}


def test_the_answer_over_http(shop: History) -> None:
    response = shop.program.post("reports/forecast", BODY)
    assert response.status_code == 200, response.content
    msgspec.json.decode(response.content, type=ForecastAnswered, strict=True)
    answer = response.json()
    assert answer["privacy"] == {"mode": "threshold", "k": 10, "suppressed_cells": 1, "range_withheld": False}
    assert [(row["date"], row["days_ahead"], row["closed"]) for row in answer["data"]] == [
        ("2025-09-01", 1, False), ("2025-09-02", 2, False), ("2025-09-03", 3, False),
    ]  # fmt: skip
    assert (len(answer["history"]), answer["history_days"], answer["filled_days"]) == (60, 60, 1)
    (hidden,) = [row for row in answer["history"] if row["value"] is None]
    assert (hidden["date"], hidden["filled"], hidden["status"]) == ("2025-08-01", True, {"value": "suppressed"})
    assert len(answer["backtest"]) == 3
    assert answer["origins"] == 5


def test_csv_in_chinese(shop: History) -> None:
    written = shop.program.post("reports/forecast", BODY, Accept="text/csv", Accept_Language="zh-Hans")
    rows = list(csv.DictReader(io.StringIO(written.content.decode(), newline="")))
    assert list(rows[0])[:8] == [
        "date", "days_ahead", "calendar", "holiday", "forecast", "low", "high", "naive",
    ]  # fmt: skip
    about = json.loads(written["Zhiqing-Report"])
    assert "重复上一周" in about["note"]
    assert not {"data", "history", "backtest"} & about.keys()


def test_a_sandbox_and_another_program(history: Histories) -> None:
    synthetic = history(sandbox=True)
    for n in range(60):
        day = date(2025, 8, 31) - n * DAY
        synthetic.add_all(Seen(f"s{who}", local(f"{day} 12:00:00"), name="page_view") for who in range(2 + n % 3))
    assert synthetic.program.post("reports/forecast", BODY).json()["filled_days"] == 0
    other = history().program.post("reports/forecast", BODY)
    assert (other.status_code, other.json()["code"]) == (422, "history_too_short")


@pytest.mark.parametrize(
    ("more", "code", "pointer"),
    [
        ({"horizon": 0}, "invalid", "/horizon"),
        ({"horizon": 29}, "invalid", "/horizon"),
        ({"event": "nothing"}, "unknown_event", "/event"),
        ({"measure": "sessions"}, "event_unavailable", "/event"),
        ({"interval": "month"}, "interval_unavailable", "/interval"),
        ({"breakdown": "os"}, "breakdown_unavailable", "/breakdown"),
        ({"privacy": "dp"}, "privacy_unavailable", "/privacy"),
        ({"to": "2025-07-01"}, "history_too_short", "/from"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, more: dict[str, Any], code: str, pointer: str) -> None:
    response = history().program.post("reports/forecast", BODY | more)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["errors"][0]["pointer"]) == (422, code, pointer)


def test_the_history_is_what_trends_tells(shop: History) -> None:
    asked = Forecast(Series("subjects", "page_view"))
    rows = shop.ask("2025-07-03", "2025-08-31", k=10, metric="forecast", options=asked, as_of=NEVER).tables["history"]
    others = shop.ask("2025-07-03", "2025-08-31", k=10).tables["data"]
    assert [row.cells["value"] for row in rows] == [row.cells["dau"] for row in others]


def test_a_process_that_fits_nothing_does_not_carry_the_library() -> None:
    """Its 150 MB and seconds are spent where a series is fitted first."""
    code = "import config.wsgi, reports.api.urls, sys; print([m for m in ('statsmodels', 'scipy', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_history_of_an_event_tells_no_day_that_trends_hides(history: Histories) -> None:
    """On each day twelve tap; on the last but one, one of them views a page, too: all less the taps would be the view."""
    there = history()
    days = [FIRST + n * DAY for n in range(60)]
    there.add_all(
        Seen(f"s{n}", local(f"{day} 12:00:00"), name="tap") for day in days for n in range(11 + day.weekday())
    )
    there.add(Seen("s0", local(f"{days[-2]} 12:00:01"), name="page_view"))
    asked = Forecast(Series("events", "tap"))
    told = there.ask(f"{FIRST}", f"{days[-1]}", k=10, metric="forecast", options=asked).tables["history"]
    assert [row.keys["date"] for row in told if row.keys["filled"]] == [f"{days[-2]}"]
    (row,) = there.ask(f"{days[-2]}", f"{days[-2]}", k=10, metric="trends", options=Trends("tap")).tables["data"]
    assert str(row.cells["events"].status) == "suppressed"
