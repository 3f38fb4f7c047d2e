"""An officer sees the mini-program they picked and are assigned to; and nothing of it stays behind."""

import re
from typing import Any
from urllib.parse import unquote

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from consent import edge
from consent.admin.notices import Notices
from consent.admin.tenancy import session_tenant
from consent.ledger.disclosures import disclosed
from consent.ledger.models import Recipient
from consent.officers import second_factor
from consent.programs.models import OfficerAssignment
from consent.programs.tenancy import tenant
from tests.cast import Program, now
from tests.consent.desk import (
    ADMINISTRATORS_LISTS,
    LISTS,
    PASSWORD,
    Desk,
    account,
    officer,
    request_row,
    superuser,
)
from tests.consent.test_admin import TABLES
from tests.stack import ROOT


def left_behind() -> Any:
    """The tenant of the connection that the request before has used."""
    assert connection.connection is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT nullif(current_setting('zq.program', true), '')")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("path", LISTS)
def test_an_officer_sees_their_own_rows_only(
    program: Program, other: Program, owner: psycopg.Connection, path: str
) -> None:
    for shop, name in ((program, "alice"), (other, "bob")):
        row = request_row(shop, name)
        with tenant(shop.id):
            disclosed(
                program_id=shop.id, recipient=Recipient.SUBJECT, ground="request", fields=["tracking.events"],
                subjects=1, target=f"request:{row.pk}", by="test",
            )  # fmt: skip
    desk = officer("grace", program).enter(program)
    table = TABLES[path]
    rows = owner.execute(f"SELECT id, program_id FROM {table}").fetchall()
    page = desk.get(f"{path}/").content.decode()
    assert {shop for _, shop in rows} == {program.id, other.id}
    for key, shop in rows:
        link = f"/admin/{path}/{key}/change/"
        assert (f'"{link}"' in page) == (shop == program.id), link
        response = desk.client.get(link)
        assert response.status_code == (200 if shop == program.id else 302)
        if shop == other.id:
            assert response.headers["Location"] == "/admin/"
            assert desk.get(f"{path}/{key}/history/").status_code in (302, 404)


@pytest.mark.parametrize("path", LISTS)
def test_the_query_names_the_mini_program_beside_row_level_security(program: Program, path: str) -> None:
    desk = officer("grace", program).enter(program)
    with CaptureQueriesContext(connection) as captured:
        desk.get(f"{path}/")
    asked = [query["sql"] for query in captured if f'FROM "{TABLES[path]}"' in query["sql"]]
    assert asked
    assert all(f'"{TABLES[path]}"."program_id" =' in sql for sql in asked)


def test_a_superuser_sees_one_mini_program_at_a_time(program: Program, other: Program) -> None:
    mine, theirs = request_row(program, "alice"), request_row(other, "bob")
    root = superuser().enter(program)
    page = root.get("consent/subjectrequest/").content.decode()
    assert str(mine.pk) in page and str(theirs.pk) not in page
    page = root.enter(other).get("consent/subjectrequest/").content.decode()
    assert str(theirs.pk) in page and str(mine.pk) not in page


@pytest.mark.parametrize("path", LISTS)
def test_without_a_picked_mini_program_the_picker_comes_first(program: Program, path: str) -> None:
    for desk in (officer("grace", program), superuser()):
        response = desk.get(f"{path}/")
        assert response.status_code == 302
        assert unquote(response.headers["Location"]) == f"/admin/program/?next=/admin/{path}/"


def test_an_officer_without_assignments_can_enter_nothing(program: Program) -> None:
    desk = officer("grace")
    page = desk.get("program/").content.decode()
    assert "No mini-program is assigned to you" in page
    assert 'name="program"' not in page
    assert desk.post("program/", program=program.id).status_code == 403
    assert desk.get("consent/subjectrequest/").status_code == 302


@pytest.mark.parametrize("asked", ["", "x", "-1", "99999", "²", "9" * 40])
def test_only_an_assigned_mini_program_can_be_entered(program: Program, other: Program, asked: str) -> None:
    desk = officer("grace", program)
    assert desk.post("program/", program=asked).status_code == 403
    assert desk.post("program/", program=other.id).status_code == 403
    assert desk.get("consent/notice/").status_code == 302


