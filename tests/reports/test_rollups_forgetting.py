"""Who counts again is in every day's rollup again, and who does not is in none; and what an erasure asks of the database."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection

from consent import edge, statements
from consent.programs.tenancy import tenant
from consent.rights import legal_holds
from consent.rights.models import HoldGround, RejectionReason
from consent.rights.review import reject, set_review
from consent.rights.tasks import end_holds
from reports.rollups import forgetting
from reports.tasks import build_rollups
from tests.cast import Program, now
from tests.consent import rights
from tests.consent.rights import Working, subject_of
from tests.reports.rolled import held, rebuilt, roll, wrong
from tests.reports.test_rollups import ago, closed_days, dau, holds, lived, local_day
from tracking.models import OF_ITSELF


@pytest.mark.parametrize(("reason", "counted"), [("identity_not_verified", 1), ("retention_required", 0)])
def test_an_erasure_that_is_rejected_has_the_days_built_again(
    program: Program, as_worker: Working, figures: Callable[[Program], Any], reason: str, counted: int
) -> None:
    lived(program, "alice")
    assert set_review(program_id=program.id, kind="erasure", on=True, by="test")
    filed = rights.file(program, "erasure")
    with as_worker():
        roll(program, closed_days(program))
    reject(
        vault=edge.vault(),
        program_id=program.id,
        request_id=UUID(filed["request_id"]),
        reason=RejectionReason(reason),
        text="No.",
        by="test",
    )
    assert dau(figures(program), program, 5) == counted, "who is restricted instead counts no more than before"
    with as_worker():
        build_rollups()
    assert held(program, local_day(program, ago(5))) == rebuilt(program, local_day(program, ago(5)))
    assert dau(figures(program), program, 5) == counted


def test_an_erasure_taken_back_of_a_restricted_subject_counts_once_the_restriction_is_lifted(
    program: Program, as_worker: Working, figures: Callable[[Program], Any]
) -> None:
    lived(program, "alice")
    restriction = rights.file(program, "restriction")
    rights.carry_out(program, as_worker, restriction)
    erasure = rights.file(program, "erasure")
    with as_worker():
        roll(program, closed_days(program))
    assert program.post(f"requests/{erasure['request_id']}/withdraw", {}).status_code == 200
    with as_worker():
        build_rollups()
    assert dau(figures(program), program, 5) == 0
    assert program.post(f"requests/{restriction['request_id']}/withdraw", {}).status_code == 200
    assert dau(figures(program), program, 5) == 1
    with as_worker():
        build_rollups()
    assert dau(figures(program), program, 5) == 1


def test_whom_a_law_keeps_from_being_erased_is_in_no_rollup_then_and_afterwards(
    program: Program, owner: psycopg.Connection, as_worker: Working, figures: Callable[[Program], Any]
) -> None:
    alice = subject_of(owner, lived(program, "alice"))
    lived(program, "bob")
    with as_worker():
        roll(program, closed_days(program))
    kept = legal_holds.hold(
        program_id=program.id,
        holder="tracking.events",
        ground=HoldGround.TRANSACTIONS,
        law="E-Commerce Law, Article 31",
        until=now().date() + timedelta(days=30),
        request_id=None,
        by="test",
    )
    filed = rights.file(program, "erasure")
    rights.overdue(owner)
    assert rights.carry_out(program, as_worker, filed)["state"] == "partially_completed"
    with as_worker():
        roll(program, closed_days(program), anew=True)
    assert (holds(program, alice), dau(figures(program), program, 5)) == (0, 1)
    legal_holds.lift(program_id=program.id, hold_id=kept.pk, by="test")
    with as_worker():
        end_holds()
        roll(program, closed_days(program), anew=True)
    assert (holds(program, alice), dau(figures(program), program, 5)) == (0, 1)
    assert rights.carry_out(program, as_worker, filed)["state"] == "completed"
    assert wrong(program, closed_days(program)) == []
    assert dau(figures(program), program, 5) == 1


def test_taking_a_subject_out_takes_as_many_statements_for_many_days_as_for_one(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = (subject_of(owner, lived(program, openid)) for openid in ("alice", "bob"))
    days = closed_days(program)
    asked: list[str] = []

    def noting(execute: Any, sql: str, *more: Any) -> Any:
        asked.append(sql)
        return execute(sql, *more)

    def noted(sql: str, *more: Any) -> Any:
        asked.append(sql)
        return statements.ask(sql, *more)

    def taking_out(subject_id: int, some: list[date]) -> int:
        asked.clear()
        with tenant(program.id), connection.execute_wrapper(noting):
            forgetting.take_out(program.id, subject_id, some)
        return len(asked)

    monkeypatch.setattr("reports.rollups.days.ask", noted)
    with as_worker():
        roll(program, days)
        monkeypatch.setattr("reports.rollups.packed.ask", noted)
        assert taking_out(alice, days[:1]) == taking_out(bob, days[1:]) <= 9
        assert [holds(program, who) for who in (alice, bob)] == [2, 1]
        taking_out(alice, days[1:])
        taking_out(bob, days[:1])
    assert owner.execute("SELECT count(*) FROM rollup").fetchone() == (0,), "a tally of nobody is not there"


def test_who_is_restricted_counts_no_more_at_once(
    program: Program, as_worker: Working, figures: Callable[[Program], Any]
) -> None:
    lived(program, "alice")
    lived(program, "bob")
    with as_worker():
        roll(program, closed_days(program))
    assert dau(figures(program), program, 5) == 2
    rights.file(program, "restriction")
    assert dau(figures(program), program, 5) == 1


BUILT_NOW = """
    UPDATE rollup_day SET zone = %(zone)s, built_at = now(), changes = %(seen)s
    WHERE program_id = %(program)s AND day = %(day)s
