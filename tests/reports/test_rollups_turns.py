"""Who builds which day when: one worker at a time, a mini-program as well as the next, and no day stands before the others."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import connection

from config.logging import JsonFormatter
from reports.rollups import build
from reports.rollups.contribution import Parts
from reports.rollups.turns import due
from reports.tasks import build_rollups
from tests.cast import Program, now
from tests.consent.rights import Working
from tests.reports.rolled import held
from tests.reports.test_rollups import ago, closed_days, lived, local_day

LOCKED = "SELECT FROM rollup_day WHERE day = %s FOR NO KEY UPDATE"


class Killed(BaseException):
    """A worker ends in the middle."""


def built(program: Program) -> list[date]:
    return [day for day in sorted(closed_days(program)) if held(program, day) is not None]


def waiting(program: Program) -> list[date]:
    return [day for day in due(program.id, ZoneInfo(program.zone), now()) if day in closed_days(program)]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    caplog.set_level(logging.INFO, "zhiqing.reports")
    return lambda: [json.loads(JsonFormatter().format(record)) for record in caplog.records]


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[date]]]:
    """`counting(failing)`: has it called before each day is counted; answers the days, as they come."""
    asked: list[date] = []
    computed = build.computed

    def made(failing: Callable[[date], None]) -> list[date]:
        def counted(program_id: int, zone: ZoneInfo, day: date) -> Parts:
            asked.append(day)
            failing(day)
            return computed(program_id, zone, day)

        monkeypatch.setattr(build, "computed", counted)
        return asked

    yield made


def test_a_second_worker_leaves_it_to_the_one_that_builds(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lived(program, "alice")
    with owner.transaction(), as_worker():
        owner.execute("SELECT pg_advisory_xact_lock(hashtextextended('build rollups', 0))")
        build_rollups()
    assert built(program) == []
    with as_worker():
        build_rollups()
    assert built(program) == sorted(closed_days(program)), "none waits because it was left"


def test_a_day_that_somebody_else_builds_is_passed_over(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lived(program, "alice")
    day = max(closed_days(program))
    owner.execute("INSERT INTO rollup_day (program_id, day, zone, changes) VALUES (%s, %s, '', -1)", [program.id, day])
    with as_worker():
        with owner.transaction():
            owner.execute(LOCKED, [day])
            build_rollups()
        assert built(program) == sorted(set(closed_days(program)) - {day})
        build_rollups()
    assert built(program) == sorted(closed_days(program))


@pytest.mark.parametrize("error", [ValueError, Killed])
def test_a_day_that_cannot_be_built_does_not_stand_before_the_others(
    program: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    logged: Callable[[], list[dict[str, Any]]],
    counting: Callable[..., list[date]],
    error: type[BaseException],
) -> None:
    lived(program, "alice")
    day, broken = max(closed_days(program)), [True]

    def failing(of: date) -> None:
        if of == day and broken:
            raise error("alice")

    asked = counting(failing)
    with as_worker():
        for _ in range(2):
            try:
                build_rollups()
            except Killed:
                connection.close()
        assert built(program) == sorted(set(closed_days(program)) - {day})
        assert asked.count(day) == 1
        if error is ValueError:
            (told,) = [line for line in logged() if line["message"] == "rollup not built"]
            assert (told["program"], told["day"], "alice" in json.dumps(told)) == (program.id, day.isoformat(), False)
            assert "rollups built" in [line["message"] for line in logged()]
        # An hour later it is tried again, behind a day that is out of date since.
        owner.execute("UPDATE rollup_day SET tried_at = tried_at - interval '1 hour'")
        owner.execute("UPDATE rollup_day SET changes = -1 WHERE day = %s", [min(closed_days(program))])
        assert waiting(program) == [min(closed_days(program)), day]
        broken.clear()
        build_rollups()
    assert built(program) == sorted(closed_days(program))
    assert owner.execute("SELECT count(tried_at) FROM rollup_day").fetchone() == (0,)


def test_a_day_that_takes_too_long_is_given_up(
    program: Program,
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
    logged: Callable[[], list[dict[str, Any]]],
    counting: Callable[..., list[date]],
) -> None:
    lived(program, "alice")
    day = max(closed_days(program))

    def failing(of: date) -> None:
        if of == day:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(10)")

    counting(failing)
    monkeypatch.setattr("reports.tasks.DAY_SECONDS", 1)
    with as_worker():
        build_rollups()
        build_rollups()
    (told,) = [line["exception"] for line in logged() if line["message"] == "rollup not built"]
    assert "57014" in json.dumps(told)
    assert built(program) == sorted(set(closed_days(program)) - {day})


def test_mini_programs_take_turns(
    program: Program, other: Program, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (program, other):
        lived(each, "alice")
    times = iter([0.0, 1.0, 2.0, 60.0])
    monkeypatch.setattr("reports.tasks.monotonic", lambda: next(times))
    with as_worker():
        build_rollups()
    days = [local_day(program, ago(age)) for age in range(12)]
    assert [sum(held(each, day) is not None for day in days) for each in (program, other)] == [1, 1]
