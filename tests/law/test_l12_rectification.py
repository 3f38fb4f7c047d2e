"""L12 (PIPL 46): a rectification records the check, keeps before and after sealed, and reaches what was derived."""

from typing import Any

import psycopg

from consent.ledger.audit import audit
from consent.programs.tenancy import tenant
from tests.cast import Program
from tests.consent.desk import officer
from tests.consent.rights import Working, carry_out, file, lively, package_of, sections
from tests.consent.test_find_person import PERSON

VERIFICATION = {"method": "sms", "at": "2026-01-01T00:00:00Z"}
CHANGES = {"attributes": {"city": "苏州", "nickname": None}, "identifiers": {"openid": "alice-2"}}
RECTIFIED = [
    {"of": "attributes", "name": "city", "before": "杭州", "after": "苏州"},
    {"of": "attributes", "name": "nickname", "before": "小艾", "after": None},
    {"of": "identifiers", "name": "openid", "before": "alice", "after": "alice-2"},
]


def rectified(program: Program, as_worker: Working) -> Any:
    lively(program)
    filed = file(program, "rectification", changes=CHANGES, verification=VERIFICATION)
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    return filed


def told(program: Program, as_worker: Working, openid: str, request_id: str) -> dict[str, Any]:
    """What a later package says of the request."""
    filed = file(program, "access", openid)
    carry_out(program, as_worker, filed)
    (row,) = [r for r in sections(package_of(program, filed))["requests"] if r["request_id"] == request_id]
    return row


def test_the_check_and_what_was_before_and_after_are_kept_sealed(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    filed = rectified(program, as_worker)
    row = told(program, as_worker, "alice-2", filed["request_id"])
    assert row["rectified"] == RECTIFIED
    assert row["check"] == {"by": f"client:{program.client_id}", "how": "caller", "at": row["check"]["at"]}
    assert row["asked"]["verification"]["method"] == "sms"
    stored = owner.execute("SELECT sealed FROM request_subject WHERE kind = 'rectification'").fetchone()
    assert stored is not None and "杭州".encode() not in stored[0] and b"alice" not in stored[0]


def test_what_a_review_found_is_kept_with_the_officer_who_did_it(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "rectification", changes={"attributes": {"city": "苏州"}})
    owner.execute("UPDATE subject_request SET reviewed = true")
    with tenant(program.id):
        audit(
            program_id=program.id,
            actor="officer:7",
            action="request.approved",
            target=f"request:{filed['request_id']}",
        )
    carry_out(program, as_worker, filed)
    row = told(program, as_worker, "alice", filed["request_id"])
    assert (row["check"]["by"], row["check"]["how"]) == ("officer:7", "review")


def test_it_reaches_what_was_derived(program: Program, as_worker: Working) -> None:
    """Of attributes and identifiers: what finds the person, by identifier and by telephone number. Events hold neither."""
    pseudonym = lively(program)
    added = {"subject": {"openid": "alice"}, "add": {"phone": "13812345678"}}
    assert program.post("identities", added).status_code == 200
    changes = {"identifiers": {"openid": "alice-2", "phone": "13912345678"}}
    filed = file(program, "rectification", changes=changes)
    carry_out(program, as_worker, filed)
    assert program.decide("alice-2", "deferred")["subject_id"] == pseudonym
    assert program.decide("alice", "deferred")["subject_id"] != pseudonym
    desk = officer("grace", program, may=("find_subject",)).enter(program)
    for phone, found in (("13912345678", True), ("13812345678", False)):
        people = PERSON.findall(desk.post("person/", kind="phone", value=phone).content.decode())
        assert [filed["request_id"] in desk.get(person).content.decode() for person in people] == [True] * found, phone


def test_an_officer_opens_it_and_the_audit_log_keeps_that(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    filed = rectified(program, as_worker)
    page = f"consent/subjectrequest/{filed['request_id']}/rectified/"
    desk = officer("grace", program).enter(program)
    assert page in desk.get(f"consent/subjectrequest/{filed['request_id']}/change/").content.decode()
    entries = "SELECT actor, target FROM audit_entry WHERE action = 'rectification.opened'"
    assert "杭州" not in desk.get(page).content.decode()
    assert owner.execute(entries).fetchall() == []
    response = desk.post(page)
    assert "no-store" in response.headers["Cache-Control"]
    shown = response.content.decode()
    assert all(value in shown for value in ("杭州", "苏州", "小艾", "alice-2"))
    assert owner.execute(entries).fetchall() == [(f"officer:{desk.user.pk}", f"request:{filed['request_id']}")]
    given = owner.execute("SELECT recipient, ground, fields FROM disclosure").fetchall()
    assert given == [("officer", "rectification.review", ["attributes", "identifiers"])]


def test_without_the_permission_or_while_reading_is_closed_it_stays_shut(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    filed = rectified(program, as_worker)
    page = f"consent/subjectrequest/{filed['request_id']}/rectified/"
    seen = ("subjectrequest", "auditentry")
    assert officer("heidi", program, may_see=seen).enter(program).post(page).status_code == 403
    desk = officer("grace", program).enter(program)
    file(program, "erasure", "alice-2")
    assert desk.post(page).status_code == 302
    assert owner.execute("SELECT count(*) FROM disclosure").fetchone() == (0,)
