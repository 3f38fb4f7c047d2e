"""L13: whose consent ends needs ask for nothing: what was collected under it is erased, within 72 hours."""

import random
from datetime import timedelta
from importlib import import_module
from typing import Any

import psycopg
import pytest

from consent.programs.tenancy import tenant
from consent.records.models import PurposeErasure
from consent.rights import collected
from consent.rights.holders import Collected, PersonalDataHolder, Reason, holder_of
from tests.cast import Program, event, now
from tests.consent import retaining
from tests.consent.retaining import also_for, erase_due, events, keeping, over, since, told
from tests.consent.rights import Working, carry_out, erased, file, lively, package_of, sections
from tests.tracking.test_barrier import Caller, wait_for_waiters


def owed(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT p.code, e.kept_days, e.done_at IS NOT NULL, e.affected FROM purpose_erasure e"
        " JOIN purpose p ON p.id = e.purpose_id ORDER BY e.subject_id, e.version, p.code"
    ).fetchall()


def attributes(owner: psycopg.Connection) -> list[tuple[str, str]]:
    return owner.execute(
        "SELECT a.name, p.code FROM profile_attribute a JOIN purpose p ON p.id = a.purpose_id ORDER BY 1"
    ).fetchall()


@pytest.mark.parametrize("decision", ["withdrawn", "refused"])
def test_a_withdrawal_erases_what_was_collected_under_its_purpose_and_nothing_else(
    program: Program, owner: psycopg.Connection, as_worker: Working, decision: str
) -> None:
    also_for(owner, program, "search", "personalisation")
    lively(program)
    lively(program, "bob")
    program.send(event("alice", "kept", name="search"))
    program.decide("alice", decision)
    assert owed(owner) == [("analytics", None, False, 0)]
    assert erase_due(as_worker) == (1, 6)
    assert events(owner) == [*(f"bob-{n}" for n in range(6)), "kept"]
    assert owed(owner) == [("analytics", None, True, 6)]
    assert len(attributes(owner)) == 4
    assert erase_due(as_worker) == (0, 0)