def test_entering_is_audited_and_leads_on_within_the_admin(program: Program, owner: psycopg.Connection) -> None:
    desk = officer("grace", program)
    for asked, led in (
        ("/admin/consent/notice/", "/admin/consent/notice/"),
        ("https://evil.example/admin/", "/admin/"),
        ("//evil.example", "/admin/"),
        ("/api/v1/", "/admin/"),
    ):
        assert desk.post("program/", program=program.id, next=asked).headers["Location"] == led
    entry = owner.execute("SELECT actor, action, target FROM audit_entry ORDER BY id DESC LIMIT 1").fetchone()
    assert entry == (f"officer:{desk.user.pk}", "program.entered", f"program:{program.id}")


def test_an_assignment_taken_away_ends_at_once(program: Program) -> None:
    desk = officer("grace", program).enter(program)
    assert desk.get("consent/notice/").status_code == 200
    OfficerAssignment.objects.filter(user=desk.user).delete()
    assert desk.get("consent/notice/").status_code == 302


def test_an_account_no_longer_staff_sees_nothing(program: Program) -> None:
    desk = officer("grace", program).enter(program)
    desk.user.is_staff = False
    desk.user.save()
    response = desk.get("consent/notice/")
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("path", ["", "program/", *(f"{path}/" for path in [*LISTS, *ADMINISTRATORS_LISTS])])
def test_strangers_are_sent_to_the_sign_in_page(database: None, path: str) -> None:
    response = Client().get(f"/admin/{path}")
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/admin/login/")


def test_signing_in_with_a_password_and_leaving(program: Program) -> None:
    desk = officer("grace", program)
    visitor = Client(enforce_csrf_checks=True)
    page = visitor.get("/admin/login/")
    token = page.context["csrf_token"]
    signed_in = visitor.post(
        "/admin/login/",
        {"username": "grace", "password": PASSWORD, "csrfmiddlewaretoken": str(token), "next": "/admin/"},
    )
    assert signed_in.headers["Location"] == "/admin/"
    asked = visitor.get("/admin/second-factor/")
    code = second_factor.handed_out(edge.vault().keyring, desk.user.pk, now=now())
    given = {"code": code, "csrfmiddlewaretoken": str(asked.context["csrf_token"]), "next": "/admin/"}
    assert visitor.post("/admin/second-factor/", given).headers["Location"] == "/admin/"
    assert visitor.get("/admin/").status_code == 200
    assert visitor.post("/admin/program/", {"program": program.id}).status_code == 403, "without a CSRF token"
    desk.enter(program)
    desk.post("logout/")
    assert desk.get("consent/notice/").headers["Location"].startswith("/admin/login/")


# --- two tabs


def forms(page: str) -> list[dict[str, str]]:
    """The hidden fields of each form that is sent by POST."""
    found = re.findall(r"<form[^>]*method=.post.[^>]*>(.*?)</form>", page, re.DOTALL)
    return [dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)) for form in found]


def test_a_form_acts_on_the_mini_program_its_page_showed_or_not_at_all(
    program: Program, other: Program, owner: psycopg.Connection
) -> None:
    """Two tabs of one session: another mini-program is entered in the second."""
    desk = Desk(account("senior_officer", program, other)).enter(program)
    page = "consent/reviewrule/add/"
    first = desk.get(page).content.decode()
    *_, hidden = forms(first)
    assert hidden["zq_program"] == str(program.id)
    desk.enter(other)
    refused = desk.post(page, **hidden, kind="erasure")
    assert refused.status_code == 409
    assert "You have entered another mini-program meanwhile: nothing was done" in refused.content.decode()
    assert owner.execute("SELECT count(*) FROM review_rule").fetchone() == (0,)
    for missing in ("", "x", f"{program.id} "):
        assert desk.post(page, zq_program=missing, kind="erasure").status_code == 409
    desk.enter(program)
    assert desk.post(page, **hidden, kind="erasure").status_code == 302
    assert owner.execute("SELECT program_id, kind FROM review_rule").fetchall() == [(program.id, "erasure")]


@pytest.mark.parametrize("page", ["person/", "audit-report/"])
def test_so_do_the_pages_that_show_no_model(program: Program, other: Program, page: str) -> None:
    desk = Desk(account("senior_officer", program, other)).enter(program)
    desk.enter(other)
    assert desk.post(page, zq_program=program.id).status_code == 409
    assert desk.post(page, zq_program=other.id).status_code == 200


