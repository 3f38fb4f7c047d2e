"""L18 (PIPL 55, 56): what was given to whom is logged, and the log stays for three years."""

from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection

from consent.programs.tenancy import role, tenant
from tests.cast import Program
from tests.consent.deciding import download
from tests.consent.desk import DECIDES, disclosure_row, officer, request_row
from tests.consent.retaining import over, purge
from tests.consent.rights import Working, ask, carry_out, file, lively

VERIFIED = {"verification": {"method": "sms", "at": "2026-01-01T00:00:00Z"}}


def logged(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT recipient, name, ground, fields, subjects, target, actor FROM disclosure ORDER BY id"
    ).fetchall()


def taken(program: Program, as_worker: Working, reason: str, form: str = "json", **asked: Any) -> tuple[str, str]:
    """A package is made and downloaded by an officer; answers the request and the officer."""
    filed = ask(program, asked.pop("kind", "access"), **asked).json()
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    desk = officer("grace", program).enter(program)
    page = f"consent/subjectrequest/{filed['request_id']}/package/"
    letter = {"reference": "no. 12"} if reason == "authority" else {}
    response = desk.post(page, form=form, reason=reason, **letter)
    assert response.status_code == 200
    assert b"".join(response)
    return f"request:{filed['request_id']}", f"officer:{desk.user.pk}"


WHOLE = [
    "consent.processors",
    "consent.profile",
    "consent.records",
    "consent.requests",
    "consent.subject",
    "reports.rollups",
    "tracking.events",
]


@pytest.mark.parametrize(
    ("reason", "recipient"), [("delivery", "subject"), ("review", "officer"), ("authority", "authority")]
)
def test_who_takes_a_package_for_whom_is_logged(
    program: Program, owner: psycopg.Connection, as_worker: Working, reason: str, recipient: str
) -> None:
    lively(program)
    target, by = taken(program, as_worker, reason)
    assert logged(owner) == [(recipient, "", f"access.{reason}", WHOLE, 1, target, by)]


def test_a_transfer_is_logged_with_the_handler_it_goes_to(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    target, by = taken(
        program, as_worker, "handler", "csv", kind="portability", recipient={"name": "Other Shop Ltd"}, **VERIFIED
    )
    given = ("handler", "", "portability.handler", ["tracking.events"], 1, target, by)
    assert logged(owner) == [given], "what the person wrote stays sealed: the log outlives them"


def test_who_asked_for_the_person_is_not_told_as_the_person(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "access", requester="agent")
    desk = officer("heidi", program, may=(*DECIDES,)).enter(program)
    page = f"consent/subjectrequest/{filed['request_id']}/verify/"
    assert desk.post(page, method="authority", reference="file 17").status_code == 302
    carry_out(program, as_worker, filed)
    assert download(desk, filed).status_code == 200
    assert [row[0] for row in logged(owner)] == ["representative"]


def test_the_log_is_only_added_to(owner: psycopg.Connection) -> None:
    for login in ("zq_app", "zq_ingest", "zq_erase", "zq_ops"):
        for right in ("UPDATE", "DELETE", "TRUNCATE"):
            asked = owner.execute("SELECT has_table_privilege(%s, 'disclosure', %s)", [login, right])
            assert asked.fetchone() == ((login, right) == ("zq_erase", "DELETE"),), (login, right)


def test_the_log_stays_three_years_whoever_deletes(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    asked = request_row(program, "alice")
    for age in ("3 years 1 day", "3 years -1 day", "0 days"):
        disclosure_row(program, asked)
        owner.execute("UPDATE disclosure SET at = now() - %s::interval WHERE at > now() - interval '1 h'", [age])
    assert [(item.table, item.rows) for item in over(program) if item.table == "disclosure"] == [("disclosure", 1)]
    with as_worker(), tenant(program.id), role("zq_erase"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM disclosure WHERE at > now() - interval '3 years'")
        assert cursor.rowcount == 0
    with pytest.raises(DatabaseError), tenant(program.id), connection.cursor() as cursor:
        cursor.execute("DELETE FROM disclosure")
    assert len(logged(owner)) == 3
    purge(program, as_worker)
    assert len(logged(owner)) == 2
    assert over(program) == []
