"""Copy and portability (PIPL 45, NDR 25): what is handed over, on which conditions, and in which forms."""

import csv
import io
from typing import Any

import psycopg
import pytest

from tests.cast import Program, event
from tests.consent.deciding import approve, audited, download, reject
from tests.consent.desk import DECIDES, Desk, officer
from tests.consent.rights import Working, ask, carry_out, file, lively, package_of, problem, sections, shown

VERIFIED: dict[str, Any] = {"verification": {"method": "login_code", "at": "2026-11-01T00:00:00Z"}}
MET = dict.fromkeys(("identity_verified", "consent_basis", "technically_feasible", "no_harm_to_others"), True)


@pytest.fixture
def desk(program: Program) -> Desk:
    return officer("grace", program, may=DECIDES).enter(program)


def test_a_copy_is_what_an_access_gives(program: Program, as_worker: Working) -> None:
    lively(program)
    access, copy = file(program, "access"), file(program, "copy")
    carry_out(program, as_worker, access)
    assert carry_out(program, as_worker, copy)["state"] == "completed"
    one, other = package_of(program, access), package_of(program, copy)
    assert (one["kind"], other["kind"]) == ("access", "copy")
    first, second = sections(one), sections(other)
    for name in ("attributes", "events", "records", "states", "identifiers"):
        assert first[name] == second[name]


def test_a_transfer_takes_what_was_provided_and_observed_and_nothing_else(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    recipient = {"name": "Canary Ltd", "contact": "dpo@canary.example", "formats": ["json", "xlsx"]}
    filed = file(program, "portability", recipient=recipient, **VERIFIED)
    assert filed["state"] == "approved"
    answer = carry_out(program, as_worker, filed)
    assert (answer["state"], answer["conditions"]) == ("completed", MET)
    document = package_of(program, filed)
    assert document["kind"] == "portability"
    assert [holder["holder"] for holder in document["holders"]] == ["tracking.events", "consent.profile"]
    found = sections(document)
    assert {row["event_id"] for row in found["events"]} == {f"alice-{place}" for place in range(6)}
    assert {row["name"]: row["value"] for row in found["attributes"]} == {"nickname": "小艾", "city": "杭州"}
    sealed = owner.execute("SELECT count(*) FROM request_subject WHERE position('Canary'::bytea in sealed) > 0")
    assert sealed.fetchone() == (0,)
    assert shown(program, file(program, "access"))["conditions"] is None


def test_the_events_are_a_table_too(program: Program, desk: Desk, as_worker: Working) -> None:
    lively(program)
    filed = file(program, "portability", **VERIFIED)
    carry_out(program, as_worker, filed)
    response = download(desk, filed, "csv")
    assert response["Content-Type"].startswith("text/csv")
    assert ".csv" in response["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))
    events = sections(package_of(program, filed))["events"]
    assert [row["event_id"] for row in rows] == [event["event_id"] for event in events]
    assert list(rows[0]) == list(events[0])
    assert rows[0]["properties"] == '{"referrer_page":"pages/home"}'


@pytest.mark.parametrize("text", ['=HYPERLINK("//x")', "+1", "-2+3", "@SUM(A1)", "＝1+1"])
def test_a_spreadsheet_takes_no_cell_for_a_formula(program: Program, desk: Desk, as_worker: Working, text: str) -> None:
    program.decide("alice")
    program.send(event("alice", text, page="pages/index"))
    filed = file(program, "portability", **VERIFIED)
    carry_out(program, as_worker, filed)
    written = b"".join(download(desk, filed, "csv").streaming_content).decode()
    (row,) = csv.DictReader(io.StringIO(written))
    assert row["event_id"] == f"'{text}"
    assert row["page"] == "pages/index"
    (kept,) = sections(package_of(program, filed))["events"]
    assert kept["event_id"] == text


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, "identity_verified"),
        (VERIFIED | {"recipient": {"name": "Canary Ltd", "formats": ["xlsx"]}}, "technically_feasible"),
        (VERIFIED | {"subject": {"openid": "bob"}}, "consent_basis"),
    ],
)
def test_where_a_condition_is_not_met_an_officer_decides(
    program: Program, owner: psycopg.Connection, desk: Desk, as_worker: Working, more: dict[str, Any], code: str
) -> None:
    program.decide("alice")
    program.decide("bob", "refused")
    filed = file(program, "portability", **more)
    assert filed["state"] == "in_review"
    assert shown(program, filed)["conditions"] == MET | {code: False}
    assert carry_out(program, as_worker, filed)["state"] == "in_review"
    assert audited(owner, filed)[0][2] == {"kind": "portability", "unmet": code}
    assert reject(desk, filed, "retention_required").startswith("This reason is of another kind")
    reject(desk, filed, "conditions_not_met")
    answer = shown(program, filed)
    assert (answer["state"], answer["rejection"]["code"], answer["rejection"]["article"]) == (
        "rejected", "conditions_not_met", "45",
    )  # fmt: skip
    assert owner.execute("SELECT bool_or(restricted) FROM subject").fetchone() == (False,)


def test_a_table_is_a_transfer_of_the_events_and_of_no_profile(
    program: Program, desk: Desk, as_worker: Working
) -> None:
    table = VERIFIED | {"recipient": {"name": "Canary Ltd", "formats": ["csv"]}}
    program.decide("alice")
    filed = file(program, "portability", **table)
    assert (filed["state"], shown(program, filed)["conditions"]) == ("approved", MET)
    lively(program, "bob")
    filed = file(program, "portability", "bob", **table)
    assert filed["state"] == "in_review"
    assert shown(program, filed)["conditions"] == MET | {"technically_feasible": False}
    page = desk.get(f"consent/subjectrequest/{filed['request_id']}/change/").content.decode()
    assert "a table (CSV) has no profile" in page
    both = table | {"recipient": {"name": "Canary Ltd", "formats": ["csv", "json"]}}
    lively(program, "carol")
    assert file(program, "portability", "carol", **both)["state"] == "approved"


def test_an_officer_may_approve_all_the_same(program: Program, desk: Desk, as_worker: Working) -> None:
    lively(program)
    filed = file(program, "portability")
    assert "identity of who asks" in desk.get(f"consent/subjectrequest/{filed['request_id']}/change/").content.decode()
    approve(desk, filed)
    answer = carry_out(program, as_worker, filed)
    assert (answer["state"], answer["conditions"]["identity_verified"]) == ("completed", False)
    assert download(desk, filed).status_code == 200


def test_about_nobody_it_is_answered_as_about_who_agreed_to_nothing(
    program: Program, desk: Desk, as_worker: Working
) -> None:
    program.decide("bob", "refused")
    known, filed = (file(program, "portability", openid, **VERIFIED) for openid in ("bob", "nobody"))
    assert known["state"] == filed["state"] == "in_review"
    assert shown(program, known)["conditions"] == shown(program, filed)["conditions"] == MET | {"consent_basis": False}
    approve(desk, filed)
    assert carry_out(program, as_worker, filed)["state"] == "completed_no_data"


@pytest.mark.parametrize("recipient", [{}, {"name": ""}, {"name": "x", "iban": "y"}, {"name": "x", "formats": "csv"}])
def test_a_recipient_has_a_name(program: Program, recipient: Any) -> None:
    problem(ask(program, "portability", recipient=recipient), 422, "invalid")
