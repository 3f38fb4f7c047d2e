"""The audit log and the compliance audit report in a real browser: nothing is refused or cut off, wide and narrow."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import chromium
from tests.cast import Program
from tests.chromium import Tab
from tests.consent.desk import Desk, disclosure_row, holder, request_row
from tests.journeys.server import Server, serving

pytestmark = pytest.mark.skipif(
    chromium.found() is None, reason=f"no Chromium on PATH, and {chromium.VARIABLE} names none"
)
PICTURES = os.environ.get("ZHIQING_PICTURES", "")
"""A folder for pictures of every page, to be looked at."""
WIDTHS = {"zh-hans": 1280, "en": 400}


@pytest.fixture(scope="module")
def server(migrated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("web"), workers=2) as started:
        yield started


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Browser]:
    with chromium.running(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def desk(program: Program) -> Desk:
    return holder("officer", program).enter(program)


@pytest.fixture
def tab(server: Server, browser: chromium.Browser, desk: Desk) -> Tab:
    found = browser.tab()
    found.cookie(server.base_url, "sessionid", desk.client.cookies["sessionid"].value)
    return found


def look(tab: Tab, server: Server, path: str, language: str, width: int) -> None:
    tab.size(width)
    tab.cookie(server.base_url, "django_language", language)
    tab.open(f"{server.base_url}/admin/{path}")
    fits(tab, width)


def fits(tab: Tab, width: int) -> None:
    """The page itself is as wide as the window, whatever is scrolled within it."""
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert not tab.complaints


def submitted(tab: Tab, form: str) -> None:
    tab.ask("Runtime.evaluate", expression=f"document.querySelector('{form}').requestSubmit()")
    tab.browser.until("Page.loadEventFired")


def pictured(tab: Tab, name: str, width: int) -> None:
    if PICTURES:
        tab.picture(Path(PICTURES, f"{name}-{width}.png"), width)


def test_the_audit_log_is_searched_and_leads_back(program: Program, tab: Tab, server: Server) -> None:
    asked = request_row(program, "alice")
    program.post("requests", {"subject": {"openid": "bob"}, "kind": "copy", "locale": "en"}, Idempotency_Key="k")
    for language, width in WIDTHS.items():
        look(tab, server, f"consent/subjectrequest/{asked.pk}/change/", language, width)
        assert tab.evaluate(f"document.querySelectorAll('a[href$=\"target=request:{asked.pk}\"]').length") == 1
        look(tab, server, "consent/auditentry/", language, width)
        pictured(tab, f"audit-log-{language}", width)
        tab.evaluate("document.querySelector('#log-search [name=action]').value = 'request.filed'")
        submitted(tab, "#log-search")
        fits(tab, width)
        assert tab.evaluate("document.querySelectorAll('#result_list tbody tr').length") == 1
        pictured(tab, f"audit-log-found-{language}", width)
        # A browser sends no telephone number.
        tab.evaluate("document.querySelector('#log-search [name=target]').value = '13800138000'")
        assert tab.evaluate("document.querySelector('#log-search').checkValidity()") is False


def test_the_report_is_made_on_its_page(program: Program, tab: Tab, server: Server) -> None:
    disclosure_row(program, request_row(program, "alice"))
    for language, width in WIDTHS.items():
        look(tab, server, "audit-report/", language, width)
        tab.evaluate("document.querySelector('[name=last]').value = new Date().toISOString().slice(0, 10)")
        submitted(tab, "#audit-form")
        fits(tab, width)
        assert tab.evaluate("document.querySelectorAll('#audit-report h4').length") == 27
        pictured(tab, f"audit-report-{language}", width)
        if PICTURES:
            tab.ask("Emulation.setEmulatedMedia", media="print")
            pictured(tab, f"audit-report-print-{language}", width)
            tab.ask("Emulation.setEmulatedMedia", media="")
