"""Erasures beside a builder, and on days that were packed in another form: nothing packed outlives its subject."""

import threading
from typing import Any

import psycopg
import pytest
from django.db import connection

from consent.programs.tenancy import tenant
from consent.rights.holders import holder_of
from reports.rollups import days as stored
from reports.rollups import packed
from reports.rollups.contribution import everybody, united
from tests.cast import Program
from tests.consent import rights
from tests.consent.retaining import erase_due
from tests.consent.rights import Working, subject_of
from tests.reports.rolled import held, packed_of, roll, wrong
from tests.reports.test_rollups import closed_days, lived


@pytest.mark.parametrize("packed_already", [False, True])
def test_an_erasure_waits_for_who_builds_a_day_with_the_subject(
    program: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
    packed_already: bool,
) -> None:
    """The builder has counted the subject, and has not committed."""
    alice = subject_of(owner, lived(program, "alice"))
    lived(program, "bob")
    day, put = closed_days(program)[0], packed.put
    erasing: list[threading.Thread] = []
    found: dict[str, Any] = {}

    def erase() -> None:
        found["state"] = rights.erased(program, owner, as_worker)["state"]
        connection.close()

    def while_erased(*some: Any, **more: Any) -> None:
        if packed_already:
            put(*some, **more)
        if not erasing:
            erasing.append(threading.Thread(target=erase))
            erasing[0].start()
            erasing[0].join(2)
            found["waited"] = erasing[0].is_alive()
        if not packed_already:
            put(*some, **more)

    monkeypatch.setattr(packed, "put", while_erased)
    with as_worker():
        roll(program, [day])
    erasing[0].join(60)
    assert found == {"waited": True, "state": "completed"}
    assert packed_of(program, alice) == []
    assert alice not in everybody(united(held(program, day) or {}))
    assert not wrong(program, [day])


@pytest.mark.parametrize("day_is", ["packed in another form", "forgotten"])
def test_what_nobody_reads_any_more_goes_with_its_subject(
    program: Program, owner: psycopg.Connection, as_worker: Working, day_is: str
) -> None:
    alice, bob = (subject_of(owner, lived(program, openid)) for openid in ("alice", "bob"))
    days = closed_days(program)
    with as_worker():
        roll(program, days)
        if day_is == "forgotten":
            with tenant(program.id):
                stored.forget(program.id, days)
    owner.execute("UPDATE rollup_day SET layout = 99 WHERE layout <> 0")
    assert [len(packed_of(program, who)) for who in (alice, bob)] == [3, 3]
    holder = holder_of("reports.rollups")
    with tenant(program.id):
        assert holder.count(program_id=program.id, subject_id=alice) == 3
    program.decide("alice", "withdrawn")
    owner.execute("UPDATE purpose_erasure SET not_before = asked_at")
    erase_due(as_worker)
    assert packed_of(program, alice) == [], "its events are gone"
    assert rights.erased(program, owner, as_worker, openid="bob")["state"] == "completed"
    assert packed_of(program) == []
