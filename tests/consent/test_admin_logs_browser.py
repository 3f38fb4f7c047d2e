"""The audit log and the compliance audit report in a real browser: nothing is refused or cut off, wide and narrow."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser

from tests import chromium
from tests.cast import Program
from tests.chromium import Tab
from tests.consent.desk import Desk, disclosure_row, holder, request_row
from tests.journeys.server import Server

pytestmark = [chromium.needed, pytest.mark.long]
WIDTHS = {"zh-hans": 1280, "en": 400}


@pytest.fixture
def desk(program: Program) -> Desk:
    return holder("officer", program).enter(program)


@pytest.fixture(params=WIDTHS)
def tab(server: Server, browser: Browser, desk: Desk, request: pytest.FixtureRequest) -> Tab:
    language: str = request.param
    found = Tab(browser, WIDTHS[language])
    found.cookie(server.base_url, "sessionid", desk.client.cookies["sessionid"].value)
    found.cookie(server.base_url, "django_language", language)
    return found


def submitted(tab: Tab, form: str) -> None:
    with tab.page.expect_navigation():
        tab.page.evaluate(f"document.querySelector('{form}').requestSubmit()")


def test_the_audit_log_is_searched_and_leads_back(program: Program, tab: Tab, server: Server) -> None:
    asked = request_row(program, "alice")
    program.post("requests", {"subject": {"openid": "bob"}, "kind": "copy", "locale": "en"}, Idempotency_Key="k")
    tab.page.goto(f"{server.base_url}/admin/consent/subjectrequest/{asked.pk}/change/")
    assert tab.count(f"a[href$='target=request:{asked.pk}']") == 1
    tab.page.goto(f"{server.base_url}/admin/consent/auditentry/")
    tab.sound(f"audit-log-{tab.width}")
    tab.page.select_option("#log-search [name=action]", "request.filed")
    submitted(tab, "#log-search")
    assert tab.count("#result_list tbody tr") == 1
    tab.sound(f"audit-log-found-{tab.width}")
    # A browser sends no telephone number.
    tab.page.fill("#log-search [name=target]", "13800138000")
    assert tab.page.evaluate("document.querySelector('#log-search').checkValidity()") is False


def test_the_report_is_made_on_its_page(program: Program, tab: Tab, server: Server) -> None:
    disclosure_row(program, request_row(program, "alice"))
    tab.page.goto(f"{server.base_url}/admin/audit-report/")
    tab.page.fill("[name=last]", datetime.now(UTC).date().isoformat())
    submitted(tab, "#audit-form")
    assert tab.count("#audit-report h4") == 28
    tab.sound(f"audit-report-{tab.width}")
    tab.page.emulate_media(media="print")
    tab.fits()
    tab.picture(f"audit-report-print-{tab.width}")
