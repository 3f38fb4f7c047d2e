"""The officers' pages where a notice is written, looked at and published, and a purpose is assessed and activated."""

import re
from typing import Any

import msgspec
import psycopg
import pytest

from consent.errors import Problem
from consent.notices import drafts
from consent.notices.models import Notice
from consent.programs.tenancy import tenant
from tests.cast import EXAMPLES, Program, now
from tests.consent.acts import act, minors_notice, refused
from tests.consent.desk import Desk, officer, superuser
from tests.consent.notice_texts import CONTROLLER, REFERENCE, publish, text_with

WRITES = ("view_noticedraft", "add_noticedraft", "change_noticedraft", "delete_noticedraft")
MAY = (*WRITES, "add_notice", "add_impactassessment", "change_purpose")
FILE = (EXAMPLES / "notice.yaml").read_text()
WIDER = FILE.replace("categories: [behaviour, device]", "categories: [behaviour, network]", 1)
DRAFT = "consent/noticedraft/"


@pytest.fixture
def desk(program: Program) -> Desk:
    return officer("grace", program, may=MAY).enter(program)


def made(desk: Desk, source: str = WIDER) -> int:
    response = desk.post(f"{DRAFT}add/", name="Next", source=source)
    assert response.status_code == 302, response.content[:500]
    found = re.search(r"/noticedraft/(\d+)/change/", response["Location"])
    assert found is not None
    return int(found[1])


def text(desk: Desk, path: str) -> str:
    response = desk.get(path)
    assert response.status_code == 200, response.content[:500]
    page: str = response.content.decode()
    return page


def versions(owner: psycopg.Connection) -> list[tuple[int, Any]]:
    return owner.execute("SELECT version, id FROM notice ORDER BY version").fetchall()


def test_a_draft_begins_with_the_version_before_and_changes_nothing_so_far(program: Program, desk: Desk) -> None:
    page = text(desk, f"{DRAFT}add/")
    assert "How this mini-program processes behaviour data" in page
    with tenant(program.id):
        body = Notice.objects.get(sha256=program.notice).body
    key = made(desk, drafts.as_source(body))
    page = text(desk, f"{DRAFT}{key}/change/")
    assert "Nothing is missing" in page
    assert "No consent ends" in page


def test_a_draft_begins_with_the_minors_notice_where_it_is_asked_for(program: Program, desk: Desk) -> None:
    assert 'href="?audience=minor"' in text(desk, f"{DRAFT}add/")
    general, first = (beginning(desk, query) for query in ("", "?audience=minor"))
    assert (general, first) == (["general"], ["minor"]), "from the general one while there is none"
    minors_notice(program)
    page = text(desk, f"{DRAFT}add/?audience=minor")
    assert "audience: minor" in page and "PIA analytics" not in page, "its assessments are recorded"
    assert page.count("impact:") == 3, "what the minors&#x27; notice alone tells of each purpose"
    assert beginning(desk, "?audience=nobody") == ["general"]


def beginning(desk: Desk, query: str) -> list[str]:
    return re.findall(r"^audience: (.*)", text(desk, f"{DRAFT}add/{query}"), re.M)


