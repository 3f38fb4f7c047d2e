"""The reports `lifecycle` and `stickiness`, worked out by hand and compared with the slow count; and the gate."""

import csv
import io
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.api.answers.people import LifecycleAnswered, StickinessAnswered
from reports.metrics import lifecycle
from reports.metrics.calendar import Interval
from reports.privacy.threshold import Released
from reports.rollups import read
from tests.cast import now
from tests.consent.rights import Working
from tests.reports import oracle_lifecycle
from tests.reports.events import History, Seen, local
from tests.reports.rolled import roll
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories

Histories = Callable[..., History]
STATES = ("new", "returning", "resurrected", "unknown", "dormant")
AS_OF = local("2025-12-31 00:00:00")
MOMENT = timedelta(microseconds=1)


def seen(subject: str, *days: str, at: str = "12:00:00", zone: str = "Asia/Shanghai") -> list[Seen]:
    return [Seen(subject, local(f"{day} {at}", zone)) for day in days]


def told(history: History, first: str, last: str, metric: str = "lifecycle", **more: Any) -> Released:
    return history.ask(first, last, **{"metric": metric, "as_of": AS_OF, **more})


def rows(released: Released, *names: str, table: str = "data") -> dict[Any, list[Any]]:
    return {
        next(iter(row.keys.values())): [row.cells[name].value for name in names or row.cells]
        for row in released.tables[table]
    }


def purge(history: History, *events: Seen) -> None:
    """As retention does it: the days are remembered."""
    for one in events:
        history.owner.execute(
            "DELETE FROM event WHERE subject_id = %s AND corrected_at = %s", [history.ids[one.subject], one.at]
        )


def test_the_states_of_a_day(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen("ann", "2025-10-05"))  # new
    shanghai.add_all(seen("bob", "2025-10-04", "2025-10-05", "2025-10-05"))  # returning
    shanghai.add_all(seen("cem", "2025-10-03", "2025-10-05"))  # resurrected
    shanghai.add_all(seen("dee", "2025-10-04", "2025-10-06"))  # dormant
    shanghai.add_all(seen("eve", "2025-10-03"))  # long away
    assert rows(told(shanghai, "2025-10-04", "2025-10-06"), *STATES) == {
        "2025-10-04": [2, 0, 0, 0, 2],
        "2025-10-05": [1, 1, 1, 0, 1],
        "2025-10-06": [0, 0, 1, 0, 3],
    }


def test_weeks_from_monday_and_months_count_whole(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen("ann", "2025-09-28", "2025-10-05") + seen("bob", "2025-10-06", "2025-10-12"))
    shanghai.add_all(seen("cem", "2025-09-28", "2025-10-12"))
    assert rows(told(shanghai, "2025-10-05", "2025-10-06", interval="week"), *STATES) == {
        "2025-09-29": [0, 1, 0, 0, 1],
        "2025-10-06": [1, 0, 1, 0, 1],
    }
    assert rows(told(shanghai, "2025-10-31", "2025-10-31", interval="month"), *STATES) == {
        "2025-10-01": [1, 2, 0, 0, 0]
    }


@pytest.mark.parametrize(
    ("zone", "day", "midnight", "next_midnight"),
    [
        ("Asia/Tehran", "2025-10-05", "2025-10-04 20:30:00", "2025-10-05 20:30:00"),
        ("America/New_York", "2025-03-09", "2025-03-09 05:00:00", "2025-03-10 04:00:00"),  # 23 hours
        ("America/New_York", "2025-11-02", "2025-11-02 04:00:00", "2025-11-03 05:00:00"),  # 25 hours
    ],
)
def test_local_days(history: Histories, zone: str, day: str, midnight: str, next_midnight: str) -> None:
    there = history(zone)
    begins, ends = local(midnight, "UTC"), local(next_midnight, "UTC")
    there.add(Seen("ann", begins - MOMENT), Seen("ann", begins), Seen("bob", begins), Seen("cem", ends - MOMENT))
    there.add(Seen("dee", ends), Seen("eve", begins - MOMENT), Seen("eve", ends))
    assert rows(told(there, day, day), *STATES) == {day: [2, 1, 0, 0, 1]}


