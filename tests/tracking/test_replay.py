"""The replay: reading the file, and sending it over HTTP as often as one likes with one result."""

import csv
import gzip
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from tests.cast import Program, now
from tests.journeys.server import Server, serving
from tests.stack import ROOT
from tracking.addresses import page_path
from tracking.replay import ReplayError, days_to_yesterday, read, survey

HEADER = ["subject", "occurred_at", "page"]
ROWS = [
    ["ann", "2014-01-07T00:00:15Z", "https://shop.example.com/a,b.html?x=1,2"],
    ["bob", "2014-01-07T09:00:00+08:00", 'https://shop.example.com/say "hi"'],
    ["ann", "2014-01-06T23:00:00Z", "https://shop.example.com/two\nlines"],
    ["cid", "2014-01-08T12:00:00Z", "/plain#part"],
]


def write(path: Path, rows: list[list[str]]) -> Path:
    with gzip.open(path, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "clicks.csv.gz", ROWS)


@pytest.fixture
def server(database: None, tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as started:
        yield started


def command(file: Path, server: Server, program: Program, *more: str) -> list[str]:
    arguments = [str(file), f"--program={program.id}", f"--base-url={server.base_url}", "--key=-", "--json"]
    return [sys.executable, str(ROOT / "manage.py"), "replay", *arguments, *more]


def replay(file: Path, server: Server, program: Program, *more: str, code: int = 0) -> dict[str, Any]:
    """Run it as an operator would; its JSON."""
    shift = more or ("--shift-to-yesterday",)
    done = subprocess.run(
        command(file, server, program, *shift),
        input=program.key,
        env={**os.environ, "ZHIQING_ROLE": "application"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_record_is_named_by_the_line_it_begins_on(file: Path) -> None:
    views = list(read(file))
    assert [(view.line, view.subject) for view in views] == [(2, "ann"), (3, "bob"), (4, "ann"), (6, "cid")]
    found = survey(file)
    assert found.first["ann"] == datetime(2014, 1, 6, 23, tzinfo=UTC)
    assert (found.events, found.last) == (4, datetime(2014, 1, 8, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("page", "path"),
    [
        ("https://shop.example.com/a,b.html?x=1,2", "/a,b.html"),
        ("https://shop.example.com", "/"),
        ("https://shop.example.com?q=/1", "/"),
        ("https://shop.example.comHEAD/a", "/a"),
        ("http://[odd/a#b?c", "/a"),
        ("pages/index/index?from=share", "pages/index/index"),
        ("/a b\nc", "/a%20b%0Ac"),
        ("/首页", "/首页"),
        ("?a", "/"),
    ],
)
def test_a_page_is_a_path(page: str, path: str) -> None:
    assert page_path(page) == path


@pytest.mark.parametrize("hour", [0, 23])
def test_the_shift_ends_on_yesterdays_utc_date(hour: int) -> None:
    last = datetime(2014, 1, 22, hour, 59, tzinfo=UTC)
    days = days_to_yesterday(last, date(2026, 3, 1))
    assert (last + timedelta(days=days)).date() == date(2026, 2, 28)
    east = last.astimezone(datetime.fromisoformat("2014-01-01T00:00:00+08:00").tzinfo)
    assert days_to_yesterday(east, date(2026, 3, 1)) == days


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "first line"),
        (b"subject,page\n", "first line"),
        (b"subject,occurred_at,page\n", "no views"),
        (b"subject,occurred_at,page\na,2014-01-01T00:00:00Z\n", "line 2"),
        (b"subject,occurred_at,page\na,2014-01-01T00:00:00,/\n", "line 2: the time needs an offset"),
        (b"subject,occurred_at,page\na,2014-01-01T00:00:00Z,\xff\n", "cannot be read further"),
        (
            gzip.compress(b"subject,occurred_at,page\n" + b"a,2014-01-01T00:00:00Z,/\n" * 9, mtime=0)[:-9],
            "cannot be read further",
        ),
    ],
)
def test_a_bad_file_is_told_by_its_line(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(ReplayError, match=told):
        survey(path)


@pytest.mark.long
def test_a_file_is_stored_once_and_nobody_asked_twice(
    file: Path, server: Server, program: Program, owner: psycopg.Connection
) -> None:
    first = replay(file, server, program)
    assert (first["subjects"], first["consents"], first["stored"], first["refused"]) == (3, 3, 4, {})
    assert datetime.fromisoformat(first["to"]).date() == (now() - timedelta(days=1)).date()
    again = replay(file, server, program, f"--shift-days={first['shift_days']}")
    assert (again["consents"], again["consents_kept"], again["stored"], again["duplicate"]) == (0, 3, 0, 4)
    assert owner.execute("SELECT count(*), count(DISTINCT subject_id) FROM consent_record").fetchone() == (3, 3)
    rows = owner.execute("SELECT event_id, path FROM event JOIN page ON page.id = page_id ORDER BY event_id").fetchall()
    assert rows == [("2", "/a,b.html"), ("3", '/say%20"hi"'), ("4", "/two%0Alines"), ("6", "/plain")]


def test_decisions_of_subjects_stand(file: Path, server: Server, program: Program, owner: psycopg.Connection) -> None:
    program.decide("", "refused", subject={"external_id": "ann"})
    done = replay(file, server, program, code=1)
    assert (done["consents"], done["consents_left"], done["stored"]) == (2, 1, 2)
    assert done["refused"] == {"consent_refused": 2}
    assert owner.execute("SELECT count(*) FROM consent_record").fetchone() == (3,)


def test_a_subject_that_the_service_does_not_take_is_refused_each_time_and_ends_nothing(
    tmp_path: Path, server: Server, program: Program
) -> None:
    """Its consent is of the last day, so that its state is asked for first."""
    file = write(tmp_path / "clicks.csv.gz", [*ROWS, ["x" * 129, "2014-01-08T23:59:00Z", "/"]])
    first = replay(file, server, program, code=1)
    again = replay(file, server, program, f"--shift-days={first['shift_days']}", code=1)
    assert (first["consents"], again["consents"], again["consents_kept"], again["duplicate"]) == (3, 0, 3, 4)
    for done in (first, again):
        assert sum(done["consents_refused"].values()) == sum(done["refused"].values()) == 1


@pytest.mark.long
def test_a_replay_goes_on_after_the_server_died(
    tmp_path: Path, server: Server, program: Program, owner: psycopg.Connection
) -> None:
    begin = datetime(2014, 1, 1, tzinfo=UTC)
    count, subjects = 6000, 200
    rows = [[f"s{n % subjects}", (begin + timedelta(seconds=37 * n)).isoformat(), f"/p/{n % 50}"] for n in range(count)]
    file = write(tmp_path / "many.csv.gz", rows)
    running = subprocess.Popen(
        command(file, server, program, "--shift-to-yesterday", "--batch=100"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    threading.Thread(target=_kill_midway, args=(server, owner), daemon=True).start()
    out, err = running.communicate(program.key, timeout=120)
    assert running.returncode == 0, err
    first = json.loads(out)
    assert first["retried"] > 0
    assert first["stored"] + first["duplicate"] == count
    assert owner.execute("SELECT count(*), count(DISTINCT event_id) FROM event").fetchone() == (count, count)
    server.kill()
    server.start()
    again = replay(file, server, program, f"--shift-days={first['shift_days']}")
    assert (again["stored"], again["duplicate"], again["consents"], again["consents_kept"]) == (0, count, 0, subjects)
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (count,)
    assert owner.execute("SELECT count(*) FROM consent_record").fetchone() == (subjects,)


def _kill_midway(server: Server, owner: psycopg.Connection) -> None:
    """As soon as some events are stored, the server goes; a second later it is back."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and owner.execute("SELECT count(*) FROM event").fetchone() == (0,):
        time.sleep(0.01)
    server.kill()
    time.sleep(1)
    server.start()


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--base-url=127.0.0.1:1"], "base URL"),
        (["--shift-days=999999999999"], "out of the calendar"),
        (["--shift-days=9999"], "future"),
        (["--key="], "key is as create_client printed it"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_sent(file: Path, more: list[str], told: str) -> None:
    arguments = [str(file), "--program=1", "--base-url=http://127.0.0.1:1", "--key=zq_a_b", *more]
    with pytest.raises(CommandError, match=told):
        call_command("replay", *arguments)


def test_a_wrong_key_a_missing_scope_and_a_late_notice_end_it(file: Path, server: Server, program: Program) -> None:
    def told(key: str, *more: str) -> str:
        arguments = [str(file), f"--program={program.id}", f"--base-url={server.base_url}", f"--key={key}", *more]
        with pytest.raises(CommandError) as raised:
            call_command("replay", *arguments)
        return str(raised.value)

    assert "401 unauthenticated" in told("zq_a_b", "--shift-to-yesterday")
    assert "needs the scope import" in told(program.key_with("consents", "events"), "--shift-to-yesterday")
    assert "403 insufficient_scope" in told(program.key_with("events"), "--shift-to-yesterday")
    assert "date a first notice back" in told(program.key)
    assert "does not tell of the purpose" in told(program.key, "--purpose=nothing")
