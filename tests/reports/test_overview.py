"""The reports `overview` and `shares`, worked out by hand and compared with the slow count; and the gate."""

import csv
import io
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.api.answers.visits import OverviewAnswered, SharesAnswered
from reports.privacy.threshold import Released
from tests.reports import oracle_overview
from tests.reports.events import History, Seen, local
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories

Histories = Callable[..., History]
DAY = "2025-10-05"
NOON = local("2025-10-05 12:00:00")
AS_OF = local("2025-12-31 00:00:00")
MINUTE = timedelta(minutes=1)
SHARED = "1007"


def visit(
    subject: str, *names: str, at: datetime = NOON, scene: str | None = None, session: str | None = None
) -> list[Seen]:
    """Events a minute apart."""
    return [Seen(subject, at + n * MINUTE, session, name=name, scene=scene) for n, name in enumerate(names)]


def told(history: History, first: str = DAY, last: str = DAY, metric: str = "overview", **more: Any) -> Released:
    return history.ask(first, last, **{"metric": metric, "as_of": AS_OF, **more})


def cells(released: Released, table: str = "data") -> list[list[Any]]:
    return [[cell.value for cell in row.cells.values()] for row in released.tables[table]]


def test_a_day_at_a_glance(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(visit("ann", "launch", "page_view", "page_view", "share", "share"))  # 4 minutes
    shanghai.add_all(visit("ann", "page_view", at=NOON + 90 * MINUTE) + visit("bob", "page_view", "hide"))
    shanghai.add_all(visit("bob", "launch", at=NOON - timedelta(days=1)))
    shanghai.add_all(visit("cem", "page_view", "share", at=local("2025-10-04 23:59:30")))  # stayed over midnight
    (row,) = told(shanghai).tables["data"]
    assert {name: cell.value for name, cell in row.cells.items()} == {
        "opens": 3,
        "visitors": 3,
        "opens_per_visitor": 1,
        "views": 4,
        "new_visitors": 1,
        "mean_time_per_session_s": 100,
        "mean_time_per_visitor_s": 100,
        "mean_depth": 1.333,
        "shares": 3,
        "sharers": 2,
    }


def test_beside_the_day_the_week_and_the_month_before(history: Histories) -> None:
    shanghai = history()
    for n, at in enumerate(("2025-10-30", "2025-10-29", "2025-10-23", "2025-09-30", "2025-09-29"), start=1):
        for subject in range(n):
            shanghai.add_all(visit(f"s{subject}", "launch", at=local(f"{at} 00:00:00")))
    released = told(shanghai, "2025-10-30", "2025-10-31")
    assert [row.cells["opens"].value for row in released.tables["data"]] == [1, 0]
    found = {
        name: [(row.keys["date"][-2:], row.keys["compared"], row.cells["opens"].value) for row in released.tables[name]]
        for name in ("day_before", "week_before", "month_before")
    }
    assert found == {
        "day_before": [("30", "2025-10-29", 2), ("31", "2025-10-30", 1)],
        "week_before": [("30", "2025-10-23", 3), ("31", "2025-10-24", 0)],
        "month_before": [("30", "2025-09-30", 4), ("31", "2025-09-30", 4)],
    }, "September has no 31st"
    spring = told(shanghai, "2025-03-30", "2025-03-30").tables["month_before"]
    assert [row.keys["compared"] for row in spring] == ["2025-02-28"]
    assert released.totals["cumulative_visitors"].value == 5


def test_who_ever_came_is_counted_when_the_events_are_gone(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(visit("ann", "launch", at=local("2025-03-05 12:00:00")) + visit("bob", "launch"))
    shanghai.add_all(
        visit("cem", "launch", at=local("2025-03-05 12:00:00")) + visit("dee", "launch", at=NOON + 1440 * MINUTE)
    )
    shanghai.owner.execute("DELETE FROM event WHERE day < '2025-10-01'")
    assert told(shanghai).totals["cumulative_visitors"].value == 3
    assert told(shanghai, last="2025-10-06").totals["cumulative_visitors"].value == 4
    shanghai.owner.execute("UPDATE consent_state SET state = 'withdrawn' WHERE subject_id = %s", [shanghai.ids["ann"]])
    shanghai.flag("cem", "restricted")
    assert told(shanghai).totals["cumulative_visitors"].value == 1


def test_sessions_and_new_subjects_from_a_share(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(visit("ann", "launch", "share", "share") + visit("bob", "launch", "page_view", scene=SHARED))
    shanghai.add_all(visit("ann", "launch", at=NOON + 60 * MINUTE, scene=SHARED))  # not how she came first
    shanghai.add_all(visit("bob", "launch", at=NOON + 60 * MINUTE))
    shanghai.add_all(
        visit("cem", "launch", at=NOON - timedelta(days=1)) + visit("cem", "launch", scene=SHARED)
    )  # not new
    shanghai.add_all(visit("dee", "launch", at=NOON, scene="1001"))
    late = [Seen("dee", NOON + MINUTE, name="page_view", scene=SHARED)]  # the first scene is told first
    shanghai.add_all(late)
    assert cells(told(shanghai, DAY, "2025-10-06", "shares")) == [[2, 1, 3, 1, 1.5], [0, 0, 0, 0, None]]
    assert cells(told(shanghai, DAY, DAY, "shares", interval="week")) == [[2, 1, 3, 1, 1.5]]


@pytest.mark.parametrize(
    ("zone", "day", "midnight", "next_midnight"),
    [
        ("Asia/Tehran", DAY, "2025-10-04 20:30:00", "2025-10-05 20:30:00"),
        ("America/New_York", "2025-03-09", "2025-03-09 05:00:00", "2025-03-10 04:00:00"),  # 23 hours
        ("America/New_York", "2025-11-02", "2025-11-02 04:00:00", "2025-11-03 05:00:00"),  # 25 hours
    ],
)
def test_local_days(history: Histories, zone: str, day: str, midnight: str, next_midnight: str) -> None:
    there = history(zone)
    begins, ends = local(midnight, "UTC"), local(next_midnight, "UTC")
    moment = timedelta(microseconds=1)
    for subject, at in (("ann", begins - moment), ("bob", begins), ("cem", ends - moment), ("dee", ends)):
        there.add(Seen(subject, at, name="share", scene=SHARED))
    assert cells(told(there, day, day, "shares")) == [[2, 2, 2, 2, 1]]
    (row,) = told(there, day, day).tables["data"]
    assert [row.cells[name].value for name in ("opens", "visitors", "new_visitors", "shares")] == [2, 2, 2, 2]


# --- the gate ---


def crowd(first: int, last: int, *names: str, **more: Any) -> list[Seen]:
    return [one for n in range(first, last) for one in visit(f"s{n}", *names, **more)]


def test_new_visitors_need_k_on_either_side(history: Histories) -> None:
    shanghai = history()
    before = NOON - timedelta(days=2)
    shanghai.add_all(crowd(0, 20, "launch", at=before) + crowd(0, 29, "launch"))
    (row,) = told(shanghai, k=10).tables["data"]
    assert (row.cells["visitors"].value, row.cells["new_visitors"].value) == (29, None)
    shanghai.add_all(crowd(29, 30, "launch"))
    (row,) = told(shanghai, k=10).tables["data"]
    assert (row.cells["visitors"].value, row.cells["new_visitors"].value) == (30, 10)
    shanghai.add_all(crowd(30, 39, "share"))
    (row,) = told(shanghai, k=10).tables["data"]
    assert (row.cells["shares"].value, row.cells["sharers"].value) == (None, None)


def test_few_visitors_who_are_not_new_are_not_told_by_difference(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 9, "launch", at=NOON - timedelta(days=2)) + crowd(0, 39, "launch"))
    (row,) = told(shanghai, k=10).tables["data"]
    assert (row.cells["visitors"].value, row.cells["new_visitors"].value) == (39, None)


def test_what_came_from_shares_needs_k_on_either_side(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 12, "launch", scene=SHARED) + crowd(12, 21, "share", scene="1001"))
    assert cells(told(shanghai, metric="shares", k=10)) == [[None, None, None, None, None]]
    shanghai.add_all(crowd(21, 22, "share", scene="1001"))
    assert cells(told(shanghai, metric="shares", k=10)) == [[10, 10, 12, 12, 1.2]]
    shanghai.clear()
    shanghai.add_all(crowd(0, 12, "share", scene=SHARED))
    assert cells(told(shanghai, metric="shares", k=10)) == [[12, 12, None, None, None]], "all of them"


def test_returns_per_share_are_not_defined_on_a_day_without_a_share(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 12, "launch", scene=SHARED) + crowd(12, 24, "launch"))
    (row,) = told(shanghai, metric="shares", k=10).tables["data"]
    assert {name: (cell.value, str(cell.status)) for name, cell in row.cells.items()} == {
        "shares": (0, "ok"),
        "sharers": (0, "ok"),
        "sessions_from_share": (12, "ok"),
        "new_from_share": (12, "ok"),
        "returns_per_share": (None, "not_observable"),
    }
    (row,) = told(shanghai, metric="shares", k=10, as_of=local("2025-10-06 12:00:00")).tables["data"]
    assert [str(row.cells[name].status) for name in ("shares", "returns_per_share")] == ["suppressed", "suppressed"]


