"""docs/wechat.md: each field of WeChat's analysis interface is answered where it says, with figures worked out by hand."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cast import Program, now
from tests.reports.events import History, Seen, local

DOCUMENT = Path(__file__).parents[2] / "docs" / "wechat.md"
# Of a week that is over, and no older than what a notice lets keep: who came first is not known further back.
MONDAY = now().date() - timedelta(days=21 + now().weekday())
BEFORE, DAY = ((MONDAY + timedelta(days=n)).isoformat() for n in (1, 2))
INDEX, DETAIL = "pages/index", "pages/detail"

Row = dict[str, Any]


def visit(subject: str, at: str, scene: str, *events: tuple[int, str, str | None], day: str = DAY) -> list[Seen]:
    """Events of a session: seconds after its launch, name, page."""
    began = local(f"{day} {at}")
    later = [
        Seen(subject, began.replace(minute=seconds // 60, second=seconds % 60), at, name=name, page=page)
        for seconds, name, page in events
    ]
    return [Seen(subject, began, at, name="launch", scene=scene), *later]


@pytest.fixture
def shanghai(history: Callable[..., History]) -> Program:
    made = history(sandbox=True)
    # 10 s with a view on the day before; then 35 s with two views, 2 s, 9 s and 0 s with one each.
    made.add_all(visit("ann", "09:00:00", "1001", (10, "page_view", INDEX), day=BEFORE))
    looked = [(5, "page_view", INDEX), (25, "page_view", DETAIL), (35, "share", DETAIL)]
    made.add_all(visit("ann", "12:00:00", "1001", *looked))
    made.add_all(visit("bob", "13:00:00", "1007", (2, "page_view", INDEX)))
    made.add_all(visit("bob", "18:00:00", "1001", (9, "page_view", INDEX)))
    at = local(f"{DAY} 14:00:00")
    made.add(Seen("cem", at, "14:00", name="page_view", page=INDEX, scene="1011", dwell_ms=3000))
    return made.program


def told(program: Program, metric: str, first: str = DAY, **more: Any) -> Any:
    response = program.post(f"reports/{metric}", {"from": first, "to": first, **more})
    assert response.status_code == 200, response.content
    return response.json()


def overview(name: str) -> Callable[[Program], Any]:
    return lambda program: told(program, "overview")["data"][0][name]


def weekly(metric: str, name: str, **more: Any) -> Callable[[Program], Any]:
    return lambda program: told(program, metric, interval="week", **more)["data"][0][name]


def wau(program: Program) -> Any:
    return told(program, "activity")["weeks"][0]["wau"]


def weekly_time_per_visitor(program: Program) -> Any:
    (row,) = told(program, "sessions", interval="week")["data"]
    return row["sessions"] * row["mean_duration_s"] / wau(program)


def retained(cohort: str) -> Callable[[Program], Any]:
    return lambda program: told(program, "retention", BEFORE, cohort=cohort, periods=2)["data"][0]["values"]


def distribution(dimension: str, name: str) -> Callable[[Program], Any]:
    def answered(program: Program) -> dict[Any, Any]:
        rows = told(program, "distributions")["data"]
        return {row["value"]: row[name] for row in rows if row["dimension"] == dimension}

    return answered


def pages(*names: str) -> Callable[[Program], Any]:
    def answered(program: Program) -> dict[Any, Any]:
        return {row["page"]: [row[name] for name in names] for row in told(program, "pages")["data"]}

    return answered


def shared(name: str) -> Callable[[Program], Any]:
    def answered(program: Program) -> dict[Any, Any]:
        rows = told(program, "trends", event="share", breakdown="page")["data"]
        return {row["value"]: row[name] for row in rows}

    return answered


FIELDS: dict[tuple[str, str], tuple[Callable[[Program], Any], Any]] = {
    ("getDailySummary", "visit_total"): (lambda program: told(program, "overview")["cumulative_visitors"], 3),
    ("getDailySummary", "share_pv"): (overview("shares"), 1),
    ("getDailySummary", "share_uv"): (overview("sharers"), 1),
    ("getDailyVisitTrend", "session_cnt"): (overview("opens"), 4),
    ("getDailyVisitTrend", "visit_pv"): (overview("views"), 5),
    ("getDailyVisitTrend", "visit_uv"): (overview("visitors"), 3),
    ("getDailyVisitTrend", "visit_uv_new"): (overview("new_visitors"), 2),
    ("getDailyVisitTrend", "stay_time_uv"): (overview("mean_time_per_visitor_s"), 15.333),
    ("getDailyVisitTrend", "stay_time_session"): (overview("mean_time_per_session_s"), 11.5),
    ("getDailyVisitTrend", "visit_depth"): (overview("mean_depth"), 1.25),
    ("getWeeklyVisitTrend", "session_cnt"): (weekly("sessions", "sessions"), 5),
    ("getWeeklyVisitTrend", "visit_pv"): (weekly("trends", "events", event="page_view"), 6),
    ("getWeeklyVisitTrend", "visit_uv"): (wau, 3),
    ("getWeeklyVisitTrend", "visit_uv_new"): (weekly("lifecycle", "new"), 3),
    ("getWeeklyVisitTrend", "stay_time_uv"): (weekly_time_per_visitor, 56 / 3),
    ("getWeeklyVisitTrend", "stay_time_session"): (weekly("sessions", "mean_duration_s"), 11.2),
    ("getWeeklyVisitTrend", "visit_depth"): (weekly("sessions", "mean_depth"), 1.2),
    ("getDailyRetain", "visit_uv_new"): (retained("first_time"), [1, 1]),
    ("getDailyRetain", "visit_uv"): (retained("recurring"), [1, 1]),
    ("getVisitDistribution", "access_source_session_cnt"): (
        distribution("scene", "sessions"),
        {"1001": 2, "1007": 1, "1011": 1},
    ),
    ("getVisitDistribution", "access_source_visit_uv"): (
        distribution("scene", "subjects"),
        {"1001": 2, "1007": 1, "1011": 1},
    ),
    ("getVisitDistribution", "access_staytime_info"): (
        distribution("dwell_band", "sessions"),
        {"0-2": 2, "6-10": 1, "31-60": 1},
    ),
    ("getVisitDistribution", "access_depth_info"): (distribution("depth_band", "sessions"), {"1": 3, "2": 1}),
    ("getVisitPage", "page_visit_pv"): (pages("views"), {INDEX: [4], DETAIL: [1]}),
    ("getVisitPage", "page_visit_uv"): (pages("subjects"), {INDEX: [3], DETAIL: [1]}),
    ("getVisitPage", "page_staytime_pv"): (
        pages("dwell_client_mean_s", "dwell_gap_mean_s"),
        {INDEX: [3, 20], DETAIL: [None, None]},
    ),
    ("getVisitPage", "entrypage_pv"): (pages("entries"), {INDEX: [4], DETAIL: [0]}),
    ("getVisitPage", "exitpage_pv"): (pages("exits"), {INDEX: [3], DETAIL: [1]}),
    ("getVisitPage", "page_share_pv"): (shared("events"), {DETAIL: 1}),
    ("getVisitPage", "page_share_uv"): (shared("subjects"), {DETAIL: 1}),
}


def test_the_document_names_these_fields() -> None:
    found = re.findall(r"^\| (get\w+) \| `(\w+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert found == list(FIELDS)


@pytest.mark.long
@pytest.mark.parametrize("field", FIELDS, ids=".".join)
def test_each_is_answered_where_it_says(shanghai: Program, field: tuple[str, str]) -> None:
    answered, expected = FIELDS[field]
    assert answered(shanghai) == (expected if not isinstance(expected, float) else pytest.approx(expected, abs=1e-3))
