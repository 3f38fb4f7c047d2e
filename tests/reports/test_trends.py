"""The report `trends`, worked out by hand; and what the gate makes of it."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from consent.errors import Invalid
from reports.api.answers.events import TrendsAnswered
from reports.metrics.calendar import KEYS
from reports.metrics.trends import Trends
from reports.privacy.dimensions import ReleasedRow
from reports.privacy.threshold import Released
from tests.reports.events import History, Seen, local

Histories = Callable[..., History]
NOON = local("2025-10-05 12:00:00")
DAY = "2025-10-05"


def seen(subject: str, name: str = "page_view", at: datetime = NOON, **more: Any) -> Seen:
    return Seen(subject, at, name=name, **more)


def paid(subject: str, amount: Any, **more: Any) -> Seen:
    return seen(subject, "payment", properties={"amount": amount}, **more)


def told(history: History, first: str = DAY, last: str = DAY, asked: Trends | None = None, **more: Any) -> Released:
    return history.ask(first, last, metric="trends", options=asked, **more)


def rows(lines: Iterable[ReleasedRow], *names: str) -> dict[Any, list[Any]]:
    """Interval, or interval and value -> some cells, or all."""
    return {key_of(row): [row.cells[name].value for name in names or row.cells] for row in lines}


def key_of(row: ReleasedRow) -> Any:
    interval = next(row.keys[name] for name in KEYS.values() if name in row.keys)
    if "value" not in row.keys:
        return interval
    return interval, "other" if row.keys["value_other"] else row.keys["value"]


@pytest.mark.parametrize(("first", "last"), [("2000-01-01", "2000-01-01"), ("2100-01-01", "2100-01-01")])
def test_weeks_at_the_edges_of_time(history: Callable[..., History], first: str, last: str) -> None:
    response = history().program.post("reports/trends", {"from": first, "to": last, "interval": "week"})
    assert (response.status_code, len(response.json()["data"])) == (200, 1)


def test_events_and_subjects_by_day(history: Histories) -> None:
    shanghai = history()
    shanghai.add(seen("ann"), seen("ann"), seen("bob"), seen("ann", "tap"), seen("cem", "launch"))
    assert rows(told(shanghai, DAY, "2025-10-06").tables["data"]) == {DAY: [5, 3, 1.667], "2025-10-06": [0, 0, None]}
    views = told(shanghai, asked=Trends(event="page_view"))
    assert rows(views.tables["data"]) == {DAY: [3, 2, 1.5]}
    assert list(views.tables) == ["data"]


def test_a_number_of_an_event(history: Histories) -> None:
    shanghai = history()
    shanghai.add(paid("ann", 10), paid("ann", 0.1), paid("bob", 0.2), paid("bob", "much"), seen("cem", "payment"))
    asked = Trends(event="payment", property="amount")
    names = ("events", "known", "sum", "mean", "p90", "p90_bin")
    assert rows(told(shanghai, asked=asked).tables["data"], *names) == {DAY: [5, 3, 10.3, 3.433, 11.25, (10, 12.5)]}
    assert rows(told(shanghai, "2025-10-06", "2025-10-06", asked).tables["data"], *names) == {
        "2025-10-06": [0, 0, 0, None, None, None]
    }


def test_a_sum_beyond_all_numbers_is_not_told_as_one(history: Histories) -> None:
    shanghai = history()
    shanghai.add(*(paid("ann", 1.7e308) for _ in range(2)))
    (row,) = told(shanghai, asked=Trends(event="payment", property="amount")).tables["data"]
    assert [(row.cells[name].value, str(row.cells[name].status)) for name in ("known", "sum", "mean")] == [
        (2, "ok"),
        (None, "not_observable"),
        (None, "not_observable"),
    ]


def test_numbers_below_zero_and_beyond_the_bins(history: Histories) -> None:
    shanghai = history()
    shanghai.add(*(paid("ann", amount) for amount in (-(10**12), -3, -0.001, 0)))
    asked = Trends(event="payment", property="amount")
    assert rows(told(shanghai, asked=asked).tables["data"], "p90_bin") == {DAY: [(0, 0.01)]}
    shanghai.add(*(paid("ann", 10**12) for _ in range(40)))
    assert rows(told(shanghai, asked=asked).tables["data"], "p90_bin") == {DAY: [(8e8, None)]}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("event", {"share": [2], "page_view": [1]}),
        ("scene", {"1001": [2], None: [1]}),
        ("page", {"home": [1], None: [2]}),
        ("os", {"ios": [1], None: [2]}),
        ("channel", {"ads": [1], None: [2]}),
    ],
)
def test_a_breakdown(history: Histories, field: str, expected: dict[Any, list[int]]) -> None:
    shanghai = history()
    shanghai.add(
        seen("ann", "share", scene="1001", properties={"channel": "group"}), seen("bob", "share", scene="1001")
    )
    shanghai.add(seen("ann", page="home", context={"os": "ios", "channel": "ads"}))
    found = rows(told(shanghai, DAY, "2025-10-06", Trends(field=field)).tables["data"], "events")
    assert found == {(DAY, value): cells for value, cells in expected.items()}


def test_a_breakdown_by_a_property_and_a_filter_on_it(history: Histories) -> None:
    shanghai = history()
    shares = [("ann", "friend"), ("ann", "group"), ("bob", "group"), ("cem", "timeline")]
    shanghai.add(*(seen(subject, "share", properties={"channel": channel}) for subject, channel in shares))
    asked = Trends(event="share", field="properties.channel")
    assert rows(told(shanghai, asked=asked).tables["data"], "events", "subjects") == {
        (DAY, "friend"): [1, 1],
        (DAY, "group"): [2, 2],
        (DAY, "timeline"): [1, 1],
    }
    some = Trends(event="share", field="properties.channel", only=frozenset({"friend", "group", "other"}))
    assert rows(told(shanghai, asked=some).tables["data"], "events", "subjects") == {DAY: [3, 2]}


def test_the_intervals_before(history: Histories) -> None:
    shanghai = history()
    for day in ("2025-10-02", "2025-10-03", "2025-10-04", "2025-10-05", "2025-10-06"):
        shanghai.add(seen("ann", at=local(f"{day} 00:00:00")), seen("bob", at=local(f"{day} 23:59:59")))
    released = told(shanghai, "2025-10-05", "2025-10-06", Trends(compare=True))
    assert rows(released.tables["data"], "events") == {"2025-10-05": [2], "2025-10-06": [2]}
    assert rows(released.tables["previous"], "events") == {"2025-10-03": [2], "2025-10-04": [2]}
    weeks = told(shanghai, "2025-10-06", "2025-10-06", Trends(compare=True), interval="week")
    assert rows(weeks.tables["data"], "events") == {"2025-10-06": [2]}
    assert rows(weeks.tables["previous"], "events", "subjects") == {"2025-09-29": [8, 2]}
    months = told(shanghai, "2025-09-30", "2025-10-01", Trends(compare=True), interval="month")
    assert rows(months.tables["data"], "events") == {"2025-09-01": [0], "2025-10-01": [10]}
    assert list(rows(months.tables["previous"])) == ["2025-07-01", "2025-08-01"]


@pytest.mark.parametrize(
    ("zone", "day", "midnight", "next_midnight"),
    [
        ("Asia/Shanghai", DAY, "2025-10-04 16:00:00", "2025-10-05 16:00:00"),
        ("Asia/Tehran", DAY, "2025-10-04 20:30:00", "2025-10-05 20:30:00"),
        ("America/New_York", "2025-03-09", "2025-03-09 05:00:00", "2025-03-10 04:00:00"),  # 23 hours
        ("America/New_York", "2025-11-02", "2025-11-02 04:00:00", "2025-11-03 05:00:00"),  # 25 hours
    ],
)
def test_local_days(history: Histories, zone: str, day: str, midnight: str, next_midnight: str) -> None:
    there = history(zone)
    begins, ends, moment = local(midnight, "UTC"), local(next_midnight, "UTC"), timedelta(microseconds=1)
    there.add(
        seen("ann", at=begins - moment), seen("bob", at=begins), seen("cem", at=ends - moment), seen("dee", at=ends)
    )
    assert rows(told(there, day, day).tables["data"], "events", "subjects") == {day: [2, 2]}


def test_weeks_from_monday_and_months_count_whole(history: Histories) -> None:
    shanghai = history()
    for day in ("2025-09-30", "2025-10-05", "2025-10-06", "2025-10-12"):
        shanghai.add(seen("ann", at=local(f"{day} 23:59:59")))
    weeks = told(shanghai, "2025-10-05", "2025-10-06", interval="week")
    assert rows(weeks.tables["data"], "events", "subjects") == {"2025-09-29": [2, 1], "2025-10-06": [2, 1]}
    assert rows(told(shanghai, interval="month").tables["data"], "events") == {"2025-10-01": [3]}


def test_a_late_event_counts_where_it_happened_and_tomorrow_is_not_observable(history: Histories) -> None:
    shanghai = history()
    shanghai.add(seen("ann"), seen("bob", skew=timedelta(hours=24)), seen("cem", skew=-timedelta(hours=24)))
    shanghai.owner.execute("UPDATE event SET received_at = received_at + interval '6 days'")
    released = told(shanghai, DAY, "2025-10-06", as_of=local("2025-10-05 13:00:00"))
    assert rows(released.tables["data"], "events") == {DAY: [3], "2025-10-06": [None]}
    assert {str(cell.status) for cell in released.tables["data"][1].cells.values()} == {"not_observable"}


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Trends(event="nothing"), "unknown_event"),
        (Trends(event="payment", property="nothing"), "unknown_property"),
        (Trends(event="share", property="channel"), "unknown_property"),
        (Trends(property="amount"), "unknown_property"),
        (Trends(field="subject_id"), "unknown_field"),
        (Trends(event="payment", field="properties.amount"), "unknown_field"),
        (Trends(event="tap", field="properties.element"), "unknown_field"),
        (Trends(event="share", field="properties."), "unknown_field"),
        (Trends(field="properties.channel"), "unknown_field"),
    ],
)
def test_what_the_catalogue_does_not_declare_is_refused(history: Histories, asked: Trends, code: str) -> None:
    with pytest.raises(Invalid, match=code):
        told(history(), asked=asked)


# --- the gate ---


def crowd(first: int, last: int, scene: str, **more: Any) -> list[Seen]:
    return [paid(f"s{n}", 5, scene=scene, **more) for n in range(first, last)]


def test_small_values_are_told_together_interval_by_interval(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, "a") + crowd(20, 40, "b") + crowd(40, 46, "c") + crowd(46, 52, "d"))
    shanghai.add_all(crowd(0, 20, "a", at=NOON + timedelta(days=1)) + crowd(0, 9, "c", at=NOON + timedelta(days=1)))
    by_scene = Trends(field="scene")
    assert rows(told(shanghai, DAY, "2025-10-07", by_scene, k=10).tables["data"], "events", "subjects") == {
        (DAY, "a"): [20, 20],
        (DAY, "b"): [20, 20],
        (DAY, "other"): [12, 12],
        ("2025-10-06", "other"): [29, 20],
    }
    today = told(shanghai, asked=by_scene, k=10, as_of=local("2025-10-05 20:00:00"))
    assert rows(today.tables["data"], "events") == {(DAY, "other"): [52]}, "not closed"


def test_a_filter_tells_what_the_breakdown_tells(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, "a") + crowd(20, 32, "b") + crowd(40, 46, "c"))

    def events(*only: str) -> Any:
        asked = Trends(field="scene", only=frozenset(only))
        return rows(told(shanghai, asked=asked, k=10).tables["data"], "events")[DAY][0]

    assert events("a") == 20
    assert events("b") is None, "with c it is the row other, and c would be the difference"
    assert (events("c"), events("nobody")) == (None, None), "which of the two somebody has is not told"
    assert (events("a", "c"), events("a", "nobody")) == (None, None)

    later = told(shanghai, "2025-10-06", "2025-10-06", Trends(field="scene", only=frozenset("a")), k=10, as_of=NOON)
    assert {str(cell.status) for cell in later.tables["data"][0].cells.values()} == {"not_observable"}, "no day yet"


def test_a_number_that_few_do_not_have(history: Histories) -> None:
    shanghai = history()
    asked = Trends(event="payment", property="amount")
    shanghai.add_all(crowd(0, 30, "a"))
    assert rows(told(shanghai, asked=asked, k=10).tables["data"], "known", "sum", "mean") == {DAY: [30, 150, 5]}
    shanghai.add_all([seen(f"t{n}", "payment") for n in range(9)])
    released = told(shanghai, asked=asked, k=10)
    assert rows(released.tables["data"], "events", "known", "sum", "mean", "p90") == {DAY: [39, None, None, None, 5.65]}


def test_a_filter_of_values_that_overlap_tells_subjects_only_where_each_adds_k(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, "a") + crowd(5, 25, "b") + crowd(0, 25, "c"))
    asked = Trends(field="scene", only=frozenset({"a", "b"}))
    assert rows(told(shanghai, asked=asked, k=10).tables["data"]) == {DAY: [40, None, None]}
    assert rows(told(shanghai, asked=asked, k=5).tables["data"]) == {DAY: [40, 25, 1.6]}


def test_today_so_far(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 12, "a"))
    at = datetime(2025, 10, 5, 4, 30, tzinfo=UTC)
    (row,) = told(shanghai, k=10, as_of=at).tables["data"]
    assert (row.cells["events"].value, row.closed) == (12, False)


# --- over HTTP ---


def test_the_answer_over_http(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 12, "a") + crowd(12, 24, "b") + crowd(0, 12, "a", at=NOON - timedelta(days=1)))
    body = {
        "from": DAY,
        "to": DAY,
        "event": "payment",
        "property": "amount",
        "breakdown": "scene",
        "compare": "previous",
    }
    response = shanghai.program.post("reports/trends", body)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert answer["data"][0] | {"status": None} == {
        "date": DAY,
        "value": "a",
        "value_other": False,
        "events": 12,
        "subjects": 12,
        "events_per_subject": 1,
        "known": 12,
        "sum": 60,
        "mean": 5,
        "p90": 5.65,
        "p90_bin": [5, 6.3],
        "closed": True,
        "status": None,
    }
    assert [(row["date"], row["value"], row["events"]) for row in answer["previous"]] == [("2025-10-04", "a", 12)]
    msgspec.json.decode(response.content, type=TrendsAnswered, strict=True)
    whole = shanghai.program.post("reports/trends", body, Accept="text/csv")
    problem = whole.json()
    assert (whole.status_code, problem["code"], problem["errors"][0]["pointer"]) == (
        422,
        "compare_unavailable",
        "/compare",
    )
    del body["compare"]
    written = shanghai.program.post("reports/trends", body, Accept="text/csv")
    first, _ = csv.DictReader(io.StringIO(written.content.decode(), newline=""))
    assert [first[name] for name in ("date", "value", "events", "p90_bin")] == [DAY, "a", "12", "5.0-6.3"]
    assert not {"data", "previous"} & json.loads(written["Zhiqing-Report"]).keys()


@pytest.mark.parametrize("value", ["a", ["a", "b"], True, 1001, [False, 1]])
def test_a_filter_over_http(history: Histories, value: Any) -> None:
    op = "in" if isinstance(value, list) else "eq"
    body = {"from": DAY, "to": DAY, "filters": [{"field": "scene", "op": op, "value": value}]}
    shanghai = history()
    scenes = {str(one).lower() for one in (value if isinstance(value, list) else [value])}
    shanghai.add_all(seen(f"{scene}{n}", scene=scene) for scene in (*scenes, "else") for n in range(12))
    answer = shanghai.program.post("reports/trends", body).json()
    assert [row["events"] for row in answer["data"]] == [12 * len(scenes)]


SCENE = {"field": "scene", "op": "eq", "value": "a"}


@pytest.mark.parametrize(
    ("more", "code", "pointer"),
    [
        ({"filters": [SCENE], "breakdown": "os"}, "too_many_dimensions", "/breakdown"),
        ({"filters": [SCENE, SCENE]}, "too_many_dimensions", "/filters/1"),
        ({"filters": [SCENE | {"op": "gt"}]}, "operator_unavailable", "/filters/0/op"),
        ({"filters": [SCENE | {"op": "exists"}]}, "operator_unavailable", "/filters/0/op"),
        ({"filters": [SCENE | {"value": None}]}, "invalid_filter", "/filters/0/value"),
        ({"filters": [SCENE | {"value": ["a"]}]}, "invalid_filter", "/filters/0/value"),
        ({"filters": [SCENE | {"op": "in"}]}, "invalid_filter", "/filters/0/value"),
        ({"filters": [SCENE | {"op": "in", "value": []}]}, "invalid_filter", "/filters/0/value"),
        ({"filters": [SCENE | {"op": "in", "value": ["a"] * 21}]}, "invalid_filter", "/filters/0/value"),
        ({"filters": [SCENE | {"field": "openid"}]}, "unknown_field", "/filters/0/field"),
        ({"breakdown": "openid"}, "unknown_field", "/breakdown"),
        ({"event": "nothing"}, "unknown_event", "/event"),
        ({"event": "tap", "property": "element"}, "unknown_property", "/property"),
        ({"compare": "year"}, "invalid", "/compare"),
        ({"privacy": "dp"}, "privacy_unavailable", "/privacy"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, more: dict[str, Any], code: str, pointer: str) -> None:
    response = history().program.post("reports/trends", {"from": DAY, "to": DAY} | more)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["errors"][0]["pointer"]) == (422, code, pointer)