def test_a_weeks_returns_do_not_tell_who_came_on_a_day_without_a_share(history: Histories) -> None:
    """The returns times the shares are the sessions of the week; less those of its other day, they are the three of Monday."""
    shanghai = history()
    shanghai.add_all(crowd(0, 20, "share", scene=SHARED) + crowd(20, 40, "launch", scene="1001"))
    monday = NOON - timedelta(days=6)
    shanghai.add_all(crowd(0, 3, "launch", scene=SHARED, at=monday) + crowd(3, 20, "launch", scene="1001", at=monday))
    names = ("shares", "sessions_from_share", "returns_per_share")

    def shown(first: str, **asked: Any) -> list[tuple[Any, ...]]:
        rows = told(shanghai, first, DAY, metric="shares", k=10, **asked).tables["data"]
        return [tuple(row.cells[name].value for name in names) for row in rows]

    days = shown("2025-09-29")
    assert (days[0], days[-1]) == ((0, None, None), (20, 20, 1))
    assert shown(DAY, interval="week") == [(20, None, None)]


# --- over HTTP ---


def test_the_answers_over_http(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 12, "launch", "share", scene=SHARED) + crowd(12, 30, "page_view"))
    body = {"from": DAY, "to": DAY}
    response = shanghai.program.post("reports/overview", body)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert [answer["data"][0][name] for name in ("opens", "visitors", "views", "shares")] == [30, 30, 18, 12]
    assert answer["day_before"][0] | {"status": {}} == answer["day_before"][0] | {
        "status": {},
        "compared": "2025-10-04",
    }
    # More than 400 days ago: who of the day's were new is forgotten, and so whether they were k.
    assert answer["cumulative_visitors"] is None
    msgspec.json.decode(response.content, type=OverviewAnswered, strict=True)
    written = shanghai.program.post("reports/overview", body, Accept="text/csv")
    (row,) = csv.DictReader(io.StringIO(written.content.decode(), newline=""))
    assert [row[name] for name in ("date", "opens", "visitors")] == [DAY, "30", "30"]
    assert "day_before" not in msgspec.json.decode(written["Zhiqing-Report"])
    response = shanghai.program.post("reports/shares", body | {"interval": "month"})
    msgspec.json.decode(response.content, type=SharesAnswered, strict=True)
    assert [response.json()["data"][0][name] for name in ("month", "shares", "sessions_from_share")] == [
        "2025-10-01",
        12,
        12,
    ]
    written = shanghai.program.post("reports/shares", body, Accept="text/csv").content.decode()
    assert written.startswith("date,shares,sharers,sessions_from_share,new_from_share,returns_per_share,closed")


