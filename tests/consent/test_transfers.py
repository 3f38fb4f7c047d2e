"""A transfer to a handler whom the person named (PIPL 45): an officer sees to whom, passes it on or says that it was declined."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from consent.programs.tenancy import tenant
from consent.rights import transfers
from consent.rights.models import SubjectRequest
from tests.cast import Program, now
from tests.consent.browsing import Browser, opened
from tests.consent.deciding import told
from tests.consent.desk import Desk, holder
from tests.consent.rights import Working, carry_out, file, lively
from tests.consent.test_home import home, listed
from tests.consent.test_portability import VERIFIED
from tests.tracking.test_barrier import Caller, wait_for_waiters

NAMED = {"name": "Canary Ltd", "contact": "dpo@canary.example", "formats": ["json"]}
OWED = "To be passed on to the handler that the person named"


@pytest.fixture
def desk(program: Program) -> Desk:
    return holder("senior_officer", program).enter(program)


def path(filed: Any, page: str) -> str:
    return f"consent/subjectrequest/{filed['request_id']}/{page}/"


def shown(desk: Desk, filed: Any, page: str = "change") -> str:
    response = desk.get(path(filed, page))
    assert response.status_code == 200
    return str(response.content.decode())


@pytest.fixture
def filed(program: Program, as_worker: Working) -> Any:
    lively(program)
    made = file(program, "portability", recipient=NAMED, **VERIFIED)
    assert made["state"] == "approved"
    assert carry_out(program, as_worker, made)["state"] == "completed"
    return made


@pytest.fixture
def mine(program: Program, filed: Any, owner: psycopg.Connection) -> Browser:
    browser = opened(program, view="requests")
    owner.execute("UPDATE portal_session SET stepped_up = true")
    return browser


def owed(program: Program, *, after: timedelta = timedelta(0)) -> int:
    with tenant(program.id):
        return transfers.owed(program.id, now=now() + after).count()


def test_an_officer_is_told_to_whom_and_passes_it_on(
    program: Program, owner: psycopg.Connection, desk: Desk, filed: Any, mine: Browser
) -> None:
    line = home(desk)["Transfers to be passed on"]
    assert (line.told, listed(desk, line)) == ("1", 1)
    assert OWED in shown(desk, filed)
    assert "Canary" not in shown(desk, filed) + shown(desk, filed, "transfer")
    assert "was not passed on yet" in mine.get(f"/portal/requests/{filed['request_id']}")
    page = desk.post(path(filed, "transfer"))
    assert "no-store" in page["Cache-Control"]
    for said in ("Canary Ltd", "dpo@canary.example", "json"):
        assert said in page.content.decode()
    by, target = f"officer:{desk.user.pk}", f"request:{filed['request_id']}"
    read = "SELECT actor, target, details FROM audit_entry WHERE action = 'transfer.opened'"
    assert owner.execute(read).fetchall() == [(by, target, {})]
    given = "SELECT recipient, ground, fields, name FROM disclosure WHERE target = %s ORDER BY id"
    assert owner.execute(given, [target]).fetchall() == [("officer", "portability.review", ["consent.requests"], "")]
    for reason in ("delivery", "review"):
        assert b"".join(desk.post(path(filed, "package"), form="json", reason=reason).streaming_content)
        assert OWED in shown(desk, filed), "given to others than the handler"
    assert b"".join(desk.post(path(filed, "package"), form="json", reason="handler").streaming_content)
    assert OWED not in shown(desk, filed)
    assert "Passed on to the handler" in shown(desk, filed)
    assert home(desk)["Transfers to be passed on"].told == "0"
    assert "was given out to be passed on" in mine.get(f"/portal/requests/{filed['request_id']}")
    assert [row[0] for row in owner.execute(given, [target]).fetchall()] == ["officer", "subject", "officer", "handler"]
    assert "Canary" not in str(owner.execute("SELECT details FROM audit_entry").fetchall())


def test_an_officer_who_told_the_person_why_not_says_so(
    owner: psycopg.Connection, desk: Desk, filed: Any, mine: Browser
) -> None:
    assert "declined-form" in desk.post(path(filed, "transfer")).content.decode()
    assert desk.post(path(filed, "transfer"), declined="1").status_code == 302
    assert "Not passed on; the person was told why" in shown(desk, filed)
    assert home(desk)["Transfers to be passed on"].told == "0"
    assert "you were told why" in mine.get(f"/portal/requests/{filed['request_id']}")
    assert "declined-form" not in desk.post(path(filed, "transfer")).content.decode()
    desk.post(path(filed, "transfer"), declined="1")
    logged = "SELECT actor, target FROM audit_entry WHERE action = 'transfer.declined'"
    assert owner.execute(logged).fetchall() == [(f"officer:{desk.user.pk}", f"request:{filed['request_id']}")], "once"


def test_what_was_declined_is_given_to_no_handler(owner: psycopg.Connection, desk: Desk, filed: Any) -> None:
    """Nor by the officer whose page was open before."""
    assert 'value="handler"' in shown(desk, filed, "package")
    assert desk.post(path(filed, "transfer"), declined="1").status_code == 302
    said = told(desk, path(filed, "package"), form="json", reason="handler")
    assert said.startswith("The person was told that this is not passed on")
    handed = "SELECT count(*) FROM disclosure WHERE recipient = 'handler'"
    assert owner.execute(handed).fetchone() == (0,)
    assert "Not passed on; the person was told why" in shown(desk, filed)
    assert b"".join(desk.post(path(filed, "package"), form="json", reason="delivery").streaming_content)


def test_of_passing_on_and_declining_one_comes_first(
    program: Program, owner: psycopg.Connection, desk: Desk, filed: Any
) -> None:
    """The one that waits for the other's row hears of it."""
    with tenant(program.id):
        transfers.decline(program_id=program.id, request_id=filed["request_id"], by="officer:1", now=now())
        passing = Caller(lambda: told(desk, path(filed, "package"), form="json", reason="handler"))
        wait_for_waiters(owner, 1)
    assert passing.result().startswith("The person was told")


