"""The report `quality`, worked out by hand; and what the gate makes of it."""

import csv
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from reports.api.answers.events import Answers, QualityAnswered
from tests.cast import event, make_program, now
from tests.reports.events import local
from tests.reports.sent import Receipts, Sent, rows, totals
from tracking.codes import REFUSED

NOON = local("2025-10-08 12:00:00")  # a Wednesday
DAY = "2025-10-08"
SECOND = timedelta(seconds=1)
Programs = Callable[..., Receipts]


@pytest.fixture
def receipts(database: None, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """`receipts("Asia/Tehran")`: a new mini-program and what it sent."""

    def made(zone: str = "Asia/Shanghai", **more: Any) -> Receipts:
        return Receipts(make_program(zone=zone), owner, monkeypatch, **more)

    return made


def crowd(number: int, *more: Any, **most: Any) -> list[Sent]:
    """An event of each of so many subjects."""
    return [Sent(f"s{n}", *more, **most) for n in range(number)]


def cell(released: Any, event: str | None, name: str, day: str = DAY) -> tuple[float | None, str]:
    (row,) = [row for row in released.tables["data"] if tuple(row.keys.values()) == (day, event)]
    return row.cells[name].value, str(row.cells[name].status)


def test_each_event_counts_by_its_type_and_answer(receipts: Programs) -> None:
    shanghai = receipts()
    shanghai.receive(
        NOON,
        Sent("ann"), Sent("ann"), Sent("ann", "duplicate"), Sent("bob", "consent_missing"), Sent("bob", "busy"),
        Sent("bob", "too_old", "tap"), Sent("cem", "unknown_event", "my_secret"), Sent(None, "invalid_event"),
    )  # fmt: skip
    shanghai.receive(NOON + timedelta(hours=2), Sent("ann"), Sent("bob", "consent_changing"))
    released = shanghai.ask(DAY, DAY)
    assert rows(released) == {
        (DAY, "page_view"): {"accepted": 3, "duplicate": 1, "refused": 1, "consent_missing": 1},
        (DAY, "tap"): {"refused": 1, "too_old": 1},
        (DAY, None): {"refused": 2, "unknown_event": 1, "invalid_event": 1},
    }
    assert totals(released) == {
        "accepted": 3, "duplicate": 1, "refused": 4,
        "consent_missing": 1, "too_old": 1, "unknown_event": 1, "invalid_event": 1,
    }  # fmt: skip
    names = [row.keys["event"] for row in released.tables["data"]]
    assert names[-1] is None
    assert {"page_view", "tap", "share"} <= set(names), "a type that nobody sent is a row of zeros"
    assert cell(released, "share", "accepted") == (0, "ok")


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("Asia/Shanghai", "2025-10-07 16:00:00"),
        ("Asia/Tehran", "2025-10-07 20:30:00"),
        ("Asia/Kathmandu", "2025-10-07 18:15:00"),
        ("America/New_York", "2025-10-08 04:00:00"),  # EDT
    ],
)
def test_an_event_counts_on_the_local_day_it_came(receipts: Programs, zone: str, midnight: str) -> None:
    there, at = receipts(zone), local(midnight, "UTC")
    there.receive(at - SECOND, Sent("ann"))
    there.receive(at, Sent("ann"), Sent("ann"))
    there.receive(at + timedelta(minutes=14, seconds=59), Sent("ann"))
    assert rows(there.ask("2025-10-06", "2025-10-09")) == {
        ("2025-10-07", "page_view"): {"accepted": 1},
        (DAY, "page_view"): {"accepted": 3},
    }


@pytest.mark.parametrize(("day", "hours"), [("2025-03-09", 23), ("2025-11-02", 25)])
def test_the_days_on_which_clocks_change(receipts: Programs, day: str, hours: int) -> None:
    york = receipts("America/New_York")
    begins = local(f"{day} 00:00:00", "America/New_York").astimezone(local(DAY, "UTC").tzinfo)
    for at in (begins - SECOND, begins + timedelta(hours=hours)):
        york.receive(at, Sent("other"))
    for hour in range(hours):
        york.receive(begins + timedelta(hours=hour, minutes=59), Sent("ann"))
    assert rows(york.ask(day, day)) == {(day, "page_view"): {"accepted": hours}}
    hour_rows = york.owner.execute("SELECT count(DISTINCT hour) FROM ingest_count").fetchone()
    assert hour_rows == (hours + 2,)


