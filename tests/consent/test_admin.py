"""The officers' pages: what they show, what they never show, and that nothing is changed there which should not be."""

import re
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent.programs.models import MiniProgram, OfficerAssignment
from consent.rights.models import HolderRun, RunStatus
from tests import stack
from tests.cast import Program, now
from tests.consent.acts import guarded, minors_notice
from tests.consent.desk import (
    ADMINISTRATORS_LISTS,
    CHANGED_LISTS,
    LISTS,
    PASSWORD,
    Desk,
    disclosure_row,
    officer,
    request_row,
    subject_of,
    superuser,
)
from tests.consent.rights import lively

CANARY = "oCanary7Kq2xWv9ZtR4mN8sB3"
TABLES = {
    "consent/subjectrequest": "subject_request",
    "consent/consentrecord": "consent_record",
    "consent/notice": "notice",
    "consent/purpose": "purpose",
    "consent/apiclient": "api_client",
    "consent/apikey": "api_key",
    "consent/auditentry": "audit_entry",
    "consent/disclosure": "disclosure",
    "tracking/eventtype": "event_type",
}


def pages(owner: psycopg.Connection) -> Iterator[str]:
    """Every list, and the page of a row of each, below /admin/."""
    for path, table in TABLES.items():
        yield f"{path}/"
        row = owner.execute(f"SELECT id FROM {table} LIMIT 1").fetchone()
        assert row is not None
        yield f"{path}/{row[0]}/change/"
        yield f"{path}/{row[0]}/history/"


def text(desk: Desk, path: str) -> str:
    response = desk.get(path)
    assert response.status_code == 200, (path, response.status_code, response.content[:500])
    page: str = response.content.decode()
    return page


def test_an_officer_sees_every_page(program: Program, owner: psycopg.Connection) -> None:
    disclosure_row(program, request_row(program, "alice"))
    desk = officer("grace", program).enter(program)
    for path in ("", "program/", "consent/", "tracking/", "password_change/", *pages(owner)):
        text(desk, path)


def test_every_page_names_the_mini_program_and_marks_a_sandbox(program: Program, sandbox: Program) -> None:
    desk = superuser()
    for shop, marked in ((program, False), (sandbox, True)):
        MiniProgram.objects.filter(pk=shop.id).update(name="Corner & Sons")
        desk.enter(shop)
        for path in ("", "consent/notice/", "auth/user/", "nowhere/"):
            page = desk.get(path).content.decode()
            assert "Corner &amp; Sons" in page
            assert bool(re.search(r">\s*Sandbox\s*<", page)) == marked, path


def test_every_model_of_the_admin_is_in_a_list_of_these_tests() -> None:
    registered = {f"{model._meta.app_label}/{model._meta.model_name}" for model in admin.site._registry}
    elsewhere = {"reports/report"}  # no list of rows: tests/reports/admin
    tested = {*LISTS, *CHANGED_LISTS, *ADMINISTRATORS_LISTS, *elsewhere}
    assert registered == tested, "add the model to one of the lists in tests/consent/desk.py, and test it"


@pytest.mark.parametrize("path", [*LISTS, *ADMINISTRATORS_LISTS])
def test_a_superuser_sees_every_list(program: Program, path: str) -> None:
    request_row(program, "alice")
    assert 'id="changelist"' in text(superuser().enter(program), f"{path}/")


def test_what_is_overdue_without_a_request_is_said_above_the_requests(
    program: Program, sandbox: Program, owner: psycopg.Connection
) -> None:
    desk, other = superuser().enter(program), superuser("other").enter(sandbox)
    lively(program)
    program.decide("alice", "withdrawn")
    program.decide("bob", **guarded(minors_notice(program)))
    assert 'id="overdue"' not in text(desk, "consent/subjectrequest/")
    owner.execute("UPDATE purpose_erasure SET owed_from = now() - interval '73 h'")
    page = text(desk, "consent/subjectrequest/")
    assert "1 erasure after the end of a consent is overdue." in page
    assert "turned 14" not in page
    owner.execute("UPDATE subject SET turns_14_on = current_date - 4")
    owner.execute("UPDATE purpose_erasure SET done_at = now()")
    page = text(desk, "consent/subjectrequest/")
    assert "1 person turned 14 more than a day ago" in page
    assert "erasure after" not in page
    assert 'id="overdue"' not in text(other, "consent/subjectrequest/")


