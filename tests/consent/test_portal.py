"""The data subject's own pages, as a browser without a script uses them."""

import re
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from consent.errors import Conflict
from consent.portal import consents, requests
from consent.rights import legal_holds, page, runs
from consent.rights.models import HoldGround
from consent.rights.review import set_review
from tests.cast import Program, event, make_program, now
from tests.consent.browsing import Browser, link, opened, state
from tests.consent.deciding import reject
from tests.consent.desk import DECIDES, officer, request_row
from tests.consent.rights import Working, carry_out, erased, file, overdue, package_of, sections
from tests.consent.test_retrying import raising
from tracking.personal_data import EventHolder


@pytest.fixture
def alice(program: Program) -> Program:
    program.decide("alice")
    return program


@pytest.mark.parametrize("sandbox", [True, False])
def test_every_page_of_a_sandbox_says_that_it_is_one(database: None, sandbox: bool) -> None:
    program = make_program(sandbox=sandbox)
    program.decide("alice")
    asked = file(program, "access")["request_id"]
    browser = opened(program)
    pages = [
        "consents",
        "consents/precise_location",
        "data",
        "requests",
        "requests/new/access",
        f"requests/{asked}",
        "notices",
    ]
    pages = [*(f"/portal/{page}" for page in [*pages, f"claim/{asked}"]), link(program)]
    assert {page: 'id="sandbox-told"' in browser.get(page) for page in pages} == dict.fromkeys(pages, sandbox)


# --- Consents


def test_a_purpose_is_withdrawn_and_given_by_a_tap_each(alice: Program) -> None:
    browser = opened(alice)
    assert 'aria-checked="true"' in browser.text
    browser.press("/portal/consents", purpose="analytics", decision="withdrawn")
    assert state(alice) == "withdrawn"
    assert "You withdrew" in browser.text
    browser.press("/portal/consents", purpose="analytics", decision="given")
    assert state(alice) == "given"
    newest = alice.post("consents/history", {"subject": {"openid": "alice"}}).json()["results"][0]
    assert (newest["method"], newest["act"], newest["locale"], newest["notice"]) == (
        "portal",
        "single",
        "en",
        alice.notice,
    )


def test_everything_is_withdrawn_at_once(alice: Program) -> None:
    alice.decide("alice", purpose="personalisation")
    browser = opened(alice)
    browser.press("/portal/consents", decision="withdrawn", all="1")
    assert {state(alice), state(alice, "personalisation")} == {"withdrawn"}
    assert "Withdraw all" not in browser.text


def test_what_needs_a_consent_of_its_own_is_given_where_all_of_it_is_told(alice: Program) -> None:
    browser = opened(alice)
    assert 'href="/portal/consents/precise_location">Decide' in browser.text
    browser.get("/portal/consents/precise_location")
    assert "An exact position may reveal where you live" in browser.text
    browser.press("/portal/consents", purpose="precise_location", decision="given")
    assert state(alice, "precise_location") == "given"
    browser.press("/portal/consents", purpose="precise_location", decision="withdrawn")
    assert state(alice, "precise_location") == "withdrawn"


def test_a_child_may_withdraw_and_a_guardian_decides_elsewhere(alice: Program, owner: psycopg.Connection) -> None:
    owner.execute("UPDATE subject SET under_14 = true")
    browser = opened(alice)
    assert "your guardian decides" in browser.text
    assert 'value="given"' not in browser.text
    browser.press("/portal/consents", purpose="analytics", decision="withdrawn")
    assert state(alice) == "withdrawn"
    browser.press("/portal/consents", purpose="analytics", decision="given")
    assert browser.status == 404, "no notice for minors is in force"


def test_what_waits_for_a_guardian_is_not_on(alice: Program, owner: psycopg.Connection) -> None:
    owner.execute("UPDATE consent_state SET guardian_pending = true")
    browser = opened(alice)
    assert "Waits for your guardian" in browser.text
    assert 'aria-checked="true"' not in browser.text


