"""Every report's page in a real browser: its charts are drawn and nothing is refused or cut off, wide and narrow."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest

from reports import tasks
from reports.admin.pages import PAGES
from reports.metrics.registry import names
from tests import chromium
from tests.chromium import Tab
from tests.consent.desk import Desk
from tests.journeys.server import Server, serving
from tests.reports.admin.asking import NEEDED

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
def tab(server: Server, browser: chromium.Browser, analyst: Desk) -> Tab:
    """Signed in as the analyst."""
    found = browser.tab()
    found.cookie(server.base_url, "sessionid", analyst.client.cookies["sessionid"].value)
    return found


def pictured(tab: Tab, name: str, width: int) -> None:
    if PICTURES:
        tab.picture(Path(PICTURES, f"{name}-{width}.png"), width)


def look(tab: Tab, server: Server, path: str, language: str, width: int) -> None:
    """Open a page; the page itself is as wide as the window, whatever is scrolled within it."""
    tab.size(width)
    tab.cookie(server.base_url, "django_language", language)
    tab.open(f"{server.base_url}/admin/reports/{path}")
    assert tab.evaluate("document.documentElement.lang") == language
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def submitted(tab: Tab, form: str) -> None:
    """Send a form, and wait for the page it leads to."""
    tab.ask("Runtime.evaluate", expression=f"document.querySelector('{form}').requestSubmit()")
    tab.browser.until("Page.loadEventFired")


@pytest.mark.long
@pytest.mark.parametrize("metric", names())
def test_a_reports_charts_are_drawn(tab: Tab, server: Server, metric: str) -> None:
    query = urlencode(NEEDED.get(metric, {}), doseq=True)
    for language, width in WIDTHS.items():
        look(tab, server, f"report/{metric}/?{query}", language, width)
        drawn = tab.evaluate(
            "[...document.querySelectorAll('.zq-plot')].map(e => e.querySelectorAll('svg.main-svg').length)"
        )
        assert len(drawn) == len(PAGES[metric].charts) and all(drawn), drawn
        assert tab.evaluate("document.querySelectorAll('table[id^=table-] td[data-status=ok]').length") > 0
        pictured(tab, f"{metric}-{language}", width)
        assert not tab.complaints


def test_the_list_of_reports_fits(tab: Tab, server: Server) -> None:
    for language, width in WIDTHS.items():
        look(tab, server, "report/", language, width)
        assert tab.evaluate("document.querySelectorAll('.zq-list a').length") == len(PAGES)
        pictured(tab, f"list-{language}", width)
        assert not tab.complaints


def test_a_report_is_saved_opened_and_renamed(tab: Tab, server: Server, analyst: Desk) -> None:
    """By the form on its page; then found in the list, wide and narrow."""
    for language, width in WIDTHS.items():
        look(tab, server, "report/trends/?breakdown=os", language, width)
        tab.evaluate("document.querySelector('#save summary').click()")
        tab.evaluate(f"document.querySelector('#save-form [name=name]').value = 'By system, {language}'")
        pictured(tab, f"saving-{language}", width)
        submitted(tab, "#save-form")
        assert tab.evaluate("document.getElementById('saved-name').textContent") == f"By system, {language}"
        assert tab.evaluate("document.querySelectorAll('svg.main-svg').length") > 0
        pictured(tab, f"saved-{language}", width)
        change = tab.evaluate("document.querySelector('a[href$=\"/change/\"]').pathname")
        look(tab, server, "savedreport/", language, width)
        assert tab.evaluate("document.querySelectorAll('#result_list a[href*=savedreport]').length") > 0
        pictured(tab, f"saved-list-{language}", width)
        look(tab, server, change.removeprefix("/admin/reports/"), language, width)
        assert tab.evaluate("document.querySelectorAll('#savedreport_form input[name=name]').length") == 1
        pictured(tab, f"saved-change-{language}", width)
        assert not tab.complaints


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
        assert tab.evaluate("document.getElementById('run-state').dataset.state") == "queued"
        owner.execute(
            "UPDATE report_run SET state = 'running', counting = 'days', done = 3, parts = 8 WHERE state = 'queued'"
        )
        tab.browser.until("Page.loadEventFired")
        assert tab.evaluate("document.getElementById('run-progress').position") == 3 / 8
        pictured(tab, f"run-{language}", width)
        look(tab, server, path, language, width)
        submitted(tab, "#cancel-form")
        assert tab.evaluate("document.getElementById('run-state').dataset.state") == "cancelled"
        pictured(tab, f"run-cancelled-{language}", width)
        path = str(analyst.post("reports/reportrun/start/activity/")["Location"]).removeprefix("/admin/reports/")
        with as_worker():
            tasks.carry_out(path.rstrip("/").rpartition("/")[2])
        look(tab, server, path, language, width)
        assert tab.evaluate("document.querySelectorAll('svg.main-svg').length") > 0
        pictured(tab, f"run-done-{language}", width)
        look(tab, server, "reportrun/", language, width)
        assert tab.evaluate("document.querySelectorAll('#result_list a[href*=reportrun]').length") > 0
        pictured(tab, f"run-list-{language}", width)
        assert not tab.complaints


SEEN = "[...document.querySelectorAll('{0}')].filter(e => e.getClientRects().length).length"


def test_paper_has_the_charts_and_the_table_alone(tab: Tab, server: Server, tmp_path: Path) -> None:
    look(tab, server, "report/activity/", "en", 1280)
    assert tab.evaluate(SEEN.format("form, nav, .zq-screen")) > 0
    tab.ask("Emulation.setEmulatedMedia", media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    for gone in ("form", "nav", "#nav-sidebar", "#header-inner", ".zq-screen"):
        assert tab.evaluate(SEEN.format(gone)) == 0, gone
    charts = len(PAGES["activity"].charts)
    assert tab.evaluate(SEEN.format("svg.main-svg")) >= charts
    assert tab.evaluate("Math.max(...[...document.querySelectorAll('svg.main-svg')].map(e => e.clientWidth))") <= 690
    assert tab.evaluate(SEEN.format("#table-data tbody tr")) == 28
    assert tab.evaluate(SEEN.format(".zq-paper")) == 1
    pictured(tab, "paper", 720)
    tab.paper(Path(PICTURES or tmp_path) / "activity.pdf")
    assert not tab.complaints


def test_without_a_script_there_are_the_form_and_the_table(tab: Tab, server: Server) -> None:
    tab.ask("Emulation.setScriptExecutionDisabled", value=True)
    look(tab, server, "report/activity/", "en", 400)
    assert tab.evaluate(SEEN.format("#report-form input")) == 2
    assert tab.evaluate(SEEN.format("#table-data tbody tr")) == 28
    assert (
        tab.evaluate("document.querySelector('#content-main noscript').textContent")
        .strip()
        .startswith("Charts need JavaScript")
    )
    assert tab.evaluate("document.querySelectorAll('svg.main-svg').length") == 0
    pictured(tab, "no-script", 400)


def test_whoever_waits_is_told(tab: Tab, server: Server) -> None:
    look(tab, server, "report/activity/", "en", 1280)
    stays = "e => e.preventDefault()"
    tab.evaluate(f"document.getElementById('report-form').addEventListener('submit', {stays})")
    tab.evaluate("document.querySelector('#report-form button[type=submit]').click()")
    assert tab.evaluate("document.getElementById('working').textContent") == "The report is being made …"
