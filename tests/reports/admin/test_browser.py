"""Every report's page in a real browser: its charts are drawn and nothing is refused or cut off, wide and narrow."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
from playwright.sync_api import Browser

from reports import tasks
from reports.admin.pages import PAGES
from reports.metrics.registry import names
from tests import chromium
from tests.chromium import PICTURES, Tab
from tests.consent.desk import Desk, account
from tests.consent.window import LOCALES, Window
from tests.journeys.server import Server
from tests.reports.admin.asking import NEEDED
from tests.reports.events import History

pytestmark = chromium.needed
WIDTHS = {"zh-hans": 1280, "en": 400}


@pytest.fixture
def tab(server: Server, browser: Browser, analyst: Desk) -> Tab:
    return signed_in(browser, server, analyst)


def signed_in(browser: Browser, server: Server, analyst: Desk, **more: bool) -> Tab:
    """As the analyst."""
    found = Tab(browser, 1280, **more)
    found.cookie(server.base_url, "sessionid", analyst.client.cookies["sessionid"].value)
    return found


def look(tab: Tab, server: Server, path: str, language: str, width: int) -> None:
    """Open a page."""
    tab.size(width)
    tab.cookie(server.base_url, "django_language", language)
    tab.page.goto(f"{server.base_url}/admin/reports/{path}")
    assert tab.page.evaluate("document.documentElement.lang") == language
    tab.fits()


def submitted(tab: Tab, form: str) -> None:
    """Send a form, and wait for the page it leads to."""
    with tab.page.expect_navigation():
        tab.page.evaluate(f"document.querySelector('{form}').requestSubmit()")


@pytest.mark.long
@pytest.mark.parametrize("metric", names())
def test_a_reports_charts_are_drawn(tab: Tab, server: Server, metric: str) -> None:
    query = urlencode(NEEDED.get(metric, {}), doseq=True)
    for language, width in WIDTHS.items():
        look(tab, server, f"report/{metric}/?{query}", language, width)
        drawn = tab.page.evaluate(
            "[...document.querySelectorAll('.zq-plot')].map(e => e.querySelectorAll('svg.main-svg').length)"
        )
        assert len(drawn) == len(PAGES[metric].charts) and all(drawn), drawn
        assert tab.count("table[id^=table-] td[data-status=ok]") > 0
        tab.picture(f"{metric}-{language}-{width}")
        assert not tab.complaints


def test_the_list_of_reports_fits(tab: Tab, server: Server) -> None:
    for language, width in WIDTHS.items():
        look(tab, server, "report/", language, width)
        assert tab.count(".zq-list a") == len(PAGES)
        tab.picture(f"list-{language}-{width}")
        assert not tab.complaints


@pytest.mark.long
@pytest.mark.parametrize("locale", LOCALES)
def test_a_report_is_read_saved_and_opened_again(browser: Browser, server: Server, shop: History, locale: str) -> None:
    """By the form on its page; then found in the list, wide and narrow."""
    window = Window(browser, server, locale)
    window.sign_in(account("analyst", shop.program), "reports/report/")
    window.press("Enter")
    window.seen("reports", narrow=True)
    window.follow("/report/trends/")
    window.choose("breakdown", "os")
    window.press("Show")
    assert window.tab.count("svg.main-svg") > 0
    window.seen("report", narrow=True)
    window.page.click("#save summary")
    window.fill("name", f"By system, {locale}")
    window.seen("report-saving", narrow=True)
    window.press("Save")
    assert window.page.inner_text("#saved-name") == f"By system, {locale}"
    assert window.tab.count("svg.main-svg") > 0
    window.seen("report-saved")
    change = window.page.get_attribute("a[href$='/change/']", "href")
    window.go("reports/savedreport/")
    assert window.tab.count("#result_list a[href*=savedreport]") > 0
    window.seen("saved-reports", narrow=True)
    window.page.goto(f"{server.base_url}{change}")
    assert window.tab.count("#savedreport_form input[name=name]") == 1
    window.seen("saved-report", narrow=True)


def test_a_run_is_watched_cancelled_and_shown(
    tab: Tab,
    server: Server,
    analyst: Desk,
    as_worker: Callable[[], AbstractContextManager[None]],
    owner: psycopg.Connection,
) -> None:
    """The page looks again by itself, without a script; when the run is done it is the report."""
    for language, width in WIDTHS.items():
        path = str(analyst.post("reports/reportrun/start/activity/")["Location"]).removeprefix("/admin/reports/")
        look(tab, server, path, language, width)
        assert tab.page.evaluate("document.getElementById('run-state').dataset.state") == "queued"
        owner.execute(
            "UPDATE report_run SET state = 'running', counting = 'days', done = 3, parts = 8 WHERE state = 'queued'"
        )
        tab.page.locator("#run-state[data-state=running]").wait_for()
        assert tab.page.evaluate("document.getElementById('run-progress').position") == 3 / 8
        tab.picture(f"run-{language}-{width}")
        look(tab, server, path, language, width)
        submitted(tab, "#cancel-form")
        assert tab.page.evaluate("document.getElementById('run-state').dataset.state") == "cancelled"
        tab.picture(f"run-cancelled-{language}-{width}")
        path = str(analyst.post("reports/reportrun/start/activity/")["Location"]).removeprefix("/admin/reports/")
        with as_worker():
            tasks.carry_out(path.rstrip("/").rpartition("/")[2])
        look(tab, server, path, language, width)
        assert tab.count("svg.main-svg") > 0
        tab.picture(f"run-done-{language}-{width}")
        look(tab, server, "reportrun/", language, width)
        assert tab.count("#result_list a[href*=reportrun]") > 0
        tab.picture(f"run-list-{language}-{width}")
        assert not tab.complaints


SEEN = "[...document.querySelectorAll('{0}')].filter(e => e.getClientRects().length).length"


def test_paper_has_the_charts_and_the_table_alone(tab: Tab, server: Server, tmp_path: Path) -> None:
    look(tab, server, "report/activity/", "en", 1280)
    assert tab.page.evaluate(SEEN.format("form, nav, .zq-screen")) > 0
    tab.page.emulate_media(media="print")
    tab.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for gone in ("form", "nav", "#nav-sidebar", "#header-inner", ".zq-screen"):
        assert tab.page.evaluate(SEEN.format(gone)) == 0, gone
    charts = len(PAGES["activity"].charts)
    assert tab.page.evaluate(SEEN.format("svg.main-svg")) >= charts
    assert (
        tab.page.evaluate("Math.max(...[...document.querySelectorAll('svg.main-svg')].map(e => e.clientWidth))") <= 690
    )
    assert tab.page.evaluate(SEEN.format("#table-data tbody tr")) == 28
    assert tab.page.evaluate(SEEN.format(".zq-paper")) == 1
    tab.size(720)
    tab.picture("paper")
    tab.page.pdf(path=Path(PICTURES or tmp_path, "activity.pdf"), print_background=True, prefer_css_page_size=True)
    assert not tab.complaints


def test_without_a_script_there_are_the_form_and_the_table(browser: Browser, server: Server, analyst: Desk) -> None:
    tab = signed_in(browser, server, analyst, java_script_enabled=False)
    look(tab, server, "report/activity/", "en", 400)
    assert tab.page.evaluate(SEEN.format("#report-form input")) == 2
    assert tab.page.evaluate(SEEN.format("#table-data tbody tr")) == 28
    assert (
        tab.page.evaluate("document.querySelector('#content-main noscript').textContent")
        .strip()
        .startswith("Charts need JavaScript")
    )
    assert tab.count("svg.main-svg") == 0
    tab.picture("no-script")


def test_whoever_waits_is_told(tab: Tab, server: Server) -> None:
    look(tab, server, "report/activity/", "en", 1280)
    stays = "e => e.preventDefault()"
    tab.page.evaluate(f"document.getElementById('report-form').addEventListener('submit', {stays})")
    tab.page.evaluate("document.querySelector('#report-form button[type=submit]').click()")
    assert tab.page.evaluate("document.getElementById('working').textContent") == "The report is being made …"
