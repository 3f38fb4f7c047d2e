"""What a data subject comes for, done in a real browser as wide as a small phone, in both languages."""

import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest

from tests import chromium
from tests.cast import Program, event, now
from tests.chromium import Tab
from tests.consent.rights import Working, carry_out
from tests.journeys.server import Server, serving

pytestmark = pytest.mark.skipif(
    chromium.found() is None, reason=f"no Chromium on PATH, and {chromium.VARIABLE} names none"
)
PICTURES = os.environ.get("ZHIQING_PICTURES", "")
"""A folder for pictures of every page, to be looked at."""
AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
BROKEN = """
    axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})
        .then(found => found.passes.length ? found.violations.map(one => `${one.id}: ${one.nodes.map(node => node.html).join(' ')}`)
                                           : ['nothing was looked at'])
"""
"""What of WCAG 2.2 AA a machine can tell to be broken."""
PHONE = 360
LOCALES = ("zh-Hans", "en")


@pytest.fixture(scope="module")
def server(migrated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("web"), workers=2) as started:
        yield started


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Browser]:
    with chromium.running(tmp_path_factory.mktemp("chromium")) as started:
        yield started


class Phone:
    """A tab of a small phone, whose owner taps what they read."""

    def __init__(self, tab: Tab, server: Server, locale: str) -> None:
        self.tab, self.server, self.locale = tab, server, locale
        tab.size(PHONE, 740)

    def open(self, program: Program, view: str) -> None:
        body = {"subject": {"openid": "alice"}, "locale": self.locale, "view": view}
        url: str = program.post("portal-sessions", body).json()["url"]
        self.go(url.replace("http://testserver", self.server.base_url))
        self.seen("link")
        self.tap("button.main")

    def go(self, address: str) -> None:
        self.tab.open(address if address.startswith("http") else f"{self.server.base_url}/portal/{address}")

    def tap(self, selector: str) -> None:
        """And wait for the page it leads to."""
        self.tab.browser.happened.clear()
        self.tab.ask("Runtime.evaluate", expression=f"document.querySelector({selector!r}).click()")
        self.tab.browser.until("Page.loadEventFired")

    def fill(self, selector: str, value: str) -> None:
        self.tab.evaluate(f"document.querySelector({selector!r}).value = {value!r}")

    def has(self, selector: str) -> int:
        return int(self.tab.evaluate(f"document.querySelectorAll({selector!r}).length"))

    def seen(self, name: str, *, refused: bool = False) -> None:
        """The page is no wider than the phone, speaks its language, and nothing was refused (but the page itself)."""
        assert self.tab.evaluate("document.documentElement.scrollWidth") <= PHONE, name
        assert self.tab.evaluate("document.documentElement.lang") == self.locale
        small = self.tab.evaluate(
            "[...document.querySelectorAll('button, a.button, nav a, select, input:not([type=hidden])')]"
            ".filter(e => { const r = e.getBoundingClientRect(); return r.width < 24 || r.height < 24 })"
            ".map(e => e.outerHTML)"
        )
        assert not small, f"{name}: too small to be tapped (WCAG 2.2, 2.5.8)"
        self.tab.evaluate(AXE)
        violations = self.tab.evaluate(BROKEN)
        assert not violations, f"{name}: {violations}"
        if PICTURES:
            self.tab.picture(Path(PICTURES, f"portal-{name}-{self.locale}.png"), PHONE)
            self.tab.size(PHONE, 740)
        assert len(self.tab.complaints) == refused, f"{name}: {self.tab.complaints}"


@pytest.fixture(params=LOCALES)
def phone(server: Server, browser: chromium.Browser, request: pytest.FixtureRequest) -> Phone:
    return Phone(browser.tab(), server, request.param)


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
    phone.tab.evaluate("document.querySelector('#what').value = 'attribute:nickname'")
    phone.fill("#value", "Ally")
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


def test_a_package_waits_for_a_fresh_login(
    phone: Phone, alice: Program, as_worker: Working, owner: psycopg.Connection
) -> None:
    phone.open(alice, "requests")
    phone.tap("a[href$='/new/copy']")
    phone.tap("button[value=copy]")
    filed = {"request_id": str(phone.tab.evaluate("location.pathname")).rpartition("/")[2]}
    carry_out(alice, as_worker, filed)
    phone.go(f"requests/{filed['request_id']}")
    phone.seen("package")
    assert phone.has("a[href$='package.json']") == 0
    owner.execute("UPDATE portal_session SET stepped_up = true")
    phone.go(f"requests/{filed['request_id']}")
    phone.seen("package-stepped-up")
    assert phone.has("a[href$='package.json']") == 1
    phone.go(f"claim/{filed['request_id']}")
    phone.seen("claim")


def test_a_notice_is_read_in_either_language_and_the_pages_are_left(phone: Phone, alice: Program) -> None:
    phone.open(alice, "consents")
    phone.tap("nav a[href$='/notices']")
    phone.seen("notices")
    phone.tap(".list a")
    phone.seen("notice")
    phone.tap("button[name=locale]")
    phone.locale = next(locale for locale in LOCALES if locale != phone.locale)
    phone.seen("notices-other")
    phone.tap("form[action$='/end'] button")
    phone.go("consents")
    assert phone.has("nav a") == 0