def test_nobody_is_dormant_before_the_interval_is_over(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen("ann", "2025-10-04") + seen("bob", "2025-10-05"))
    over = local("2025-10-06 00:00:00")
    (row,) = told(shanghai, "2025-10-05", "2025-10-05", as_of=over - MOMENT).tables["data"]
    assert [row.cells["new"].value, row.cells["dormant"].value, str(row.cells["dormant"].status)] == [
        1,
        None,
        "not_observable",
    ]
    assert rows(told(shanghai, "2025-10-05", "2025-10-05", as_of=over), "new", "dormant") == {"2025-10-05": [1, 1]}


def test_who_was_active_before_is_not_new_although_it_is_purged(history: Histories) -> None:
    shanghai = history()
    first, again = seen("ann", "2025-09-01", "2025-10-05")
    shanghai.add(first, again)
    purge(shanghai, first)
    assert rows(told(shanghai, "2025-10-05", "2025-10-05"), *STATES) == {"2025-10-05": [0, 0, 1, 0, 0]}
    month = told(shanghai, "2025-09-15", "2025-10-05", interval="month")
    assert rows(month, *STATES) == {"2025-09-01": [0, 0, 0, 0, 0], "2025-10-01": [0, 0, 1, 0, 0]}
    half, later = seen("bob", "2025-10-12", "2025-10-20")
    shanghai.add(half, later)
    purge(shanghai, half)
    october = told(shanghai, "2025-10-05", "2025-10-05", interval="month")
    assert rows(october, *STATES) == {"2025-10-01": [1, 0, 1, 0, 0]}, "bob began in it, whatever the clocks"


@pytest.mark.parametrize(
    ("looked_up", "bits"),
    [(-(10**9), 22), (10**9, 22), (10**9, 0)],
    ids=["one by one", "all at once", "some after others"],
)
def test_beside_rollups_the_remembered_days_tell_who_is_new(
    history: Histories, as_worker: Working, monkeypatch: pytest.MonkeyPatch, looked_up: int, bits: int
) -> None:
    monkeypatch.setattr(lifecycle, "LOOKED_UP", looked_up)
    monkeypatch.setattr(lifecycle, "PART_BITS", bits)
    monkeypatch.setattr(lifecycle, "_from_events", None)
    shanghai, other = history(), history()
    first, again = seen("ann", "2025-09-01", "2025-10-05")
    shanghai.add(first, again)
    other.add(*seen("bob", "2025-09-01", "2025-10-05"), *seen("dee", "2025-10-05"))
    shanghai.add(*seen("bob", "2025-10-05"), *seen("cem", "2025-10-02", "2025-10-05"))
    purge(shanghai, first)
    with as_worker():
        roll(shanghai.program, [date(2025, 10, n) for n in range(1, 6)])
    found = told(shanghai, "2025-10-04", "2025-10-05", as_of=local("2025-10-09 12:00:00"))
    assert rows(found, *STATES) == {"2025-10-04": [0, 0, 0, 0, 0], "2025-10-05": [1, 0, 2, 0, 0]}


def test_days_before_all_partitions_need_no_rollup(
    history: Histories, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_from_events", None)
    monkeypatch.setattr(read, "attached_days", lambda: [date(2025, 10, n) for n in range(3, 10)])
    shanghai = history()
    shanghai.add(*seen("ann", "2025-10-03", "2025-10-05"))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, n) for n in range(1, 6)])
    found = rows(told(shanghai, "2025-09-01", "2025-10-05", as_of=local("2025-10-09 12:00:00")), "new", "resurrected")
    assert {day: some for day, some in found.items() if any(some)} == {"2025-10-03": [1, 0], "2025-10-05": [0, 1]}


