"""Erasures that need a second look: those an officer filed, and more in an hour than one client may file."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.test import override_settings

from consent import edge
from consent.programs.tenancy import tenant
from consent.rights import actions, erasure_rate, tasks
from consent.rights.models import ErasureCount, SubjectRequest
from tests.cast import Program, event, now
from tests.consent.deciding import approve
from tests.consent.desk import DECIDES, Desk, officer
from tests.consent.rights import file, shown


def filed_by(program: Program, by: str) -> Any:
    filed = actions.file_request(
        vault=edge.vault(),
        program_id=program.id,
        identifiers={"openid": "alice"},
        asked=actions.Asked("erasure", "en"),
        terms=actions.Terms(undo=tasks.SETTLED_AFTER),
        by=by,
        on_filed=print,
    )
    return {"request_id": str(filed.request_id), "state": filed.state}


def test_an_officers_own_erasure_waits_for_another_officer(program: Program, desk: Desk) -> None:
    program.decide("alice")
    filed = filed_by(program, f"officer:{desk.user.pk}")
    assert filed["state"] == "in_review"
    assert "another officer" in approve(desk, filed)
    assert shown(program, filed)["state"] == "in_review"
    second = officer("heidi", program, may=DECIDES).enter(program)
    assert approve(second, filed) == "The request is approved."


def test_the_database_says_so_too(program: Program, desk: Desk) -> None:
    program.decide("alice")
    filed = filed_by(program, "officer:7")
    with pytest.raises(IntegrityError, match="subject_request_two_officers"), tenant(program.id):
        SubjectRequest.objects.filter(id=uuid.UUID(filed["request_id"])).update(approved_by="officer:7")


def test_who_filed_and_who_approved_is_kept(reviewed: Program, desk: Desk, owner: psycopg.Connection) -> None:
    reviewed.decide("alice")
    approve(desk, file(reviewed, "erasure"))
    row = owner.execute("SELECT filed_by, approved_by FROM subject_request").fetchone()
    assert row is not None
    assert (row[0].partition(":")[0], row[1]) == ("client", f"officer:{desk.user.pk}")


@override_settings(ZHIQING_ERASURES_PER_HOUR=2)
def test_beyond_an_hours_number_an_officer_decides(program: Program, owner: psycopg.Connection) -> None:
    states = []
    for openid in ("a", "b", "c", "d"):
        program.decide(openid)
        states.append(file(program, "erasure", openid))
    assert [filed["state"] for filed in states] == ["approved", "approved", "in_review", "in_review"]
    assert all(filed["undo_until"] for filed in states)
    assert program.send(event("d", "e1"))["results"][0]["code"] == "erasure_pending"
    assert file(program, "access", "e")["state"] == "approved"
    owner.execute("UPDATE erasure_count SET hour = hour - interval '1 hour'")
    assert file(program, "erasure", "later")["state"] == "approved"


@override_settings(ZHIQING_ERASURES_PER_HOUR=1)
def test_another_clients_number_is_its_own(program: Program) -> None:
    assert file(program, "erasure", "a")["state"] == "approved"
    program.key = program.key_with("requests")
    assert file(program, "erasure", "b")["state"] == "approved"
    assert file(program, "erasure", "c")["state"] == "in_review"


@override_settings(ZHIQING_ERASURES_PER_HOUR=3)
def test_of_many_at_once_no_more_than_the_number_pass(program: Program) -> None:
    def one(place: int) -> str:
        try:
            return str(file(program, "erasure", f"at-once-{place}")["state"])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(one, range(8)))
    assert sorted(states) == ["approved"] * 3 + ["in_review"] * 5


def test_the_counts_are_forgotten(program: Program, owner: psycopg.Connection) -> None:
    file(program, "erasure", "a")
    owner.execute("UPDATE erasure_count SET hour = hour - interval '4 hours'")
    file(program, "erasure", "b")
    with tenant(program.id):
        assert erasure_rate.forget(program.id, before=now()) == 1
        assert ErasureCount.objects.count() == 1


def test_the_command_tells_what_is_late_and_fails(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    filed = file(program, "access")
    assert listed(program, late=False) == []
    owner.execute("UPDATE subject_request SET due_at = now() - interval '1 hour'")
    (row,) = listed(program, late=True)
    assert (row["request"], row["stage"]) == (filed["request_id"], "overdue")


def listed(program: Program, *, late: bool) -> list[dict[str, Any]]:
    out = StringIO()
    try:
        call_command("requests", "--overdue", "--json", program=program.id, stdout=out)
        assert not late
    except CommandError as error:
        assert late, error
        assert error.returncode == 1
    found: list[dict[str, Any]] = json.loads(out.getvalue())["overdue"]
    return found
