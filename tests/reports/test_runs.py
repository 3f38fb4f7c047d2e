"""Runs: a worker answers what REST would, tells how far it is, stops when it is told to, and is replaced when it dies."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import connection
from kombu.exceptions import OperationalError

from consent.vault import keyring
from consent.vault.store import FileStore
from reports import running, runs, tasks
from reports.api import background
from reports.metrics import registry
from reports.models import Counting
from reports.rollups.build import build
from tests.cast import Program, now
from tests.consent.signed import Ring
from tests.reports.events import History, Seen, local
from tests.reports.test_api import RANGE

Working = Callable[[], AbstractContextManager[None]]
ASKED = RANGE | {"metric": "activity"}
STATE = "SELECT state, attempts FROM report_run"
WAITS_S = 30.0


@pytest.fixture
def dozen(history: Callable[..., History]) -> History:
    """Twelve subjects on October 6, and three on the 7th."""
    shanghai = history()
    shanghai.add_all(Seen(f"s{n}", local("2025-10-06 12:00:00")) for n in range(12))
    shanghai.add_all(Seen(f"s{n}", local("2025-10-07 12:00:00")) for n in range(3))
    return shanghai


@pytest.fixture
def recent(history: Callable[..., History]) -> History:
    """Twelve subjects ten days ago: of days that may have totals."""
    shanghai = history()
    at = datetime.combine(_ago(10), datetime.min.time(), ZoneInfo("Asia/Shanghai")) + timedelta(hours=12)
    shanghai.add_all(Seen(f"s{n}", at) for n in range(12))
    return shanghai


def _ago(days: int) -> date:
    return now().astimezone(ZoneInfo("Asia/Shanghai")).date() - timedelta(days=days)


def lately() -> dict[str, str]:
    return {"metric": "activity", "from": str(_ago(10)), "to": str(_ago(9))}


def ask(program: Program, body: Any = ASKED, **headers: str) -> Any:
    response = program.post("report-runs", body, **headers)
    assert response.status_code == 202, response.content
    return response.json()


def shown(program: Program, run: Any) -> Any:
    response = program.get(f"report-runs/{run['id']}")
    assert response.status_code == 200, response.content
    return response.json()


def cancel(program: Program, run: Any) -> Any:
    return program.call("POST", f"report-runs/{run['id']}/cancel")


def worked(as_worker: Working, run: Any) -> None:
    with as_worker():
        tasks.carry_out(run["id"])


@contextmanager
def at_work(as_worker: Working, run: Any) -> Iterator[None]:
    """A worker in a thread, with a connection, of its own."""

    def work() -> None:
        try:
            tasks.carry_out(run["id"])
        finally:
            connection.close()

    with as_worker():
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            thread.join(WAITS_S)
            assert not thread.is_alive()


def until(what: str, ready: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAITS_S
    while not ready():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


# --- the answer


def test_a_run_is_answered_as_the_call_is(dozen: History, as_worker: Working) -> None:
    run = ask(dozen.program)
    assert (run["state"], run["answer"], run["progress"]) == ("queued", None, None)
    assert run["question"] == RANGE
    worked(as_worker, run)
    done = dozen.program.get(f"report-runs/{run['id']}")
    told, expected = done.json(), dozen.program.post("reports/activity", RANGE)
    assert told["state"] == "done" and told["finished_at"] and told["started_at"]
    as_of = told["answer"]["as_of"].encode(), expected.json()["as_of"].encode()
    # The same bytes.
    assert expected.content.replace(as_of[1], as_of[0]) in done.content
    assert [row["dau"] for row in told["answer"]["data"]] == [12, None]


def test_only_what_passed_the_gate_is_kept(dozen: History, as_worker: Working, owner: psycopg.Connection) -> None:
    worked(as_worker, ask(dozen.program))
    ((kept,),) = owner.execute("SELECT answer FROM report_run").fetchall()
    assert json.loads(kept)["data"][1]["status"]["dau"] == "suppressed"
    assert json.loads(kept)["data"][1]["dau"] is None


def test_figures_stand_as_with_the_call(dozen: History, as_worker: Working) -> None:
    """What a run told, a call tells too, although somebody has joined since."""
    run = ask(dozen.program)
    worked(as_worker, run)
    dozen.add(Seen("late", local("2025-10-06 13:00:00")))
    assert dozen.program.post("reports/activity", RANGE).json()["data"][0]["dau"] == 12
    assert shown(dozen.program, run)["answer"]["data"][0]["dau"] == 12


def test_no_run_is_told_past_the_gate(
    dozen: History, as_worker: Working, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shut(figures: Any, *, k: int, as_of: Any, by_day: Any) -> Any:
        raise RuntimeError("shut")

    monkeypatch.setattr(registry, "release", shut)
    worked(as_worker, ask(dozen.program))
    assert owner.execute("SELECT state, answer FROM report_run").fetchone() == ("queued", None)


def test_a_relative_range_is_that_of_the_day_it_was_asked_on(program: Program) -> None:
    run = ask(program, {"metric": "activity", "range": "last_7_days"})
    assert run["question"].keys() == {"from", "to"}


def test_days_without_totals_are_counted_first(
    recent: History, as_worker: Working, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts are the days that are built, and the three steps of the figures."""
    seen: list[tuple[str, int, int]] = []
    began = running.Watch.reached

    def noting(watch: running.Watch, counting: Any) -> None:
        began(watch, counting)
        seen.append((str(counting), watch._done, watch.parts))

    monkeypatch.setattr(running.Watch, "reached", noting)
    worked(as_worker, ask(recent.program, lately()))
    ((days,),) = owner.execute("SELECT count(*) FROM rollup_day WHERE built_at IS NOT NULL").fetchall()
    assert days > 2
    names = [*["days"] * days, "figures", "by_day", "gate"]
    assert seen == [(name, n, days + 3) for n, name in enumerate(names)]
    assert owner.execute("SELECT done, parts FROM report_run").fetchone() == (days + 3, days + 3)
    seen.clear()
    worked(as_worker, ask(recent.program, lately()))
    assert [name for name, *_ in seen] == ["figures", "by_day", "gate"]


