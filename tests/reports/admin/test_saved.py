"""Saved reports in the admin: saved on a report's page, opened with a click, renamed, deleted; by whoever may see reports."""

import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from reports.metrics.registry import names
from tests.cast import Program
from tests.consent.desk import Desk, officer
from tests.reports.admin.asking import NEEDED, body
from tests.reports.admin.reading import read, told
from tests.reports.admin.test_pages import LANGUAGES, address, last_days, shown
from tests.reports.events import History

LIST = "reports/savedreport/"


def query(**asked: Any) -> str:
    return urlencode(asked, doseq=True)


def save(desk: Desk, metric: str, name: str = "mine", days: str = "", **asked: Any) -> Any:
    return desk.client.post(f"/admin/{LIST}save/{metric}/?{query(**asked)}", {"name": name, "days": days})


def saved(desk: Desk, metric: str, name: str = "mine", days: str = "", **asked: Any) -> str:
    """Its address below /admin/."""
    response = save(desk, metric, name, days, **asked)
    assert response.status_code == 302, response.content
    return str(response["Location"]).removeprefix("/admin/")


def kept(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute("SELECT name, metric, question, saved_by FROM saved_report ORDER BY name").fetchall()


@pytest.mark.long
@pytest.mark.parametrize("metric", names())
def test_a_saved_report_is_the_report(shop: History, analyst: Desk, metric: str) -> None:
    """What the form asked is what the saved one asks, whatever the report, and what REST runs."""
    asked = last_days(metric) | NEEDED.get(metric, {})
    path = saved(analyst, metric, **asked)
    page = read(analyst.get(path).content.decode())
    assert page.figures == shown(analyst, metric, **asked).figures
    assert page.figures
    ran = shop.program.call("POST", f"saved-reports/{path.rstrip('/').rpartition('/')[2]}/run")
    assert told(ran.json()) == page.figures
    assert analyst.get(path, query_params={"format": "csv"}).content == (
        shop.program.post(f"reports/{metric}", body(asked), Accept="text/csv").content
    )


def test_what_is_kept_is_rests_body(analyst: Desk, owner: psycopg.Connection) -> None:
    saved(analyst, "funnel", "a funnel", **last_days("funnel"), **NEEDED["funnel"])
    saved(analyst, "trends", "newest", "last_28_days", event="order", compare="previous")
    (funnel, trends) = kept(owner)
    by = f"officer:{analyst.user.pk}"
    assert funnel == ("a funnel", "funnel", funnel[2], by)
    expected = last_days("funnel") | body(NEEDED["funnel"])
    assert {name: funnel[2][name] for name in expected} == expected
    assert trends[2]["range"] == "last_28_days" and not {"from", "to"} & trends[2].keys()
    assert (trends[2]["event"], trends[2]["compare"]) == ("order", "previous")
    done = owner.execute("SELECT action, actor, details FROM audit_entry WHERE action LIKE 'saved%' ORDER BY id")
    assert done.fetchall() == [("saved_report.saved", by, {"report": name}) for name in ("funnel", "trends")]


def test_the_days_that_are_shown_are_offered(idle: Desk) -> None:
    """As they come a report's days are the last closed ones: saved, they go on being these."""
    fixed = {"from": "2025-10-06", "to": "2025-10-07"}
    for metric, asked, days in (
        ("activity", {}, "last_28_days"),
        ("quality", {}, "last_7_days"),
        ("activity", fixed, ""),
    ):
        text = idle.get(address(metric), query_params=asked).content.decode()
        offered = re.search(r'<select name="days".*?</select>', text, re.DOTALL)
        assert offered is not None
        assert re.findall(r'value="([^"]*)" selected', offered[0]) == [days]
    assert 'id="save-form"' not in idle.get(address("funnel")).content.decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_list_opens_each_with_a_click(idle: Desk, language: str) -> None:
    path = saved(idle, "stickiness", "<b>Monday</b>", "this_month")
    idle.client.cookies["django_language"] = language
    listed = idle.get(LIST).content.decode()
    assert f'href="/admin/{path}"' in listed and "&lt;b&gt;Monday&lt;/b&gt;" in listed
    assert {"zh-hans": "本月至今天", "en": "this month, up to today"}[language] in listed
    assert {"zh-hans": "黏性", "en": "Stickiness"}[language] in listed
    opened = idle.get(path)
    assert opened.status_code == 200 and "&lt;b&gt;Monday&lt;/b&gt;" in opened.content.decode()
    assert f"/admin/{LIST}" in idle.get().content.decode()


def test_it_is_renamed_and_deleted(idle: Desk, owner: psycopg.Connection) -> None:
    path = saved(idle, "activity", "one")
    saved(idle, "activity", "two")
    change = f"{LIST}{path.removeprefix(LIST)}change/"
    for wrong in ("two", "", " ", "x" * 101, "to 13812345678"):
        assert idle.post(change, name=wrong).status_code == 200, wrong
        assert [row[0] for row in kept(owner)] == ["one", "two"]
    assert idle.post(change, name="three").status_code == 302
    assert [row[0] for row in kept(owner)] == ["three", "two"]
    assert idle.post(f"{LIST}{path.removeprefix(LIST)}delete/", post="yes").status_code == 302
    assert [row[0] for row in kept(owner)] == ["two"]
    assert idle.get(path).status_code == 404
    done = owner.execute("SELECT action FROM audit_entry WHERE action LIKE 'saved%' ORDER BY id").fetchall()
    assert [action.partition(".")[2] for (action,) in done] == ["saved", "saved", "renamed", "deleted"]


def test_who_was_quicker_with_a_name_keeps_it(
    idle: Desk, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form has looked, and then another saves under the name."""
    path = saved(idle, "activity", "one")
    saved(idle, "activity", "two")
    monkeypatch.setattr("reports.admin.saving.RenameForm.clean_name", lambda form: form.cleaned_data["name"])
    response = idle.post(f"{LIST}{path.removeprefix(LIST)}change/", name="two")
    assert response.status_code == 302
    assert (
        "Another saved report has this name" in idle.get(response["Location"].removeprefix("/admin/")).content.decode()
    )
    assert [row[0] for row in kept(owner)] == ["one", "two"]


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("activity", {"name": ""}, "This field is required"),
    ("activity", {"name": "one"}, "Another saved report has this name"),
    ("activity", {"name": "13812345678"}, "a person&#x27;s number"),
    ("activity", {"name": "x", "days": "ever"}, "Select a valid choice"),
    ("paths", {"name": "x", "start": "pages/13812345678"}, "a person&#x27;s number"),
]


@pytest.mark.parametrize(("metric", "sent", "words"), WRONG)
def test_what_cannot_be_saved_is_said_and_the_question_stays(
    idle: Desk, owner: psycopg.Connection, metric: str, sent: dict[str, Any], words: str
) -> None:
    saved(idle, "activity", "one")
    asked = {name: value for name, value in sent.items() if name not in ("name", "days")}
    for language in LANGUAGES:
        idle.client.cookies["django_language"] = language
        response = save(idle, metric, sent["name"], sent.get("days", ""), **asked)
        text = response.content.decode()
        assert response.status_code == 200
        assert (words in text) == (language == "en")
        action = re.search(r'action="(/admin/reports/savedreport/save/[^"]*)"', text)
        assert action is not None and all(f"{query(x=value)[2:]}" in unescape(action[1]) for value in asked.values())
    assert [row[0] for row in kept(owner)] == ["one"]


def test_a_form_that_is_wrong_is_shown_and_not_saved(idle: Desk, owner: psycopg.Connection) -> None:
    response = save(idle, "activity", **{"from": "2026-02-01", "to": "2026-01-01"})
    # What the form itself cannot see, REST's rules refuse.
    assert response.status_code == 200 and "A range begins before it ends" in response.content.decode()
    response = save(idle, "funnel")
    assert response["Location"].startswith(f"/admin/{address('funnel')}")
    assert kept(owner) == []


def test_what_a_form_has_no_place_for_is_asked_and_said(shop: History, analyst: Desk) -> None:
    """A filter that was saved over REST."""
    asked = {"range": "last_28_days", "filters": [{"field": "os", "op": "eq", "value": "ios"}]}
    made = shop.program.post("saved-reports", {"name": "ios", "metric": "trends", "question": asked}).json()
    page = analyst.get(f"{LIST}{made['id']}/").content.decode()
    ran = shop.program.call("POST", f"saved-reports/{made['id']}/run").json()
    assert read(page).figures == told(ran)
    assert told(ran) != shown(analyst, "trends").figures
    assert "Filter" in page.partition('id="beside"')[2].partition("</p>")[0]


def test_a_question_that_no_longer_holds_says_so(idle: Desk, owner: psycopg.Connection) -> None:
    path = saved(idle, "trends", "one", event="order")
    owner.execute("""UPDATE saved_report SET question = question || '{"event": "gone"}'""")
    text = idle.get(path).content.decode()
    assert "Select a valid choice" in text and 'id="about"' not in text
    owner.execute("""UPDATE saved_report SET question = '{"range": "ever"}'""")
    response = idle.get(path)
    assert response.status_code == 200 and 'id="about"' not in response.content.decode()
    owner.execute(
        """UPDATE saved_report SET metric = 'funnel', question = '{"range": "this_month", "steps": [1, {}]}'"""
    )
    assert idle.get(path).status_code == 200
    owner.execute("UPDATE saved_report SET metric = 'gone'")
    assert idle.get(path).status_code == 404
    assert "gone" in idle.get(LIST).content.decode()


def test_saved_reports_are_closed_to_whoever_may_not_see_reports(program: Program, idle: Desk) -> None:
    path = saved(idle, "activity")
    hal = officer("hal", program).enter(program)
    for closed in (LIST, path, f"{path}change/", f"{path}delete/"):
        assert hal.get(closed).status_code == 403
    assert save(hal, "activity", "his").status_code == 403
    assert "savedreport" not in hal.get().content.decode()


def test_another_mini_programs_are_not_there(idle: Desk, other: Program) -> None:
    path = saved(idle, "activity", "ours")
    theirs = officer("oto", other, may_see=("report",), may=("keep_report",)).enter(other)
    assert "ours" not in theirs.get(LIST).content.decode()
    assert theirs.get(path).status_code == 404
    for page in ("change/", "delete/"):
        assert theirs.post(f"{path}{page}", name="x", post="yes").status_code in (302, 404)
    assert idle.get(path).status_code == 200


def test_what_takes_other_methods_says_so(idle: Desk) -> None:
    path = saved(idle, "activity")
    assert idle.post(path).status_code == 405
    assert idle.get(f"{LIST}save/activity/").status_code == 405
    assert save(idle, "nothing").status_code == 404
    assert idle.get(f"{LIST}add/").status_code == 403