def test_a_page_opened_before_one_was_entered_does_nothing_in_it(program: Program) -> None:
    desk = superuser()
    assert all("zq_program" not in hidden for hidden in forms(desk.get("auth/user/add/").content.decode()))
    desk.enter(program)
    made = {"username": "grace", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert desk.post("auth/user/add/", zq_program="", **made).status_code == 409
    assert desk.post("auth/user/add/", **made).status_code == 302


def test_every_form_of_a_page_names_it_and_the_ways_out_ask_for_none(program: Program, other: Program) -> None:
    desk = Desk(account("senior_officer", program, other)).enter(program)
    asked = request_row(program, "alice", state="in_review")
    for path in ("program/", "person/", "consent/legalhold/add/", f"consent/subjectrequest/{asked.pk}/extend/"):
        found = forms(desk.get(path).content.decode())
        assert found and {hidden.get("zq_program") for hidden in found} == {str(program.id)}, path
    assert desk.post("program/", zq_program="9", program=other.id).status_code == 302
    assert desk.post("language/", zq_program="9", language="en").status_code == 302
    assert desk.post("logout/", zq_program="9").status_code == 200


# --- nothing stays on the connection


def test_every_form_of_ours_is_made_with_the_token_that_names_it() -> None:
    """These tests' browser adds the field to whatever it sends; a page's own form has to have it."""
    found = [path for path in ROOT.glob("*/templates/**/admin/**/*.html") if 'method="post"' in path.read_text()]
    assert len(found) > 10
    for path in found:
        text = path.read_text()
        assert text.count('method="post"') == text.count("{% csrf_token %}"), path


def test_no_tenant_is_left_after_a_request(program: Program) -> None:
    desk = officer("grace", program).enter(program)
    used = connection.connection
    for path in ("", "consent/notice/", "consent/notice/0/change/", "nowhere/"):
        desk.get(path)
        assert connection.connection is used
        assert left_behind() is None, path


def test_no_tenant_is_left_after_a_view_fails(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = officer("grace", program).enter(program)
    seen = []

    def failing(self: Notices, request: Any) -> Any:
        seen.append(left_behind())
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    monkeypatch.setattr(Notices, "get_queryset", failing)
    assert desk.get("consent/notice/").status_code == 500
    assert seen == [str(program.id)]
    assert left_behind() is None


def test_a_connection_lost_in_the_middle_leaves_nothing(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = officer("grace", program).enter(program)

    def cut(self: Notices, request: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(Notices, "get_queryset", cut)
    assert desk.get("consent/notice/").status_code == 503
    assert connection.connection is None
    monkeypatch.undo()
    assert desk.get("consent/notice/").status_code == 200


def test_the_tenant_ends_even_where_the_process_is_told_to_stop(program: Program) -> None:
    with pytest.raises(SystemExit), session_tenant(program.id):
        assert left_behind() == str(program.id)
        raise SystemExit
    assert left_behind() is None


def test_the_api_runs_under_no_officers_tenant(program: Program, other: Program) -> None:
    desk = officer("grace", program).enter(program)
    desk.get("consent/notice/")
    other.decide("bob")
    assert left_behind() is None


# --- where the pages are served


@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.7", "2001:db8::7"])
def test_they_are_served_wherever_the_service_is(database: None, address: str) -> None:
    assert Client(REMOTE_ADDR=address).get("/admin/login/").status_code == 200
    assert Client(REMOTE_ADDR=address, headers={"X-Forwarded-For": "192.0.2.7"}).get("/admin/login/").status_code == 200


def test_and_over_tls_only(database: None, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    response = Client(REMOTE_ADDR="192.0.2.7").get("/admin/login/")
    assert response.status_code == 301 and response.headers["Location"].startswith("https://")


def test_what_a_browser_may_load(program: Program) -> None:
    desk = officer("grace", program).enter(program)
    response = desk.get("consent/notice/")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'" in policy
    assert "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert "no-store" in response.headers["Cache-Control"]
    for path in ("/healthz", "/api/v1/nowhere", "/nowhere", "/adminx/"):
        response = Client().get(path)
        assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert response.headers["Referrer-Policy"] == "no-referrer"