def test_a_list_of_drafts_examines_none(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred of them, each as long as a draft may be, would take a minute to lint."""
    made(desk, "controller: x")
    monkeypatch.setattr(drafts, "examined", None)
    assert "Next" in text(desk, DRAFT)


def test_a_draft_with_faults_is_kept_and_all_of_them_are_shown(program: Program, desk: Desk) -> None:
    key = made(desk, "controller: x\npurposes: [{code: a}]")
    page = text(desk, f"{DRAFT}{key}/change/")
    for place in ("/contact", "/title", "/purposes/0/methods", "/purposes/0/recipients"):
        assert f">{place}</code>" in page
    assert "list who else gets the information" in page
    assert "publish/" not in page
    page = desk.client.get(f"/admin/{DRAFT}{key}/change/", headers={"accept-language": "zh-hans"}).content.decode()
    assert "列出还有谁会得到这些信息" in page
    assert desk.get(f"{DRAFT}{key}/publish/").status_code == 302
    assert "/contact" in text(desk, f"{DRAFT}{key}/preview/")


def test_the_difference_is_shown_field_by_field(desk: Desk) -> None:
    page = text(desk, f"{DRAFT}{made(desk)}/change/")
    assert "What changes against version 1" in page
    assert "another category is collected" in page
    assert re.search(r"behaviour, device.*behaviour, network", page, re.S)
    assert "asked for anew: analytics" in page


def test_a_missing_assessment_is_told_before_anybody_publishes(desk: Desk) -> None:
    decided = FILE.replace("storage, aggregation]", "storage, aggregation, automated_decision]")
    page = text(desk, f"{DRAFT}{made(desk, decided)}/publish/")
    assert "No impact assessment covers: automated decisions" in page
    assert "without it the version is refused" in page
    assert "stays inactive until" not in page


def test_the_preview_speaks_each_language(desk: Desk) -> None:
    page = text(desk, f"{DRAFT}{made(desk)}/preview/")
    chinese, english = page.split('<article id="en" lang="en"')
    assert "收集、存储、汇总" in chinese
    assert "365 天<br>到期后删除。" in chinese
    assert "collection, storage, aggregation" in english
    assert "CN 上海" in chinese and "CN Shanghai" in english
    assert page.count("max-width: 390px") == 2


def test_the_preview_tells_what_a_recipient_is(desk: Desk) -> None:
    shared = text_with(recipients=[CONTROLLER], separate_consent="23", assessment=REFERENCE)
    page = text(desk, f"{DRAFT}{made(desk, drafts.as_source(msgspec.to_builtins(shared)))}/preview/")
    chinese, english = page.split('<article id="en" lang="en"')
    assert "Partner Ltd, 其他个人信息处理者" in chinese
    assert "Partner Ltd, another controller" in english


def test_where_it_is_kept_is_compared_in_words(desk: Desk) -> None:
    page = text(desk, f"{DRAFT}{made(desk, FILE.replace('en: Shanghai', 'en: Beijing'))}/change/")
    assert re.search(r"CN Shanghai.*CN Beijing", page, re.S)


def test_what_was_seen_is_published_audited_and_kept(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    key = made(desk)
    page = text(desk, f"{DRAFT}{key}/publish/")
    (seen,) = re.findall(r'name="seen" value="([0-9a-f]{64})"', page)
    assert "asked for anew: analytics" in page
    assert len(versions(owner)) == 1, "looking publishes nothing"
    response = desk.post(f"{DRAFT}{key}/publish/", seen=seen, effective_at="")
    (_, (version, notice)) = versions(owner)
    assert (version, response["Location"]) == (2, f"/admin/consent/notice/{notice}/change/")
    entry = owner.execute(
        "SELECT actor, details FROM audit_entry WHERE action = 'notice.published' ORDER BY id DESC LIMIT 1"
    ).fetchone()
    assert entry == (f"officer:{desk.user.pk}", {"material": ["analytics"]})
    assert "another category is collected" in text(desk, f"consent/notice/{notice}/change/")
    # It stays as it is, and is published once.
    assert 'name="_save"' not in text(desk, f"{DRAFT}{key}/change/")
    assert desk.post(f"{DRAFT}{key}/change/", name="x", source="y").status_code == 403
    assert desk.post(f"{DRAFT}{key}/delete/", post="yes").status_code == 403
    desk.post(f"{DRAFT}{key}/publish/", seen=seen, effective_at="")
    assert len(versions(owner)) == 2


def test_what_was_published_meanwhile_stays_as_it_is(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    """An officer's text that comes after another's publication, from a page opened before it."""
    key = made(desk)
    desk.post(f"{DRAFT}{key}/publish/", seen=drafts.mark(WIDER), effective_at="")
    with pytest.raises(Problem, match="draft_published"):
        seen = drafts.mark("Next", WIDER)
        drafts.revise(program_id=program.id, draft_id=int(key), seen=seen, name="x", source="y", by="test", now=now())
    assert owner.execute("SELECT source, notice_id IS NULL FROM notice_draft").fetchone() == (WIDER, False)


def test_what_was_changed_meanwhile_is_not_published(desk: Desk, owner: psycopg.Connection) -> None:
    key = made(desk)
    seen = drafts.mark(WIDER)
    desk.revise(f"{DRAFT}{key}/change/", name="Next", source=FILE)
    desk.post(f"{DRAFT}{key}/publish/", seen=seen, effective_at="")
    assert len(versions(owner)) == 1


def test_what_another_wrote_meanwhile_is_not_overwritten_and_nothing_typed_is_lost(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    key = made(desk)
    page, kept = f"{DRAFT}{key}/change/", "SELECT name, source, edited_by FROM notice_draft"
    other = officer("ada", program, may=MAY).enter(program)
    before = desk.seen(page)
    assert other.revise(page, name="Next", source=f"{WIDER}# an hour of work\n").status_code == 302
    theirs = ("Next", f"{WIDER}# an hour of work\n", f"officer:{other.user.pk}")
    for more in ({"seen": before}, {"seen": ""}, {}):
        answer = desk.post(page, name="Mine", source=f"{WIDER}# typed here\n", **more)
        shown = answer.content.decode()
        assert answer.status_code == 200 and "Somebody else has changed it since this page was shown" in shown
        assert "# typed here" in shown and 'value="Mine"' in shown and f'value="{desk.seen(page)}"' not in shown
        assert owner.execute(kept).fetchall() == [theirs]
    # What is there already takes nothing back: a form that is sent twice, say.
    assert other.post(page, seen=before, name="Next", source=f"{WIDER}# an hour of work\n").status_code == 302
    assert desk.revise(page, name="Renamed", source=WIDER).status_code == 302
    assert owner.execute(kept).fetchall() == [("Renamed", WIDER, f"officer:{desk.user.pk}")]
    renamed_before = other.seen(page)
    desk.revise(page, name="Next", source=WIDER)
    assert other.post(page, seen=renamed_before, name="Renamed", source=FILE).status_code == 200


@pytest.mark.parametrize("effective_at", ["2020-01-01T00:00", "soon"])
def test_a_time_that_cannot_be_publishes_nothing(desk: Desk, owner: psycopg.Connection, effective_at: str) -> None:
    key = made(desk, FILE)
    desk.post(f"{DRAFT}{key}/publish/", seen=drafts.mark(FILE), effective_at=effective_at)
    assert len(versions(owner)) == 1


def test_each_step_needs_its_permission(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    key = made(desk, FILE)
    viewer = officer("ada", program, may=("view_noticedraft",)).enter(program)
    writer = officer("alan", program, may=WRITES).enter(program)
    assert viewer.get(f"{DRAFT}add/").status_code == 403
    assert viewer.post(f"{DRAFT}{key}/change/", name="x", source="y").status_code == 403
    assert "publish/" not in text(writer, f"{DRAFT}{key}/change/")
    for reader in (viewer, writer):
        assert reader.post(f"{DRAFT}{key}/publish/", seen=drafts.mark(FILE), effective_at="").status_code == 403
    strict = desk.strict()
    assert strict.post(f"/admin/{DRAFT}{key}/publish/", {"seen": drafts.mark(FILE)}).status_code == 403
    assert len(versions(owner)) == 1


def test_another_mini_programs_draft_is_not_there(program: Program, other: Program, desk: Desk) -> None:
    key = made(desk)
    theirs = superuser().enter(other)
    for page in ("preview", "publish"):
        assert theirs.get(f"{DRAFT}{key}/{page}/").status_code == 404
    assert "Next" not in text(theirs, DRAFT)


# Purposes


def place(owner: psycopg.Connection, page: str, code: str = "health") -> str:
    (key,) = owner.execute("SELECT id FROM purpose WHERE code = %s", [code]).fetchone()  # type: ignore[misc]
    return f"consent/purpose/{key}/{page}/"


def test_a_purpose_is_assessed_and_then_activated(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    """L18, through the officers' pages."""
    publish(program, text_with())
    before = text(desk, place(owner, "change"))
    assert "No impact assessment covers: sensitive information" in before
    assert "Impact assessments" not in before, "no empty table"
    assert desk.post(place(owner, "activate")).status_code == 302
    refused(program, act(program, ("health", "given")), 422, "purpose_inactive")
    given = {"reference": "PIA-1", "assessed_on": "2026-10-01", "covers": "sensitive", "conclusion": "with_measures"}
    assert desk.post(place(owner, "assess"), **given | {"covers": ""}).status_code == 200
    assert desk.post(place(owner, "assess"), **given).status_code == 302
    page = text(desk, place(owner, "change"))
    assert all(words in page for words in ("PIA-1", "Impact assessments", "Its impact is assessed"))
    assert "consents to it are taken" in text(desk, place(owner, "activate"))
    assert desk.post(place(owner, "activate")).status_code == 302
    program.decide("alice", purpose="health")
    row = owner.execute("SELECT recorded_by FROM impact_assessment WHERE reference = 'PIA-1'").fetchone()
    assert row == (f"officer:{desk.user.pk}",)


def test_an_assessment_that_was_recorded_is_not_said_to_be_recorded_anew(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    publish(program, text_with(assessment=REFERENCE))
    page = place(owner, "assess")

    def told(**more: Any) -> str:
        answer = desk.post(page, **{**REFERENCE, "covers": ["sensitive"], **more})
        assert answer.status_code == 302
        return text(desk, answer["Location"].removeprefix("/admin/"))

    assert "This assessment was recorded before; nothing was changed." in told()
    assert "or one that looked at less" in told(covers=["sensitive", "sharing"])
    assert "The assessment is recorded." in told(reference="PIA-8", covers=["sensitive", "sharing"])


def test_a_purpose_is_ended_once_it_is_confirmed(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    program.decide("alice")
    page = text(desk, place(owner, "end", "analytics"))
    assert re.search(r"1 person consents to it\.</p>\s*<p>No more consents to it are taken", page)
    assert re.search(r"<button[^>]*bg-red-600[^>]*>\s*End\s*</button>", page), "it erases"
    program.decide("bob")
    assert desk.post(place(owner, "end", "analytics")).status_code == 302
    refused(program, act(program, ("analytics", "given")), 422, "purpose_inactive")
    assert "Not active" in text(desk, place(owner, "change", "analytics"))
    entry = owner.execute("SELECT actor, target FROM audit_entry WHERE action = 'purpose.deactivated'").fetchall()
    assert entry == [(f"officer:{desk.user.pk}", "purpose:analytics")]


def test_who_may_only_look_neither_assesses_activates_nor_ends(program: Program, owner: psycopg.Connection) -> None:
    publish(program, text_with())
    viewer = officer("ada", program).enter(program)
    assert "assess/" not in text(viewer, place(owner, "change"))
    for page in ("assess", "activate", "end"):
        assert viewer.get(place(owner, page)).status_code == 403
        assert viewer.post(place(owner, page)).status_code == 403