def test_no_page_shows_an_identifier_or_a_pseudonym(program: Program, owner: psycopg.Connection) -> None:
    subject = subject_of(program, CANARY)
    disclosure_row(program, request_row(program, CANARY, kind="erasure"))
    desk = superuser().enter(program)
    for path in pages(owner):
        page = text(desk, path)
        assert CANARY not in page
        assert str(subject.pseudonym) not in page


def test_no_page_shows_a_key_or_its_hash(program: Program, owner: psycopg.Connection) -> None:
    row = owner.execute("SELECT id, client_id, secret_hash FROM api_key").fetchone()
    assert row is not None
    key, client, hashed = row
    desk = superuser().enter(program)
    for path in ("apikey/", f"apikey/{key}/change/", "apiclient/", f"apiclient/{client}/change/"):
        page = text(desk, f"consent/{path}")
        assert hashed.hex() not in page
        assert "secret" not in page.lower()
        assert program.key.split("_")[2] not in page


@pytest.mark.parametrize("path", LISTS)
def test_view_only_pages_refuse_superusers_too(program: Program, owner: psycopg.Connection, path: str) -> None:
    disclosure_row(program, request_row(program, "alice"))
    desk = superuser().enter(program)

    def rows() -> list[tuple[object, ...]]:
        return owner.execute(f"SELECT t.* FROM {TABLES[path]} t ORDER BY id").fetchall()

    before = rows()
    (key,) = owner.execute(f"SELECT id FROM {TABLES[path]} LIMIT 1").fetchone()  # type: ignore[misc]
    assert desk.get(f"{path}/add/").status_code == 403
    assert desk.post(f"{path}/add/", name="x").status_code == 403
    assert desk.post(f"{path}/{key}/change/", name="x").status_code == 403
    assert desk.get(f"{path}/{key}/delete/").status_code == 403
    assert desk.post(f"{path}/{key}/delete/", post="yes").status_code == 403
    assert desk.post(f"{path}/", action="delete_selected", _selected_action=str(key), post="yes").status_code == 403
    assert rows() == before


@pytest.mark.parametrize("path", LISTS)
def test_a_list_needs_its_permission(program: Program, path: str) -> None:
    desk = officer("grace", program, may_see=("logentry",)).enter(program)
    response = desk.get(f"{path}/")
    assert response.status_code == 403
    assert "Your account may not do this here" in response.content.decode()


@pytest.mark.parametrize("path", ADMINISTRATORS_LISTS)
def test_set_up_is_closed_to_officers(program: Program, path: str) -> None:
    desk = officer("grace", program).enter(program)
    assert desk.get(f"{path}/").status_code == 403
    assert desk.get(f"{path}/add/").status_code == 403
    assert path not in text(desk, "")


def test_requests_are_marked_by_their_deadline_and_filtered_by_it(program: Program) -> None:
    late = request_row(program, "alice", received_at=now() - timedelta(days=17, hours=1))
    soon = request_row(program, "bob", received_at=now() - timedelta(days=13))
    fresh = request_row(program, "carol", kind="rectification")
    done = request_row(program, "dave", state="completed", closed_at=now())
    desk = officer("grace", program).enter(program)
    page = text(desk, "consent/subjectrequest/")
    assert page.index(str(late.pk)) < page.index(str(soon.pk)) < page.index(str(fresh.pk)) < page.index(str(done.pk))
    assert "overdue by 2 days" in page
    assert "1 day left" in page
    assert "14 days left" in page
    for query, shown in (
        ("standing=overdue", {late}),
        ("standing=soon", {soon}),
        ("standing=open", {late, soon, fresh}),
        ("standing=closed", {done}),
        ("kind__exact=rectification", {fresh}),
        ("state__exact=completed", {done}),
    ):
        page = text(desk, f"consent/subjectrequest/?{query}")
        assert {asked for asked in (late, soon, fresh, done) if str(asked.pk) in page} == shown, query