@pytest.mark.parametrize(
    ("first", "body"),
    [
        (9, {"metric": "contribution", "breakdown": "event"}),
        (9, {"metric": "contribution", "breakdown": "page", "event": "page_view"}),
        (9, {"metric": "trends", "compare": "previous"}),
        (10, {"metric": "conversion", "goal": "share"}),
    ],
    ids=lambda body: "-".join(body) if isinstance(body, dict) else "",
)
def test_so_are_those_of_the_range_before(
    recent: History, as_worker: Working, owner: psycopg.Connection, first: int, body: dict[str, Any]
) -> None:
    worked(as_worker, ask(recent.program, body | {"from": str(_ago(first)), "to": str(_ago(8))}))
    assert owner.execute("SELECT state FROM report_run").fetchone() == ("done",)
    built = "SELECT count(*) FROM rollup_day WHERE built_at IS NOT NULL AND day = %s"
    assert owner.execute(built, [_ago(10)]).fetchone() == (1,)


# --- what is refused


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({}, "invalid", "/metric"),
        ({"metric": ["activity"]}, "invalid", "/metric"),
        ({"metric": "nothing"}, "unknown_metric", "/metric"),
        ({"metric": "activity"}, "invalid", ""),
        (ASKED | {"interval": "week"}, "interval_unavailable", "/interval"),
        (ASKED | {"range": "this_month"}, "range_or_dates", "/range"),
        (ASKED | {"metric": "paths", "start": "p/13812345678"}, "identifier_in_question", "/start"),
    ],
)
def test_a_question_is_checked_before_it_is_kept(
    program: Program, owner: psycopg.Connection, body: Any, code: str, pointer: str
) -> None:
    response = program.post("report-runs", body)
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert [fault["pointer"] for fault in response.json()["errors"]] == [pointer]
    assert owner.execute("SELECT count(*) FROM report_run").fetchone() == (0,)


def test_what_only_the_figures_refuse_fails_the_run(program: Program, as_worker: Working) -> None:
    run = ask(program, RANGE | {"metric": "forecast"})
    worked(as_worker, run)
    told = shown(program, run)
    assert (told["state"], told["problem"]["code"], told["answer"]) == ("failed", "history_too_short", None)
    assert told["problem"]["detail"]


def test_an_earlier_period_of_no_time_is_refused_as_it_is_by_rest(program: Program, as_worker: Working) -> None:
    asked = RANGE | {"metric": "contribution", "breakdown": "event", "compare_from": "0001-01-01"}
    run = ask(program, asked)
    worked(as_worker, run)
    told = shown(program, run)
    assert (told["state"], told["problem"]["code"]) == ("failed", "invalid_range")


def test_so_many_at_once_and_no_more(program: Program, other: Program) -> None:
    made = [ask(program) for _ in range(runs.MAX_OPEN)]
    response = program.post("report-runs", ASKED)
    assert (response.status_code, response.json()["code"]) == (409, "too_many_runs")
    ask(other)
    cancel(program, made[0])
    ask(program)


