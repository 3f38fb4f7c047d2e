"""The officers' pages of the event catalogue: what they show, and the one thing that is changed there."""

import re
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.cast import Program, event
from tests.consent.deciding import told
from tests.consent.desk import Desk, officer, superuser
from tests.tracking.test_catalogue import FIRST, GREY, RETIRED, load, type_id, versions
from tests.tracking.test_events import codes
from tracking.admin import catalogue

MAY = ("change_eventtype",)
PAGES = ("retire", "activate")
MORE = """
events:
  seen:
    purpose: personalisation
    categories: [profile]
    description: "It was <b>seen</b>"
    status: draft
    properties:
      list_id: {type: opaque_id, pattern: "L[0-9]{8}", classification: pseudonym, grade: 4, description: <i>The list</i>}
      note: {type: string, max_length: 17, required: true}
"""


@pytest.fixture
def desk(program: Program) -> Desk:
    return officer("grace", program, may=MAY).enter(program)


def place(owner: psycopg.Connection, step: str = "change", name: str = "seen") -> str:
    return f"tracking/eventtype/{type_id(owner, name)}/{step}/"


def text(desk: Desk, path: str) -> str:
    response = desk.get(path)
    assert response.status_code == 200, response.content[:500]
    page: str = response.content.decode()
    return page


def cells(page: str, prop: str) -> list[str]:
    """Type, bound, required, classification, grade, description of the first row about the property."""
    row = page[page.index(f'<code class="text-important">{prop}</code>') :]
    row = row[: row.index("</tr>")]
    return re.findall(r"<td[^>]*>(.*?)</td>", row)


def test_the_list_shows_and_filters(program: Program, desk: Desk) -> None:
    load(program, MORE)
    page = text(desk, "tracking/eventtype/")
    for said in ("page_view", "A page was shown", "Usage statistics", "Personalised content", "draft"):
        assert said in page
    for query, shown in (
        ("status__exact=draft", {"seen"}),
        ("purpose=personalisation", {"seen"}),
        ("purpose=analytics&status__exact=draft", set()),
    ):
        page = text(desk, f"tracking/eventtype/?{query}")
        assert {name for name in ("seen", "page_view") if f">{name}</a>" in page} == shown, query


