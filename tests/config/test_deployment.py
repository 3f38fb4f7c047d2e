"""How the service is served unless told otherwise: over TLS, and only as what the proxy says where one is told of."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import serve
from tests.config.stacks import answer, outside, web

FORWARDED = {"X-Forwarded-Proto": "https"}


def deployed(**more: str) -> subprocess.CompletedProcess[str]:
    """manage.py check --deploy, as an operator runs it."""
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=serve.ROOT, env=outside() | more, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_settings_pass_djangos_deployment_checks_with_a_journal(migrated: None, tmp_path: Path) -> None:
    done = deployed(ZHIQING_JOURNAL_DIR=str(tmp_path / "journal"))
    assert done.returncode == 0, done.stderr
    assert deployed(ZHIQING_JOURNAL_URL="https://journal.example/entries").returncode == 0


def test_without_a_journal_the_deployment_checks_warn(migrated: None) -> None:
    done = deployed()
    assert done.returncode == 1
    assert "zhiqing.W001" in done.stderr and "ZHIQING_JOURNAL_DIR" in done.stderr


@pytest.fixture(scope="module")
def port(migrated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with web(tmp_path_factory.mktemp("web")) as (_, found):
        yield found


def test_plain_http_is_sent_to_tls_and_no_header_changes_that(port: int) -> None:
    for headers in ({}, FORWARDED):
        sent = answer(port, "/api/v1/requests", **headers)
        assert (sent.status, sent.headers["Location"]) == (301, f"https://127.0.0.1:{port}/api/v1/requests")
    assert answer(port, "/healthz").status == 200


def test_cookies_are_secure_and_for_this_site_only(migrated: None, tmp_path: Path) -> None:
    with web(tmp_path, ZHIQING_TLS_PROXY="1") as (_, port):
        cookie = answer(port, "/admin/login/", **FORWARDED).headers["Set-Cookie"]
    assert {"Secure", "HttpOnly", "SameSite=Strict"} <= {part.strip() for part in cookie.split(";")}


def test_a_proxy_that_is_told_of_is_believed(migrated: None, tmp_path: Path) -> None:
    with web(tmp_path, ZHIQING_TLS_PROXY="1") as (_, port):
        assert answer(port, "/api/v1/requests").status == 301
        answered = answer(port, "/api/v1/requests", **FORWARDED)
        assert (answered.status, answered.headers["Strict-Transport-Security"][:8]) == (401, "max-age=")
