"""A page that cannot be made is told on a page, in the browser's language, and says when to come back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from consent.journal import service
from tests.cast import Program
from tests.consent.browsing import Browser, opened
from tests.consent.desk import Desk, account, holder

PORTAL = ("/portal/", "/portal/consents", "/portal/data", "/portal/requests")
ADMIN = ("/admin/", "/admin/login/", "/admin/program/", "/admin/consent/subjectrequest/", "/admin/second-factor/enrol/")
SAID = {"en": "This cannot be done at the moment.", "zh-hans": "现在无法办理。"}


@contextmanager
def away() -> Iterator[None]:
    """Nobody listens where PostgreSQL was."""
    before = connection.settings_dict["PORT"]
    connection.close()
    connection.settings_dict["PORT"] = "1"
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["PORT"] = before


def passing(response: Any, language: str = "en") -> None:
    """A page of 503 that asks nothing of the database."""
    text = response.content.decode()
    assert (response.status_code, response["Content-Type"]) == (503, "text/html; charset=utf-8"), text
    assert int(response["Retry-After"]) >= 1
    assert SAID[language] in text
    assert f'<html lang="{"en" if language == "en" else "zh-Hans"}">' in text
    assert "style-src 'self'" in response["Content-Security-Policy"] and response["Cache-Control"] == "no-store"


@pytest.fixture
def person(program: Program) -> Browser:
    program.decide("alice")
    browser = opened(program)
    browser.client.raise_request_exception = False
    return browser


@pytest.fixture
def desk(program: Program) -> Desk:
    return holder("officer", program).enter(program)


@pytest.mark.parametrize("path", PORTAL)
def test_a_persons_page_while_postgresql_is_away(person: Browser, path: str) -> None:
    with away():
        passing(person.client.get(path))
        if path == "/portal/consents":
            passing(person.client.get(path, headers={"Accept-Language": "zh-CN"}), "zh-hans")
            assert "My data" not in person.client.get(path).content.decode()


def test_a_persons_form_while_postgresql_is_away(person: Browser) -> None:
    person.get("/portal/consents")
    with away():
        person.press("/portal/consents", purpose="analytics", decision="withdrawn")
        passing(person.page)
    person.get("/portal/consents")
    assert 'aria-checked="true"' in person.text, "nothing was changed"


@pytest.mark.parametrize("path", ADMIN)
def test_an_officers_page_while_postgresql_is_away(desk: Desk, path: str) -> None:
    with away():
        passing(desk.client.get(path))
        passing(desk.client.get(path, headers={"Accept-Language": "zh-CN"}), "zh-hans")


def test_an_officers_page_that_waits_for_a_lock_too_long(desk: Desk, owner: psycopg.Connection) -> None:
    bound = connection.settings_dict["OPTIONS"]["options"]
    connection.close()
    connection.settings_dict["OPTIONS"]["options"] = "-c lock_timeout=200ms"
    try:
        with owner.transaction():
            owner.execute("LOCK TABLE subject_request IN ACCESS EXCLUSIVE MODE")
            passing(desk.get("consent/subjectrequest/"))
    finally:
        connection.close()
        connection.settings_dict["OPTIONS"]["options"] = bound
    assert desk.get("consent/subjectrequest/").status_code == 200


def test_who_enrols_at_a_process_whose_keyring_is_behind_is_told_to_come_back(
    program: Program, owner: psycopg.Connection
) -> None:
    client = Client(raise_request_exception=False, headers={"Accept-Language": "en"})
    client.force_login(account("officer", program))
    owner.execute("INSERT INTO key_version (family, version, writes) VALUES ('key_encryption', 9, 'required')")
    passing(client.get("/admin/second-factor/enrol/"))


def test_pages_after_a_restore(person: Browser, desk: Desk, owner: psycopg.Connection) -> None:
    owner.execute("DELETE FROM service_state")
    service._watch.forget()
    try:
        passing(person.client.get("/portal/consents"))
        passing(desk.get("consent/subjectrequest/"))
    finally:
        owner.execute("INSERT INTO service_state (id, opened_at) VALUES (1, now())")
        service._watch.forget()


def test_a_fault_of_ours_is_told_by_its_number_and_no_more(
    person: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr("consent.portal.access.render", broken)
    response = person.client.get("/portal/consents")
    text = response.content.decode()
    assert (response.status_code, response["Content-Type"]) == (500, "text/html; charset=utf-8")
    (incident,) = {record.fields["incident"] for record in caplog.records if hasattr(record, "fields")}
    assert f"<code>{incident}</code>" in text and "canary" not in text
    assert "Something went wrong" in text and "Retry-After" not in response
