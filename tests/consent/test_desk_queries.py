"""An officer's page asks the database as often, however many rows there are."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent.rights import legal_holds
from consent.rights.models import HoldGround
from tests.cast import Program, event, now
from tests.consent.desk import CHANGED_LISTS, LISTS, access_row, disclosure_row, package_for, request_row, superuser
from tests.consent.processing import incident, mechanism, processor
from tests.consent.receiver import endpoint

OWN = ("", "record/", "audit-report/", "consent/consentrecord/statistics/", "consent/subjectrequest/statistics/")
OF_A_REQUEST = "subjectrequest/…/change/"
numbers = count()


def one_more(program: Program, owner: psycopg.Connection) -> None:
    """A row of whatever the pages list, and more about the request whose page is looked at."""
    name = f"queried{next(numbers)}"
    asked = request_row(program, name, kind="access")
    package_for(program, asked)
    disclosure_row(program, asked)
    access_row(program)
    program.send(event(name, name))
    incident(program)
    processor(program)
    mechanism(program)
    endpoint(program, f"https://example.com/{name}", events=["consent.changed"])
    program.decide(name, "withdrawn")
    owner.execute("UPDATE webhook_message SET dead_at = now() WHERE dead_at IS NULL")
    legal_holds.hold(
        program_id=program.id, holder="consent.records", ground=HoldGround.TRANSACTIONS, law="law",
        until=now().date() + timedelta(days=9), request_id=asked.pk, by="test",
    )  # fmt: skip


@pytest.fixture
def asked_of(program: Program, owner: psycopg.Connection) -> Callable[[], dict[str, int]]:
    """How many queries each page needs."""
    desk = superuser().enter(program)

    def queries() -> dict[str, int]:
        row: Any = owner.execute("SELECT min(id::text) FROM subject_request").fetchone()
        lists = {name: f"{name}/" for name in (*LISTS, *CHANGED_LISTS)}
        pages = lists | {path: path for path in OWN} | {OF_A_REQUEST: f"consent/subjectrequest/{row[0]}/change/"}
        found = {}
        for name, path in pages.items():
            assert desk.get(path).status_code == 200, path
            with CaptureQueriesContext(connection) as captured:
                desk.get(path)
            found[name] = len(captured)
        return found

    return queries


def test_more_rows_need_no_more_queries(
    program: Program, owner: psycopg.Connection, asked_of: Callable[[], dict[str, int]]
) -> None:
    one_more(program, owner)
    few = asked_of()
    for _ in range(4):
        one_more(program, owner)
    owner.execute(
        "INSERT INTO audit_entry (program_id, at, actor, action, target, details)"
        " SELECT program_id, now(), 'test', 'request.extended', 'request:' || id, '{}' FROM subject_request"
    )
    owner.execute(
        "INSERT INTO holder_run (request_id, program_id, holder, stage, status, attempts, affected, error)"
        " SELECT id, program_id, 'consent.profile', 20, 'pending', 0, 0, '' FROM subject_request"
    )
    assert asked_of() == few
    assert max(few.values()) < 60
