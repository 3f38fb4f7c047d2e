"""What a data subject comes for, done in a real browser as wide as a small phone, in both languages."""

import json

import psycopg
import pytest
from playwright.sync_api import Browser

from tests import chromium
from tests.cast import Program, event, now
from tests.chromium import Tab
from tests.consent.notice_texts import publish, text_with
from tests.consent.rights import Working, carry_out
from tests.journeys.server import Server

pytestmark = chromium.needed
PHONE, HIGH = 360, 740
LOCALES = ("zh-Hans", "en")


class Phone:
    """A small phone, whose owner taps what they read."""

    def __init__(self, browser: Browser, server: Server, locale: str) -> None:
        self.server, self.locale = server, locale
        self.tab = Tab(browser, PHONE, HIGH)
        self.page = self.tab.page

    def open(self, program: Program, view: str) -> None:
        body = {"subject": {"openid": "alice"}, "locale": self.locale, "view": view}
        url: str = program.post("portal-sessions", body).json()["url"]
        self.go(url.replace("http://testserver", self.server.base_url))
        self.seen("link")
        self.tap("button.main")

    def go(self, address: str) -> None:
        self.tab.complaints.clear()
        self.page.goto(address if address.startswith("http") else f"{self.server.base_url}/portal/{address}")

    def tap(self, selector: str) -> None:
        """And wait for the page it leads to."""
        with self.page.expect_navigation():
            self.page.locator(selector).first.click()

    def has(self, selector: str) -> int:
        return self.tab.count(selector)

    def seen(self, name: str, *, refused: bool = False) -> None:
        """The page speaks its language, is sound and can be tapped; nothing was refused (but the page itself)."""
        assert self.page.evaluate("document.documentElement.lang") == self.locale
        small = self.page.evaluate(
            "[...document.querySelectorAll('button, a.button, nav a, select, input:not([type=hidden])')]"
            ".filter(e => { const r = e.getBoundingClientRect(); return r.width < 24 || r.height < 24 })"
            ".map(e => e.outerHTML)"
        )
        assert not small, f"{name}: too small to be tapped (WCAG 2.2, 2.5.8)"
        assert len(self.tab.complaints) == refused, f"{name}: {self.tab.complaints}"
        self.tab.complaints.clear()
        self.tab.sound(f"portal-{name}-{self.locale}")


@pytest.fixture(params=LOCALES)
def phone(server: Server, browser: Browser, request: pytest.FixtureRequest) -> Phone:
    return Phone(browser, server, request.param)


@pytest.fixture
def alice(program: Program) -> Program:
    program.decide("alice")
    program.decide("alice", purpose="personalisation")
    program.call("PUT", "profile", {"subject": {"openid": "alice"}, "attributes": {"nickname": "Al", "city": "Ulm"}})
    program.send(*(event("alice", f"e{n}", now(), page="pages/index") for n in range(30)))
    return program


def test_consents_are_withdrawn_and_given(phone: Phone, alice: Program) -> None:
    phone.open(alice, "consents")
    phone.seen("consents")
    assert phone.has(".switch[aria-checked=true]") == 2
    phone.tap(".switch[aria-checked=true]")
    assert phone.has(".switch[aria-checked=true]") == 1
    phone.seen("consents-one-withdrawn")
    phone.tap("a[href$='/consents/precise_location'].button")
    phone.seen("consent")
    phone.tap("button[value=given]")
    assert phone.has(".switch[aria-checked=true]") == 2
    phone.tap("button[name=all]")
    assert phone.has(".switch[aria-checked=true]") == 0
    phone.seen("consents-withdrawn")


def test_data_are_read_and_corrected(phone: Phone, alice: Program) -> None:
    phone.open(alice, "data")
    assert phone.has(".held h2") >= 4
    phone.seen("data")
    phone.page.select_option("#what", "attribute:nickname")
    phone.page.fill("#value", "Ally")
    phone.tap("form .card button, .card form button")
    phone.seen("correction")


def test_an_erasure_is_asked_and_taken_back(phone: Phone, alice: Program) -> None:
    phone.open(alice, "requests")
    phone.seen("requests")
    phone.tap("a[href$='/new/erasure']")
    phone.seen("ask")
    phone.tap("button[value=erasure]")
    phone.seen("erasure")
    phone.go("consents")
    assert phone.has(".switch[value=given]") == 0
    phone.seen("consents-erasing")
    phone.go("data")
    phone.seen("data-erasing", refused=True)
    phone.go("requests")
    phone.tap(".list a[href*='/requests/'][href*='-']")
    phone.tap("form[action$='/take-back'] button")
    phone.seen("taken-back")
    phone.go("requests")
    phone.seen("requests-asked")


def test_uses_are_objected_to_and_data_passed_on(phone: Phone, alice: Program) -> None:
    phone.open(alice, "requests")
    phone.tap("a[href$='/new/objection']")
    phone.seen("ask-objection")
    phone.page.check("input[value=analytics]")
    phone.tap("button[value=objection]")
    phone.seen("objection")
    phone.go("requests")
    phone.tap("a[href$='/new/portability']")
    phone.seen("ask-portability")
    phone.page.fill("#recipient", "Canary Ltd")
    phone.page.check("input[value=csv]")
    phone.tap("button[value=portability]")
    phone.seen("portability")


def test_a_package_waits_for_a_fresh_login(
    phone: Phone, alice: Program, as_worker: Working, owner: psycopg.Connection
) -> None:
    phone.open(alice, "requests")
    phone.tap("a[href$='/new/copy']")
    phone.tap("button[value=copy]")
    filed = {"request_id": phone.page.url.rpartition("/")[2]}
    carry_out(alice, as_worker, filed)
    phone.go(f"requests/{filed['request_id']}")
    phone.seen("package")
    assert phone.has("a[href$='package.json']") == 0
    owner.execute("UPDATE portal_session SET stepped_up = true")
    phone.go(f"requests/{filed['request_id']}")
    phone.seen("package-stepped-up")
    with phone.page.expect_download() as fetched:
        phone.page.click("a[href$='package.json']")
    assert json.loads(fetched.value.path().read_text())["request_id"] == filed["request_id"]
    phone.go(f"claim/{filed['request_id']}")
    phone.seen("claim")


def test_a_notice_is_read_in_either_language_and_the_pages_are_left(phone: Phone, alice: Program) -> None:
    publish(alice, text_with())
    phone.open(alice, "consents")
    phone.tap("nav a[href$='/notices']")
    phone.seen("notices")
    latest, before = (one.get_attribute("href") for one in phone.page.locator(".list a").all())
    phone.tap(f"a[href='{latest}']")
    phone.seen("notice")
    phone.page.go_back()
    phone.tap(f"a[href='{before}']")
    phone.seen("notice-before")
    phone.tap("button[name=locale]")
    phone.locale = next(locale for locale in LOCALES if locale != phone.locale)
    phone.seen("notices-other")
    phone.tap("form[action$='/end'] button")
    phone.go("consents")
    assert phone.has("nav a") == 0