def test_who_may_not_hand_over_a_package_is_not_told_to_whom(program: Program, filed: Any) -> None:
    desk = holder("officer", program).enter(program)
    assert "To whom it goes" not in shown(desk, filed)
    assert OWED in shown(desk, filed)
    assert desk.get(path(filed, "transfer")).status_code == 403
    assert desk.post(path(filed, "transfer")).status_code == 403
    assert desk.post(path(filed, "transfer"), declined="1").status_code == 403


def test_what_names_nobody_is_passed_on_to_nobody(program: Program, desk: Desk, as_worker: Working) -> None:
    lively(program)
    own = file(program, "portability", **VERIFIED)
    carry_out(program, as_worker, own)
    assert 'id="transfer"' not in shown(desk, own)
    assert desk.get(path(own, "transfer")).status_code == 404
    assert 'value="handler"' not in shown(desk, own, "package")
    response = desk.post(path(own, "package"), form="json", reason="handler")
    assert (response.status_code, response.streaming) == (200, False)
    assert owed(program) == 0


def test_an_expired_package_is_still_owed_and_an_erased_person_is_not(
    program: Program, owner: psycopg.Connection, desk: Desk, filed: Any, as_worker: Working
) -> None:
    owner.execute("UPDATE package SET expires_at = now()")
    assert owed(program) == 1
    assert "The package is gone" in shown(desk, filed)
    assert owed(program, after=transfers.KNOWN_FOR) == 0, "the log of disclosures does not say so any more"
    owner.execute("UPDATE subject SET erasure_pending = true")
    assert desk.post(path(filed, "transfer")).status_code == 302, "closed to reading"
    owner.execute("DELETE FROM request_subject")
    assert owed(program) == 0
    assert desk.post(path(filed, "transfer")).status_code == 302
    with tenant(program.id):
        assert transfers.passing(SubjectRequest.objects.get(id=filed["request_id"]), now=now()) is None


def test_to_whom_a_minors_data_go_is_seen_with_another_officers_approval(
    program: Program, owner: psycopg.Connection, desk: Desk, filed: Any
) -> None:
    owner.execute("UPDATE subject SET under_14 = true")
    assert desk.post(path(filed, "transfer")).status_code == 302
    asked = owner.execute("SELECT what, reason FROM minor_access").fetchall()
    assert asked == [("package", "handler")]
    assert owner.execute("SELECT count(*) FROM disclosure").fetchone() == (0,)
