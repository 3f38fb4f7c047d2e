"""An officer takes the package of an access request: with permission, with a reason, audited."""

import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.http import StreamingHttpResponse

from consent.admin import requests
from tests.cast import Program, now
from tests.consent.desk import SEEN, Desk, officer, package_for, request_row, superuser
from tests.consent.test_admin_tenancy import left_behind


def page_of(asked: Any) -> str:
    return f"consent/subjectrequest/{asked.pk}/package/"


def downloads(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT actor, target, details FROM audit_entry WHERE action = 'package.downloaded'"
    ).fetchall()


@pytest.fixture
def desk(program: Program) -> Desk:
    return officer("grace", program).enter(program)


def test_a_package_is_downloaded_and_the_audit_log_keeps_it(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    asked = request_row(program, "alice", state="completed", closed_at=now())
    package_for(program, asked)
    assert page_of(asked) in desk.get(f"consent/subjectrequest/{asked.pk}/change/").content.decode()
    assert desk.get(page_of(asked)).status_code == 200
    assert downloads(owner) == []
    response = desk.post(page_of(asked), form="json", reason="delivery")
    assert isinstance(response, StreamingHttpResponse)
    assert response.status_code == 200
    assert downloads(owner) == [
        (f"officer:{desk.user.pk}", f"request:{asked.pk}", {"reason": "delivery", "form": "json"})
    ]
    assert response.headers["Content-Disposition"] == f'attachment; filename="package-{asked.pk}.json"'
    assert response.headers["Content-Type"] == "application/json"
    assert "no-store" in response.headers["Cache-Control"]
    document = json.loads(b"".join(response))
    assert document["request_id"] == str(asked.pk)
    assert left_behind() is None


def test_a_package_is_downloaded_as_a_page(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    asked = request_row(program, "alice", state="completed", closed_at=now())
    package_for(program, asked)
    response = desk.post(page_of(asked), form="page", reason="delivery")
    details = {"reason": "delivery", "form": "page"}
    assert downloads(owner) == [(f"officer:{desk.user.pk}", f"request:{asked.pk}", details)]
    assert response.headers["Content-Disposition"] == f'attachment; filename="package-{asked.pk}.html"'
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "no-store" in response.headers["Cache-Control"]
    text = b"".join(response).decode()
    assert text.startswith("<!doctype html>")
    assert str(asked.pk) in text
    assert left_behind() is None


@pytest.mark.parametrize("form", ["", "pdf"])
def test_a_form_is_chosen(program: Program, desk: Desk, owner: psycopg.Connection, form: str) -> None:
    asked = request_row(program, "alice", state="completed", closed_at=now())
    package_for(program, asked)
    assert desk.post(page_of(asked), form=form, reason="delivery").headers["Content-Type"].startswith("text/html")
    assert downloads(owner) == []


def test_a_stream_left_half_read_leaves_no_tenant(
    program: Program, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request_row(program, "alice", state="completed", closed_at=now())
    package_for(program, asked)

    def slow(**_: Any) -> Any:
        yield str(left_behind()).encode()
        yield b"never read"

    monkeypatch.setattr(requests, "release", slow)
    response = desk.post(page_of(asked), form="json", reason="delivery")
    assert left_behind() is None
    pieces = iter(response)
    assert next(pieces) == str(program.id).encode(), "it runs under the officer's mini-program"
    assert left_behind() == str(program.id)
    response.close()
    assert left_behind() is None


@pytest.mark.parametrize("reason", ["", "because", "delivery; drop"])
def test_a_reason_is_asked_for(program: Program, desk: Desk, owner: psycopg.Connection, reason: str) -> None:
    asked = request_row(program, "alice", state="completed", closed_at=now())
    package_for(program, asked)
    response = desk.post(page_of(asked), form="json", reason=reason)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert downloads(owner) == []


def test_what_is_not_ready_is_said_and_not_audited(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    nothing = request_row(program, "alice")
    expired = request_row(program, "bob", state="completed", closed_at=now())
    package_for(program, expired, kept=timedelta(0))
    for asked in (nothing, expired):
        shown = f"consent/subjectrequest/{asked.pk}/change/"
        assert page_of(asked) not in desk.get(shown).content.decode()
        response = desk.post(page_of(asked), form="json", reason="review")
        assert response.status_code == 302
        assert response.headers["Location"] == f"/admin/{shown}"
    assert downloads(owner) == []


def test_a_subject_being_erased_is_closed_to_reading(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    asked = request_row(program, "alice", state="completed", closed_at=now())
    package_for(program, asked)
    owner.execute("UPDATE subject SET erasure_pending = true")
    assert desk.post(page_of(asked), form="json", reason="delivery").status_code == 302
    assert downloads(owner) == []


def test_other_kinds_have_no_package(program: Program, desk: Desk) -> None:
    asked = request_row(program, "alice", kind="rectification")
    assert desk.get(page_of(asked)).status_code == 404


def test_it_needs_its_permission(program: Program, owner: psycopg.Connection) -> None:
    desk = officer("ada", program, may_see=tuple(model for model in SEEN if model != "package")).enter(program)
    asked = request_row(program, "alice", state="completed", closed_at=now())
    package_for(program, asked)
    assert page_of(asked) not in desk.get(f"consent/subjectrequest/{asked.pk}/change/").content.decode()
    assert desk.get(page_of(asked)).status_code == 403
    assert desk.post(page_of(asked), form="json", reason="delivery").status_code == 403
    assert downloads(owner) == []


def test_another_mini_programs_package_is_not_there(
    program: Program, other: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    asked = request_row(other, "alice", state="completed", closed_at=now())
    package_for(other, asked)
    assert desk.get(page_of(asked)).status_code == 404
    assert desk.post(page_of(asked), form="json", reason="delivery").status_code == 404
    assert downloads(owner) == []


def test_the_mini_program_is_picked_first(program: Program) -> None:
    asked = request_row(program, "alice", state="completed", closed_at=now())
    response = superuser().get(page_of(asked))
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/admin/program/")
