"""The reports' pages: REST's figures and nothing else, in both languages, for those who may see them."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from django.db import connection, transaction
from django.test import Client
from msgspec import inspect

from consent.errors import Invalid
from consent.programs.models import MiniProgram
from reports.admin import options, showing, words
from reports.admin.pages import NOT_OFFERED, PAGES
from reports.api.answers import ANSWERED
from reports.api.shapes import ASKED
from reports.metrics import registry
from reports.metrics.registry import names
from reports.privacy.threshold import release
from tests.cast import Program, now
from tests.consent.desk import Desk, officer
from tests.reports.admin.asking import NEEDED, body
from tests.reports.admin.conftest import ZONE
from tests.reports.admin.reading import Read, read, told
from tests.reports.events import History, Seen
from tests.translations import read as translated

LANGUAGES = ("zh-hans", "en")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
SAME = {"p10", "p25", "p75", "p90"}
"""Titles that are no words."""


def address(metric: str) -> str:
    return f"reports/report/{metric}/"


DAYS = {"contribution": 7, "forecast": 182, "quality": 7}


def last_days(metric: str) -> dict[str, str]:
    """What a page asks by itself."""
    last, days = now().astimezone(ZONE).date() - timedelta(days=3), DAYS.get(metric, 28)
    return {"from": (last - timedelta(days=days - 1)).isoformat(), "to": last.isoformat()}


def page(desk: Desk, metric: str, language: str = "en", **asked: Any) -> Any:
    desk.client.cookies["django_language"] = language
    return desk.get(address(metric), query_params=asked)


def shown(desk: Desk, metric: str, language: str = "en", **asked: Any) -> Read:
    response = page(desk, metric, language, **(NEEDED.get(metric, {}) | asked))
    assert response.status_code == 200, response.content
    return read(response.content.decode())


def answer(program: Program, metric: str, **asked: Any) -> dict[str, Any]:
    response = program.post(f"reports/{metric}", last_days(metric) | body(NEEDED.get(metric, {}) | asked))
    assert response.status_code == 200, response.content
    found: dict[str, Any] = response.json()
    return found


# --- figures


@pytest.mark.parametrize("metric", names())
def test_a_page_has_the_figures_that_rest_answers(shop: History, analyst: Desk, metric: str) -> None:
    expected, definition = answer(shop.program, metric), registry.known(metric).definition
    assert any(status == "ok" for rows in told(expected).values() for row in rows for status, _ in row)
    for language in LANGUAGES:
        response = page(analyst, metric, language, **NEEDED.get(metric, {}))
        assert response.status_code == 200, response.content
        text = response.content.decode()
        found = read(text)
        assert found.figures == told(expected)
        assert found.texts["suppressed-cells"].strip() == str(expected["privacy"]["suppressed_cells"])
        said = [definition, registry.STANDS]
        assert found.texts["definition"] == " ".join(said if language == "en" else [translated()[one] for one in said])
        assert "(k = 10)" in text and "Asia/Shanghai" in text
        assert len(found.charts) == len(PAGES[metric].charts)
        titles = [*_labels(text), *(title for some in found.heads.values() for title in some)]
        wrong = [title for title in titles if bool(CHINESE.search(title)) != (language == "zh-hans")]
        assert {title.partition(" ")[0].lower() for title in wrong} <= SAME


def _labels(text: str) -> Iterator[str]:
    form = text.partition('id="report-form"')[2].partition("</form>")[0]
    yield from (label.strip() for label in re.findall(r"<label[^>]*>\s*([^<]*)", form))


def test_figures_pass_the_gate_once_with_the_programs_own_k(
    shop: History, analyst: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def recorded(figures: Any, *, k: int, **more: Any) -> Any:
        asked.append(k)
        return release(figures, k=k, **more)

    monkeypatch.setattr(registry, "release", recorded)
    shown(analyst, "activity")
    assert asked == [10]
    MiniProgram.objects.filter(pk=shop.program.id).update(sandbox=True)
    response = page(analyst, "activity")
    assert asked == [10, 1]
    assert "A sandbox: synthetic data only" in response.content.decode()


def test_what_is_withheld_stands_as_such_in_table_and_chart(analyst: Desk) -> None:
    found = shown(analyst, "activity")
    withheld = [place for place, row in enumerate(found.figures["data"]) if row[0] == ("suppressed", "✱")]
    assert withheld
    line = found.charts[0]["data"][0]
    assert [place for place, number in enumerate(line["y"]) if number is None] == withheld
    assert "✱ suppressed" in [trace["name"] for trace in found.charts[0]["data"]]


def test_a_page_says_that_its_range_is_withheld_and_what_to_ask_instead(shop: History, analyst: Desk) -> None:
    begins = date.fromisoformat(last_days("pages")["from"])
    lone = datetime.combine(begins - timedelta(days=1), datetime.min.time(), ZONE)
    shop.add(Seen("s0", lone, name="page_view", page="home"))
    for language in LANGUAGES:
        text = page(analyst, "pages", language).content.decode()
        assert ('id="range-withheld"' in text, "Ask for whole months" in text) == (True, language == "en")
    assert "range-withheld" not in page(analyst, "activity").content.decode()


def test_options_reach_the_report(shop: History, analyst: Desk) -> None:
    asked = {"interval": "week", "event": "order", "compare": "previous"}
    found = shown(analyst, "trends", **asked, breakdown="")
    assert found.figures == told(answer(shop.program, "trends", **asked))
    assert [trace.get("line", {}).get("dash") for trace in found.charts[0]["data"][:2]] == [None, "dot"]
    asked = {"interval": "month", "breakdown": "os"}
    assert shown(analyst, "trends", **asked).figures == told(answer(shop.program, "trends", **asked))


def test_a_range_in_which_nobody_was_there(idle: Desk) -> None:
    for metric in ("pages", "paths", "funnel", "retention"):
        asked = NEEDED.get(metric, {}) | {"from": "2020-01-01", "to": "2020-01-07"}
        found = shown(idle, metric, **asked)
        assert all(
            status != "ok" or value == "0" for rows in found.figures.values() for row in rows for status, value in row
        )


# --- every report has a page


def test_every_report_has_a_page_and_no_other() -> None:
    assert PAGES.keys() == set(names()), "add an entry to reports/admin/pages.py"


@pytest.mark.parametrize("metric", names())
def test_a_form_offers_all_that_the_report_takes(metric: str) -> None:
    left = options.fields(metric) - {"from", "to", *PAGES[metric].options} - NOT_OFFERED
    for name in left:
        asked = last_days(metric) | body(NEEDED.get(metric, {})) | {name: "week"}
        with pytest.raises(Invalid, match=f"{name}_unavailable"):
            msgspec.convert(asked, ASKED[metric], strict=False).refuse_unavailable(csv=False)


@pytest.mark.parametrize("metric", names())
def test_every_name_has_a_word(metric: str) -> None:
    """Of columns, tables and options: reports/admin/words.py."""
    columns, parts = _names_of(inspect.type_info(ANSWERED[metric]))
    assert not columns - words.COLUMNS.keys()
    assert not parts - words.TABLES.keys()
    assert not set(PAGES[metric].options) - words.OPTIONS.keys()
    values = {value for field in options._fields(metric) for value in _values(field) if field.name != "privacy"}
    assert not values - words.VALUES.keys()


def _values(field: inspect.Field) -> Iterator[str]:
    if found := options._kind(field, inspect.LiteralType):
        yield from found.values


ASIDE = {"definition", "zone", "as_of", "revision", "privacy", "status", "size_status", "values"}


def _names_of(shape: Any) -> tuple[set[str], set[str]]:
    """(columns, tables) of an answer's shape."""
    columns: set[str] = set()
    parts: set[str] = set()
    for field in shape.fields:
        types = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        inner = next((one.item_type for one in types if isinstance(one, inspect.ListType)), None)
        nested = next((one for one in (*types, inner) if isinstance(one, inspect.StructType)), None)
        if field.name in ASIDE or field.name.endswith(("_bin", "_other")):
            continue
        if nested is None:
            columns.add(field.name)
            continue
        more, further = _names_of(nested)
        columns, parts = columns | more, parts | further | ({field.name} if inner is not None else set())
    return columns, parts


