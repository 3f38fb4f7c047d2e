"""The officers' pages for what is in review: who may decide, what is shown, and what a page refuses."""

import re
from typing import Any

import psycopg
import pytest

from consent.rights.review import LONGEST_TEXT, set_review
from tests.cast import Program, now
from tests.consent.deciding import TEXT, extend, page, reject
from tests.consent.desk import DECIDES, Desk, officer, superuser
from tests.consent.rights import file, shown

PAGES = ("approve", "reject", "extend")
GIVEN: dict[str, dict[str, Any]] = {
    "approve": {},
    "reject": {"reason": "identity_not_verified", "text": TEXT},
    "extend": {"working_days": 5, "reason": "complex"},
}


@pytest.fixture
def filed(program: Program) -> Any:
    """An erasure in review."""
    set_review(program_id=program.id, kind="erasure", on=True, by="test")
    program.decide("alice")
    return file(program, "erasure")


def request_page(desk: Desk, filed: Any) -> str:
    response = desk.get(f"consent/subjectrequest/{filed['request_id']}/change/")
    assert response.status_code == 200
    text: str = response.content.decode()
    return text


def test_a_request_in_review_offers_its_decisions_and_is_filtered_for(program: Program, desk: Desk, filed: Any) -> None:
    for name in PAGES:
        assert page(filed, name) in request_page(desk, filed)
        assert desk.get(page(filed, name)).status_code == 200
    program.decide("bob")
    access = file(program, "access", "bob")
    found = desk.get("consent/subjectrequest/?state__exact=in_review").content.decode()
    assert filed["request_id"] in found
    assert access["request_id"] not in found
    assert [name for name in PAGES if page(access, name) in request_page(desk, access)] == ["extend"]


def test_a_rejected_request_shows_its_reason_and_offers_nothing(desk: Desk, filed: Any) -> None:
    extend(desk, filed)
    assert "identity is still being verified" in request_page(desk, filed)
    reject(desk, filed)
    text = request_page(desk, filed)
    assert "identity not verified (PIPL Art. 50)" in text
    assert TEXT not in text, "what is sealed is not opened for a glance"
    assert not any(page(filed, name) in text for name in PAGES)


def test_the_page_shows_what_is_appended_in_the_requests_language(desk: Desk, filed: Any) -> None:
    text = desk.get(page(filed, "reject")).content.decode()
    assert 'lang="zh-Hans"' in text
    assert "人民法院" in text
    assert "privacy@example.com" in text


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("reject", {"reason": "", "text": TEXT}),
        ("reject", {"reason": "because", "text": TEXT}),
        ("reject", {"reason": "identity_not_verified", "text": "  \n"}),
        ("reject", {"reason": "identity_not_verified", "text": "字" * (LONGEST_TEXT + 1)}),
        ("reject", {"reason": "identity_not_verified", "text": "a\0b"}),
        ("extend", {"working_days": 0, "reason": "complex"}),
        ("extend", {"working_days": 16, "reason": "complex"}),
        ("extend", {"working_days": 5, "reason": ""}),
        ("extend", {"working_days": "many", "reason": "complex"}),
    ],
)
def test_what_is_missing_is_asked_for(program: Program, desk: Desk, filed: Any, name: str, given: Any) -> None:
    before = shown(program, filed)
    assert desk.post(page(filed, name), **given).status_code == 200
    assert shown(program, filed) == before


@pytest.mark.parametrize("name", PAGES)
def test_looking_decides_nothing(program: Program, desk: Desk, filed: Any, name: str) -> None:
    before = shown(program, filed)
    assert desk.client.get(f"/admin/{page(filed, name)}", GIVEN[name]).status_code == 200
    assert shown(program, filed) == before


@pytest.mark.parametrize("name", PAGES)
def test_who_may_only_look_may_not_decide(program: Program, filed: Any, name: str) -> None:
    viewer = officer("ada", program).enter(program)
    assert page(filed, name) not in request_page(viewer, filed)
    before = shown(program, filed)
    assert viewer.get(page(filed, name)).status_code == 403
    assert viewer.post(page(filed, name), **GIVEN[name]).status_code == 403
    assert shown(program, filed) == before


@pytest.mark.parametrize("name", PAGES)
def test_another_mini_programs_request_is_not_there(program: Program, other: Program, filed: Any, name: str) -> None:
    theirs = officer("ada", other, may=DECIDES).enter(other)
    before = shown(program, filed)
    assert theirs.get(page(filed, name)).status_code == 404
    assert theirs.post(page(filed, name), **GIVEN[name]).status_code == 404
    assert superuser().enter(other).post(page(filed, name), **GIVEN[name]).status_code == 404
    assert shown(program, filed) == before