@pytest.mark.parametrize(
    ("day", "local_day", "state"),
    [
        ("2025-10-02", "2025-10-05", "resurrected"),  # was over, by any clock, on the 4th, 00:00 UTC
        ("2025-10-03", "2025-10-05", "unknown"),  # could have been until the 5th, 00:00 UTC
        ("2025-10-05", "2025-10-05", "unknown"),  # could have been from the 4th, 00:00 UTC, on
        ("2025-10-02", "2025-10-04", "unknown"),
    ],
)
def test_a_remembered_day_at_the_edge_cannot_tell(history: Histories, day: str, local_day: str, state: str) -> None:
    """October 5 begins at 16:00 UTC on the 4th; a remembered day is that of a sender's clock, which may be 24 h off."""
    shanghai = history()
    gone = Seen("ann", local(f"{day} 12:00:00", "UTC"))
    held = Seen("ann", local(f"{local_day} 12:00:00"), skew=timedelta(hours=24) if day > "2025-10-04" else timedelta(0))
    shanghai.add(gone, held)
    shanghai.owner.execute("DELETE FROM event WHERE day = %s", [day])
    (row,) = told(shanghai, local_day, local_day).tables["data"]
    assert {name: cell.value for name, cell in row.cells.items() if cell.value} == {state: 1}


def test_a_remembered_day_is_over_at_the_instant_the_interval_begins(history: Histories) -> None:
    """In UTC, where both begin at once."""
    there = history("Africa/Abidjan")
    gone, held = Seen("ann", local("2025-10-03 12:00:00", "UTC")), Seen("ann", local("2025-10-05 12:00:00", "UTC"))
    there.add(gone, held)
    purge(there, gone)
    assert rows(told(there, "2025-10-05", "2025-10-05"), *STATES) == {"2025-10-05": [0, 0, 1, 0, 0]}


@pytest.mark.parametrize(
    ("accepted", "remembered"), [(400, 400), (500, 500), (30, 364)], ids=["usual", "longer", "events"]
)
def test_before_what_is_remembered_nobody_is_known_to_be_new(
    history: Histories, accepted: int, remembered: int
) -> None:
    """As long as a historical event may come, or events are kept: 365 days here, of a day that may be off by two."""
    shanghai = history()
    shanghai.add_all(seen("ann", "2025-10-05") + seen("bob", "2025-10-03", "2025-10-05"))
    over = local("2025-10-05 00:00:00") + timedelta(days=remembered)
    day = "2025-10-05"
    asked: dict[str, Any] = {"accepted": timedelta(days=accepted)}
    assert rows(told(shanghai, day, day, as_of=over, **asked), *STATES) == {day: [1, 0, 1, 0, 0]}
    assert rows(told(shanghai, day, day, as_of=over + MOMENT, **asked), *STATES) == {day: [0, 0, 1, 1, 0]}


@pytest.mark.parametrize(("historical", "expected"), [(400, [12, 0]), (30, [0, 12])])
def test_a_server_that_takes_no_old_events_remembers_for_as_long_as_it_keeps_them(
    history: Histories, settings: Any, historical: int, expected: list[int]
) -> None:
    settings.ZHIQING_HISTORICAL = timedelta(days=historical)
    shanghai = history()
    day = (now() - timedelta(days=380)).date().isoformat()
    shanghai.add_all(crowd(0, 12, day))
    (row,) = shanghai.program.post("reports/lifecycle", {"from": day, "to": day}).json()["data"]
    assert [row["new"], row["unknown"]] == expected


