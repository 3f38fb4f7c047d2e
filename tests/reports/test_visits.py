"""The report `sessions`, worked out by hand and compared with the slow count; and what the gate makes of it."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.api.answers.visits import SessionsAnswered
from reports.privacy.threshold import Released
from tests.reports import oracle_sessions
from tests.reports.events import History, Seen, local
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories

Histories = Callable[..., History]
NOON = local("2025-10-05 12:00:00")
NAMES = ("sessions", "bounce_rate", "mean_depth", "mean_duration_s")


def visit(subject: str, at: datetime, *names: str, every: float = 60, session: str | None = None) -> list[Seen]:
    """Events of these types, `every` so many seconds."""
    return [Seen(subject, at + timedelta(seconds=every * n), session, name=name) for n, name in enumerate(names)]


def told(history: History, first: str, last: str, **asked: Any) -> Released:
    return history.ask(first, last, metric="sessions", **asked)


def rows(released: Released) -> dict[str, list[float | None]]:
    return {next(iter(row.keys.values())): [row.cells[name].value for name in NAMES] for row in released.tables["data"]}


def totals(released: Released) -> list[float | None]:
    return [released.totals[name].value for name in NAMES]


def test_views_bounces_depth_and_duration(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(visit("ann", NOON, "launch", "page_view", "expose", "hide"))  # bounced, 180 s
    shanghai.add_all(visit("bob", NOON, "page_view", "tap"))  # one view, but did something: 60 s
    shanghai.add_all(visit("cem", NOON, "page_view", "page_view", "page_view"))  # 120 s
    shanghai.add_all(visit("dee", NOON, "launch"))  # no view: not in the bounce rate, one moment
    released = told(shanghai, "2025-10-05", "2025-10-06")
    assert rows(released) == {"2025-10-05": [4, round(1 / 3, 4), 1.25, 90], "2025-10-06": [0, None, None, None]}
    assert totals(released) == [4, round(1 / 3, 4), 1.25, 90]
    empty = released.tables["data"][1].cells
    assert [str(empty[name].status) for name in NAMES] == ["ok"] + ["not_observable"] * 3


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("Asia/Shanghai", "2025-10-04 16:00:00"),
        ("Asia/Tehran", "2025-10-04 20:30:00"),
        ("America/New_York", "2025-10-05 04:00:00"),  # EDT
    ],
)
def test_a_session_over_midnight_is_whole_on_its_first_day(history: Histories, zone: str, midnight: str) -> None:
    there = history(zone)
    at = local(midnight, "UTC")
    there.add_all(visit("ann", at - timedelta(seconds=1), "page_view", "page_view", "tap", every=600))
    there.add_all(visit("bob", at, "page_view"))
    assert rows(told(there, "2025-10-04", "2025-10-05")) == {"2025-10-04": [1, 0, 2, 1200], "2025-10-05": [1, 1, 1, 0]}
    assert rows(told(there, "2025-10-04", "2025-10-04")) == {"2025-10-04": [1, 0, 2, 1200]}, "seen to its end"
    assert rows(told(there, "2025-10-05", "2025-10-05")) == {"2025-10-05": [1, 1, 1, 0]}


@pytest.mark.parametrize(("day", "hours"), [("2025-03-09", 23), ("2025-11-02", 25)])
def test_the_days_on_which_clocks_change(history: Histories, day: str, hours: int) -> None:
    york = history("America/New_York")
    midnight = local(f"{day} 00:00:00", "America/New_York").astimezone(UTC)
    ends = midnight + timedelta(hours=hours)
    second = timedelta(seconds=1)
    york.add_all(visit("ann", midnight - second, "page_view") + visit("bob", midnight, "page_view"))
    york.add_all(visit("cem", ends - second, "page_view") + visit("dee", ends, "page_view"))
    assert [row[0] for row in rows(told(york, day, day)).values()] == [2]


def test_weeks_from_monday_and_months_count_whole_and_so_does_the_total(history: Histories) -> None:
    shanghai = history()
    for subject, at in [("ann", "2025-09-30"), ("ann", "2025-10-05"), ("bob", "2025-10-06"), ("cem", "2025-10-12")]:
        shanghai.add_all(visit(subject, local(f"{at} 23:59:59"), "page_view"))
    weeks = told(shanghai, "2025-10-05", "2025-10-06", interval="week")
    assert {key: row[0] for key, row in rows(weeks).items()} == {"2025-09-29": 2, "2025-10-06": 2}
    assert totals(weeks)[0] == 4
    months = told(shanghai, "2025-10-08", "2025-10-08", interval="month")
    assert ({key: row[0] for key, row in rows(months).items()}, totals(months)[0]) == ({"2025-10-01": 3}, 3)
    assert totals(told(shanghai, "2025-10-05", "2025-10-06"))[0] == 2


def test_a_late_event_counts_where_it_happened(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(visit("ann", NOON, "page_view", "page_view"))
    shanghai.owner.execute("UPDATE event SET received_at = received_at + interval '6 days'")
    assert rows(told(shanghai, "2025-10-05", "2025-10-05")) == {"2025-10-05": [1, 0, 2, 60]}


# --- the gate ---


def crowd(first: int, last: int, at: datetime, *names: str) -> list[Seen]:
    return [seen for n in range(first, last) for seen in visit(f"s{n}", at, *names)]


def statuses(cells: Any) -> list[str]:
    return [str(cells[name].status) for name in NAMES]


def test_a_rate_needs_k_on_either_side(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 10, NOON, "page_view") + crowd(10, 19, NOON, "page_view", "tap"))
    released = told(shanghai, "2025-10-05", "2025-10-05", k=10)
    # The depth times the sessions is the views; all events less these would be the taps of nine.
    expected = ["ok", "suppressed", "suppressed", "ok"]
    assert statuses(released.tables["data"][0].cells) == statuses(released.totals) == expected
    shanghai.add_all(crowd(19, 20, NOON, "page_view", "tap"))
    assert rows(told(shanghai, "2025-10-05", "2025-10-05", k=10))["2025-10-05"][:2] == [20, 0.5]


def test_everybody_bounced_is_not_told(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 30, NOON, "page_view"))
    assert statuses(told(shanghai, "2025-10-05", "2025-10-05", k=10).totals)[1] == "suppressed"


def test_a_total_less_the_days_told_gives_nobody_away(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, NOON, "page_view") + crowd(0, 9, NOON + timedelta(days=1), "page_view"))
    released = told(shanghai, "2025-10-05", "2025-10-07", k=10)
    assert [row.cells["sessions"].value for row in released.tables["data"]] == [20, None, 0]
    assert str(released.totals["sessions"].status) == "suppressed"
    shanghai.add_all(crowd(9, 10, NOON + timedelta(days=2), "page_view"))
    released = told(shanghai, "2025-10-05", "2025-10-07", k=10)
    assert [row.cells["sessions"].value for row in released.tables["data"]] == [20, None, None]
    assert released.totals["sessions"].value == 30, "ten are left over, on two days"


def test_a_total_rate_less_the_days_told_leaves_k_on_either_side(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, NOON, "page_view") + crowd(20, 40, NOON, "page_view", "tap"))
    later = NOON + timedelta(days=1)
    shanghai.add_all(crowd(0, 12, later, "page_view") + crowd(20, 23, later, "page_view", "tap"))
    released = told(shanghai, "2025-10-05", "2025-10-06", k=10)
    assert [row.cells["bounce_rate"].value for row in released.tables["data"]] == [0.5, None]
    assert str(released.totals["bounce_rate"].status) == "suppressed", "three did not bounce"
    shanghai.add_all(crowd(23, 30, later, "page_view", "tap"))
    assert told(shanghai, "2025-10-05", "2025-10-06", k=10).totals["bounce_rate"].value == round(32 / 62, 4)


def test_a_total_is_hidden_with_a_week_that_its_days_would_tell(history: Histories) -> None:
    """Nine came on the Sunday: the total less the week before is the week, and less its days these nine."""
    shanghai = history()
    shanghai.add_all(crowd(0, 20, NOON, "page_view") + crowd(0, 20, NOON + timedelta(days=1), "page_view"))
    shanghai.add_all(crowd(0, 9, NOON + timedelta(days=7), "page_view"))
    released = told(shanghai, "2025-10-05", "2025-10-12", k=10, interval="week")
    assert [row.cells["sessions"].value for row in released.tables["data"]] == [20, None]
    assert str(released.totals["sessions"].status) == "suppressed"
    shanghai.add_all(crowd(9, 10, NOON + timedelta(days=7), "page_view"))
    released = told(shanghai, "2025-10-05", "2025-10-12", k=10, interval="week")
    assert [row.cells["sessions"].value for row in released.tables["data"]] == [20, 30]
    assert released.totals["sessions"].value == 50


def test_the_total_of_a_day_not_closed_is_not_told_by_difference(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, NOON, "page_view"))
    released = told(shanghai, "2025-10-05", "2025-10-08", k=10, as_of=local("2025-10-08 12:00:00"))
    assert str(released.totals["sessions"].status) == "suppressed"


# --- over HTTP ---


def test_the_answer_over_http(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 12, NOON, "page_view") + crowd(12, 24, NOON, "page_view", "tap"))
    body = {"from": "2025-10-05", "to": "2025-10-06", "interval": "day"}
    response = shanghai.program.post("reports/sessions", body)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert [answer[name] for name in NAMES] == [24, 0.5, 1, 30]
    assert answer["data"][0] == {
        "date": "2025-10-05",
        **{name: answer[name] for name in NAMES},
        "closed": True,
        "status": dict.fromkeys(NAMES, "ok"),
    }
    msgspec.json.decode(response.content, type=SessionsAnswered, strict=True)
    told_csv = shanghai.program.post("reports/sessions", body, Accept="text/csv").content.decode()
    first, second = csv.DictReader(io.StringIO(told_csv, newline=""))
    assert [first[name] for name in NAMES] == ["24", "0.5", "1.0", "30.0"]
    assert (second["sessions"], second["bounce_rate"], second["bounce_rate_status"]) == ("0", "", "not_observable")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"filters": [{"field": "os", "op": "eq", "value": "x"}]}, "filters_unavailable"),
        ({"breakdown": "os"}, "breakdown_unavailable"),
        ({"privacy": "dp"}, "privacy_unavailable"),
        ({"periods": 3}, "invalid"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, more: dict[str, Any], code: str) -> None:
    response = history().program.post("reports/sessions", {"from": "2025-10-05", "to": "2025-10-06"} | more)
    assert (response.status_code, response.json()["code"]) == (422, code)


# --- the slow count ---


@drawing(40)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Histories, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)
    types = st.sampled_from(["page_view", "page_view", "launch", "hide", "tap", "expose"])

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        bare = data.draw(histories(around))
        kinds = data.draw(st.lists(types, min_size=5, max_size=9))
        seen = [
            Seen(one.subject, one.at, one.session, one.skew, name=kinds[n % len(kinds)]) for n, one in enumerate(bare)
        ]
        first = around.date() + timedelta(days=data.draw(st.integers(-5, 3)))
        last = first + timedelta(days=data.draw(st.integers(0, 9)))
        by = data.draw(st.sampled_from(["day", "day", "week", "month"]))
        there.clear()
        there.add_all(seen)
        assert reported(there, first, last, by) == oracle_sessions.sessions(seen, zone, first, last, by)

    compared()


def reported(history: History, first: date, last: date, by: Any) -> dict[str, dict[str, Any]]:
    released = told(history, first.isoformat(), last.isoformat(), interval=by)
    found = {key: dict(zip(NAMES, values, strict=True)) for key, values in rows(released).items()}
    return found | {"total": dict(zip(NAMES, totals(released), strict=True))}