def test_a_refusal_of_what_was_never_given_owes_nothing(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice", "refused")
    program.decide("alice", "withdrawn")
    program.decide("alice", purpose="personalisation")
    program.decide("alice")
    program.decide("alice", "deferred")
    assert owed(owner) == []


def test_attributes_go_with_their_purpose(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lively(program)
    program.decide("alice", "withdrawn", purpose="personalisation")
    assert erase_due(as_worker) == (1, 2)
    assert attributes(owner) == []
    assert len(events(owner)) == 6


def test_an_attribute_that_another_purpose_declares_stays_with_that(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    owner.execute(
        "UPDATE notice_purpose SET attributes = '{city}' FROM purpose p"
        " WHERE p.id = notice_purpose.purpose_id AND p.code = 'analytics'"
    )
    program.decide("alice", "withdrawn", purpose="personalisation")
    assert erase_due(as_worker) == (1, 1)
    assert attributes(owner) == [("city", "analytics")]
    program.decide("alice", "withdrawn")
    assert erase_due(as_worker) == (1, 8)
    assert attributes(owner) == []


def test_what_comes_under_a_new_consent_is_kept(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Consent is given anew before the worker came: what was collected before the withdrawal goes all the same."""
    lively(program)
    for purpose in ("analytics", "personalisation"):
        program.decide("alice", "withdrawn", purpose=purpose)
        program.decide("alice", purpose=purpose)
    profile = {"subject": {"openid": "alice"}, "attributes": {"city": "new"}}
    assert program.call("PUT", "profile", profile).status_code == 200
    program.send(event("alice", "new"), event("alice", "alice-0"))
    assert erase_due(as_worker) == (2, 8)
    # The same event_id again, a new event of its own day; unless it was the first one's day, and then a duplicate.
    assert [name for name in events(owner) if name != "alice-0"] == ["new"]
    assert attributes(owner) == [("city", "personalisation")]


def test_no_figure_counts_what_a_withdrawal_left_behind(
    sandbox: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Withdrawn and given again, before the worker came: the old events count no more."""
    since(sandbox, "alice", 1)
    at = now() - timedelta(hours=2)
    sandbox.send(event("alice", "old", at))

    def counted() -> int:
        first = (now() - timedelta(days=2)).date().isoformat()
        last = (now() + timedelta(days=1)).date().isoformat()
        answer = sandbox.post("reports/activity", {"from": first, "to": last})
        assert answer.status_code == 200, answer.content
        return sum(row["events"] for row in answer.json()["data"] if isinstance(row["events"], int))

    assert counted() == 1
    sandbox.decide("alice", "withdrawn")
    assert counted() == 0
    sandbox.decide("alice")
    assert counted() == 0
    sandbox.send(event("alice", "new"))
    assert counted() == 1
    erase_due(as_worker)
    assert (counted(), events(owner)) == (1, ["new"])


def test_agreeing_to_a_shorter_retention_erases_what_is_older(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    since(program, "alice", 300)
    ages = {"old": 200, "just-over": 31, "last-day": 30, "young": 5}
    program.send(*(event("alice", e, now() - timedelta(days=days)) for e, days in ages.items()), historical=True)
    program.decide("alice", notice=told(program, days=400))
    assert owed(owner) == []
    program.decide("alice", notice=told(program, days=30))
    assert owed(owner) == [("analytics", 30, False, 0)]
    assert {(o.table, o.reason, o.rows) for o in over(program)} >= {("event", Reason.WITHDRAWN, 2)}
    assert erase_due(as_worker) == (1, 2)
    assert events(owner) == ["last-day", "young"]


def test_what_turns_out_to_be_a_childs_goes_whole_though_a_worker_is_in_the_middle_of_some_of_it(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """A shorter retention took what is older than 30 days; the birthday is told between two of the worker's steps."""
    since(program, "alice", 300)
    ages = {"old": 200, "child's": 5}
    program.send(*(event("alice", e, now() - timedelta(days=days)) for e, days in ages.items()), historical=True)
    program.decide("alice", notice=told(program, days=30))
    (mine,) = collected.due()
    with as_worker():
        steps = collected._work(mine)
        assert next(steps) == 1
    birthday = (now() - timedelta(days=3)).date().isoformat()
    program.decide("alice", "refused", "precise_location", turns_14_on=birthday)
    with as_worker():
        list(steps)
    assert owed(owner) == [("analytics", None, False, 1)]
    assert erase_due(as_worker) == (1, 1)
    assert events(owner) == []


def test_a_shorter_retention_to_come_erases_when_it_takes_effect(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    since(program, "alice", 300)
    program.send(event("alice", "old", now() - timedelta(days=200)), historical=True)
    program.decide("alice", notice=told(program, days=30, at=now() + timedelta(hours=1)))
    assert erase_due(as_worker) == (0, 0)
    owner.execute("UPDATE purpose_erasure SET not_before = now()")
    assert erase_due(as_worker) == (1, 1)


def test_an_event_of_a_new_grant_is_stored_while_the_old_ones_are_erased(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """The worker hangs in the middle of the erasure; the batch passes by, and is what is left."""
    lively(program)
    program.decide("alice", "withdrawn")
    program.decide("alice")
    with as_worker():
        with owner.transaction():
            owner.execute("SELECT FROM event WHERE event_id = 'alice-3' FOR UPDATE")
            erasing = Caller(lambda: collected.erase_due(seconds=30))
            wait_for_waiters(owner, 1)
            sent = Caller(lambda: program.send(event("alice", "new-1"), event("alice", "new-2")))
            assert sent.result()["stored"] == 2
        assert erasing.result() == (1, 7)
    assert events(owner) == ["new-1", "new-2"]


def test_two_workers_do_it_once_and_neither_waits(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    program.decide("alice", "withdrawn")
    with as_worker():
        with owner.transaction():
            owner.execute("SELECT FROM event WHERE event_id = 'alice-3' FOR UPDATE")
            first = Caller(lambda: collected.erase_due(seconds=30))
            wait_for_waiters(owner, 1)
            assert Caller(lambda: collected.erase_due(seconds=30)).result() == (0, 0)
        assert first.result() == (1, 7)


def test_one_worker_at_a_time_so_that_requests_have_the_others(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    for openid in ("alice", "bob"):
        lively(program, openid)
        program.decide(openid, "withdrawn")
    with as_worker():
        with owner.transaction():
            owner.execute("SELECT FROM event WHERE event_id = 'alice-3' FOR UPDATE")
            first = Caller(lambda: collected.erase_due(seconds=30))
            wait_for_waiters(owner, 1)
            assert Caller(lambda: collected.erase_due(seconds=30)).result() == (0, 0)
            assert len(events(owner)) == 12
        assert first.result() == (2, 12)
    assert not owner.execute("SELECT FROM purpose_erasure WHERE attempts > 0").fetchall()


class Killed(BaseException):
    """Ends a worker as kill -9 does."""


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.longest)])
@pytest.mark.parametrize("committed", [False, True], ids=["before its commit", "after its commit"])
def test_a_worker_may_die_at_any_step(
    program: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
    committed: bool,
    every: int,
) -> None:
    """At each step, or at one of so many."""
    monkeypatch.setattr(collected, "STEP_LIMIT", 2)
    original, begun = tenant, [0]

    class Counted:
        def __init__(self, program_id: int) -> None:
            self.inner = original(program_id)

        def __enter__(self) -> None:
            begun[0] += 1
            self.inner.__enter__()

        def __exit__(self, *failure: Any) -> None:
            dies = begun[0] == at and failure[0] is None
            error = Killed() if dies and not committed else None
            self.inner.__exit__(*((Killed, error, None) if error else failure))
            if dies:
                raise error or Killed()

    at, died = 1 - every, True
    while died:
        at, begun[0] = at + every, 0
        lively(program)
        program.decide("alice", "withdrawn")
        with as_worker(), monkeypatch.context() as patched:
            patched.setattr(collected, "tenant", Counted)
            try:
                collected.erase_due(seconds=30)
                died = False
            except Killed:
                died = True
        erase_due(as_worker)
        assert events(owner) == [], f"died at transaction {at}"
        assert {row[2] for row in owed(owner)} == {True}
        erased(program, owner, as_worker)
    assert at > 5


def test_a_failure_is_tried_again_and_is_seen_when_it_is_overdue(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    program.decide("alice", "withdrawn")

    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no")

    with monkeypatch.context() as patched:
        patched.setattr(type(holder_of("consent.profile")), "erase_collected", fails)
        assert erase_due(as_worker)[0] == 0
    row = owner.execute("SELECT attempts, not_before > now(), done_at FROM purpose_erasure").fetchone()
    assert row == (1, True, None)
    owner.execute("UPDATE purpose_erasure SET owed_from = now() - interval '73 h', attempts = 1000")
    with as_worker():
        assert collected.overdue(now=now(), within=retaining.WITHIN) == 1
        assert collected.overdue(now=now(), within=timedelta(hours=74)) == 0
    owner.execute("UPDATE purpose_erasure SET not_before = now()")
    with as_worker(), monkeypatch.context() as patched:
        patched.setattr(type(holder_of("consent.profile")), "erase_collected", fails)
        collected.erase_due(seconds=30)
    owner.execute("UPDATE purpose_erasure SET not_before = now()")
    assert erase_due(as_worker)[0] == 1


def test_it_goes_on_beside_a_restriction(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lively(program)
    program.decide("alice", "withdrawn")
    owner.execute("UPDATE subject SET restricted = true")
    owner.execute("UPDATE consent_state SET restricted = true")
    assert erase_due(as_worker) == (1, 7)


def test_a_page_that_no_event_names_any_more_goes_too(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    also_for(owner, program, "search", "personalisation")
    for openid in ("alice", "bob"):
        program.decide(openid)
        program.decide(openid, purpose="personalisation")
    program.send(
        event("alice", "e1", page="pages/diary/of-alice"),
        event("alice", "e2", page="pages/both"),
        event("alice", "e3", page="pages/both", name="search"),
        event("alice", "e4", page="pages/shared"),
    )
    program.send(event("bob", "e1", page="pages/shared"))
    program.decide("alice", "withdrawn")
    assert erase_due(as_worker) == (1, 4)
    found = owner.execute("SELECT path FROM page ORDER BY 1").fetchall()
    assert [row[0] for row in found] == ["pages/both", "pages/shared"]


def test_a_batch_that_names_the_page_meanwhile_is_waited_for(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """The batch has read the page's id and hangs before its write; the page must not go from under it."""
    program.decide("alice")
    program.send(event("alice", "old", page="pages/of-alice"))
    program.decide("alice", "withdrawn")
    program.decide("alice")
    with as_worker():
        with owner.transaction():
            owner.execute("LOCK TABLE subject_day IN SHARE MODE")
            batch = Caller(lambda: program.send(event("alice", "new", page="pages/of-alice")))
            wait_for_waiters(owner, 1)
            erasing = Caller(lambda: collected.erase_due(seconds=30))
            wait_for_waiters(owner, 2)
        assert batch.result()["stored"] == 1
        erasing.result()
    joined = owner.execute("SELECT event_id, path FROM event LEFT JOIN page ON page.id = page_id").fetchall()
    assert joined == [("new", "pages/of-alice")]


def test_the_rows_of_active_days_stay(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    """A process may remember that it wrote them, and an event without one would not be found."""
    lively(program)
    program.decide("alice", "withdrawn")
    before = owner.execute("SELECT * FROM subject_day ORDER BY day").fetchall()
    erase_due(as_worker)
    assert owner.execute("SELECT * FROM subject_day ORDER BY day").fetchall() == before


def test_a_package_tells_of_it(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lively(program)
    program.decide("alice", "withdrawn")
    erase_due(as_worker)
    filed = file(program, "access")
    carry_out(program, as_worker, filed)
    (told_of,) = sections(package_of(program, filed))["erasures"]
    assert (told_of["purpose"], told_of["affected"]) == ("analytics", 7)


def test_an_erasure_takes_what_was_owed_along(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lively(program)
    program.decide("alice", "withdrawn")
    assert erased(program, owner, as_worker)["state"] == "completed"
    assert owed(owner) == []
    assert erase_due(as_worker) == (0, 0)


def test_what_was_withdrawn_before_this_version_is_owed_by_the_migration(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    migration = import_module("consent.migrations.0012_withdrawn_before")
    lively(program)
    lively(program, "bob")
    program.decide("alice", "withdrawn")
    program.decide("alice")
    program.send(event("alice", "new"))
    owner.execute("DELETE FROM purpose_erasure")
    owner.execute(migration.OWED)
    assert owed(owner) == [("analytics", None, False, 0)]
    erase_due(as_worker)
    assert events(owner) == [*(f"bob-{n}" for n in range(6)), "new"]


def test_what_was_invalidated_before_this_version_is_owed_by_the_migration(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    migration = import_module("consent.migrations.0027_invalidated_before")
    for name in ("alice", "bob", "eve"):
        lively(program, name)
        program.decide(name, "refused", "precise_location", age_band="under_14")
        program.decide(name, "refused", "precise_location", age_band="14_17")
    program.decide("bob", "withdrawn", "personalisation")
    owner.execute(
        "DELETE FROM purpose_erasure e WHERE NOT EXISTS (SELECT FROM consent_record r WHERE r.subject_id = e.subject_id"
        " AND r.purpose_id = e.purpose_id AND r.version = e.version AND r.state = 'withdrawn')"
    )
    owner.execute(migration.OWED)
    mine = owner.execute(
        "SELECT row_number() OVER (PARTITION BY subject_id ORDER BY version), p.code FROM purpose_erasure"
        " JOIN purpose p ON p.id = purpose_id ORDER BY subject_id, version, p.code"
    ).fetchall()
    assert [name for _, name in mine] == ["analytics", "personalisation"] * 3
    assert owner.execute(
        "SELECT count(*) FROM purpose_erasure e JOIN consent_record r USING (subject_id, purpose_id, version)"
        " WHERE r.state = 'withdrawn'"
    ).fetchone() == (1,)
    erase_due(as_worker)
    assert events(owner) == []


def test_a_holder_that_collects_nothing_owes_nothing(program: Program) -> None:
    holder = holder_of("consent.subject")
    what = Collected(program.id, 1, 1, 1, now(), None, now().date())
    assert list(PersonalDataHolder.erase_collected(holder, what, limit=1)) == []
    assert holder.count_collected(what) == 0


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.longest) for seed in range(2, 20))])
def test_whatever_is_decided_only_the_current_grants_events_are_left(
    program: Program, owner: psycopg.Connection, as_worker: Working, seed: int
) -> None:
    """Random acts, batches and workers; a plain list of what the last unbroken consent collected."""
    also_for(owner, program, "search", "personalisation")
    drawn = random.Random(seed)
    names = {"analytics": "page_view", "personalisation": "search"}
    given: dict[tuple[str, str], bool] = {}
    held: dict[tuple[str, str], list[str]] = {}
    for number in range(60):
        pair = (drawn.choice(("alice", "bob")), drawn.choice(tuple(names)))
        match drawn.choice(("give", "end", "send", "send", "work")):
            case "give":
                program.decide(pair[0], purpose=pair[1])
                given[pair] = True
            case "end":
                program.decide(pair[0], drawn.choice(("withdrawn", "refused")), purpose=pair[1])
                if given.get(pair):
                    held[pair] = []
                given[pair] = False
            case "send":
                sent = program.send(event(pair[0], f"e{number}", name=names[pair[1]]))
                assert sent["stored"] == int(given.get(pair, False))
                if sent["stored"]:
                    held.setdefault(pair, []).append(f"e{number}")
            case "work":
                erase_due(as_worker)
    erase_due(as_worker)
    assert sorted(events(owner)) == sorted(name for names_ in held.values() for name in names_)


def test_the_deadline_is_that_of_the_law(program: Program, owner: psycopg.Connection) -> None:
    """72 hours unless configured, counted from the withdrawal's receipt."""
    lively(program)
    program.decide("alice", "withdrawn")
    with tenant(program.id):
        row = PurposeErasure.objects.get()
    received = owner.execute("SELECT received_at FROM consent_record WHERE state = 'withdrawn'").fetchone()
    assert received == (row.owed_from,)
    (found,) = [o for o in over(program, later=timedelta(hours=71)) if o.table == "event"]
    assert (found.rows, found.overdue) == (6, 0)
    (found,) = [o for o in over(program, later=timedelta(hours=73)) if o.table == "event"]
    assert (found.rows, found.overdue) == (6, 6)


def test_an_attribute_set_anew_while_a_purge_goes_through_others_stays(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    for openid in ("alice", "bob"):
        lively(program, openid)
    owner.execute("UPDATE profile_attribute SET updated_at = now() - interval '1000 days'")
    steps = holder_of("consent.profile").purge(program_id=program.id, keeping=keeping(), full=False, limit=500)
    with as_worker(), tenant(program.id):
        assert next(steps) == 2, "alice's, and bob's are found"
    profile = {"subject": {"openid": "bob"}, "attributes": {"city": "苏州"}}
    assert program.call("PUT", "profile", profile).status_code == 200
    with as_worker(), tenant(program.id):
        assert next(steps) == 1
    assert attributes(owner) == [("city", "personalisation")]
