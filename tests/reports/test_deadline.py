"""A call and a page take so long in all, whatever each of their statements takes; and nothing of it reaches the next one."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from reports.admin import showing
from reports.api import reports
from tests.cast import Program, now
from tests.consent.desk import Desk, officer, request_row

ASKED = {"from": "2025-10-06", "to": "2025-10-07"}


def slow(*args: Any, **named: Any) -> Any:
    """No statement takes long, and all of them together do."""
    with transaction.atomic(), connection.cursor() as cursor:
        for _ in range(30):
            cursor.execute("SELECT pg_sleep(0.2)")
    raise AssertionError("nobody ended it")


def test_a_call_whose_statements_take_too_long_together_is_told_so(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(reports, "ANSWER_S", 0.5)
        patch.setattr(reports, "answered", slow)
        response = program.post("reports/activity", ASKED)
        assert (response.status_code, response.json()["code"]) == (503, "busy")
    assert program.post("reports/activity", ASKED).status_code == 200


def test_and_so_is_a_page(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = officer("ida", program, may_see=("report",)).enter(program)
    with monkeypatch.context() as patch:
        patch.setattr(showing, "ANSWER_S", 0.5)
        patch.setattr(showing, "answered", slow)
        assert desk.get("reports/report/activity/", query_params=ASKED).status_code == 503
    assert desk.get("reports/report/activity/", query_params=ASKED).status_code == 200


def test_what_else_a_page_tells_is_told_when_its_report_took_too_long(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection was closed, and with it went the mini-program it was under."""
    desk = officer("ida", program, may_see=("report", "subjectrequest")).enter(program)
    program.decide("alice")
    request_row(program, "alice", received_at=now() - timedelta(days=20))
    assert badge(desk, 200) == "1"
    monkeypatch.setattr(showing, "ANSWER_S", 0.5)
    monkeypatch.setattr(showing, "answered", slow)
    assert badge(desk, 503) == "1"


def badge(desk: Desk, status: int) -> str:
    """What stands beside the requests in the side bar of a report's page."""
    response = desk.get("reports/report/activity/", query_params=ASKED)
    assert response.status_code == status
    found = re.search(r'<a href="/admin/consent/subjectrequest/" .*?</a>', response.content.decode(), re.DOTALL)
    assert found is not None
    return re.sub(r"<[^>]*>", " ", found[0]).split()[-1]
