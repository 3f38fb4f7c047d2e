"""Links to the data subject's own pages, the sessions that they open, and the login codes that step those up."""

import json
import logging
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
from tests.cast import Program, make_program, now
from tests.consent.browsing import HIDDEN, Browser, link, opened, state
from tests.consent.rights import Working
from tests.consent.stand_in import APP_SECRET, StandIn, standing_in


@pytest.fixture
def alice(program: Program) -> Program:
    program.decide("alice")
    return program


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


def test_a_page_of_the_person_before_does_nothing_to_the_next(alice: Program) -> None:
    """One browser, two links: the session's cookie is the second person's, the page still open is the first's."""
    alice.decide("bob")
    browser = opened(alice)
    still_open = dict(HIDDEN.findall(browser.text))["csrfmiddlewaretoken"]
    browser.post(link(alice, "bob"))
    browser.post("/portal/consents", decision="withdrawn", all="1", csrfmiddlewaretoken=still_open)
    assert (browser.status, "These pages are closed" in browser.text) == (403, True)
    assert {state(alice), state(alice, openid="bob")} == {"given"}
    browser.get("/portal/consents")
    browser.press("/portal/consents", decision="withdrawn", all="1")
    assert (state(alice), state(alice, openid="bob")) == ("given", "withdrawn"), "the new page's forms work"


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


# --- The domain


def test_a_platforms_file_is_served_at_the_root(settings: Any, tmp_path: Path) -> None:
    settings.ZHIQING_VERIFICATION_FOLDER = tmp_path
    (tmp_path / "MP_verify_x1.txt").write_text("x1")
    (tmp_path / "other.html").write_text("x")
    (tmp_path / "long.txt").write_text("x" * 2000)
    assert Client().get("/MP_verify_x1.txt").content == b"x1"
    for name in ("none.txt", "other.html", "long.txt", "..%2Fkeyring.txt", "healthz.txt"):
        assert Client().get(f"/{name}").status_code == 404, name