def test_an_event_is_late_once_its_day_was_closed(receipts: Programs) -> None:
    tehran = receipts("Asia/Tehran")
    closes = local("2025-10-07 00:00:00", "Asia/Tehran") + timedelta(hours=48)  # of the 6th
    happened = [local("2025-10-06 00:00:00", "Asia/Tehran"), local("2025-10-06 23:59:59", "Asia/Tehran")]
    for at in (closes - SECOND, closes):
        tehran.receive(at, *(Sent("ann", age=at - one) for one in happened), Sent("ann", age=timedelta(hours=48)))
    assert rows(tehran.ask("2025-10-08", "2025-10-09")) == {
        ("2025-10-08", "page_view"): {"accepted": 3},
        ("2025-10-09", "page_view"): {"accepted": 3, "late": 2},
    }
    tehran.receive(closes, Sent("ann", "duplicate", age=timedelta(days=6)), Sent("ann", "too_old", age=timedelta(30)))
    assert rows(tehran.ask("2025-10-09", "2025-10-09"))["2025-10-09", "page_view"]["late"] == 2, "accepted ones only"


def test_weeks_from_monday_and_months_count_whole_and_so_does_the_total(receipts: Programs) -> None:
    shanghai = receipts()
    for day in ("2025-09-28", "2025-09-29", "2025-10-05", "2025-10-06", "2025-10-31"):
        shanghai.receive(local(f"{day} 23:59:59"), Sent("ann"))
    weeks = shanghai.ask("2025-10-05", "2025-10-06", interval="week")
    assert rows(weeks) == {("2025-09-29", "page_view"): {"accepted": 2}, ("2025-10-06", "page_view"): {"accepted": 1}}
    assert totals(weeks) == {"accepted": 3}
    months = shanghai.ask("2025-10-15", "2025-10-15", interval="month")
    assert rows(months) == {("2025-10-01", "page_view"): {"accepted": 3}}


def test_processes_are_summed_and_the_one_that_knew_most_decides(receipts: Programs) -> None:
    shanghai = receipts()
    shanghai.receive(NOON, *crowd(9), process=0)
    shanghai.receive(NOON, *crowd(9), process=1)
    assert cell(shanghai.ask(DAY, DAY, k=10), "page_view", "accepted") == (None, "suppressed"), "they may be the same"
    shanghai.receive(NOON + timedelta(hours=5), Sent("s9"), process=1)
    released = shanghai.ask(DAY, DAY, k=10)
    assert cell(released, "page_view", "accepted") == (19, "ok"), "a process remembers its day"
    assert cell(released, "page_view", "duplicate") == (0, "ok")


def test_processes_that_share_a_slot_are_summed_but_their_subjects_are_not(receipts: Programs) -> None:
    shanghai = receipts(slots=1)
    shanghai.receive(NOON, *crowd(6), process=0)
    shanghai.receive(NOON, *crowd(5), process=1)
    assert shanghai.owner.execute("SELECT slot, events, day_subjects FROM ingest_count").fetchall() == [(0, 11, 6)]


def test_a_new_day_begins_with_nobody(receipts: Programs) -> None:
    shanghai = receipts()
    midnight = local("2025-10-09 00:00:00")
    shanghai.receive(midnight - SECOND, *crowd(10))
    shanghai.receive(midnight, Sent("s0"))
    released = shanghai.ask(DAY, "2025-10-09", k=10)
    assert cell(released, "page_view", "accepted") == (10, "ok")
    assert cell(released, "page_view", "accepted", "2025-10-09") == (None, "suppressed")


def test_who_is_named_twice_counts_once_and_who_cannot_be_read_not_at_all(receipts: Programs) -> None:
    shanghai = receipts()
    shanghai.receive(NOON, *crowd(9, "consent_missing"), *crowd(9, "consent_missing", known=False))
    shanghai.receive(NOON, *[Sent(None, "invalid_event")] * 5000)
    released = shanghai.ask(DAY, DAY, k=10)
    assert cell(released, "page_view", "consent_missing") == (None, "suppressed"), "known now, unknown before"
    assert cell(released, None, "invalid_event") == (None, "suppressed")
    shanghai.receive(NOON, Sent("s9", "consent_missing", known=False))
    assert cell(shanghai.ask(DAY, DAY, k=10), "page_view", "consent_missing") == (19, "ok")


def test_late_ones_and_the_others_do_not_tell_of_each_other(receipts: Programs) -> None:
    shanghai, old = receipts(), timedelta(days=5)
    shanghai.receive(NOON, *crowd(12), *crowd(3, age=old))
    released = shanghai.ask(DAY, DAY, k=10)
    assert [cell(released, "page_view", name) for name in ("accepted", "late")] == [(15, "ok"), (None, "suppressed")]
    shanghai.receive(NOON, *crowd(10, age=old))
    released = shanghai.ask(DAY, DAY, k=10)
    assert [cell(released, "page_view", name)[0] for name in ("accepted", "late")] == [25, 13]
    shanghai.receive(NOON, *crowd(12, name="tap", age=old), Sent("s0", name="tap"))
    released = shanghai.ask(DAY, DAY, k=10)
    assert [cell(released, "tap", name)[0] for name in ("accepted", "late")] == [13, None], "13 - 12 is one subject's"