"""
CHANGES = "SELECT coalesce(sum(changes), 0) FROM day_change WHERE day BETWEEN %(day)s::date - 4 AND %(day)s"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("kind", ["restriction", "erasure"])
def test_who_takes_a_request_back_waits_for_no_builder_and_counts_at_once(
    program: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    figures: Callable[[Program], Any],
    kind: str,
    known: bool,
) -> None:
    """While a day is built that leaves them out. `known`: it has had a row before."""
    lived(program, "alice")
    filed = rights.file(program, kind)
    if kind == "restriction":
        rights.carry_out(program, as_worker, filed)
    day = local_day(program, ago(5))
    asked: dict[str, Any] = {"program": program.id, "day": day, "zone": program.zone}
    if known:
        with as_worker():
            roll(program, closed_days(program))
    with owner.transaction():
        owner.execute(
            "INSERT INTO rollup_day (program_id, day, zone, changes) VALUES (%(program)s, %(day)s, '', -1)"
            " ON CONFLICT DO NOTHING",
            asked,
        )
        owner.execute("SELECT FROM rollup_day WHERE day = %(day)s FOR NO KEY UPDATE", asked)
        (seen,) = owner.execute(CHANGES, asked).fetchone() or (None,)
        assert program.post(f"requests/{filed['request_id']}/withdraw", {}).status_code == 200
        owner.execute(BUILT_NOW, {**asked, "seen": seen})
    assert held(program, day) is None
    assert dau(figures(program), program, 5) == 1
    with as_worker():
        build_rollups()
    assert all(held(program, each) == rebuilt(program, each) for each in closed_days(program))
    assert dau(figures(program), program, 5) == 1


def test_who_stands_again_has_only_those_days_built_again_that_lack_them(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alice = subject_of(owner, lived(program, "alice"))
    around = [local_day(program, ago(age)) for age in range(3, 9)]
    lacking = local_day(program, ago(5))
    with as_worker():
        roll(program, around)
    for rolled in ([], [lacking, local_day(program, ago(7))]):
        filed = rights.file(program, "restriction")
        rights.carry_out(program, as_worker, filed)
        with as_worker():
            roll(program, rolled, anew=True)
        assert program.post(f"requests/{filed['request_id']}/withdraw", {}).status_code == 200
        assert [day for day in around if held(program, day) is None] == ([lacking] if rolled else [])
    assert holds(program, alice) == 2
    assert wrong(program, around) == []


def test_a_day_noted_of_itself_leaves_the_days_after_it_clean(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lived(program, "alice")
    filed = rights.file(program, "restriction")
    rights.carry_out(program, as_worker, filed)
    first, *_ = days = sorted(closed_days(program))
    after = first + timedelta(days=len(days))
    with as_worker():
        roll(program, [*days[1:], after])
    assert program.post(f"requests/{filed['request_id']}/withdraw", {}).status_code == 200
    assert owner.execute("SELECT day FROM day_change WHERE slot = %s", [OF_ITSELF]).fetchall() == [(first,)]
    assert held(program, after) is not None