def test_stickiness_by_hand(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(
        seen("ann", "2025-10-04", "2025-10-05", "2025-10-06") + seen("bob", "2025-09-06") + seen("cem", "2025-10-05")
    )
    shanghai.add_all(seen("ann", "2025-10-05", at="23:59:59"))
    released = told(shanghai, "2025-10-05", "2025-10-06", "stickiness")
    assert rows(released) == {"2025-10-05": [2, 3, 0.6667], "2025-10-06": [1, 2, 0.5]}, "bob's day is the 30th before"
    assert rows(released, table="active_days") == {"1": [1], "2": [1]}
    assert released.totals["subjects"].value == 2
    nobody = told(shanghai, "2025-12-05", "2025-12-05", "stickiness")
    assert (rows(nobody), nobody.tables["active_days"]) == ({"2025-12-05": [0, 0, None]}, [])


# --- the gate ---


def crowd(first: int, last: int, *days: str) -> list[Seen]:
    return [one for n in range(first, last) for one in seen(f"s{n}", *days)]


def test_few_of_one_state_hide_others_until_they_are_k(history: Histories) -> None:
    shanghai = history()
    day = "2025-10-05"
    shanghai.add_all(crowd(0, 40, "2025-10-04", day) + crowd(40, 60, "2025-10-04") + crowd(60, 75, "2025-10-02", day))
    shanghai.add_all(crowd(75, 79, day))
    assert rows(told(shanghai, day, day), *STATES) == {day: [4, 40, 15, 0, 20]}
    released = told(shanghai, day, day, k=10)
    assert rows(released, *STATES) == {day: [None, 40, None, 0, 20]}, "users less the others would tell the new ones"
    assert released.suppressed_cells == 2


def test_returning_and_dormant_tell_of_each_other(history: Histories) -> None:
    shanghai = history()
    day = "2025-10-05"
    shanghai.add_all(crowd(0, 40, "2025-10-04", day) + crowd(40, 44, "2025-10-04"))
    shanghai.add_all(crowd(50, 70, "2025-10-02", day) + crowd(70, 95, day))
    assert rows(told(shanghai, day, day, k=10), *STATES) == {day: [25, None, None, 0, None]}
    shanghai.add_all(crowd(44, 51, "2025-10-04"))
    assert rows(told(shanghai, day, day, k=10), *STATES) == {day: [25, 41, 19, 0, 10]}


def test_dormant_is_hidden_with_returning(history: Histories) -> None:
    shanghai = history()
    day = "2025-10-05"
    shanghai.add_all(crowd(0, 12, "2025-10-04", day) + crowd(12, 40, "2025-10-04") + crowd(60, 64, day))
    assert rows(told(shanghai, day, day, k=10), *STATES) == {day: [None, None, 0, 0, None]}


@pytest.mark.parametrize("came_back", [0, 4, 9, 20, 36, 40])
def test_few_who_came_back_so_far_do_not_show_in_the_dormant(history: Histories, came_back: int) -> None:
    """It was suppressed, until as many as k came back."""
    shanghai = history()
    day, over = "2025-10-05", local("2025-10-06 00:00:00")
    shanghai.add_all(crowd(0, 40, "2025-10-04") + crowd(0, came_back, day))
    for as_of, statuses in ((over - MOMENT, {"not_observable"}), (over, {"ok", "suppressed"})):
        (row,) = told(shanghai, day, day, k=10, as_of=as_of).tables["data"]
        assert str(row.cells["dormant"].status) in statuses


def test_stickiness_needs_k_on_either_side(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, "2025-10-05") + crowd(20, 29, "2025-10-04"))
    day = "2025-10-05"
    assert rows(told(shanghai, day, day, "stickiness", k=10)) == {day: [None, 29, None]}
    shanghai.add_all(crowd(29, 30, "2025-10-04"))
    assert rows(told(shanghai, day, day, "stickiness", k=10)) == {day: [20, 30, 0.6667]}


def test_few_with_a_number_of_days_are_told_together(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, "2025-10-05") + crowd(20, 26, "2025-10-04", "2025-10-05"))
    shanghai.add_all(crowd(26, 31, "2025-10-03", "2025-10-04", "2025-10-05"))
    released = told(shanghai, "2025-10-01", "2025-10-05", "stickiness", k=10)
    found = [
        (row.keys["days"], row.keys["days_other"], row.cells["subjects"].value)
        for row in released.tables["active_days"]
    ]
    assert (found, released.totals["subjects"].value) == ([("1", False, 20), (None, True, 11)], 31)


# --- over HTTP ---