@pytest.mark.parametrize("way", ["by itself", "with all"])
def test_a_purpose_that_ended_or_a_consent_that_expired_is_withdrawn_too(
    alice: Program, owner: psycopg.Connection, way: str
) -> None:
    alice.decide("alice", purpose="personalisation")
    owner.execute("UPDATE purpose SET active = false WHERE code = 'analytics'")
    owner.execute(
        "UPDATE consent_state SET state = 'expired' FROM purpose p WHERE p.id = purpose_id AND p.code = 'personalisation'"
    )
    browser = opened(alice)
    assert "Usage statistics" in browser.text
    if way == "with all":
        browser.press("/portal/consents", decision="withdrawn", all="1")
    else:
        for code in ("analytics", "personalisation"):
            browser.get(f"/portal/consents/{code}")
            browser.press("/portal/consents", purpose=code, decision="withdrawn")
    assert {state(alice), state(alice, "personalisation")} == {"withdrawn"}
    assert "Usage statistics" not in browser.text, "nothing to decide about any more"


def test_nothing_is_given_where_nothing_can_be_agreed_to(alice: Program) -> None:
    alice.post("requests", {"subject": {"openid": "alice"}, "kind": "restriction", "locale": "en"})
    browser = opened(alice)
    assert "nothing can be agreed to" in browser.text
    browser.press("/portal/consents", purpose="personalisation", decision="given", notice=alice.notice)
    assert (browser.status, "cannot be agreed to here now" in browser.text) == (409, True)
    assert state(alice, "personalisation") == "unknown"


@pytest.mark.parametrize("decision", ["", "refused", "GIVEN"])
def test_no_other_decision_is_taken(alice: Program, decision: str) -> None:
    browser = opened(alice)
    browser.press("/portal/consents", purpose="analytics", decision=decision)
    assert browser.status == 422
    assert state(alice) == "given"


# --- Data and requests


def test_what_is_held_is_read_in_the_page(alice: Program) -> None:
    alice.decide("alice", purpose="personalisation")
    put = alice.call("PUT", "profile", {"subject": {"openid": "alice"}, "attributes": {"nickname": "<b>Al</b>"}})
    assert put.status_code == 200, put.content
    text = opened(alice, view="data").text
    for word in ("<bdi>alice</bdi>", "<bdi>&lt;b&gt;Al&lt;/b&gt;</bdi>", "personalisation"):
        assert word in text, word


