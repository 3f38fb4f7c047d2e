"""The data subject's own pages, as a browser without a script uses them."""

import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.test import Client

from config.logging import JsonFormatter
from consent import edge
from consent.platforms.credentials import keep
from consent.portal import sessions
from consent.portal.models import PortalSession
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.rights.review import set_review
from tests.cast import Program, event, make_program, now
from tests.consent.deciding import reject
from tests.consent.desk import DECIDES, officer
from tests.consent.rights import Working, carry_out, file
from tests.consent.stand_in import APP_SECRET, StandIn, standing_in

HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')


class Browser:
    """Follows links and posts the forms that a page has, with their hidden fields."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True, headers={"Accept-Language": "en"})
        self.page: Any = None

    def get(self, path: str) -> str:
        self.page = self.client.get(path, follow=True)
        return self.text

    def post(self, path: str, **fields: str) -> str:
        self.page = self.client.post(path, fields, follow=True)
        return self.text

    def press(self, path: str, **fields: str) -> str:
        """A form of the page shown, with its token; `fields`: what its button and its own inputs say."""
        hidden = dict(HIDDEN.findall(self.text))
        kept = {name: value for name, value in hidden.items() if name == "csrfmiddlewaretoken" or name == "notice"}
        return self.post(path, **kept, **fields)

    @property
    def text(self) -> str:
        return str(self.page.content.decode())

    @property
    def status(self) -> int:
        return int(self.page.status_code)


def link(program: Program, openid: str = "alice", **more: Any) -> str:
    """The path of a link."""
    response = program.post("portal-sessions", {"subject": {"openid": openid}, "locale": "en"} | more)
    assert response.status_code == 201, response.content
    url: str = response.json()["url"]
    assert url.startswith("http://testserver/portal/open/")
    return url.removeprefix("http://testserver")


def opened(program: Program, openid: str = "alice", **more: Any) -> Browser:
    browser = Browser()
    browser.post(link(program, openid, **more))
    assert browser.status == 200, browser.text
    return browser


@pytest.fixture
def alice(program: Program) -> Program:
    program.decide("alice")
    return program


def state(program: Program, purpose: str = "analytics", openid: str = "alice") -> str:
    body = {"subject": {"openid": openid}, "purposes": [purpose]}
    return str(program.post("consents/status", body).json()[0]["state"])


# --- Links and sessions


def test_reading_a_link_uses_nothing_and_its_button_opens_the_pages_once(alice: Program) -> None:
    path = link(alice)
    browser = Browser()
    for _ in range(3):
        assert "Open my pages" in browser.get(path)
    assert "What you agree to" in browser.post(path)
    assert browser.page.redirect_chain == [("/portal/consents", 302)]
    again = Browser()
    assert "These pages are closed" in again.get(path)
    assert again.status == 404
    assert "These pages are closed" in again.post(path)
    assert "What you agree to" in browser.get("/portal/consents"), "the session goes on"


@pytest.mark.parametrize(("view", "heading"), [("data", "What is held about you"), ("requests", "What you may ask")])
def test_a_link_leads_to_the_view_it_names(alice: Program, view: str, heading: str) -> None:
    assert heading in opened(alice, view=view).text


def test_a_cookie_is_for_these_pages_alone_and_says_nothing(alice: Program) -> None:
    browser = Browser()
    response = browser.client.post(link(alice))
    cookie = response.cookies["zhiqing_portal"]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (
        "/portal/",
        True,
        "Strict",
        900,
    )
    assert "alice" not in cookie.value


@pytest.mark.parametrize("minutes", [4, 6])
def test_a_link_is_over_after_five_minutes(alice: Program, owner: psycopg.Connection, minutes: int) -> None:
    path = link(alice)
    owner.execute("UPDATE portal_session SET link_until = link_until - %s", [timedelta(minutes=minutes)])
    assert ("What you agree to" in Browser().post(path)) == (minutes < 5)


@pytest.mark.parametrize("minutes", [14, 16])
def test_a_session_is_over_after_fifteen(alice: Program, owner: psycopg.Connection, minutes: int) -> None:
    browser = opened(alice)
    owner.execute("UPDATE portal_session SET opened_until = opened_until - %s", [timedelta(minutes=minutes)])
    browser.get("/portal/consents")
    assert browser.status == (200 if minutes < 15 else 403)


def test_whoever_leaves_is_out(alice: Program) -> None:
    browser = opened(alice)
    cookie = browser.client.cookies["zhiqing_portal"].value
    assert "These pages are closed" in browser.press("/portal/end")
    browser.client.cookies["zhiqing_portal"] = cookie
    browser.get("/portal/consents")
    assert browser.status == 403


@pytest.mark.parametrize("cookie", ["", "x", "1.", "1.nothing", "999999999.x", "9999999999999.x", "-1.x"])
def test_without_a_session_every_page_is_closed(program: Program, cookie: str) -> None:
    browser = Browser()
    browser.client.cookies["zhiqing_portal"] = cookie
    for path in ("", "consents", "consents/analytics", "data", "requests", "requests/new/erasure", "notices"):
        browser.get(f"/portal/{path}")
        assert (browser.status, "These pages are closed" in browser.text) == (403, True), path


@pytest.mark.parametrize("change", ["signature", "made up"])
def test_a_link_nobody_made_is_over(alice: Program, change: str) -> None:
    path = link(alice)
    path = path[:-1] + ("a" if path[-1] != "a" else "b") if change == "signature" else "/portal/open/1.x:y:z"
    browser = Browser()
    assert "These pages are closed" in browser.post(path)
    assert browser.status == 404


def test_of_somebody_nobody_knows_a_link_looks_the_same_and_tells_them_so(
    program: Program, owner: psycopg.Connection
) -> None:
    path = link(program, "nobody")
    assert len(path) == len(link(program, "somebody else"))
    for seen in (Browser().get(path), Browser().post(path)):
        assert "Nothing is held about you" in seen
    assert owner.execute("SELECT (SELECT count(*) FROM subject), (SELECT count(*) FROM portal_session)").fetchone() == (
        0,
        0,
    )


def test_neither_link_nor_cookie_is_stored_as_it_is(alice: Program, owner: psycopg.Connection) -> None:
    path = link(alice)
    browser = Browser()
    browser.post(path)
    kept = str(owner.execute("SELECT * FROM portal_session").fetchall())
    for secret in (path.rpartition("/")[2].split(":")[0].split(".")[1], browser.client.cookies["zhiqing_portal"].value):
        assert secret.split(".")[-1] not in kept


def test_a_form_of_another_site_does_nothing(alice: Program) -> None:
    browser = opened(alice)
    browser.post("/portal/consents", purpose="analytics", decision="withdrawn")
    assert (browser.status, "These pages are closed" in browser.text) == (403, True)
    assert state(alice) == "given"


def test_no_other_site_has_somebody_open_a_link_of_its_own(alice: Program) -> None:
    path = link(alice)
    sent = Client(headers={"Sec-Fetch-Site": "cross-site"}).post(path)
    assert (sent.status_code, "zhiqing_portal" in sent.cookies) == (403, False)
    assert Client(headers={"Sec-Fetch-Site": "same-origin"}).post(path).status_code == 302


def test_a_new_link_ends_the_session_before(alice: Program) -> None:
    browser = opened(alice)
    before = browser.client.cookies["zhiqing_portal"].value
    browser.post(link(alice))
    browser.client.cookies["zhiqing_portal"] = before
    browser.get("/portal/consents")
    assert browser.status == 403


def test_only_the_head_of_a_page_may_be_asked_for(alice: Program) -> None:
    response = Client().head(link(alice))
    assert (response.status_code, response.content) == (200, b"")
    assert "no-store" in response["Cache-Control"]


def test_links_begin_where_browsers_find_the_service(alice: Program, settings: Any) -> None:
    settings.ZHIQING_PUBLIC_URL = "https://me.example.com/"
    made = alice.post("portal-sessions", {"subject": {"openid": "alice"}, "locale": "en"}).json()["url"]
    assert made.startswith("https://me.example.com/portal/open/")


def test_no_line_of_the_log_has_a_link() -> None:
    line = logging.LogRecord(
        "django.request", logging.ERROR, "", 0, "%s: %s", ("Error", "/portal/open/1.abc:d:e"), None
    )
    assert json.loads(JsonFormatter().format(line))["message"] == "Error: /portal/open/…"


def test_a_browser_is_told_to_load_nothing_from_elsewhere(alice: Program) -> None:
    browser = Browser()
    path = link(alice)
    browser.get(path)
    assert browser.page["Referrer-Policy"] == "no-referrer"
    for page in (browser.page, opened(alice).page):
        policy = page["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "no-store" in page["Cache-Control"]
        assert "<script" not in page.content.decode()


def test_pages_of_another_mini_program_are_others(alice: Program) -> None:
    other = make_program()
    other.decide("bob")
    browser = opened(alice)
    filed = other.post("requests", {"subject": {"openid": "bob"}, "kind": "copy", "locale": "en"}).json()["request_id"]
    for path in (f"requests/{filed}", f"requests/{filed}/package.json"):
        browser.get(f"/portal/{path}")
        assert browser.status in (403, 404)
    number, _, secret = browser.client.cookies["zhiqing_portal"].value.partition(".")
    assert number == str(alice.id)
    browser.client.cookies["zhiqing_portal"] = f"{other.id}.{secret}"
    browser.get("/portal/consents")
    assert browser.status == 403


def test_what_is_over_is_forgotten(alice: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    opened(alice)
    link(alice)
    with as_worker():
        assert sessions.forget_over(alice.id, now=now() + timedelta(minutes=61)) == 0
        assert sessions.forget_over(alice.id, now=now() + timedelta(minutes=66)) == 1
        assert sessions.forget_over(alice.id, now=now() + timedelta(minutes=80)) == 1
    assert owner.execute("SELECT count(*) FROM portal_session").fetchone() == (0,)


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


@pytest.mark.parametrize("kind", ["portability", "objection", "rectification", "nonsense", ""])
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


# --- A fresh login code


@pytest.fixture
def wechat(alice: Program, settings: Any) -> Iterator[StandIn]:
    """WeChat, where alice has just logged in; so have bob and somebody whom nobody knows."""
    with standing_in() as there:
        with tenant(alice.id):
            program = MiniProgram.objects.get(id=alice.id)
            keep(vault=edge.vault(), program=program, secret=APP_SECRET, platform_key=None, by="tester")
        there.app_id = program.app_id
        there.people |= {name: {"openid": name} for name in ("alice", "bob", "nobody")}
        settings.ZHIQING_WECHAT_URL = there.address
        yield there
    assert there.faults == []


def test_a_fresh_login_code_opens_a_session_that_may_fetch_packages(alice: Program, wechat: StandIn) -> None:
    browser = opened(alice, login_code="alice", view="requests")
    browser.get("/portal/requests")
    assert wechat.used == {"alice"}
    with tenant(alice.id):
        assert [session.stepped_up for session in PortalSession.objects.all()] == [True]


def test_a_login_code_of_somebody_else_opens_nothing(alice: Program, wechat: StandIn) -> None:
    alice.decide("bob")
    for openid, code in (("alice", "bob"), ("alice", "nobody"), ("nobody", "bob")):
        asked = {"subject": {"openid": openid}, "locale": "en", "login_code": code}
        response = alice.post("portal-sessions", asked)
        assert (response.status_code, response.json()["code"]) == (403, "login_code_of_another"), (openid, code)
        wechat.used.clear()
    with tenant(alice.id):
        assert not PortalSession.objects.exists()


def test_a_login_code_of_somebody_nobody_knows_is_answered_like_any(alice: Program, wechat: StandIn) -> None:
    assert "Nothing is held about you" in Browser().get(link(alice, "nobody", login_code="nobody"))


def test_without_credentials_no_code_is_exchanged(alice: Program) -> None:
    response = alice.post("portal-sessions", {"subject": {"openid": "alice"}, "locale": "en", "login_code": "x"})
    assert (response.status_code, response.json()["code"]) == (409, "platform_not_configured")


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


# --- The domain


def test_a_platforms_file_is_served_at_the_root(settings: Any, tmp_path: Path) -> None:
    settings.ZHIQING_VERIFICATION_FOLDER = tmp_path
    (tmp_path / "MP_verify_x1.txt").write_text("x1")
    (tmp_path / "other.html").write_text("x")
    (tmp_path / "long.txt").write_text("x" * 2000)
    assert Client().get("/MP_verify_x1.txt").content == b"x1"
    for name in ("none.txt", "other.html", "long.txt", "..%2Fkeyring.txt", "healthz.txt"):
        assert Client().get(f"/{name}").status_code == 404, name
