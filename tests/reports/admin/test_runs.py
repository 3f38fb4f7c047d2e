"""Reports in the background, in the admin: offered where a page's time is over, watched, cancelled, and shown when done."""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from reports import tasks
from reports.admin import showing
from reports.metrics.registry import names
from tests.cast import Program
from tests.consent.desk import Desk, officer
from tests.reports.admin.asking import NEEDED, body
from tests.reports.admin.reading import read
from tests.reports.admin.test_pages import LANGUAGES, address, last_days, page, shown
from tests.reports.admin.test_saved import query, saved
from tests.reports.events import History

LIST = "reports/reportrun/"
Working = Callable[[], AbstractContextManager[None]]


def start(desk: Desk, metric: str, **asked: Any) -> str:
    """Its address below /admin/."""
    response = desk.post(f"{LIST}start/{metric}/?{query(**asked)}")
    assert response.status_code == 302, response.content
    return str(response["Location"]).removeprefix("/admin/")


def id_of(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def slow(*args: Any, **named: Any) -> Any:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 20")
        cursor.execute("SELECT pg_sleep(5)")


@pytest.mark.long
@pytest.mark.parametrize("metric", names())
def test_a_run_that_is_done_is_the_reports_page(
    shop: History, analyst: Desk, as_worker: Working, metric: str, owner: psycopg.Connection
) -> None:
    """Tables, charts and CSV, whatever the report."""
    asked = last_days(metric) | NEEDED.get(metric, {})
    path = start(analyst, metric, **asked)
    with as_worker():
        tasks.carry_out(id_of(path))
    made, expected = read(analyst.get(path).content.decode()), shown(analyst, metric, **asked)
    assert made.figures and made.figures == expected.figures
    assert made.charts == expected.charts
    assert made.texts["definition"] == expected.texts["definition"]
    csv = analyst.get(path, query_params={"format": "csv"})
    assert csv.content == shop.program.post(f"reports/{metric}", body(asked), Accept="text/csv").content
    ((details,),) = owner.execute("SELECT details FROM audit_entry WHERE action = 'report.exported'").fetchall()
    assert details == {"report": metric, "from": asked["from"], "to": asked["to"]}


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_offered_where_the_pages_time_is_over(
    idle: Desk, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    kept = saved(idle, "trends", "mine", "this_month")
    monkeypatch.setattr(showing, "answered", slow)
    response = page(idle, "activity", language, **{"from": "2025-10-06", "to": "2025-10-07"})
    text = response.content.decode()
    assert response.status_code == 503
    assert {"zh-hans": "在后台生成", "en": "Run in the background"}[language] in text
    action = re.search(r'action="/admin/(reports/reportrun/start/activity/\?[^"]*)"', text)
    assert action is not None
    started = idle.post(action[1].replace("&amp;", "&"))
    assert started["Location"].startswith(f"/admin/{LIST}")
    text = idle.get(kept).content.decode()
    action = re.search(r'action="/admin/(reports/reportrun/start/trends/)"', text)
    hidden = re.search(r'name="saved" value="([^"]*)"', text)
    assert action is not None and hidden is not None and hidden[1] == id_of(kept)
    assert idle.post(action[1], saved=hidden[1]).status_code == 302
    rows = owner.execute("SELECT metric, question, asked_by, state FROM report_run ORDER BY asked_at").fetchall()
    by = f"officer:{idle.user.pk}"
    assert [(row[0], *row[2:]) for row in rows] == [("activity", by, "queued"), ("trends", by, "queued")]
    assert rows[0][1] == {"from": "2025-10-06", "to": "2025-10-07"}
    # A saved report's relative days are those of the day it was asked on.
    assert {"from", "to"} <= rows[1][1].keys() and "range" not in rows[1][1]


def test_it_is_not_offered_otherwise(idle: Desk) -> None:
    assert "reportrun/start" not in page(idle, "activity").content.decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_how_far_it_is(idle: Desk, owner: psycopg.Connection, language: str) -> None:
    idle.client.cookies["django_language"] = language
    path = start(idle, "activity")
    again = '<meta http-equiv="refresh" content="3">'
    queued = idle.get(path).content.decode()
    assert again in queued and 'data-state="queued"' in queued and "<progress" not in queued
    owner.execute("UPDATE report_run SET state = 'running', counting = 'days', done = 3, parts = 8")
    running = idle.get(path).content.decode()
    assert again in running and '<progress class="zq-progress" id="run-progress" value="3" max="8"' in running
    told = {"zh-hans": "共 8 步,已完成 3 步", "en": "3 of 8 parts done: counting days"}[language]
    assert told in running.partition('id="run-counting"')[2]
    assert not re.search(r"<script(?![^>]*src)", running.partition('id="content-main"')[2].partition("</form>")[0])
    listed = idle.get(LIST).content.decode()
    assert f'href="/admin/{path}"' in listed
    assert {"zh-hans": "进行中", "en": "running"}[language] in listed
    owner.execute(
        "UPDATE report_run SET state = 'failed', finished_at = now(), problem = %s",
        [json.dumps({"code": "history_too_short", "detail": "x"})],
    )
    failed = idle.get(path).content.decode()
    assert again not in failed and "cancel-form" not in failed and f"/admin/{address('activity')}?to=" in failed
    assert {"zh-hans": "已结束的日子不够", "en": "more closed days"}[language] in failed
    owner.execute("""UPDATE report_run SET problem = '{"code": "database_53100", "detail": "x"}'""")
    assert {"zh-hans": "多次失败", "en": "again and again"}[language] in idle.get(path).content.decode()


def test_it_is_cancelled_with_a_button(idle: Desk, as_worker: Working, owner: psycopg.Connection) -> None:
    path = start(idle, "activity")
    assert f'action="/admin/{path}cancel/"' in idle.get(path).content.decode()
    assert idle.get(f"{path}cancel/").status_code == 405
    assert idle.post(f"{path}cancel/")["Location"] == f"/admin/{path}"
    assert 'data-state="cancelled"' in idle.get(path).content.decode()
    done = owner.execute(
        "SELECT action, actor FROM audit_entry WHERE action LIKE 'report_run.%' ORDER BY id"
    ).fetchall()
    by = f"officer:{idle.user.pk}"
    assert done == [("report_run.asked", by), ("report_run.cancelled", by)]
    over = start(idle, "activity")
    with as_worker():
        tasks.carry_out(id_of(over))
    idle.post(f"{over}cancel/")
    assert "there is nothing to cancel" in idle.get(LIST).content.decode()


def test_what_cannot_be_started_says_so(idle: Desk, owner: psycopg.Connection) -> None:
    assert start(idle, "funnel").startswith(address("funnel"))
    start(idle, "activity", **{"from": "2026-02-01", "to": "2026-01-01"})
    assert "A range begins before it ends" in idle.get(LIST).content.decode()
    for _ in range(11):
        start(idle, "activity")
    assert "Ten reports are being made" in idle.get(LIST).content.decode()
    assert owner.execute("SELECT count(*) FROM report_run").fetchone() == (10,)
    assert idle.post(f"{LIST}start/nothing/").status_code == 404
    assert idle.get(f"{LIST}start/activity/").status_code == 405
    assert idle.post(f"{LIST}start/activity/", saved="x").status_code == 404


def test_a_page_of_a_run_outlives_an_event_of_its_form(
    shop: History, analyst: Desk, as_worker: Working, owner: psycopg.Connection
) -> None:
    path = start(analyst, "trends", event="order", **last_days("trends"))
    with as_worker():
        tasks.carry_out(id_of(path))
    expected = read(analyst.get(path).content.decode()).figures
    owner.execute("""UPDATE report_run SET question = question || '{"event": "gone"}'""")
    assert read(analyst.get(path).content.decode()).figures == expected


def test_an_expired_run_is_not_there(idle: Desk, owner: psycopg.Connection) -> None:
    path = start(idle, "activity")
    owner.execute("UPDATE report_run SET expires_at = now() - interval '1 second'")
    assert idle.get(path).status_code == 404
    assert path not in idle.get(LIST).content.decode()


def test_runs_are_closed_to_whoever_may_not_see_reports(program: Program, idle: Desk, other: Program) -> None:
    path = start(idle, "activity")
    hal = officer("hal", program).enter(program)
    for closed in (LIST, path):
        assert hal.get(closed).status_code == 403
    for closed in (f"{LIST}start/activity/", f"{path}cancel/"):
        assert hal.post(closed).status_code == 403
    theirs = officer("oto", other, may_see=("report",), may=("keep_report",)).enter(other)
    assert theirs.get(path).status_code == 404
    assert theirs.post(f"{path}cancel/").status_code == 404
    assert path not in theirs.get(LIST).content.decode()
    assert 'data-state="queued"' in idle.get(path).content.decode()
