"""L15: a request is due 15 working days or 30 days after its receipt, by the PRC holiday calendar, and never late in silence."""

from datetime import datetime, timedelta

import psycopg
import pytest

from consent.rights import retrying, tasks
from consent.rights.deadlines import Deadlines, due_at, extended, is_estimate
from tests.cast import Program, now
from tests.consent.desk import Desk
from tests.consent.rights import Working, file

SHANGHAI = "Asia/Shanghai"


@pytest.mark.parametrize(
    ("received", "due"),
    [
        # 1 to 7 October are no working days, 10 October, a Saturday, is one; the 30 days would be later.
        ("2026-09-28T02:00:00+00:00", "2026-10-23T02:00:00+00:00"),
        # Sunday 20 September and Saturday 10 October are worked, 25 September is not.
        ("2026-09-18T02:00:00+00:00", "2026-10-15T02:00:00+00:00"),
        # Spring Festival, 15 to 23 February, and two Saturdays worked for it.
        ("2026-02-06T02:00:00+00:00", "2026-03-05T02:00:00+00:00"),
        # The calendar of 2027 is not published: weekends alone, from New Year's Day on.
        ("2026-12-18T02:00:00+00:00", "2027-01-08T02:00:00+00:00"),
    ],
)
def test_working_days_are_those_of_the_holiday_calendar(received: str, due: str) -> None:
    moment = datetime.fromisoformat(received)
    assert due_at(moment, Deadlines(), zone=SHANGHAI) == datetime.fromisoformat(due)


def test_thirty_days_are_the_most_and_both_can_be_shorter() -> None:
    moment = datetime.fromisoformat("2026-09-28T02:00:00+00:00")
    assert due_at(moment, Deadlines(days=20), zone=SHANGHAI) == moment + timedelta(days=20)
    assert due_at(moment, Deadlines(working_days=3), zone=SHANGHAI) == moment + timedelta(days=10)


def test_an_extension_counts_by_the_same_calendar() -> None:
    before = datetime.fromisoformat("2026-09-30T02:00:00+00:00")
    assert extended(before, 1, zone=SHANGHAI) == datetime.fromisoformat("2026-10-08T02:00:00+00:00")
    assert extended(before, 3, zone=SHANGHAI) == datetime.fromisoformat("2026-10-10T02:00:00+00:00")


def test_a_deadline_in_a_year_without_a_calendar_is_an_estimate() -> None:
    assert not is_estimate(datetime.fromisoformat("2026-12-31T15:59:00+00:00"), zone=SHANGHAI)
    assert is_estimate(datetime.fromisoformat("2026-12-31T16:00:00+00:00"), zone=SHANGHAI)


def test_officers_are_told_that_a_deadline_is_an_estimate(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    filed = file(program, "access")
    address = f"consent/subjectrequest/{filed['request_id']}/change/"
    for due, told in (("2026-12-10T02:00:00+00:00", False), ("2099-01-05T02:00:00+00:00", True)):
        owner.execute("UPDATE subject_request SET due_at = %s", [due])
        assert ("weekends alone: the holiday calendar" in desk.get(address).content.decode()) is told
        listed = desk.get("consent/subjectrequest/").content.decode()
        assert ("holiday calendar is not published yet" in listed) is told


def test_a_failed_request_is_late_until_another_of_its_kind_is_filed(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    file(program, "access")
    owner.execute("UPDATE subject_request SET state = 'failed', closed_at = received_at, due_at = clock_timestamp()")
    owner.execute("UPDATE request_subject SET open = false")
    for _ in range(2):
        with as_worker():
            tasks.remind()
    assert owner.execute("SELECT stage FROM request_reminder").fetchall() == [("overdue",)]
    assert "Overdue: 1" in " ".join(desk.get("consent/subjectrequest/").content.decode().split())
    file(program, "access")
    assert "Overdue" not in " ".join(desk.get("consent/subjectrequest/").content.decode().split()).split("Due soon")[0]


def test_a_request_that_is_opened_again_is_told_of_again(
    program: Program, owner: psycopg.Connection, as_worker: Working, caplog: pytest.LogCaptureFixture
) -> None:
    """Its deadline is what it was: whoever was told of the failure has not been told that it is late once more."""
    program.decide("alice")
    filed = file(program, "access")
    row = owner.execute("SELECT min(id) FROM holder_run").fetchone()
    assert row is not None
    fail = "UPDATE subject_request SET state = 'failed', closed_at = received_at, due_at = received_at"
    for opened in range(2):
        owner.execute(fail.encode())
        owner.execute("UPDATE holder_run SET status = 'failed' WHERE id = %s", row)
        for _ in range(2):
            with as_worker():
                tasks.remind()
        told = owner.execute("SELECT stage, reopened FROM request_reminder ORDER BY id").fetchall()
        assert told == [("overdue", number) for number in range(opened + 1)]
        retrying.retry(
            program_id=program.id, run_id=row[0], package_kept=timedelta(1), by="officer:1", on_due=lambda _: None
        )
    with as_worker():
        tasks.remind()
    logged = [record.__dict__["fields"] for record in caplog.records if "needs an officer" in record.getMessage()]
    assert logged == [{"request": filed["request_id"], "stage": "overdue"}] * 3


def test_nothing_is_overdue_in_silence(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working, caplog: pytest.LogCaptureFixture
) -> None:
    program.decide("alice")
    filed = file(program, "access")
    for due, stages in ((now() + timedelta(hours=1), ["due_soon"]), (now(), ["due_soon", "overdue"])):
        owner.execute("UPDATE subject_request SET due_at = %s", [due])
        for _ in range(2):
            with as_worker():
                tasks.remind()
        noted = [row[0] for row in owner.execute("SELECT stage FROM request_reminder ORDER BY id").fetchall()]
        assert noted == stages, "once a stage"
    entries = owner.execute(
        "SELECT action FROM audit_entry WHERE target = %s ORDER BY id", [f"request:{filed['request_id']}"]
    ).fetchall()
    assert [row[0] for row in entries] == ["request.filed", "request.due_soon", "request.overdue"]
    logged = [record.__dict__["fields"] for record in caplog.records if "needs an officer" in record.getMessage()]
    assert logged == [{"request": filed["request_id"], "stage": stage} for stage in stages]
    assert "Overdue: 1" in " ".join(desk.get("consent/subjectrequest/").content.decode().split())