def test_a_type_shows_its_properties_as_a_table(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    load(program, MORE)
    page = text(desk, place(owner))
    assert cells(page, "note") == [
        "<code>string</code>", "at most 17 characters", "yes", "behaviour", "3", "–",
    ]  # fmt: skip
    assert cells(page, "list_id")[1:5] == ["pattern L[0-9]{8}; at most 1000 characters", "no", "pseudonym", "4"]
    assert "<i>The list</i>" not in page and "<b>seen</b>" not in page
    assert "&lt;i&gt;The list&lt;/i&gt;" in page
    assert 'name="_save"' not in page


def test_a_type_without_properties_says_so(desk: Desk, owner: psycopg.Connection) -> None:
    assert "It declares no properties" in text(desk, place(owner, name="launch"))


def test_the_starter_is_read_in_chinese(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    desk.post("language/", language="zh-hans", next="/admin/")
    page = text(desk, place(owner, name="page_leave"))
    for said in ("加载耗时(毫秒)", "使用行为", "运行数据", "离开页面", "停用…"):
        assert said in page, said


def test_versions_are_shown_with_what_each_changed(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    load(program, FIRST)
    load(program, GREY.replace("size: {type: integer}", "width: {type: integer}"))
    told(desk, place(owner, "retire"))
    page = text(desk, place(owner))
    shown = page[page.index('id="versions"') :].split("<article")[1:]
    assert [f"v{number} <span" in article for number, article in zip((3, 2, 1), shown, strict=True)] == [True] * 3
    assert "&quot;active&quot; → &quot;retired&quot;" in shown[0]
    assert f"officer:{desk.user.pk}" in shown[0]
    for said in (
        "[&quot;red&quot;, &quot;green&quot;, &quot;blue&quot;] → [&quot;red&quot;, &quot;grey&quot;]",
        "removed {&quot;type&quot;: &quot;integer&quot;}",
        "added {&quot;type&quot;: &quot;integer&quot;}",
        "one of red, grey",
    ):
        assert said in shown[1], said
    assert "one of red, green, blue" in shown[2] and "<li" not in shown[2]


def test_many_versions_are_cut_and_the_oldest_shown_is_compared(
    program: Program, desk: Desk, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text_of in (FIRST, GREY, FIRST):
        load(program, text_of)
    for most, shown, cut in ((2, 2, True), (3, 3, False)):
        monkeypatch.setattr(catalogue, "VERSIONS_SHOWN", most)
        page = text(desk, place(owner))
        assert (page.count("<article"), page.count("properties.colour.enum")) == (shown, 2)
        assert ("Earlier versions" in page) == cut


def test_an_officer_retires_and_activates_at_once(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    load(program, FIRST)
    program.decide("alice")
    assert codes(program.send(event("alice", "e1", name="seen"))) == [("stored", None)]
    assert place(owner, "retire") in text(desk, place(owner))
    assert place(owner, "activate") not in text(desk, place(owner))
    assert "refused from now on" in text(desk, place(owner, "retire"))
    assert told(desk, place(owner, "retire")) == "The event type is retired."
    assert codes(program.send(event("alice", "e2", name="seen"))) == [("refused", "unknown_event")]
    assert place(owner, "activate") in text(desk, place(owner))
    assert told(desk, place(owner, "retire")) == "It has been done meanwhile; nothing was changed."
    assert told(desk, place(owner, "activate")) == "The event type is active."
    assert codes(program.send(event("alice", "e2", name="seen"))) == [("stored", None)]
    by = f"officer:{desk.user.pk}"
    assert versions(owner) == [(1, "active", "operator"), (2, "retired", by), (3, "active", by)]
    kept = owner.execute(
        "SELECT action, actor, target, program_id FROM audit_entry WHERE action LIKE 'event_type.%' ORDER BY id"
    ).fetchall()
    target = f"event_type:{type_id(owner)}"
    assert kept == [(f"event_type.{action}", by, target, program.id) for action in ("retired", "activated")]


@pytest.mark.parametrize("step", PAGES)
def test_looking_and_lacking_the_permission_change_nothing(
    program: Program, desk: Desk, owner: psycopg.Connection, step: str
) -> None:
    load(program, FIRST if step == "retire" else RETIRED)
    assert desk.get(place(owner, step)).status_code == 200
    viewer = officer("ada", program).enter(program)
    assert place(owner, step) not in text(viewer, place(owner))
    strict = desk.strict()
    assert viewer.get(place(owner, step)).status_code == 403
    assert viewer.post(place(owner, step)).status_code == 403
    assert strict.post(f"/admin/{place(owner, step)}").status_code == 403
    assert len(versions(owner)) == 1


@pytest.mark.parametrize("step", PAGES)
def test_another_mini_programs_type_is_not_there(
    program: Program, other: Program, owner: psycopg.Connection, step: str
) -> None:
    load(program, FIRST if step == "retire" else RETIRED)
    theirs: list[Desk] = [officer("ada", other, may=MAY).enter(other), superuser().enter(other)]
    for desk in theirs:
        assert desk.get(place(owner, step)).status_code == 404
        assert desk.post(place(owner, step)).status_code == 404
    response: Any = officer("eve", program, may=MAY).post(place(owner, step))
    assert response.status_code == 302 and "/admin/program/" in response.headers["Location"]
    assert len(versions(owner)) == 1


@pytest.mark.parametrize("key", ["0", "99999999", "9" * 30, "x", "-1"])
def test_what_is_no_type_is_not_there(program: Program, desk: Desk, key: str) -> None:
    for step in PAGES:
        assert desk.post(f"tracking/eventtype/{key}/{step}/").status_code in (302, 404)
    assert desk.get(f"tracking/eventtype/{key}/retire/").status_code in (302, 404)


def test_more_versions_need_no_more_queries(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            text(desk, place(owner))
        return len(captured)

    load(program, FIRST)
    few = queries()
    for again in (GREY, FIRST, GREY):
        load(program, again)
    assert queries() == few