def test_a_sum_of_codes_does_not_tell_the_one_that_is_withheld(receipts: Programs) -> None:
    shanghai = receipts()
    shanghai.receive(NOON, *crowd(12, "consent_missing"), *crowd(11, "too_old"))
    released = shanghai.ask(DAY, DAY, k=10)
    assert [cell(released, "page_view", name)[0] for name in ("refused", "consent_missing", "too_old")] == [23, 12, 11]
    assert released.totals["refused"].value == 23
    shanghai.receive(NOON, *crowd(2, "restricted"))
    released = shanghai.ask(DAY, DAY, k=10)
    assert [cell(released, "page_view", name)[0] for name in ("refused", "consent_missing", "restricted")] == [
        None, 12, None,
    ]  # fmt: skip
    assert released.totals["refused"].value is None
    assert released.totals["consent_missing"].value == 12


def test_a_total_is_told_only_where_every_part_is(receipts: Programs) -> None:
    shanghai = receipts()
    shanghai.receive(NOON, *crowd(12), *crowd(10, name="tap"))
    assert shanghai.ask(DAY, "2025-10-09", k=10).totals["accepted"].value == 22
    shanghai.receive(NOON + timedelta(days=1), *crowd(6, name="tap"), *crowd(6, name="launch"))
    assert shanghai.ask(DAY, "2025-10-09", k=10).totals["accepted"].value is None, "6 and 6 may be the same 6"


def test_what_more_a_process_knew_proves_nothing_of_who_came(receipts: Programs) -> None:
    """Two knew twelve each; a third sees these again, and one more."""
    shanghai = receipts()
    shanghai.receive(NOON, *crowd(24)[:12])
    shanghai.receive(NOON, *crowd(24)[12:], process=1)
    body = {"from": DAY, "to": DAY}
    assert shanghai.program.post("reports/quality", body).json()["accepted"] == 24
    shanghai.receive(NOON, *crowd(25), process=2)
    told = shanghai.program.post("reports/quality", body).json()
    assert (told["accepted"], told["revision"]) == (24, 1)


def test_on_an_open_day_no_nought_is_told_and_none_can_be_worked_out(receipts: Programs) -> None:
    shanghai = receipts()
    shanghai.receive(NOON, *crowd(12), *crowd(12, "consent_missing"))
    as_of = NOON + timedelta(hours=1)
    released = shanghai.ask(DAY, "2025-10-09", k=10, as_of=as_of)
    told = {name: cell(released, "page_view", name) for name in ("accepted", "late", "refused", "consent_missing")}
    assert told == {
        "accepted": (12, "ok"), "late": (None, "suppressed"), "refused": (None, "suppressed"),
        "consent_missing": (12, "ok"),
    }  # fmt: skip
    assert cell(released, "page_view", "accepted", "2025-10-09") == (None, "not_observable")


def test_the_answer_is_what_the_schema_says_and_csv_has_its_rows(receipts: Programs) -> None:
    shanghai = receipts()
    shanghai.receive(NOON, *crowd(12))
    asked = {"from": DAY, "to": DAY}
    response = shanghai.program.post("reports/quality", asked)
    assert response.status_code == 200, response.content
    answered = msgspec.json.decode(response.content, type=QualityAnswered, strict=True)
    assert (answered.accepted, answered.late, answered.privacy.k) == (12, 0, 10)
    assert set(response.json()) == set(QualityAnswered.__struct_fields__)
    assert set(Answers.__struct_fields__) == {"accepted", "late", "duplicate", "refused", "status", *REFUSED}
    table = shanghai.program.post("reports/quality", asked, Accept="text/csv")
    lines = list(csv.DictReader(io.StringIO(table.content.decode(), newline="")))
    by_event = {line["event"]: line for line in lines}
    assert by_event["page_view"]["accepted"] == "12"
    assert by_event[""]["accepted"] == "0"
    wrong = shanghai.program.post("reports/quality", asked | {"breakdown": "event"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "breakdown_unavailable")


def test_what_a_backend_sends_is_what_the_report_tells(receipts: Programs) -> None:
    """Over HTTP, from the gate to the report; another mini-program's events are not there."""
    program, other = receipts().program, receipts().program
    program.decide("ann")
    first = event("ann", "e1")
    program.send(first, event("ann", "e2"), event("bob", "e3"), event("ann", "e4", name="no_such"))
    program.send(first)
    day: datetime = now() + timedelta(hours=8)
    asked = {"from": str(day.date() - timedelta(days=1)), "to": str(day.date())}
    settled = Receipts(program, receipts().owner, pytest.MonkeyPatch())
    found = totals(settled.ask(asked["from"], asked["to"]))
    assert found == {"accepted": 2, "duplicate": 1, "refused": 2, "consent_missing": 1, "unknown_event": 1}
    assert other.post("reports/quality", asked).status_code == 200
    assert totals(Receipts(other, settled.owner, settled.monkeypatch).ask(asked["from"], asked["to"])) == {}