def test_every_refusal_of_a_report_has_words() -> None:
    source = "".join(path.read_text() for path in Path(registry.__file__).parent.glob("*.py"))
    codes = set(re.findall(r'(?:Invalid|invalid|Fault)\(\s*"([a-z_]+)"', source))
    assert len(codes) >= 5 and not codes - words.FAULTS.keys()


# --- who may see them


def test_reports_are_closed_to_whoever_lacks_the_permission(program: Program) -> None:
    hal = officer("hal", program).enter(program)
    for path in ("reports/report/", *map(address, names())):
        for query in ({}, {"format": "csv"}):
            assert hal.get(path, query_params=query).status_code == 403
        assert Client().get(f"/admin/{path}")["Location"].startswith("/admin/login/")
    assert "reports/report" not in hal.get().content.decode()


def test_the_permission_opens_reports_and_nothing_else(idle: Desk) -> None:
    assert "reports/report" in idle.get().content.decode()
    listed = idle.get("reports/report/").content.decode()
    assert all(f"/admin/{address(metric)}" in listed for metric in names())
    for path in ("consent/subjectrequest/", "consent/consentrecord/", "tracking/eventtype/"):
        assert idle.get(path).status_code == 403


def test_an_officer_sees_the_figures_of_the_mini_program_they_picked(shop: History, other: Program) -> None:
    theirs = officer("oto", other, may_see=("report",))
    assert theirs.get(address("activity"))["Location"].startswith("/admin/program/?next=")
    assert theirs.post("program/", program=shop.program.id).status_code == 403
    theirs.enter(other)
    for metric in ("activity", "pages"):
        figures = shown(theirs, metric).figures
        assert all(status != "ok" or value == "0" for rows in figures.values() for row in rows for status, value in row)


def test_reports_are_read_only(idle: Desk) -> None:
    for path in ("reports/report/", address("activity")):
        assert idle.post(path).status_code == 405
    assert idle.get("reports/report/nothing/").status_code == 404


