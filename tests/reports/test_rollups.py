"""Rollups as callers and operators meet them: they are never seen in a figure, and nobody stays in them."""

import itertools
import json
import tracemalloc
from collections.abc import Callable
from datetime import date, datetime, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from consent.programs.tenancy import tenant
from consent.rights.holders import holder_of
from reports.metrics.retention import Retention
from reports.rollups.build import buildable, to_build
from reports.rollups.contribution import everybody, united
from reports.tasks import build_rollups
from tests.cast import Program, event, now
from tests.consent import rights
from tests.consent.retaining import end_purpose, erase_due, over, promised_longer, purge
from tests.consent.rights import Working, subject_of
from tests.reports.events import History, Seen, local
from tests.reports.rolled import held, note_late, rebuilt, roll, wrong

AGES = (4, 5, 6)
"""Days ago: closed, and not too old for a batch."""


def ago(days: int) -> datetime:
    return now() - timedelta(days=days)


def local_day(program: Program, moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(program.zone)).date()


def closed_days(program: Program) -> list[date]:
    return [local_day(program, ago(days)) for days in AGES]


def lived(program: Program, openid: str, *names: str) -> str:
    """Two events on each of some closed days; answers the pseudonym."""
    pseudonym = program.decide(openid, occurred_at=ago(9).isoformat())["subject_id"]
    for age in AGES:
        for name in names or ("a", "b"):
            program.send(event(openid, f"{openid}-{age}-{name}", ago(age)))
    return str(pseudonym)


def dau(found: Any, program: Program, age: int) -> int:
    return int(found["data"][local_day(program, ago(age)).isoformat()]["dau"])


def holds(program: Program, subject_id: int) -> int:
    with tenant(program.id):
        return holder_of("reports.rollups").count(program_id=program.id, subject_id=subject_id)


# --- Reading ---------------------------------------------------------------------------------------------------------


