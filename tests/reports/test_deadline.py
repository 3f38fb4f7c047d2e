"""A call and a page take so long in all, whatever each of their statements takes; and nothing of it reaches the next one."""

from typing import Any

import pytest
from django.db import connection, transaction

from reports.admin import showing
from reports.api import reports
from tests.cast import Program
from tests.consent.desk import officer

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