def test_a_request_shows_how_far_each_holder_is(program: Program, owner: psycopg.Connection) -> None:
    asked = request_row(program, "alice")
    desk = officer("grace", program).enter(program)
    assert "1 / 2" in text(desk, "consent/subjectrequest/")
    owner.execute("UPDATE holder_run SET status = 'failed', error = 'does_not_open' WHERE status = 'pending'")
    page = text(desk, f"consent/subjectrequest/{asked.pk}/change/")
    assert "does_not_open" in page
    assert 'name="_save"' not in page
    assert HolderRun(status=RunStatus.FAILED).get_status_display() in page


def test_a_notice_is_read_in_both_languages(program: Program, owner: psycopg.Connection) -> None:
    (key,) = owner.execute("SELECT id FROM notice").fetchone()  # type: ignore[misc]
    page = text(officer("grace", program).enter(program), f"consent/notice/{key}/change/")
    for told in (
        "小程序行为数据处理告知",
        "How this mini-program processes behaviour data",
        "到期后删除",
        "privacy@example.com",
    ):
        assert told in page
    assert page.count("<article") == 2


@pytest.mark.parametrize("path", ["consent/subjectrequest", "consent/consentrecord"])
def test_more_rows_need_no_more_queries(program: Program, path: str) -> None:
    desk = officer("grace", program).enter(program)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            text(desk, f"{path}/")
        return len(captured)

    request_row(program, "alice")
    few = queries()
    for name in ("bob", "carol", "dave"):
        request_row(program, name)
    assert queries() == few < 20


def test_addresses_filter_by_what_is_declared_only(program: Program) -> None:
    desk = superuser().enter(program)
    assert desk.get("consent/apikey/?secret_hash__gt=a").status_code == 400
    assert desk.get("consent/consentrecord/?subject_id=1").status_code == 400
    assert desk.get("consent/consentrecord/?subject__pseudonym=1").status_code == 400
    assert desk.get("consent/consentrecord/?state__exact=given").status_code == 200
    assert desk.get("consent/consentrecord/?purpose=analytics").status_code == 200


def test_nothing_typed_becomes_part_of_an_address(program: Program, owner: psycopg.Connection) -> None:
    desk = superuser().enter(program)
    assert desk.get(f"search/?s={CANARY}").status_code == 404
    for path in LISTS:
        page = text(desk, f"{path}/")
        assert 'type="search"' not in page
        assert 'name="q"' not in page


def test_the_language_can_be_switched(program: Program) -> None:
    desk = officer("grace", program).enter(program)
    assert "Data-subject requests" in text(desk, "consent/subjectrequest/")
    assert desk.post("language/", language="zh-hans", next="/admin/").headers["Location"] == "/admin/"
    assert "个人信息主体请求" in text(desk, "consent/subjectrequest/")


def test_a_superuser_assigns_officers_and_the_audit_log_keeps_it(program: Program, owner: psycopg.Connection) -> None:
    grace = officer("grace")
    root = superuser()
    response = root.post("consent/officerassignment/add/", user=grace.user.pk, program=program.id)
    assert response.status_code == 302
    assigned = OfficerAssignment.objects.get(user=grace.user)
    assert root.post(f"consent/officerassignment/{assigned.pk}/delete/", post="yes").status_code == 302
    assert not OfficerAssignment.objects.exists()
    kept = owner.execute(
        "SELECT actor, action, target, program_id FROM audit_entry ORDER BY id DESC LIMIT 2"
    ).fetchall()
    acted, target = f"officer:{root.user.pk}", f"officer:{grace.user.pk}"
    assert kept == [
        (acted, "officer.unassigned", target, program.id),
        (acted, "officer.assigned", target, program.id),
    ]


def test_accounts_are_made_and_changed_but_never_deleted(database: None) -> None:
    root = superuser()
    made = root.post("auth/user/add/", username="grace", usable_password="true", password1=PASSWORD, password2=PASSWORD)
    assert made.status_code == 302, made.content.decode()
    grace = User.objects.get(username="grace")
    page = text(root, f"auth/user/{grace.pk}/change/")
    assert grace.password not in page
    assert root.post(f"auth/user/{grace.pk}/delete/", post="yes").status_code == 403


def test_createsuperuser_works_as_the_application(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    stack.manage("createsuperuser", "--noinput", "--username=root", "--email=root@example.com", role="application")
    made = User.objects.get(username="root")
    assert made.is_superuser and made.check_password(PASSWORD)
