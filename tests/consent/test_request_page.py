"""The page of a request: what happened when, how it was made sure who asks, and a holder that stopped tried again."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent.admin.packages import Reason
from consent.rights import runs
from consent.rights.review import set_review
from tests.cast import Program, now
from tests.consent.deciding import audited, download, extend, reject, told
from tests.consent.desk import Desk, holder, officer, request_row
from tests.consent.rights import Working, carry_out, file, lively, overdue, shown
from tests.consent.test_retrying import raising, run_of
from tracking.personal_data import EventHolder

TAG = re.compile(r"<[^>]+>")


def page(desk: Desk, filed: Any) -> str:
    response = desk.get(f"consent/subjectrequest/{filed['request_id']}/change/")
    assert response.status_code == 200
    text: str = response.content.decode()
    return text


def timeline(desk: Desk, filed: Any) -> list[str]:
    """Its lines without their times."""
    section = page(desk, filed).partition('id="timeline"')[2].partition("</section>")[0]
    lines = re.findall(r"<li .*?</li>", section, re.DOTALL)
    words = [" ".join(unescape(TAG.sub(" ", line)).split()) for line in lines]
    return [re.sub(r"^\d{4}-\d\d-\d\d( \d\d:\d\d)? ", "", line) for line in words]


def path(owner: psycopg.Connection, filed: Any) -> str:
    return f"consent/subjectrequest/runs/{run_of(owner, filed)}/retry/"


def stopped(program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An access request whose holder of events has given up."""
    lively(program)
    filed = file(program, "access")
    with monkeypatch.context() as patched:
        patched.setattr(EventHolder, "export", raising)
        for _ in range(runs.MAX_ATTEMPTS):
            overdue(owner)
            carry_out(program, as_worker, filed)
    assert shown(program, filed)["state"] == "failed"
    return filed


def test_what_happened_to_a_package_is_told_in_its_order(program: Program, as_worker: Working) -> None:
    lively(program)
    filed = file(program, "access")
    carry_out(program, as_worker, filed)
    desk = holder("senior_officer", program).enter(program)
    assert download(desk, filed).status_code == 200
    lines = timeline(desk, filed)
    by = f"officer:{desk.user.pk}"
    order = [
        f"Received · client:{program.client_id}",
        "The package was begun",
        "Completed · worker",
        f"Package downloaded ({Reason.DELIVERY.value}) · {by}",
        f"Given to: the data subject · {by}",
        "The package expires",
        "Due",
    ]
    assert [line for line in lines if line in order] == order
    assert "Events: done" in lines


def test_decisions_are_told_with_who_took_them_and_how_who_asks_was_verified(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    set_review(program_id=program.id, kind="erasure", on=True, by="test")
    program.decide("alice")
    filed = file(program, "erasure", requester="agent")
    assert "Who asks is not verified yet." in page(desk, filed)
    reference = "safe 12, folder 3"
    verify = f"consent/subjectrequest/{filed['request_id']}/verify/"
    told(desk, verify, method="authority", reference=reference)
    extend(desk, filed)
    reject(desk, filed)
    by = f"officer:{desk.user.pk}"
    lines = timeline(desk, filed)
    assert f"Requester verified (identity and written authority seen) · {by}" in lines
    assert f"Deadline extended (identity is still being verified) · {by}" in lines
    assert f"Rejected · {by}" in lines and "Was due at first" in lines
    text = page(desk, filed)
    assert "Who asks was verified: identity and written authority seen." in text
    assert reference not in text, "what is sealed is not opened for a glance"


def test_what_an_erasure_leaves_is_told_by_the_day(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "erasure")
    overdue(owner)
    carry_out(program, as_worker, filed)
    section = page(desk, filed).partition('id="timeline"')[2].partition("</section>")[0]
    assert "Erasing began" in section and "Completed" in section
    assert not re.search(r"\d\d:\d\d", section)


def test_a_request_of_old_with_many_entries_takes_no_more_queries(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    asked = request_row(program, "alice")
    filed = {"request_id": str(asked.pk)}

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page(desk, filed)
        return len(captured)

    few = queries()
    owner.execute(
        "INSERT INTO audit_entry (program_id, actor, action, target, details) SELECT %s, 'x', 'request.overdue', %s, '{}'"
        " FROM generate_series(1, 300)",
        [program.id, f"request:{asked.pk}"],
    )
    assert queries() == few < 30
    assert timeline(desk, filed).count("Reminder: request overdue · x") == 100


def test_the_logs_are_told_only_to_whom_may_read_them(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    program.decide("alice")
    filed = file(program, "access")
    extend(desk, filed)
    narrow = officer("ned", program, may_see=("subjectrequest",)).enter(program)
    assert any("Deadline extended" in line for line in timeline(desk, filed))
    assert not any("Deadline extended" in line for line in timeline(narrow, filed))


def test_a_holder_that_gave_up_is_tried_again_from_the_page(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = stopped(program, owner, as_worker, monkeypatch)
    desk = holder("officer", program).enter(program)
    text = page(desk, filed)
    assert path(owner, filed) in text and "RuntimeError" in text
    asks = desk.get(path(owner, filed)).content.decode()
    assert "Try again now" in asks and "RuntimeError" in asks and "row of alice" not in asks
    assert shown(program, filed)["state"] == "failed", "looking changes nothing"
    assert desk.strict().post(f"/admin/{path(owner, filed)}").status_code == 403
    assert told(desk, path(owner, filed)) == "The holder is tried again now."
    assert ("request.holder_retried", f"officer:{desk.user.pk}") in [row[:2] for row in audited(owner, filed)]
    assert told(desk, path(owner, filed)).startswith("The holder has not stopped")
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    assert path(owner, filed) not in page(desk, filed)
    assert "not stopped" in desk.get(path(owner, filed)).content.decode()
    by = f"officer:{desk.user.pk}"
    lines = timeline(desk, filed)
    assert "Request failed · worker" in lines and f"Holder made to try again (Events) · {by}" in lines


def test_a_holder_that_waits_after_a_failure_is_offered_with_its_next_attempt(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    filed = file(program, "access")
    again = now() + timedelta(hours=2)
    owner.execute("UPDATE holder_run SET error = 'OSError', attempts = 3, not_before = %s", [again])
    desk = holder("officer", program).enter(program)
    assert "tried again at" in page(desk, filed)
    told(desk, path(owner, filed))
    row = owner.execute("SELECT attempts, not_before < now() FROM holder_run WHERE id = %s", [run_of(owner, filed)])
    assert row.fetchone() == (0, True)


def test_who_may_not_work_on_requests_or_is_of_another_mini_program_tries_nothing_again(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = stopped(program, owner, as_worker, monkeypatch)
    inspector = holder("inspector", program).enter(program)
    assert path(owner, filed) not in page(inspector, filed)
    assert inspector.post(path(owner, filed)).status_code == 403
    stranger = holder("officer", other).enter(other)
    assert stranger.get(path(owner, filed)).status_code == 404
    assert stranger.post(path(owner, filed)).status_code == 404
    assert shown(program, filed)["state"] == "failed"


def test_why_a_holder_is_not_tried_again_is_told(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = stopped(program, owner, as_worker, monkeypatch)
    carry_out(program, as_worker, file(program, "access"))
    desk = holder("officer", program).enter(program)
    assert told(desk, path(owner, filed)).startswith("The person has asked for this again since")
