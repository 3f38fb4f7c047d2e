"""A real clickstream through the REST API into the reports, and counts of the same made from the file itself."""

import csv
import gzip
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest

from tests.cast import Program
from tests.journeys.server import Server, serving
from tests.stack import ROOT

SENT, SUBJECTS = 63_524, 10_000
ADDRESS = re.compile(r"@[\w-]+\.[a-z]{2,}")
EVENTS = SENT - 1
"""One of the file's pages is an e-mail address, and refused."""
FILE = os.environ.get("ZHIQING_CLICKSTREAM", "")

REFUSED = {"identifier_in_property": 1}

pytestmark = pytest.mark.skipif(not FILE, reason="ZHIQING_CLICKSTREAM names no clickstream file")


@pytest.fixture
def server(database: None, tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as started:
        yield started


def replay(server: Server, program: Program, *shift: str) -> dict[str, Any]:
    arguments = [FILE, f"--program={program.id}", f"--base-url={server.base_url}", "--key=-", "--json", *shift]
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "replay", *arguments],
        input=program.key,
        env={**os.environ, "ZHIQING_ROLE": "application"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "1 refused" in done.stderr
    print(done.stderr, done.stdout)  # noqa: T201  its figures, for `pytest -rP`
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def without_address(file: Iterable[str]) -> Iterator[dict[str, str]]:
    """The rows whose path is none: a host may look like one, and is left out of the path."""
    return (row for row in csv.DictReader(file) if not any(map(ADDRESS.search, row["page"].split("/", 3)[3:])))


def counted(shift: timedelta, zone: str) -> tuple[dict[date, set[str]], dict[date, int]]:
    """Who was there on each local date, and how many views there were: from the file, by nothing of ours."""
    subjects: dict[date, set[str]] = defaultdict(set)
    views: dict[date, int] = defaultdict(int)
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        for row in without_address(file):
            moment = datetime.fromisoformat(row["occurred_at"].replace("Z", "+00:00")) + shift
            day = moment.astimezone(ZoneInfo(zone)).date()
            subjects[day].add(row["subject"])
            views[day] += 1
    return subjects, views


def rolling(subjects: dict[date, set[str]], day: date, days: int) -> int:
    return len(set().union(*(subjects.get(day - timedelta(days=back), set()) for back in range(days))))


def by_page() -> dict[str, tuple[int, int]]:
    """Path -> views and subjects, over the whole file."""
    subjects: dict[str, list[str]] = defaultdict(list)
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        for row in without_address(file):
            _, _, _, *path = row["page"].partition("?")[0].partition("#")[0].split("/", 3)
            # One of the file's pages has a line end in it.
            subjects["/" + "".join(path).replace("\n", "%0A")].append(row["subject"])
    return {path: (len(some), len(set(some))) for path, some in subjects.items()}


def report(server: Server, program: Program, metric: str, first: date, last: date, **more: Any) -> dict[str, Any]:
    response = httpx.post(
        f"{server.base_url}/api/v1/reports/{metric}",
        json={"from": first.isoformat(), "to": last.isoformat()} | more,
        headers={"Authorization": f"Bearer {program.key}"},
        timeout=60,
        trust_env=False,
    )
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def received(server: Server, program: Program) -> dict[str, int]:
    """What became of everything sent until now, but for the one that was refused: too few to tell."""
    day = datetime.now(ZoneInfo(program.zone)).date()
    totals = report(server, program, "quality", day - timedelta(days=1), day)
    return {name: totals[name] for name in ("accepted", "late", "duplicate") if totals[name]}


def compare_further(server: Server, program: Program, subjects: dict[date, set[str]], views: dict[date, int]) -> None:
    """What the other reports tell of the whole file."""
    first, last, everybody = min(subjects), max(subjects), set().union(*subjects.values())
    trends = report(server, program, "trends", first, last, event="page_view", compare="previous")
    told = {date.fromisoformat(row["date"]): (row["events"], row["subjects"]) for row in trends["data"]}
    assert told == {day: (views[day], len(subjects[day])) for day in told}
    assert sum(row["events"] for row in trends["previous"]) == 0
    pages = report(server, program, "pages", first, last)
    assert (pages["views"], pages["subjects"]) == (EVENTS, len(everybody))
    assert {row["page"]: (row["views"], row["subjects"]) for row in pages["data"]} == by_page()
    spread = report(server, program, "distributions", first, last)
    assert spread["subjects"] == len(everybody)
    entries = sum(row["entries"] for row in pages["data"])
    for dimension in ("scene", "dwell_band", "depth_band"):
        assert sum(row["sessions"] for row in spread["data"] if row["dimension"] == dimension) == entries


@pytest.mark.long
def test_a_clickstream_is_replayed_reported_and_replayed_again(
    server: Server, sandbox: Program, owner: psycopg.Connection
) -> None:
    began = datetime.now(UTC)
    first = replay(server, sandbox, "--shift-to-yesterday")
    assert (first["subjects"], first["consents"], first["refused"]) == (SUBJECTS, SUBJECTS, REFUSED)
    assert (first["events"], first["stored"], first["duplicate"]) == (SENT, EVENTS, 0)

    zone = ZoneInfo(sandbox.zone)
    subjects, views = counted(timedelta(days=first["shift_days"]), sandbox.zone)
    assert sum(views.values()) == EVENTS
    rows = report(server, sandbox, "activity", min(subjects), max(subjects))["data"]
    assert [row["date"] for row in rows] == [
        (min(subjects) + timedelta(days=n)).isoformat() for n in range((max(subjects) - min(subjects)).days + 1)
    ]
    closed = [row for row in rows if row["closed"]]
    assert len(closed) >= 14
    for row in closed:
        day = date.fromisoformat(row["date"])
        told = {name: row[name] for name in ("dau", "wau_rolling", "mau_rolling", "events")}
        assert told == {
            "dau": len(subjects[day]),
            "wau_rolling": rolling(subjects, day, 7),
            "mau_rolling": rolling(subjects, day, 30),
            "events": views[day],
        }, day
    compare_further(server, sandbox, subjects, views)

    # Late is what happened on days that ended 48 h ago, at the first batch or, over a midnight, at the last.
    late = received(server, sandbox)["late"]
    assert late in {
        sum(number for day, number in views.items() if day < (at - timedelta(hours=48)).astimezone(zone).date())
        for at in (began, datetime.now(UTC))
    }
    assert late > EVENTS / 2
    assert received(server, sandbox) == {"accepted": EVENTS, "late": late}

    again = replay(server, sandbox, f"--shift-days={first['shift_days']}")
    assert (again["stored"], again["duplicate"], again["refused"]) == (0, EVENTS, REFUSED)
    assert (again["consents"], again["consents_kept"]) == (0, SUBJECTS)
    assert received(server, sandbox) == {"accepted": EVENTS, "late": late, "duplicate": EVENTS}
    assert owner.execute("SELECT count(*) FROM consent_record").fetchone() == (SUBJECTS,)
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (EVENTS,)