# --- CSV


@pytest.mark.long
@pytest.mark.parametrize("metric", names())
def test_the_csv_is_rests(shop: History, analyst: Desk, metric: str, owner: psycopg.Connection) -> None:
    asked = last_days(metric) | NEEDED.get(metric, {})
    response = page(analyst, metric, **asked, format="csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert f'filename="{metric}-{asked["from"]}-{asked["to"]}.csv"' in response["Content-Disposition"]
    rest = shop.program.post(f"reports/{metric}", body(asked), Accept="text/csv")
    assert response.content == rest.content
    said, by_rest = (json.loads(one["Zhiqing-Report"]) for one in (response, rest))
    apart = {"as_of": "", "note": "of a forecast, in the reader's language"}
    assert said | apart == by_rest | apart
    (entry,) = owner.execute("SELECT actor, details FROM audit_entry WHERE action = 'report.exported'").fetchall()
    assert entry == (f"officer:{analyst.user.pk}", {"report": metric, "from": asked["from"], "to": asked["to"]})


def test_a_csv_has_the_range_alone_where_it_is_compared(analyst: Desk) -> None:
    text = page(analyst, "trends", compare="previous", interval="week").content.decode()
    found = re.search(r'id="csv-link" href="\?([^"]*)"', text)
    assert found and "compare" not in found[1]
    rows = csv.DictReader(
        io.StringIO(analyst.get(address("trends") + "?" + found[1].replace("&amp;", "&")).content.decode())
    )
    assert len(list(rows)) == 5


# --- what is asked wrongly


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("activity", {"from": "2026-02-01", "to": "2026-01-01"}, "A range begins before it ends"),
    ("activity", {"from": "2020-01-01"}, "400 days at most"),
    ("activity", {"from": "x"}, "Enter a valid date"),
    ("funnel", {"steps": ["launch"], "window_s": 60}, "Choose 2 to 12"),
    ("funnel", {"steps": ["launch", "nothing"], "window_s": 60}, "Take an event of the catalogue"),
    ("funnel", {"steps": ["launch", "order"], "exclusions": ["order"], "window_s": 60}, "An exclusion is no step"),
    ("funnel", {"steps": ["launch", "order"], "window_s": 61}, "Select a valid choice"),
    ("conversion", {"goal": "order", "exposure": "order"}, "two different events"),
    ("conversion", {"goal": "order", "breakdown": "element"}, "cannot be broken down by that"),
    ("trends", {"breakdown": "properties.channel"}, "cannot be broken down by that"),
    ("trends", {"property": "amount"}, "a property that the event declares as a number"),
    ("paths", {"start": "pages/index", "end": "pages/done"}, "a start or an end, not both"),
    ("paths", {"steps": "21"}, "less than or equal to 20"),
    ("retention", {"periods": "0"}, "greater than or equal to 1"),
    ("frequency", {"by": "property"}, "a property that the event declares as a number"),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "asked", "words"), WRONG)
def test_what_is_wrong_is_said_beside_the_field(idle: Desk, metric: str, asked: dict[str, Any], words: str) -> None:
    for query in (asked, asked | {"format": "csv"}):
        response = page(idle, metric, **query)
        text = response.content.decode()
        assert response.status_code == 200
        assert words in text.partition('class="zq-fields"')[2].partition("</form>")[0]
        assert 'id="about"' not in text
    chinese = page(idle, metric, "zh-hans", **asked).content.decode()
    assert words not in chinese
    assert re.search(r'class="[^"]*text-red[^"]*"[^>]*>\s*[^<]*[\u4e00-\u9fff]', chinese)


def test_a_form_that_has_to_be_filled_says_so(idle: Desk) -> None:
    for metric in ("conversion", "funnel", "intervals"):
        text = page(idle, metric).content.decode()
        assert "Fill in the form" in text and "This field is required" not in text and 'id="about"' not in text


def test_a_report_that_takes_too_long_says_so(idle: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*args: Any, **named: Any) -> Any:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 20")
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(showing, "answered", slow)
    for language, sentence in (("en", "longer than a page may"), ("zh-hans", "用时超过页面允许的上限")):
        for query in ({}, {"format": "csv"}):
            response = page(idle, "activity", language, **query)
            assert response.status_code == 503
            assert sentence in response.content.decode()


def test_a_page_has_no_script_of_its_own(idle: Desk) -> None:
    """Nothing inline but data, and everything from here."""
    text = page(idle, "activity").content.decode()
    main = text.partition('id="content-main"')[2]
    assert not re.search(r"<script(?![^>]*application/json)[^>]*>", main.partition('id="about"')[0])
    assert not re.search(r"""\son\w+=|src="(?!/static/)""", main.partition('id="about"')[0])
    assert 'src="/static/plotly/plotly.min.js" defer' in text
    response = Client().get("/static/plotly/plotly.min.js")
    assert response.status_code == 200
    assert b"plotly.js v" in next(iter(response.streaming_content))  # type: ignore[attr-defined]
    assert Client().get("/static/plotly/widgetbundle.js").status_code == 404