def test_the_same_key_asks_once(program: Program, owner: psycopg.Connection, own_ring: Ring) -> None:
    run = ask(program, Idempotency_Key="k")
    assert ask(program, Idempotency_Key="k") == run
    keyring.add_key(FileStore(own_ring.path), "index", made=now())
    assert ask(program, Idempotency_Key="k") == run, "also once the index key has another version"
    assert owner.execute("SELECT count(*) FROM report_run").fetchone() == (1,)
    refused = program.post("report-runs", ASKED | {"to": "2025-10-06"}, Idempotency_Key="k")
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_conflict")


def test_the_list_has_no_answers(dozen: History, as_worker: Working) -> None:
    first, second = ask(dozen.program), ask(dozen.program)
    worked(as_worker, first)
    page = dozen.program.get("report-runs?limit=1").json()
    assert [row["id"] for row in page["results"]] == [second["id"]]
    rest = dozen.program.get(f"report-runs?cursor={page['next_cursor']}").json()
    assert [(row["id"], row["state"]) for row in rest["results"]] == [(first["id"], "done")]
    assert "answer" not in rest["results"][0]


def test_another_mini_programs_are_not_there(program: Program, other: Program) -> None:
    run = ask(program)
    assert other.get("report-runs").json()["results"] == []
    assert other.get(f"report-runs/{run['id']}").status_code == 404
    assert cancel(other, run).status_code == 404
    assert shown(program, run)["state"] == "queued"


# --- cancelling


def test_what_is_queued_is_cancelled_at_once(program: Program, as_worker: Working, owner: psycopg.Connection) -> None:
    run = ask(program)
    assert cancel(program, run).json()["state"] == "cancelled"
    assert cancel(program, run).status_code == 200
    worked(as_worker, run)
    assert owner.execute(STATE).fetchone() == ("cancelled", 0)
    done = owner.execute(
        "SELECT action, actor FROM audit_entry WHERE action LIKE 'report_run.%' ORDER BY id"
    ).fetchall()
    client = f"client:{program.client_id}"
    assert done == [("report_run.asked", client), ("report_run.cancelled", client)]


def test_what_is_over_cannot_be_cancelled(dozen: History, as_worker: Working) -> None:
    run = ask(dozen.program)
    worked(as_worker, run)
    response = cancel(dozen.program, run)
    assert (response.status_code, response.json()["code"]) == (409, "run_over")