@pytest.mark.parametrize("name", PAGES)
def test_a_form_from_elsewhere_decides_nothing(program: Program, desk: Desk, filed: Any, name: str) -> None:
    strict = desk.strict()
    assert strict.post(f"/admin/{page(filed, name)}", GIVEN[name]).status_code == 403
    assert shown(program, filed)["state"] == "in_review"


def test_the_switch_is_set_in_the_admin_and_audited(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    assert "erasure" not in desk.get("consent/reviewrule/").content.decode()
    form = desk.get("consent/reviewrule/add/").content.decode()
    assert 'value="erasure"' in form
    assert 'value="access"' not in form
    assert desk.post("consent/reviewrule/add/", kind="access").status_code == 200
    for _ in range(2):
        assert desk.post("consent/reviewrule/add/", kind="erasure").status_code == 302
    program.decide("alice")
    assert file(program, "erasure")["state"] == "in_review"
    row = owner.execute("SELECT id, program_id, kind FROM review_rule").fetchone()
    assert row is not None
    assert row[1:] == (program.id, "erasure")
    assert desk.get(f"consent/reviewrule/{row[0]}/change/").status_code == 200
    assert desk.post(f"consent/reviewrule/{row[0]}/change/", kind="erasure").status_code == 403
    assert desk.post(f"consent/reviewrule/{row[0]}/delete/", post="yes").status_code == 302
    program.decide("bob")
    assert file(program, "erasure", "bob")["state"] == "approved"
    kept = owner.execute(
        "SELECT action, actor, target, details FROM audit_entry WHERE action LIKE 'review.%' ORDER BY id"
    ).fetchall()
    by, target, details = f"officer:{desk.user.pk}", f"program:{program.id}", {"kind": "erasure"}
    assert kept == [("review.switched_on", by, target, details), ("review.switched_off", by, target, details)]


def test_the_switch_needs_its_permission_and_its_mini_program(
    program: Program, other: Program, owner: psycopg.Connection
) -> None:
    set_review(program_id=program.id, kind="erasure", on=True, by="test")
    (key,) = owner.execute("SELECT id FROM review_rule").fetchone()  # type: ignore[misc]
    viewer = officer("ada", program, may=("view_reviewrule",)).enter(program)
    assert viewer.get("consent/reviewrule/").status_code == 200
    theirs = officer("eve", other, may=DECIDES).enter(other)
    assert "erasure" not in theirs.get("consent/reviewrule/").content.decode()
    for desk, path, status in (
        (viewer, "consent/reviewrule/add/", 403),
        (viewer, f"consent/reviewrule/{key}/delete/", 403),
        (theirs, f"consent/reviewrule/{key}/delete/", 302),
    ):
        assert desk.post(path, kind="erasure", post="yes").status_code == status
    assert owner.execute("SELECT program_id FROM review_rule").fetchall() == [(program.id,)]


def test_a_closed_request_is_told_by_its_page(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    program.decide("alice")
    late = file(program, "access")
    owner.execute("UPDATE subject_request SET due_at = %s", [now()])
    assert not any(page(late, name) in request_page(desk, late) for name in PAGES)


def test_a_refusal_is_read_before_it_is_sent(program: Program, desk: Desk, filed: Any) -> None:
    before = shown(program, filed)
    asks = desk.get(page(filed, "reject")).content.decode()
    assert 'name="preview"' in asks
    given = GIVEN["reject"]
    preview = desk.post(page(filed, "reject"), **given, preview="1").content.decode()
    quote = preview.partition('id="preview"')[2].partition("</blockquote>")[0]
    assert TEXT in quote and "人民法院" in quote and "privacy@example.com" in quote
    assert "我们无法确认该请求来自所涉信息的本人。" in quote
    assert shown(program, filed) == before
    again = desk.post(page(filed, "reject"), **given, change="1").content.decode()
    assert TEXT in again and 'name="preview"' in again
    assert shown(program, filed) == before
    hidden = dict(re.findall(r'<input type="hidden" name="(reason|text)" value="([^"]*)"', preview))
    assert hidden == given
    assert desk.post(page(filed, "reject"), **hidden).status_code == 302
    assert shown(program, filed)["rejection"]["text"].startswith(TEXT)
