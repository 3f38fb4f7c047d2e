"""retention, worked out by hand and compared with the slow count; and what the gate makes of it."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import Invalid
from reports.api.answers.people import RetentionAnswered
from reports.metrics import registry
from reports.metrics.retention import Retention
from reports.privacy.threshold import Released
from tests.reports import oracle_retention
from tests.reports.events import History, Seen, local
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories

Histories = Callable[..., History]
Table = dict[str, tuple[float | None, list[float | None]]]


def told(history: History, first: str, last: str, asked: Retention, **more: Any) -> Released:
    return history.ask(first, last, metric="retention", options=asked, **more)


def table(released: Released) -> Table:
    """Cohort -> size and values."""
    return {
        row.keys["cohort"]: (row.size.value, [cell.value for cell in row.values]) for row in released.cohorts["data"]
    }


def shown(history: History, first: str, last: str, asked: Retention, **more: Any) -> Table:
    return table(told(history, first, last, asked, **more))


def seen(subject: str, *times: str, zone: str = "Asia/Shanghai", name: str | None = None) -> list[Seen]:
    return [Seen(subject, local(time, zone), name=name) for time in times]


def test_first_time_by_local_days(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen("ann", "2025-10-05 00:00:00", "2025-10-06 23:59:59", "2025-10-08 00:00:00"))
    shanghai.add_all(seen("bob", "2025-10-05 23:59:59", "2025-10-06 00:00:00"))
    shanghai.add_all(seen("cem", "2025-10-04 23:59:59", "2025-10-05 12:00:00"))  # began the day before
    shanghai.add_all(seen("dee", "2024-02-01 12:00:00", "2025-10-06 12:00:00"))  # long ago
    assert shown(shanghai, "2025-10-05", "2025-10-06", Retention(periods=4)) == {
        "2025-10-05": (2, [2, 2, 0, 1]),
        "2025-10-06": (0, [0, 0, 0, 0]),
    }
    assert shown(shanghai, "2025-10-05", "2025-10-05", Retention(mode="on_or_after", periods=3)) == {
        "2025-10-05": (2, [2, 2, 1])
    }, "the last cell sees what comes after it"


def test_recurring_needs_another_event(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen("ann", "2025-10-05 12:00:00", "2025-10-05 12:00:00", "2025-10-06 12:00:00"))
    shanghai.add_all(seen("bob", "2025-10-05 12:00:00", "2025-10-05 12:00:01"))
    assert shown(shanghai, "2025-10-05", "2025-10-06", Retention(cohort="recurring", periods=2)) == {
        "2025-10-05": (2, [1, 1]),
        "2025-10-06": (1, [0, 0]),
    }


def test_given_events(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen("ann", "2025-10-04 12:00:00", "2025-10-05 13:00:00", name="page_view"))
    shanghai.add_all(seen("ann", "2025-10-05 12:00:00", name="register"))
    shanghai.add_all(seen("ann", "2025-10-05 11:00:00", "2025-10-06 12:00:00", name="order"))
    day = "2025-10-05"
    orders = Retention(cohort_event="register", return_event="order", periods=3)
    assert shown(shanghai, day, day, orders) == {day: (1, [0, 1, 0])}, "an order before it is no return"
    assert shown(shanghai, day, day, Retention(cohort_event="register", periods=2)) == {day: (1, [1, 1])}
    again = Retention(cohort_event="register", return_event="register", periods=2)
    assert shown(shanghai, day, day, again) == {day: (1, [1, 0])}
    views = Retention(cohort_event="register", return_event="page_view", periods=2)
    assert shown(shanghai, day, day, views) == {day: (1, [1, 0])}
    with pytest.raises(Invalid, match="unknown_event"):
        shown(shanghai, day, day, Retention(cohort_event="nothing"))


def test_the_rolling_clock_starts_with_the_subject(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen("ann", "2025-10-05 23:00:00", "2025-10-06 22:59:59", "2025-10-07 23:00:00"))
    shanghai.add_all(seen("bob", "2025-10-05 00:00:00", "2025-10-06 00:00:00"))
    day = "2025-10-05"
    rolling = Retention(cohort="recurring", clock="rolling_24h", periods=3)
    assert shown(shanghai, day, day, rolling) == {day: (2, [1, 1, 1])}
    assert shown(shanghai, day, day, Retention(cohort="recurring", periods=3)) == {day: (2, [0, 2, 1])}


@pytest.mark.parametrize(
    ("zone", "midnight", "next_midnight"),
    [
        ("Asia/Tehran", "2025-10-04 20:30:00", "2025-10-05 20:30:00"),
        ("America/New_York", "2025-03-09 05:00:00", "2025-03-10 04:00:00"),  # 23 hours
        ("America/New_York", "2025-11-02 04:00:00", "2025-11-03 05:00:00"),  # 25 hours
    ],
)
def test_local_days_of_other_zones(history: Histories, zone: str, midnight: str, next_midnight: str) -> None:
    there = history(zone)
    begins, ends = local(midnight, "UTC"), local(next_midnight, "UTC")
    second = timedelta(seconds=1)
    there.add(Seen("ann", begins), Seen("ann", ends - second), Seen("bob", begins), Seen("bob", ends))
    there.add(Seen("cem", begins - second), Seen("dee", ends))
    day = begins.astimezone(local(midnight, zone).tzinfo).date().isoformat()
    assert shown(there, day, day, Retention(cohort="recurring", periods=2)) == {day: (2, [1, 1])}


def test_weeks_from_monday_and_months(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen("ann", "2025-10-06 00:00:00", "2025-10-12 23:59:59", "2025-10-20 00:00:00"))
    shanghai.add_all(seen("bob", "2025-10-05 23:59:59", "2025-10-06 00:00:00"))
    weekly = Retention(periods=3)
    assert shown(shanghai, "2025-10-05", "2025-10-08", weekly, interval="week") == {
        "2025-09-29": (1, [1, 1, 0]),
        "2025-10-06": (1, [1, 0, 1]),
    }
    shanghai.add_all(seen("ann", "2025-12-31 23:59:59"))
    monthly = Retention(periods=3)
    assert shown(shanghai, "2025-10-15", "2025-10-15", monthly, interval="month") == {"2025-10-01": (2, [2, 0, 1])}


@pytest.mark.parametrize(
    ("clock", "over"), [("calendar", "2025-10-07 00:00:00"), ("rolling_24h", "2025-10-08 00:00:00")]
)
def test_a_cell_is_seen_when_its_period_is_over(history: Histories, clock: Any, over: str) -> None:
    shanghai = history()
    shanghai.add_all(seen("ann", "2025-10-05 12:00:00", "2025-10-06 12:00:00"))
    asked, day = Retention(clock=clock, periods=3), "2025-10-05"
    before = told(shanghai, day, day, asked, as_of=local(over) - timedelta(microseconds=1))
    (row,) = before.cohorts["data"]
    assert [str(cell.status) for cell in row.values] == ["ok", "not_observable", "not_observable"]
    assert (row.values[1].value, row.closed) == (None, False)
    (row,) = told(shanghai, day, day, asked, as_of=local(over)).cohorts["data"]
    assert [str(cell.status) for cell in row.values] == ["ok", "ok", "not_observable"]
    assert row.values[1].value == 1


def test_a_late_event_counts_where_it_happened(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen("ann", "2025-10-05 12:00:00", "2025-10-06 12:00:00"))
    shanghai.owner.execute("UPDATE event SET received_at = received_at + interval '6 days'")
    assert shown(shanghai, "2025-10-05", "2025-10-05", Retention(periods=3)) == {"2025-10-05": (1, [1, 1, 0])}


def test_a_cohort_begins_with_the_first_event_still_held(history: Histories) -> None:
    """As it says: `lifecycle`, which asks the remembered days, tells who is new."""
    shanghai = history()
    shanghai.add_all(seen("ann", "2025-09-01 12:00:00", "2025-10-05 12:00:00") + seen("bob", "2025-10-05 12:00:00"))
    shanghai.owner.execute("DELETE FROM event WHERE day < '2025-10-01'")
    day, lately = "2025-10-05", local("2025-12-31 00:00:00")
    released = told(shanghai, day, day, Retention(periods=1), as_of=lately)
    assert table(released) == {day: (2, [2])}
    (row,) = shanghai.ask(day, day, metric="lifecycle", as_of=lately).tables["data"]
    assert [row.cells[name].value for name in ("new", "resurrected")] == [1, 1]
    assert "first cohort event still held" in registry.known("retention").definition


# --- the gate ---


def crowd(first: int, last: int, *times: str) -> list[Seen]:
    return [one for n in range(first, last) for one in seen(f"s{n}", *times)]


@pytest.mark.parametrize(("came", "value"), [(0, None), (9, None), (10, 10), (20, 20), (21, None), (30, None)])
def test_a_cell_needs_k_who_came_and_k_who_did_not(history: Histories, came: int, value: int | None) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 30, "2025-10-05 12:00:00") + crowd(0, came, "2025-10-06 12:00:00"))
    day = "2025-10-05"
    assert shown(shanghai, day, day, Retention(periods=2), k=10) == {day: (30, [30, value])}


def test_a_cohort_below_k_is_not_told_and_an_empty_one_is(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 9, "2025-10-05 12:00:00"))
    released = told(shanghai, "2025-10-05", "2025-10-06", Retention(periods=2), k=10)
    assert table(released) == {"2025-10-05": (None, [None, None]), "2025-10-06": (0, [0, 0])}
    assert released.suppressed_cells == 3


def begin(history: History, before: int, new: int, name: str | None = None) -> None:
    """So many on a day who had been there before, and so many who had not."""
    day = "2025-10-05 12:00:00"
    history.add_all(replace(one, name=name) for one in crowd(0, before, "2025-08-01 12:00:00", day))
    history.add_all(replace(one, name=name) for one in crowd(100, 100 + new, day))


@pytest.mark.parametrize(("before", "size"), [(0, 30), (1, None), (9, None), (10, 30), (30, 30)])
@pytest.mark.parametrize("interval", ["day", "week", "month"])
@pytest.mark.parametrize("event", [None, "tap"])
@pytest.mark.parametrize("clock", ["calendar", "rolling_24h"])
def test_all_who_were_there_less_the_first_times_are_nobody_or_k(
    history: Histories, before: int, size: int | None, interval: Any, event: str | None, clock: Any
) -> None:
    """`activity` and `recurring` tell all, of one event `trends`."""
    shanghai = history()
    begin(shanghai, before, 30, event)
    day, asked = "2025-10-05", Retention(cohort_event=event, return_event=event, clock=clock, periods=1)
    (row,) = told(shanghai, day, day, asked, k=10, interval=interval).cohorts["data"]
    assert [row.size.value, *(cell.value for cell in row.values)] == [size, size]
    recurring = replace(asked, cohort="recurring")
    (row,) = told(shanghai, day, day, recurring, k=10, interval=interval).cohorts["data"]
    assert row.size.value == before + 30


def test_nobody_new_is_told_beside_k_who_were_there_before(history: Histories) -> None:
    shanghai = history()
    begin(shanghai, 10, 0)
    day = "2025-10-05"
    assert shown(shanghai, day, day, Retention(periods=1), k=10) == {day: (0, [0])}


def test_the_first_times_of_a_day_that_goes_on_need_k_who_were_there_before(history: Histories) -> None:
    """As long as anybody may yet come, a size that goes away would tell that one of the others did."""
    shanghai = history()
    begin(shanghai, 0, 30)
    day = "2025-10-05"
    soon = {"k": 10, "as_of": local("2025-10-06 12:00:00")}
    assert shown(shanghai, day, day, Retention(periods=1), **soon) == {day: (None, [None])}


def test_cells_on_or_after_differ_by_k(history: Histories) -> None:
    shanghai = history()
    day = "2025-10-05"
    shanghai.add_all(crowd(0, 60, "2025-10-05 12:00:00") + crowd(0, 40, "2025-10-06 12:00:00"))
    shanghai.add_all(crowd(0, 35, "2025-10-07 12:00:00") + crowd(0, 30, "2025-10-08 12:00:00"))
    asked = Retention(mode="on_or_after", periods=4)
    assert shown(shanghai, day, day, asked)[day] == (60, [60, 40, 35, 30])
    assert shown(shanghai, day, day, asked, k=10)[day] == (60, [60, 40, None, 30])


# --- over HTTP ---


def test_the_answer_over_http(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 30, "2025-10-05 12:00:00") + crowd(0, 12, "2025-10-06 12:00:00"))
    body = {"from": "2025-10-05", "to": "2025-10-05", "cohort": "first_time", "mode": "on", "periods": 3}
    response = shanghai.program.post("reports/retention", body)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert answer["data"] == [
        {
            "cohort": "2025-10-05",
            "size": 30,
            "size_status": "ok",
            "values": [30, 12, None],
            "status": ["ok", "ok", "suppressed"],
            "closed": True,
        }
    ]
    assert "biased upwards" in answer["definition"]
    assert answer["privacy"]["suppressed_cells"] == 1
    msgspec.json.decode(response.content, type=RetentionAnswered, strict=True)
    written = shanghai.program.post("reports/retention", body, Accept="text/csv").content.decode()
    (row,) = csv.DictReader(io.StringIO(written, newline=""))
    assert row == {
        "cohort": "2025-10-05",
        "size": "30",
        "size_status": "ok",
        "closed": "true",
        "period_0": "30",
        "period_1": "12",
        "period_2": "",
        "period_0_status": "ok",
        "period_1_status": "ok",
        "period_2_status": "suppressed",
    }


@pytest.mark.parametrize(
    ("more", "code", "pointer"),
    [
        ({"brackets": [1, 7]}, "brackets_unavailable", "/brackets"),
        ({"filters": [{"field": "os", "op": "eq", "value": "x"}]}, "filters_unavailable", "/filters"),
        ({"breakdown": "os"}, "breakdown_unavailable", "/breakdown"),
        ({"privacy": "dp"}, "privacy_unavailable", "/privacy"),
        ({"cohort_event": "nothing"}, "unknown_event", "/cohort_event"),
        ({"return_event": "nothing"}, "unknown_event", "/return_event"),
        ({"periods": 0}, "invalid", "/periods"),
        ({"periods": 61}, "invalid", "/periods"),
        ({"clock": "sundial"}, "invalid", "/clock"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, more: dict[str, Any], code: str, pointer: str) -> None:
    response = history().program.post("reports/retention", {"from": "2025-10-05", "to": "2025-10-06"} | more)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["errors"][0]["pointer"]) == (422, code, pointer)


@pytest.mark.parametrize(("more", "detail"), [({"brackets": [1, 7]}, "brackets"), ({"privacy": "dp"}, "dp mode")])
@pytest.mark.parametrize("sandbox", [False, True])
def test_what_no_mode_has_is_not_said_to_be_had_in_another(
    history: Histories, sandbox: bool, more: dict[str, Any], detail: str
) -> None:
    """A sandbox is not asked for what threshold mode has a list for, and these are refused there, too."""
    body = {"from": "2025-10-05", "to": "2025-10-06"} | more
    (error,) = history(sandbox=sandbox).program.post("reports/retention", body).json()["errors"]
    assert detail in error["detail"] and "not available" in error["detail"]
    assert "threshold mode" not in error["detail"]


# --- the slow count ---

EVENTS = st.sampled_from([None, "page_view", "tap"])
ASKED = st.builds(
    Retention,
    cohort=st.sampled_from(["first_time", "recurring"]),
    cohort_event=EVENTS,
    return_event=EVENTS,
    mode=st.sampled_from(["on", "on_or_after"]),
    clock=st.sampled_from(["calendar", "rolling_24h"]),
    periods=st.integers(1, 5),
)


@drawing(60)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Histories, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        bare = data.draw(histories(around))
        kinds = data.draw(st.lists(st.sampled_from(["page_view", "tap", "launch"]), min_size=4, max_size=7))
        happened = [
            Seen(one.subject, one.at, one.session, one.skew, name=kinds[n % len(kinds)]) for n, one in enumerate(bare)
        ]
        first = around.date() + timedelta(days=data.draw(st.integers(-5, 3)))
        last = first + timedelta(days=data.draw(st.integers(0, 5)))
        by, asked = data.draw(st.sampled_from(["day", "day", "week", "month"])), data.draw(ASKED)
        there.clear()
        there.add_all(happened)
        found = shown(there, first.isoformat(), last.isoformat(), asked, interval=by)
        assert found == oracle_retention.retention(happened, zone, first, last, by, asked)

    compared()