def test_the_statement_under_way_is_cancelled(
    dozen: History, as_worker: Working, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for a lock for as long as the test holds it."""
    known = registry.known("activity")

    def slow(question: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(4711)")
        return known.run(question)

    monkeypatch.setitem(registry._METRICS, "activity", registry.Metric("activity", known.definition, slow))
    run = ask(dozen.program)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    owner.execute("SELECT pg_advisory_lock(4711)")
    with at_work(as_worker, run):
        until("the statement", lambda: owner.execute(waiting).fetchone() == (1,))
        until("how far it is", lambda: (shown(dozen.program, run)["progress"] or {}).get("counting") == "figures")
        progress = shown(dozen.program, run)["progress"]
        assert progress["done"] == progress["parts"] - 3
        assert cancel(dozen.program, run).json()["state"] == "cancelled"
        until("its end", lambda: owner.execute(waiting).fetchone() == (0,))
    assert owner.execute(STATE).fetchone() == ("cancelled", 1)
    # The next one has a connection to work with, and the place.
    monkeypatch.undo()
    again = ask(dozen.program)
    worked(as_worker, again)
    assert shown(dozen.program, again)["state"] == "done"


def test_between_its_parts_a_run_stops_by_itself(
    recent: History, as_worker: Working, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no statement runs that could be cancelled."""
    at, go_on = threading.Event(), threading.Event()

    def slowly(*args: Any, **named: Any) -> bool:
        at.set()
        assert go_on.wait(WAITS_S)
        return build(*args, **named)

    monkeypatch.setattr(background, "build", slowly)
    run = ask(recent.program, lately())
    with at_work(as_worker, run):
        assert at.wait(WAITS_S)
        cancel(recent.program, run)
        time.sleep(2 * running.EVERY_S)
        go_on.set()
    assert owner.execute(STATE).fetchone() == ("cancelled", 1)
    built = owner.execute("SELECT count(*) FROM rollup_day WHERE built_at IS NOT NULL").fetchone()
    assert built == (1,)


def test_what_takes_too_long_is_given_up(dozen: History, as_worker: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LONGEST_S", 0.0)
    monkeypatch.setattr(background, "made", lambda run, expect, reached, **more: _stopping(reached))
    run = ask(dozen.program)
    worked(as_worker, run)
    told = shown(dozen.program, run)
    assert (told["state"], told["problem"]["code"]) == ("failed", "too_long")


def _stopping(reached: Any) -> str:
    """Parts for a minute, unless it is stopped."""
    for _ in range(600):
        reached(Counting.FIGURES)
        time.sleep(0.1)
    return "{}"


# --- workers that fail and die


def test_a_failure_is_tried_again_and_given_up_in_the_end(
    dozen: History, as_worker: Working, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **named: Any) -> str:
        raise ZeroDivisionError("what it says may quote a row")

    monkeypatch.setattr(background, "made", broken)
    run = ask(dozen.program)
    for attempt in (1, 2, 3):
        worked(as_worker, run)
        assert owner.execute(STATE).fetchone() == ("failed" if attempt == 3 else "queued", attempt)
        # Not before its pause is over.
        worked(as_worker, run)
        assert owner.execute(STATE).fetchone()[1] == attempt  # type: ignore[index]
        owner.execute("UPDATE report_run SET not_before = now() - interval '1 second'")
    assert shown(dozen.program, run)["problem"]["code"] == "ZeroDivisionError"


def test_a_dead_workers_run_is_taken_up_and_given_up_after_three(
    dozen: History, as_worker: Working, owner: psycopg.Connection
) -> None:
    run = ask(dozen.program)
    died = "UPDATE report_run SET lease_until = now() - interval '1 second'"
    run_id = uuid.UUID(run["id"])
    with as_worker():
        for attempt in (1, 2, 3):
            assert runs.due() == run_id
            claimed = runs.claim(dozen.program.id, run_id)
            assert claimed is not None and claimed.attempts == attempt
            # Held: nobody else's, and no hint is given.
            assert runs.claim(dozen.program.id, run_id) is None and runs.due() is None
            owner.execute(died)
        assert runs.claim(dozen.program.id, run_id) is None and claimed is not None
        # The dead one comes back, and finds that the run is over.
        assert not runs.finish(claimed, "{}", parts=1)
    assert shown(dozen.program, run)["problem"]["code"] == "worker_died"


def test_a_worker_that_lost_its_run_drops_the_answer(
    dozen: History, as_worker: Working, owner: psycopg.Connection
) -> None:
    run = ask(dozen.program)
    with as_worker():
        first = runs.claim(dozen.program.id, uuid.UUID(run["id"]))
        owner.execute("UPDATE report_run SET lease_until = now() - interval '1 second'")
        second = runs.claim(dozen.program.id, uuid.UUID(run["id"]))
        assert first is not None and second is not None
        assert not runs.renew(first, counting="", done=0, parts=1)
        assert not runs.finish(first, '{"whose": "first"}', parts=1)
        assert runs.finish(second, '{"whose": "second"}', parts=1)
    assert shown(dozen.program, run)["answer"] == {"whose": "second"}


def test_one_run_at_a_time(dozen: History, as_worker: Working, owner: psycopg.Connection) -> None:
    """Of all mini-programs: the other workers are for requests."""
    run = ask(dozen.program)
    owner.execute("SELECT pg_advisory_lock(hashtextextended('report_run', 0))")
    try:
        worked(as_worker, run)
        assert owner.execute(STATE).fetchone() == ("queued", 0)
    finally:
        owner.execute("SELECT pg_advisory_unlock(hashtextextended('report_run', 0))")
    worked(as_worker, run)
    assert owner.execute(STATE).fetchone() == ("done", 1)


def test_the_sweep_hands_out_the_one_that_waits_longest(
    program: Program, other: Program, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _second = ask(program), ask(other)
    hinted: list[uuid.UUID] = []
    monkeypatch.setattr(tasks, "hint", hinted.append)
    with as_worker():
        tasks.sweep_runs()
    assert hinted == [uuid.UUID(first["id"])]


def test_an_expired_run_is_not_there_and_is_deleted(
    dozen: History, as_worker: Working, owner: psycopg.Connection
) -> None:
    run, kept = ask(dozen.program), ask(dozen.program)
    worked(as_worker, run)
    owner.execute("UPDATE report_run SET expires_at = now() - interval '1 second' WHERE id = %s", [run["id"]])
    assert dozen.program.get(f"report-runs/{run['id']}").status_code == 404
    assert [row["id"] for row in dozen.program.get("report-runs").json()["results"]] == [kept["id"]]
    with as_worker():
        tasks.forget_asked()
    assert owner.execute("SELECT id FROM report_run").fetchall() == [(uuid.UUID(kept["id"]),)]


def test_without_a_broker_it_is_asked_all_the_same(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **named: Any) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(tasks.carry_out, "apply_async", away)
    assert ask(program)["state"] == "queued"