def test_closed_days_are_answered_without_their_events(history: Callable[..., History], as_worker: Working) -> None:
    shanghai = history()
    shanghai.add(
        Seen("ann", local("2025-10-10 09:00:00")), Seen("bob", local("2025-10-10 23:59:00"), purpose="personalisation")
    )
    with as_worker():
        roll(shanghai.program, [date(2025, 9, 1) + timedelta(days=n) for n in range(61)])
    asked: list[str] = []

    def noting(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        asked.append(sql)
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(noting):
        found = shanghai.table("2025-10-10", "2025-10-10", "dau", "events", "sessions")
    assert found == {"2025-10-10": [2, 2, 2]}
    assert not [sql for sql in asked if "event e" in sql]
    # Somebody who counts no longer is read from the events; nobody else is.
    shanghai.end_consent("bob", purpose="personalisation")
    with connection.execute_wrapper(noting):
        found = shanghai.table("2025-10-10", "2025-10-10", "dau", "events", "sessions")
    assert found == {"2025-10-10": [1, 1, 1]}
    assert all("e.subject_id = ANY" in sql for sql in asked if "event e" in sql)


@pytest.mark.parametrize(
    ("metric", "options"),
    [
        ("lifecycle", None),
        ("retention", Retention(periods=4)),
        ("retention", Retention(periods=4, mode="on_or_after")),
        ("retention", Retention(periods=4, cohort_event="for_personalisation", return_event="for_personalisation")),
    ],
)
def test_what_users_did_on_closed_days_is_not_counted_from_all_events(
    history: Callable[..., History], as_worker: Working, monkeypatch: pytest.MonkeyPatch, metric: str, options: object
) -> None:
    shanghai = history()
    came = {"ann": (9, 10, 11, 13), "bob": (10, 12), "cem": (4, 12, 13), "dan": (11,), "eve": (1, 10)}
    for who, purpose in itertools.product(came, ("analytics", "personalisation")):
        shanghai.add(*(Seen(who, local(f"2025-10-{day:02} 07:00:00"), purpose=purpose) for day in came[who]))
    shanghai.end_consent("dan")
    monkeypatch.setattr("reports.rollups.read.FEW", 10_000)
    asked: dict[str, Any] = {"metric": metric, "options": options, "as_of": local("2025-11-20 00:00:00")}
    counted = shanghai.ask("2025-10-10", "2025-10-12", **asked)
    with as_worker():
        roll(shanghai.program, [date(2025, 9, 28) + timedelta(days=n) for n in range(20)])
    monkeypatch.setattr(f"reports.metrics.{metric}._from_events", None)
    assert shanghai.ask("2025-10-10", "2025-10-12", **asked) == counted


def test_a_late_event_counts_at_once_and_until_the_next_build_from_the_events(
    program: Program, as_worker: Working, figures: Callable[[Program], Any]
) -> None:
    lived(program, "alice")
    lived(program, "bob")
    with as_worker():
        roll(program, closed_days(program))
    day = local_day(program, ago(5))
    assert held(program, day) is not None
    program.send(event("bob", "late", ago(5) + timedelta(seconds=1)))
    assert held(program, day) is None
    assert held(program, local_day(program, ago(6))) is not None, "a day before it is what it was"
    found = figures(program)
    assert found["data"][day.isoformat()]["events"] == 5
    with as_worker():
        build_rollups()
    assert held(program, day) == rebuilt(program, day)
    assert figures(program) == found
    # The same once more is a duplicate, and an event of today changes no closed day.
    program.send(event("bob", "late", ago(5) + timedelta(seconds=1)), event("bob", "today"))
    assert held(program, day) is not None


def test_a_late_event_changes_the_sessions_of_the_day_after(
    history: Callable[..., History], as_worker: Working
) -> None:
    shanghai = history()
    shanghai.add(Seen("ann", local("2025-10-11 00:10:00")))
    days = [date(2025, 10, 10), date(2025, 10, 11)]
    with as_worker():
        roll(shanghai.program, days)
    assert shanghai.table("2025-10-10", "2025-10-11", "sessions") == {"2025-10-10": [0], "2025-10-11": [1]}
    shanghai.add(Seen("ann", local("2025-10-10 23:50:00")))
    note_late(shanghai, date(2025, 10, 10))
    assert shanghai.table("2025-10-10", "2025-10-11", "sessions") == {"2025-10-10": [1], "2025-10-11": [0]}


def test_a_builder_leaves_out_whose_erasure_has_begun(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Between the erasing of the rollups and that of the events."""
    alice = subject_of(owner, lived(program, "alice"))
    lived(program, "bob")
    rights.file(program, "erasure")
    with as_worker():
        roll(program, closed_days(program))
    assert holds(program, alice) == 0
    assert dau_in(held(program, local_day(program, ago(5)))) == 1


def dau_in(found: Any) -> int:
    return len(everybody(united(found)))


def test_a_batch_without_late_events_writes_nothing_of_it(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice", occurred_at=ago(9).isoformat())
    program.send(event("alice", "1"), event("alice", "2", ago(1)))
    assert owner.execute("SELECT count(*) FROM day_change").fetchone() == (0,)
    program.send(*(event("alice", f"l{n}", ago(5)) for n in range(40)))
    assert owner.execute("SELECT count(*), sum(changes) FROM day_change").fetchone() == (1, 1)


def test_who_consents_again_before_the_erasure_counts_by_the_new_consent(
    program: Program, owner: psycopg.Connection, as_worker: Working, figures: Callable[[Program], Any]
) -> None:
    lived(program, "alice")
    lived(program, "bob")
    with as_worker():
        roll(program, closed_days(program))
    program.decide("alice", "withdrawn")
    assert dau(figures(program), program, 5) == 1
    program.decide("alice", "given")
    program.send(event("alice", "anew"))
    found = figures(program)
    assert (dau(found, program, 5), dau(found, program, 0)) == (1, 1)
    owner.execute("UPDATE purpose_erasure SET not_before = asked_at")
    assert erase_due(as_worker)[0] == 1
    assert all(held(program, day) == rebuilt(program, day) for day in closed_days(program)), "subtracted, not forgotten"
    assert figures(program) == found
    assert wrong(program, closed_days(program)) == []


# --- Forgetting ------------------------------------------------------------------------------------------------------


def test_an_erasure_takes_its_subject_out_and_leaves_the_day_clean(
    program: Program, owner: psycopg.Connection, as_worker: Working, figures: Callable[[Program], Any]
) -> None:
    alice = subject_of(owner, lived(program, "alice"))
    bob = subject_of(owner, lived(program, "bob"))
    with as_worker():
        roll(program, closed_days(program))
    assert (holds(program, alice), holds(program, bob)) == (3, 3)
    assert rights.erased(program, owner, as_worker)["state"] == "completed"
    assert (holds(program, alice), holds(program, bob)) == (0, 3)
    assert all(held(program, day) == rebuilt(program, day) for day in closed_days(program))
    assert dau(figures(program), program, 5) == 1


def test_an_erasure_forgets_a_day_that_is_out_of_date(
    program: Program, owner: psycopg.Connection, as_worker: Working, figures: Callable[[Program], Any]
) -> None:
    alice = subject_of(owner, lived(program, "alice"))
    lived(program, "bob")
    with as_worker():
        roll(program, closed_days(program))
    program.send(event("bob", "late", ago(5)))
    assert rights.erased(program, owner, as_worker)["state"] == "completed"
    assert holds(program, alice) == 0
    assert held(program, local_day(program, ago(5))) is None
    assert dau(figures(program), program, 5) == 1
    with as_worker():
        build_rollups()
    assert held(program, local_day(program, ago(5))) == rebuilt(program, local_day(program, ago(5)))


def test_an_erasure_taken_back_has_the_days_built_again(
    program: Program, as_worker: Working, figures: Callable[[Program], Any]
) -> None:
    lived(program, "alice")
    filed = rights.file(program, "erasure")
    with as_worker():
        roll(program, closed_days(program))
    assert dau(figures(program), program, 5) == 0
    assert program.post(f"requests/{filed['request_id']}/withdraw", {}).status_code == 200
    assert dau(figures(program), program, 5) == 1
    with as_worker():
        build_rollups()
    assert held(program, local_day(program, ago(5))) == rebuilt(program, local_day(program, ago(5)))
    assert dau(figures(program), program, 5) == 1


def test_a_restriction_that_is_lifted_has_the_days_built_again(
    program: Program, as_worker: Working, figures: Callable[[Program], Any]
) -> None:
    lived(program, "alice")
    filed = rights.file(program, "restriction")
    rights.carry_out(program, as_worker, filed)
    with as_worker():
        roll(program, closed_days(program))
    assert dau(figures(program), program, 5) == 0
    assert program.post(f"requests/{filed['request_id']}/withdraw", {}).status_code == 200
    assert dau(figures(program), program, 5) == 1


def test_a_purge_forgets_the_days_whose_events_it_takes(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """365 days are told; somebody else keeps theirs for longer, so that rows go and no day."""
    owner.execute("UPDATE notice_purpose SET retention_days = 3000 WHERE program_id = %s", [other.id])
    program.decide("alice", occurred_at=ago(400).isoformat())
    with promised_longer(owner):
        program.send(event("alice", "old", ago(370)), event("alice", "young", ago(5)), historical=True)
    days = [local_day(program, ago(370)), local_day(program, ago(5))]
    with as_worker():
        roll(program, days)
    assert "rollup_day" in {row.table for row in over(program)}
    purge(program, as_worker)
    assert [held(program, day) is None for day in days] == [True, False]
    assert owner.execute("SELECT count(*) FROM rollup WHERE day = %s", [days[0]]).fetchone() == (0,)
    assert "rollup_day" not in {row.table for row in over(program)}


def test_events_that_go_without_their_day_take_its_rollup_along(
    program: Program, owner: psycopg.Connection, as_worker: Working, figures: Callable[[Program], Any]
) -> None:
    lived(program, "alice")
    with as_worker():
        roll(program, closed_days(program))
    end_purpose(program, "analytics")
    assert purge(program, as_worker) == 6
    assert owner.execute("SELECT count(*) FROM rollup").fetchone() == (0,)
    assert {held(program, day) is None for day in closed_days(program)} == {True}
    assert dau(figures(program), program, 5) == 0


def test_a_package_says_where_its_subject_is_counted(program: Program, as_worker: Working) -> None:
    lived(program, "alice")
    with as_worker():
        roll(program, closed_days(program))
    filed = rights.file(program, "access")
    rights.carry_out(program, as_worker, filed)
    told = rights.sections(rights.package_of(program, filed))["counted_days"]
    assert [row["day"] for row in told] == sorted(day.isoformat() for day in closed_days(program))
    assert {tuple(row["events"]) for row in told} == {("page_view",)}


# --- Building --------------------------------------------------------------------------------------------------------


def test_only_closed_days_are_built(program: Program, as_worker: Working) -> None:
    lived(program, "alice")
    program.send(event("alice", "today"))
    zone = ZoneInfo(program.zone)
    with as_worker():
        build_rollups()
    span = buildable(program.id, zone, now())
    assert span.last in {local_day(program, ago(3)), local_day(program, ago(4))}
    assert to_build(program.id, zone, span) == []
    assert held(program, local_day(program, ago(4))) == rebuilt(program, local_day(program, ago(4)))
    assert held(program, local_day(program, ago(0))) is None


def test_a_built_day_is_not_built_again(program: Program, as_worker: Working) -> None:
    lived(program, "alice")
    day = local_day(program, ago(5))
    with as_worker():
        assert roll(program, [day, day]) == [True, False]
        assert roll(program, [day], anew=True) == [True]


def test_a_day_in_another_zone_is_not_used(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lived(program, "alice")
    day = local_day(program, ago(5))
    with as_worker():
        roll(program, [day])
    owner.execute("UPDATE rollup_day SET zone = 'Asia/Tokyo'")
    assert held(program, day) is None


def command(*arguments: Any) -> Any:
    out = StringIO()
    call_command("rollups", *map(str, arguments), "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def test_the_command_builds_rebuilds_and_checks(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lived(program, "alice")
    first, last = local_day(program, ago(6)), local_day(program, ago(5))
    named = ("--program", program.id, "--from", first, "--to", last)
    with as_worker():
        told = {"days": 2, "built": 0, "first": first.isoformat(), "last": last.isoformat()}
        assert command("build", *named, "--dry-run") == told
        assert held(program, first) is None
        assert command("build", *named)["built"] == 2
        assert command("build", *named)["days"] == 0
        assert command("check", *named) == {"days": 2, "differ": []}
        owner.execute("UPDATE rollup SET number = number + 1 WHERE day = %s AND kind = 'event'", [last])
        again = rf"rollups rebuild --program {program.id} --from {last} --to {last}$"
        with pytest.raises(
            CommandError, match=rf"differ from their events: {last}; run: ZHIQING_ROLE=worker .* {again}"
        ):
            command("check", *named)
        assert command("rebuild", *named)["built"] == 2
        assert command("check", *named)["differ"] == []
    with pytest.raises(CommandError, match="run it as the worker: ZHIQING_ROLE=worker"):
        command("rebuild", *named)


def test_check_finds_a_subject_that_is_missing(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lived(program, "alice")
    day = local_day(program, ago(5))
    with as_worker():
        roll(program, [day])
    owner.execute("DELETE FROM rollup")
    assert wrong(program, [day]) == [day]


def test_another_program_has_rollups_of_its_own(program: Program, other: Program, as_worker: Working) -> None:
    for each in (program, other):
        lived(each, "alice")
    with as_worker():
        roll(program, closed_days(program))
    assert held(other, local_day(other, ago(5))) is None
    note = held(program, local_day(program, ago(5)))
    assert note is not None and all(len(tally.subjects) == 1 for tally in note.values())


REFUSING = """
    WITH made AS (
        INSERT INTO subject (program_id, pseudonym, erasure_handle, version, restricted, erasure_pending, under_14)
        SELECT %(program)s, gen_random_uuid(), uuid_send(gen_random_uuid()), 1, false, false, false
        FROM generate_series(1, 20000) RETURNING subject_id
    )
    INSERT INTO consent_state (subject_id, purpose_id, program_id, state, record_id, notice_id, record_from, asked_at,
                               restricted, erasure_pending, guardian_pending, renewal_required, version)
    SELECT made.subject_id, p.id, p.program_id, 'refused', 0, n.id, '2000-01-01Z', '2000-01-01Z',
           false, false, false, false, 1
    FROM made, purpose p JOIN notice n ON n.program_id = p.program_id
    WHERE p.program_id = %(program)s AND p.code = 'analytics'
"""


def test_those_who_refuse_take_no_memory_of_a_report(
    history: Callable[..., History], owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few of their ids at a time: most are in no rollup."""
    monkeypatch.setattr("reports.rollups.read.IDS_AT_ONCE", 1_000)
    shanghai = history()

    def peak(*expected: int) -> int:
        tracemalloc.start()
        found = shanghai.table("2025-10-10", "2025-10-10", "dau", "events")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found == {"2025-10-10": list(expected)}
        return most

    shanghai.add(Seen("ann", local("2025-10-10 09:00:00")))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 10)])
    peak(1, 1)
    before = peak(1, 1)
    owner.execute(REFUSING, {"program": shanghai.program.id})
    shanghai.add(Seen("zoe", local("2025-10-10 09:00:00")), Seen("zed", local("2025-10-10 09:00:00")))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 10)], anew=True)
    assert peak(3, 3) - before < 300_000
    shanghai.end_consent("zoe")
    peak(2, 2)