def test_of_a_long_list_the_beginning_is_shown_and_it_is_said(alice: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    cut, beyond = "Only the first 10 are shown here.", "There is more of this than is shown here."
    assert alice.send(*(event("alice", f"seen{n}", now()) for n in range(10)))["stored"] == 10
    text = opened(alice, view="data").text
    assert (text.count("<bdi>seen"), cut in text, beyond in text) == (10, False, False)
    alice.send(event("alice", "seen10", now()))
    text = opened(alice, view="data").text
    assert (text.count("<bdi>seen"), text.count(cut), beyond in text) == (10, 1, False)
    assert text.index("<bdi>seen") < text.index(cut), "below the list"
    monkeypatch.setattr(page, "LOOKED_AT", 5)
    text = opened(alice, view="data").text
    assert (text.count("<bdi>seen"), cut in text, text.count(beyond)) == (5, False, 1)


def test_of_many_requests_the_newest_are_listed(alice: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "LISTED", 2)
    for place, kind in enumerate(("access", "copy", "rectification")):
        request_row(alice, "alice", kind, received_at=now() - timedelta(hours=9 - place))
        more = "The newest 2 are listed." in (text := opened(alice, view="requests").text)
        assert more == (place == 2)
    assert "Access" not in text and "Copy" in text


def test_what_is_wrong_is_put_right(alice: Program, as_worker: Working) -> None:
    alice.decide("alice", purpose="personalisation")
    alice.call("PUT", "profile", {"subject": {"openid": "alice"}, "attributes": {"nickname": "Al", "city": "Ulm"}})
    browser = opened(alice, view="data")
    for what, value in (("attribute:nickname", "Ally"), ("attribute:city", "")):
        browser.get("/portal/data")
        browser.press("/portal/data", what=what, value=value)
        carry_out(alice, as_worker, {"request_id": browser.page.redirect_chain[-1][0].rpartition("/")[2]})
    text = browser.get("/portal/data")
    assert "<bdi>Ally</bdi>" in text
    assert "attribute:nickname" in text
    assert "attribute:city" not in text, "removed"


@pytest.mark.parametrize(
    "what",
    [
        "",
        "attribute:",
        "identifier:openid",
        "identifier:external_id",
        "identifier:unionid",
        "attribute:nobody_declared",
    ],
)
def test_nothing_else_is_put_right(alice: Program, what: str) -> None:
    browser = opened(alice, view="data")
    browser.press("/portal/data", what=what, value="not a number")
    assert browser.status == 422
    assert "not a number" not in browser.text


def test_a_correction_is_as_long_as_by_api(alice: Program, owner: psycopg.Connection) -> None:
    alice.decide("alice", purpose="personalisation")
    alice.call("PUT", "profile", {"subject": {"openid": "alice"}, "attributes": {"nickname": "Al"}})
    browser = opened(alice, view="data")
    browser.press("/portal/data", what="attribute:nickname", value="x" * 1001)
    assert (browser.status, "1,000 characters at most" in browser.text) == (422, True)
    browser.get("/portal/data")
    browser.press("/portal/data", what="attribute:nickname", value="x" * 1000)
    assert (browser.status, owner.execute("SELECT count(*) FROM subject_request").fetchone()) == (200, (1,))


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("data", {"what": "attribute:nickname", "value": "A\0l"}),
        ("data", {"what": "attribute:nick\0name", "value": "Al"}),
        ("consents", {"decision": "withdrawn", "purpose": "analytics\0"}),
        ("consents", {"decision": "given", "purpose": "personalisation", "notice": "\0"}),
        ("requests", {"kind": "objection", "purpose": ["analytics", "\0"]}),
        ("requests", {"kind": "portability", "recipient": "Canary\0Ltd"}),
    ],
)
def test_no_nul_gets_beyond_the_page(alice: Program, path: str, fields: dict[str, Any]) -> None:
    alice.decide("alice", purpose="personalisation")
    browser = opened(alice)
    browser.press(f"/portal/{path}", **fields)
    assert (browser.status, "What was sent does not fit" in browser.text) == (422, True)


