"""`make demo` in small, on the tests' own servers: its last line, its exit codes, and that it leaves nothing running."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from config import simulation
from tests.stack import ROOT

SUBJECTS, REQUESTS = 150, 2
NAMES = [
    "consents",
    "stored",
    "refused",
    "duplicates",
    "requests_completed",
    "erased_events",
    "dau_last_day",
    "seconds",
]
LINE = re.compile("demo: " + " ".join(rf"{name}=(\d+)" for name in NAMES))


def command(var: Path) -> list[str]:
    sizes = [f"--subjects={SUBJECTS}", f"--requests={REQUESTS}"]
    return [sys.executable, "-u", "-m", "config.demo", f"--var={var}", *sizes]


def pids(var: Path) -> list[int]:
    return [int(file.read_text()) for file in (var / "demo").glob("*.pid")]


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@pytest.mark.long
@pytest.mark.usefixtures("database")
def test_the_demo_runs_again_and_again_on_one_folder(tmp_path: Path) -> None:
    for _ in range(2):
        done = subprocess.run(command(tmp_path), cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "\x1b" not in done.stdout
        line = LINE.fullmatch(done.stdout.splitlines()[-1])
        assert line, done.stdout
        told = dict(zip(NAMES, map(int, line.groups()), strict=True))
        # 120 agree (2 of them to two purposes, 6 then leave), 18 refuse, 12 defer.
        assert told["consents"] == SUBJECTS + REQUESTS + 6
        assert told["requests_completed"] == 3 * REQUESTS
        assert told["refused"] >= 18 + 12 + simulation.STRANGERS + simulation.LEAKS + 6 + REQUESTS
        assert min(told["stored"], told["duplicates"], told["dau_last_day"]) > 0
        assert pids(tmp_path) == []


@pytest.fixture
def interrupted(database: None, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    # A shell that runs the tests in its background makes them ignore Ctrl-C, and the demo would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    running = subprocess.Popen(
        command(tmp_path), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    signal.signal(signal.SIGINT, before)
    yield running
    if running.poll() is None:
        running.kill()
        running.wait()


@pytest.mark.long
def test_an_interrupted_demo_stops_what_it_started(interrupted: subprocess.Popen[str], tmp_path: Path) -> None:
    assert interrupted.stdout is not None
    assert interrupted.stderr is not None
    for line in interrupted.stdout:
        if line.startswith("consents:"):
            break
    started = pids(tmp_path)
    assert len(started) == 3
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(60) == 130, interrupted.stderr.read()
    assert "interrupted" in interrupted.stderr.read()
    deadline = time.monotonic() + 5
    while any(map(alive, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, started))


def test_the_same_seed_makes_the_same_people_and_events() -> None:
    def made(seed: int) -> simulation.Plan:
        zone = ZoneInfo("Asia/Shanghai")
        return simulation.plan(subjects=SUBJECTS, requests=REQUESTS, seed=seed, today=date(2026, 10, 8), zone=zone)

    plan = made(1)
    assert plan == made(1)
    assert plan.events != made(2).events
    assert len(plan.expected) == len(plan.events)
    assert [event["occurred_at"] for event in plan.events] == sorted(event["occurred_at"] for event in plan.events)
    stored = {event["event_id"] for event in plan.events if plan.expected[event["event_id"]] == "stored"}
    assert sum(events for _, events in plan.activity(set()).values()) == len(stored)
    with pytest.raises(ValueError, match="too few"):
        simulation.plan(subjects=10, requests=9, seed=1, today=date(2026, 10, 8), zone=ZoneInfo("UTC"))
