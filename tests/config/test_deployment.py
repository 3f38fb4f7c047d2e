"""How the service is served unless told otherwise: over TLS, and only as what the proxy says where one is told of."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from config import serve
from tests.config.stacks import answer, outside, web

FORWARDED = {"X-Forwarded-Proto": "https"}


LEDGER = {
    "ZHIQING_LEDGER_ORIGIN": "consent.example.com/ledger",
    "ZHIQING_LEDGER_WEBHOOK": "https://witness.example/checkpoints",
}
JOURNAL = {"ZHIQING_JOURNAL_URL": "https://journal.example/entries"}


def checked(**more: str) -> subprocess.CompletedProcess[str]:
    """manage.py check --deploy, as an operator runs it."""
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=serve.ROOT, env=outside() | more, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_settings_pass_djangos_deployment_checks_with_a_journal_and_a_place_for_checkpoints(
    migrated: None, tmp_path: Path
) -> None:
    done = checked(**LEDGER, **JOURNAL)
    assert done.returncode == 0, done.stderr
    assert checked(**LEDGER, ZHIQING_JOURNAL_DIR=str(tmp_path / "journal")).returncode == 0


def test_a_log_without_a_name_or_a_place_outside_is_warned_of(migrated: None, tmp_path: Path) -> None:
    done = checked(**JOURNAL)
    assert done.returncode != 0
    assert "consent.W001" in done.stderr and "consent.W002" in done.stderr
    named = {"ZHIQING_LEDGER_ORIGIN": LEDGER["ZHIQING_LEDGER_ORIGIN"], "ZHIQING_LEDGER_FOLDER": str(tmp_path)}
    done = checked(**JOURNAL, **named)
    assert done.returncode == 0, done.stderr


def test_without_a_journal_the_deployment_checks_warn(migrated: None) -> None:
    done = checked(**LEDGER)
    assert done.returncode == 1
    assert "consent.W003" in done.stderr and "ZHIQING_JOURNAL_DIR" in done.stderr


@pytest.fixture(scope="module")
def port(migrated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with web(tmp_path_factory.mktemp("web")) as (_, found):
        yield found


def test_plain_http_is_sent_to_tls_and_no_header_changes_that(port: int) -> None:
    for headers in ({}, FORWARDED):
        sent = answer(port, "/api/v1/requests", **headers)
        assert (sent.status, sent.headers["Location"]) == (301, f"https://127.0.0.1:{port}/api/v1/requests")
    assert answer(port, "/healthz").status == 200


def test_a_probe_is_answered_by_whatever_name_it_has_for_the_machine(database: None, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["consent.example.com"]
    for host in ("127.0.0.1:8000", "10.0.0.7"):
        called = Client(headers={"host": host})
        for ask in (called.get, called.head):
            answered = [ask(path).status_code for path in ("/healthz", "/readyz", "/api/v1/requests")]
            assert answered == [200, 200, 400]


def test_cookies_are_secure_and_for_this_site_only(migrated: None, tmp_path: Path) -> None:
    with web(tmp_path, ZHIQING_TLS_PROXY="1") as (_, port):
        cookie = answer(port, "/admin/login/", **FORWARDED).headers["Set-Cookie"]
    assert {"Secure", "HttpOnly", "SameSite=Strict"} <= {part.strip() for part in cookie.split(";")}


def test_a_proxy_that_is_told_of_is_believed(migrated: None, tmp_path: Path) -> None:
    with web(tmp_path, ZHIQING_TLS_PROXY="1") as (_, port):
        assert answer(port, "/api/v1/requests").status == 301
        answered = answer(port, "/api/v1/requests", **FORWARDED)
        assert (answered.status, answered.headers["Strict-Transport-Security"][:8]) == (401, "max-age=")