def test_a_phone_number_is_put_right_after_a_fresh_login_only(
    alice: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alice.post("identities", {"subject": {"openid": "alice"}, "add": {"phone": "13800000000"}})
    browser = opened(alice, view="data")
    assert "identifier:phone" not in browser.text
    browser.press("/portal/data", what="identifier:phone", value="13900000000")
    assert browser.status == 403
    owner.execute("UPDATE portal_session SET stepped_up = true")
    assert "identifier:phone" in browser.get("/portal/data")
    browser.press("/portal/data", what="identifier:phone", value="13900000000")
    carry_out(alice, as_worker, {"request_id": browser.page.redirect_chain[-1][0].rpartition("/")[2]})
    assert "13900000000" in browser.get("/portal/data")


def test_an_erasure_that_was_given_up_is_taken_back_here_unless_a_later_one_took_its_place(
    alice: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = file(alice, "erasure")
    monkeypatch.setattr(EventHolder, "erase", raising)
    for _ in range(runs.MAX_ATTEMPTS):
        overdue(owner)
        answer = carry_out(alice, as_worker, filed)
    assert answer["state"] == "failed"
    path = f"/portal/requests/{filed['request_id']}"
    browser = opened(alice)
    text = browser.get(path)
    assert ("given up before its end" in text, "Take it back" in text) == (True, True)
    later = file(alice, "erasure")
    assert "Take it back" not in browser.get(path)
    alice.post(f"requests/{later['request_id']}/withdraw", None)
    browser.get(path)
    browser.press(f"{path}/take-back")
    assert "Taken back" in browser.text


def test_what_has_begun_is_not_offered_to_be_taken_back(alice: Program) -> None:
    asked = request_row(alice, "alice", "copy")
    assert "Take it back" not in opened(alice).get(f"/portal/requests/{asked.id}")


def test_by_which_law_something_is_kept_and_how_long(
    alice: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alice.send(event("alice", "e1", now()))
    until = now().date() + timedelta(days=30)
    legal_holds.hold(
        program_id=alice.id, holder="tracking.events", ground=HoldGround.OTHER, law="E-Commerce Law, Article 31",
        until=until, request_id=None, by="test",
    )  # fmt: skip
    filed = file(alice, "erasure")
    overdue(owner)
    assert carry_out(alice, as_worker, filed)["state"] == "partially_completed"
    text = opened(alice).get(f"/portal/requests/{filed['request_id']}")
    assert f"E-Commerce Law, Article 31 obliges us to keep this information until {until}" in text


def test_a_restriction_that_stands_is_told_so_to_whoever_asks_again(alice: Program, as_worker: Working) -> None:
    filed = file(alice, "restriction")
    carry_out(alice, as_worker, filed)
    browser = opened(alice, view="requests")
    browser.press("/portal/requests", kind="restriction")
    assert (browser.status, "it stands until you take it back" in browser.text) == (409, True)
    assert f'href="/portal/requests/{filed["request_id"]}"' in browser.text


def test_what_others_asked_is_told_as_theirs(alice: Program) -> None:
    filed = file(alice, "copy", requester="agent")
    browser = opened(alice, view="requests")
    assert "asked for you by: agent" in browser.text
    assert "Somebody else asked for you: agent" in browser.get(f"/portal/requests/{filed['request_id']}")
    own = file(alice, "copy")
    assert browser.get("/portal/requests").count("asked for you by") == 1
    assert "Somebody else asked" not in browser.get(f"/portal/requests/{own['request_id']}")


def test_what_passes_is_told_to_be_tried_again(alice: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def changing(**_: Any) -> None:
        raise Conflict("subject_changing", "another call is at it", retry_after=1)

    browser = opened(alice)
    monkeypatch.setattr(consents, "record_decisions", changing)
    browser.press("/portal/consents", purpose="analytics", decision="withdrawn")
    assert (browser.status, browser.page["Retry-After"]) == (409, "1")
    assert "Try again in a while" in browser.text


@pytest.mark.parametrize("requester", ["self", "agent"])
def test_whoever_asked_reads_why_it_was_refused_and_so_was_told(
    alice: Program, owner: psycopg.Connection, requester: str
) -> None:
    set_review(program_id=alice.id, kind="erasure", on=True, by="test")
    filed = file(alice, "erasure", requester=requester)
    reject(officer("grace", alice, may=DECIDES).enter(alice), filed, text="Your invoices must be kept.")
    text = opened(alice).get(f"/portal/requests/{filed['request_id']}")
    assert ("Your invoices must be kept." in text) == (requester == "self")
    assert ("法院" in text) == (requester == "self"), "it names the right to sue, in the request's language"
    assert "Art. 50" in text, "the ground is told to the person, whoever asked"
    (told,) = owner.execute("SELECT rejection_delivered_at IS NOT NULL FROM subject_request").fetchall()
    assert told == (requester == "self",)


def test_a_request_is_filed_followed_and_taken_back(alice: Program) -> None:
    browser = opened(alice, view="requests")
    assert "Everything that is held about you is erased for good" in browser.get("/portal/requests/new/erasure")
    browser.press("/portal/requests", kind="erasure")
    assert "Take it back" in browser.text
    path = browser.page.redirect_chain[-1][0]
    assert alice.send(event("alice", "e1", now()))["refused"] == 1
    browser.press(f"{path}/take-back")
    assert "Taken back" in browser.text
    browser.press("/portal/requests", kind="erasure")
    assert "Take it back" in browser.text, "asked anew"
    browser.press("/portal/requests", kind="erasure")
    assert (browser.status, "You have asked for this already" in browser.text) == (409, True)


def test_somebody_elses_request_is_not_there(alice: Program) -> None:
    alice.decide("bob")
    filed = alice.post("requests", {"subject": {"openid": "bob"}, "kind": "erasure", "locale": "en"}).json()[
        "request_id"
    ]
    browser = opened(alice)
    browser.get(f"/portal/requests/{filed}")
    assert browser.status == 404
    browser.get("/portal/requests")
    browser.press(f"/portal/requests/{filed}/take-back")
    assert browser.status == 404
    assert alice.get(f"requests/{filed}").json()["state"] == "approved"


def test_uses_are_objected_to_and_end_at_once(alice: Program) -> None:
    alice.decide("alice", purpose="personalisation")
    browser = opened(alice, view="requests")
    assert "/portal/requests/new/objection" in browser.text
    page = browser.get("/portal/requests/new/objection")
    assert 'name="purpose" value="analytics"> Usage statistics' in page
    browser.press("/portal/requests", kind="objection")
    assert (browser.status, "Choose at least one use" in browser.text) == (422, True)
    browser.get("/portal/requests/new/objection")
    browser.press("/portal/requests", kind="objection", purpose="nonsense")
    assert browser.status == 422
    assert state(alice) == "given"
    browser.get("/portal/requests/new/objection")
    browser.press("/portal/requests", kind="objection", purpose=["analytics", "precise_location"])
    assert (browser.status, "Completed" in browser.text) == (200, True)
    assert [state(alice, code) for code in ("analytics", "precise_location", "personalisation")] == [
        "withdrawn", "withdrawn", "given",
    ]  # fmt: skip
    newest = alice.post("consents/history", {"subject": {"openid": "alice"}}).json()["results"][0]
    assert newest["method"] == "objection"
    assert alice.send(event("alice", "e1", now()))["refused"] == 1


def test_data_are_passed_on_to_whom_the_person_names(
    alice: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    browser = opened(alice, view="requests")
    assert "/portal/requests/new/portability" in browser.text
    assert "an officer first makes sure that it is you" in browser.get("/portal/requests/new/portability")
    owner.execute("UPDATE portal_session SET stepped_up = true")
    assert "an officer first makes sure" not in browser.get("/portal/requests/new/portability")
    named: dict[str, Any] = {"recipient": " Canary Ltd ", "contact": "dpo@canary.example", "format": ["csv", "other"]}
    browser.press("/portal/requests", kind="portability", **named)
    assert browser.status == 200
    filed = {"request_id": browser.page.redirect_chain[-1][0].rpartition("/")[2]}
    answer = carry_out(alice, as_worker, filed)
    assert (answer["state"], set(answer["conditions"].values())) == ("completed", {True})
    assert [holder["holder"] for holder in package_of(alice, filed)["holders"]] == [
        "tracking.events",
        "consent.profile",
    ]
    access = file(alice, "access")
    carry_out(alice, as_worker, access)
    (asked,) = [row for row in sections(package_of(alice, access))["requests"] if row["kind"] == "portability"]
    assert asked["asked"]["recipient"] == {
        "name": "Canary Ltd",
        "contact": "dpo@canary.example",
        "formats": ["csv", "other"],
    }
    assert "Canary" not in browser.get("/portal/requests")


@pytest.mark.parametrize(
    ("stepped_up", "more", "unmet"),
    [
        (False, {}, ["identity_verified"]),
        (True, {}, []),
        (True, {"recipient": "Canary Ltd"}, []),
        (True, {"recipient": "Canary Ltd", "format": "other"}, ["technically_feasible"]),
    ],
)
def test_a_transfer_has_the_same_conditions_here(
    alice: Program, owner: psycopg.Connection, stepped_up: bool, more: dict[str, Any], unmet: list[str]
) -> None:
    browser = opened(alice, view="requests")
    owner.execute("UPDATE portal_session SET stepped_up = %s", [stepped_up])
    browser.get("/portal/requests/new/portability")
    browser.press("/portal/requests", kind="portability", **more)
    assert ("In review" in browser.text) == bool(unmet)
    assert owner.execute("SELECT unmet FROM subject_request").fetchall() == [(unmet,)]


@pytest.mark.parametrize(
    "more",
    [{"contact": "x"}, {"format": "json"}, {"recipient": "x" * 257}, {"recipient": "x", "format": "pdf"}],
)
def test_a_recipient_is_named_as_by_api(alice: Program, owner: psycopg.Connection, more: dict[str, Any]) -> None:
    browser = opened(alice, view="requests")
    browser.get("/portal/requests/new/portability")
    browser.press("/portal/requests", kind="portability", **more)
    assert browser.status == 422
    assert owner.execute("SELECT count(*) FROM subject_request").fetchone() == (0,)


@pytest.mark.parametrize("kind", ["access", "rectification", "nonsense", ""])
def test_no_other_kind_is_filed_by_a_tap(alice: Program, kind: str) -> None:
    browser = opened(alice)
    browser.press("/portal/requests", kind=kind)
    assert browser.status == 422


def test_an_erasure_is_done_at_once_only_for_whoever_logged_in_a_moment_ago(
    alice: Program, as_worker: Working, owner: psycopg.Connection
) -> None:
    browser = opened(alice, view="requests")
    browser.press("/portal/requests", kind="erasure")
    path = browser.page.redirect_chain[-1][0]
    filed = {"request_id": path.rpartition("/")[2]}
    assert "Erase at once" not in browser.text
    browser.press(f"{path}/at-once")
    assert (browser.status, "This needs a login of this moment" in browser.text) == (403, True)
    assert carry_out(alice, as_worker, filed)["state"] == "approved"
    owner.execute("UPDATE portal_session SET stepped_up = true")
    assert "Erase at once" in browser.get(path)
    browser.press(f"{path}/at-once")
    assert carry_out(alice, as_worker, filed)["state"] == "completed"
    assert browser.page.redirect_chain[-1][0] == f"/portal/claim/{filed['request_id']}"
    browser.get(path)
    assert browser.status == 403, "the session went with its subject"
    assert "Completed" in Browser().get(f"/portal/claim/{filed['request_id']}")
    told = owner.execute("SELECT actor, at::time FROM audit_entry WHERE action = 'request.undo_waived'").fetchall()
    assert [(actor, str(at)) for actor, at in told] == [("subject", "00:00:00")]


def test_nothing_else_is_hurried(alice: Program, owner: psycopg.Connection) -> None:
    browser = opened(alice, view="requests")
    browser.press("/portal/requests", kind="restriction")
    path = browser.page.redirect_chain[-1][0]
    owner.execute("UPDATE portal_session SET stepped_up = true")
    assert "Erase at once" not in browser.get(path)
    browser.press(f"{path}/at-once")
    assert browser.status == 409


def test_a_package_needs_a_fresh_login(alice: Program, as_worker: Working) -> None:
    browser = opened(alice, view="requests")
    browser.press("/portal/requests", kind="copy")
    path = browser.page.redirect_chain[-1][0]
    carry_out(alice, as_worker, {"request_id": path.rpartition("/")[2]})
    assert "Your package is ready" in browser.get(path)
    assert "needs a login of this moment" in browser.text
    browser.get(f"{path}/package.json")
    assert (browser.status, "needs a login of this moment" in browser.text) == (403, True)


def test_a_package_is_handed_to_whoever_logged_in_a_moment_ago(
    alice: Program, as_worker: Working, owner: psycopg.Connection
) -> None:
    assert alice.send(event("alice", "e1", now()))["stored"] == 1
    browser = opened(alice, view="requests")
    browser.press("/portal/requests", kind="copy")
    path = browser.page.redirect_chain[-1][0]
    carry_out(alice, as_worker, {"request_id": path.rpartition("/")[2]})
    owner.execute("UPDATE portal_session SET stepped_up = true")
    assert "package.json" in browser.get(path)
    for form, media_type in (
        ("json", "application/json"),
        ("page", "text/html; charset=utf-8"),
        ("csv", "text/csv; charset=utf-8"),
    ):
        response: Any = browser.client.get(f"{path}/package.{form}")
        assert (response.status_code, response["Content-Type"]) == (200, media_type)
        assert response["Content-Disposition"].startswith("attachment")
        got = b"".join(response.streaming_content)
        assert got
        assert form == "csv" or b"alice" in got
    given = owner.execute("SELECT recipient, ground, actor FROM disclosure").fetchall()
    assert set(given) == {("subject", "copy.portal", "subject")}


def test_whoever_knows_a_requests_id_reads_how_it_stands_and_no_more(alice: Program) -> None:
    filed = alice.post("requests", {"subject": {"openid": "alice"}, "kind": "erasure", "locale": "en"}).json()
    assert filed["claim_url"] == f"http://testserver/portal/claim/{filed['request_id']}"
    text = Browser().get(filed["claim_url"].removeprefix("http://testserver"))
    assert "Answered by" in text
    assert "alice" not in text
    nothing = Browser()
    nothing.get("/portal/claim/00000000-0000-4000-8000-000000000000")
    assert nothing.status == 404


# --- The notice, the language


def test_the_notice_and_its_versions_are_read(alice: Program) -> None:
    browser = opened(alice)
    assert "Version 1" in browser.get("/portal/notices")
    assert "How this mini-program processes behaviour data" in browser.get(f"/portal/notices/{alice.notice}")
    other = make_program()
    browser.get(f"/portal/notices/{other.notice}")
    assert browser.status == 404


def test_pages_go_on_in_the_language_that_was_chosen(alice: Program) -> None:
    browser = opened(alice)
    browser.press("/portal/language", locale="zh-Hans", back="requests")
    assert browser.page.redirect_chain[-1][0] == "/portal/requests"
    assert '<html lang="zh-Hans">' in browser.text
    browser.press("/portal/language", locale="fr")
    assert browser.status == 422


def test_days_are_the_mini_programs(alice: Program, owner: psycopg.Connection) -> None:
    """Seven in the morning in China is the day before in UTC."""
    filed = file(alice, "access")
    owner.execute("UPDATE subject_request SET received_at = '2026-03-01 23:00+00'")
    browser = opened(alice, view="requests")
    text = browser.get(f"/portal/requests/{filed['request_id']}")
    assert "2026-03-02" in text and "2026-03-01" not in text
    assert "2026-03-02" in browser.get(f"/portal/claim/{filed['request_id']}")


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Auckland"])
def test_what_outlived_its_subject_tells_the_day_that_is_kept(
    zone: str, owner: psycopg.Connection, as_worker: Working
) -> None:
    program = make_program(zone=zone)
    program.decide("alice")
    filed = erased(program, owner, as_worker)
    owner.execute("UPDATE subject_request SET received_at = '2026-03-02 00:00+00', closed_at = '2026-03-04 00:00+00'")
    text = Browser().get(f"/portal/claim/{filed['request_id']}")
    assert re.findall(r"<dd>(\d{4}-\d\d-\d\d)</dd>", text) == ["2026-03-02", "2026-03-04"]