@pytest.mark.parametrize(
    ("metric", "more", "code"),
    [
        ("overview", {"interval": "week"}, "interval_unavailable"),
        ("overview", {"breakdown": "os"}, "breakdown_unavailable"),
        ("shares", {"breakdown": "os"}, "breakdown_unavailable"),
        ("shares", {"filters": [{"field": "os", "op": "eq", "value": "x"}]}, "filters_unavailable"),
        ("shares", {"privacy": "dp"}, "privacy_unavailable"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, metric: str, more: dict[str, Any], code: str) -> None:
    response = history().program.post(f"reports/{metric}", {"from": DAY, "to": DAY} | more)
    assert (response.status_code, response.json()["code"]) == (422, code)


# --- the slow count ---

SAID: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": st.sampled_from(["page_view", "page_view", "share", "launch"])},
    optional={"scene": st.sampled_from([SHARED, "1044", "1001"])},
)


@drawing(30)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Histories, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        said = data.draw(st.lists(SAID, min_size=5, max_size=9))
        happened = [
            Seen(one.subject, one.at, one.session, one.skew, **said[n % len(said)])
            for n, one in enumerate(data.draw(histories(around)))
        ]
        first = around.date() + timedelta(days=data.draw(st.integers(-5, 6)))
        last = first + timedelta(days=data.draw(st.integers(0, 2)))
        there.clear()
        there.add_all(happened)
        check_overview(there, happened, first, last)
        by = data.draw(st.sampled_from(["day", "day", "week", "month"]))
        check_shares(there, happened, first, last, by)

    compared()


def check_overview(history: History, happened: list[Seen], first: date, last: date) -> None:
    zone = history.program.zone
    released = told(history, first.isoformat(), last.isoformat())
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        for table, of in {"data": day, **oracle_overview.compared(day)}.items():
            row = released.tables[table][n]
            assert row.keys["date"] == day.isoformat()
            assert {name: cell.value for name, cell in row.cells.items()} == oracle_overview.glance(
                happened, zone, of, AS_OF
            )
    assert released.totals["cumulative_visitors"].value == oracle_overview.cumulative(happened, zone, last)


def check_shares(history: History, happened: list[Seen], first: date, last: date, by: str) -> None:
    found = told(history, first.isoformat(), last.isoformat(), "shares", interval=by)
    slow = oracle_overview.shares(happened, history.program.zone, first, last, by, AS_OF)
    assert {
        next(iter(row.keys.values())): [cell.value for cell in row.cells.values()] for row in found.tables["data"]
    } == slow


def test_cumulative_visitors_need_k_new_ones_on_the_last_day(history: Histories) -> None:
    """Two days' figures less each other would tell how many came on the later one."""
    shanghai = history()
    shanghai.add_all(crowd(0, 30, "launch"))
    asked_at = local("2025-10-20 00:00:00")
    for new, told_of in ((9, None), (1, 40)):
        shanghai.add_all(Seen(f"new{new}-{n}", local("2025-10-06 12:00:00")) for n in range(new))
        released = shanghai.ask("2025-10-06", "2025-10-06", k=10, as_of=asked_at, metric="overview")
        assert released.totals["cumulative_visitors"].value == told_of