def test_the_answers_over_http(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(
        crowd(0, 20, "2026-10-04", "2026-10-05") + crowd(20, 40, "2026-10-05") + crowd(40, 60, "2026-10-04")
    )
    body = {"from": "2026-10-05", "to": "2026-10-05"}
    response = shanghai.program.post("reports/lifecycle", body | {"interval": "day"})
    assert response.status_code == 200, response.content
    assert response.json()["data"] == [
        {
            "date": "2026-10-05",
            "new": 20,
            "returning": 20,
            "resurrected": 0,
            "unknown": 0,
            "dormant": 20,
            "closed": True,
            "status": dict.fromkeys(STATES, "ok"),
        }
    ]
    msgspec.json.decode(response.content, type=LifecycleAnswered, strict=True)
    written = shanghai.program.post("reports/lifecycle", body, Accept="text/csv").content.decode()
    (row,) = csv.DictReader(io.StringIO(written, newline=""))
    assert [row["date"], row["new"], row["dormant"], row["dormant_status"]] == ["2026-10-05", "20", "20", "ok"]
    response = shanghai.program.post("reports/stickiness", body)
    msgspec.json.decode(response.content, type=StickinessAnswered, strict=True)
    answer = response.json()
    assert [answer["data"][0][name] for name in ("dau", "mau_rolling", "stickiness")] == [40, 60, 0.6667]
    assert (answer["active_days"][0]["days"], answer["subjects"]) == ("1", 40)
    assert shanghai.program.post("reports/stickiness", body, Accept="text/csv").content.decode().startswith("date,dau")


@pytest.mark.parametrize(
    ("metric", "more", "code"),
    [
        ("lifecycle", {"filters": [{"field": "os", "op": "eq", "value": "x"}]}, "filters_unavailable"),
        ("lifecycle", {"breakdown": "os"}, "breakdown_unavailable"),
        ("lifecycle", {"privacy": "dp"}, "privacy_unavailable"),
        ("stickiness", {"interval": "week"}, "interval_unavailable"),
        ("stickiness", {"breakdown": "os"}, "breakdown_unavailable"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, metric: str, more: dict[str, Any], code: str) -> None:
    response = history().program.post(f"reports/{metric}", {"from": "2025-10-05", "to": "2025-10-06"} | more)
    assert (response.status_code, response.json()["code"]) == (422, code)


# --- the slow count ---


@drawing(60)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Histories, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        happened = data.draw(histories(around))
        first = around.date() + timedelta(days=data.draw(st.integers(-5, 3)))
        last = first + timedelta(days=data.draw(st.integers(0, 5)))
        by: Any = data.draw(st.sampled_from(["day", "day", "week", "month"]))
        as_of = around + timedelta(hours=data.draw(st.sampled_from([24, 49, 500, 24 * 399, 24 * 401])))
        days = sorted({(one.subject, oracle_lifecycle._sent(one)) for one in happened})
        purged = set(data.draw(st.lists(st.sampled_from(days), max_size=3))) if days else set()
        there.clear()
        there.add_all(happened)
        for subject, day in purged:
            there.owner.execute("DELETE FROM event WHERE subject_id = %s AND day = %s", [there.ids[subject], day])
        gone = [one for one in happened if (one.subject, oracle_lifecycle._sent(one)) in purged]
        held = [one for one in happened if one not in gone]
        compare(there, held, gone, first, last, by, as_of)
        compare_stickiness(there, held, first, last)

    compared()


def compare(
    there: History, held: list[Seen], gone: list[Seen], first: date, last: date, by: Interval, as_of: datetime
) -> None:
    found = told(there, first.isoformat(), last.isoformat(), interval=by, as_of=as_of)
    slow = oracle_lifecycle.lifecycle(held, gone, there.program.zone, first, last, by, as_of)
    begun = [row for row in found.tables["data"] if row.cells["new"].value is not None]
    for row in begun:
        assert {name: cell.value for name, cell in row.cells.items()} == slow[next(iter(row.keys.values()))]


def compare_stickiness(there: History, happened: list[Seen], first: date, last: date) -> None:
    sticky = told(there, first.isoformat(), last.isoformat(), "stickiness")
    by_date, by_number = oracle_lifecycle.stickiness(happened, there.program.zone, first, last)
    assert rows(sticky) == by_date
    assert rows(sticky, table="active_days") == {number: [some] for number, some in by_number.items()}
