"""What an erasure leaves of events and pages: nothing of its subject, wherever it stands."""

from datetime import timedelta

import psycopg

from consent.programs.tenancy import tenant
from consent.rights.holders import Collected, Erased
from tests.cast import Program, event, now
from tests.consent.rights import Working, erased, file, lively, overdue, subject_of, work
from tests.tracking.test_barrier import Caller, wait_for_waiters
from tracking import personal_data


def pages(owner: psycopg.Connection) -> list[str]:
    return [row[0] for row in owner.execute("SELECT path FROM page ORDER BY 1").fetchall()]


def test_events_of_a_day_without_its_row_are_erased(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    owner.execute("DELETE FROM subject_day WHERE day = (SELECT min(day) FROM subject_day)")
    assert erased(program, owner, as_worker)["state"] == "completed"
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (0,)


def test_the_re_read_finds_events_that_no_row_leads_to(program: Program, owner: psycopg.Connection) -> None:
    alice = subject_of(owner, lively(program))
    owner.execute("DELETE FROM subject_day")
    owner.execute("UPDATE page SET subject_id = NULL")
    with tenant(program.id):
        assert personal_data.EventHolder().count(program_id=program.id, subject_id=alice) == 6


def test_no_step_deletes_more_events_than_it_may(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alice = subject_of(owner, lively(program))
    holder = personal_data.EventHolder()
    steps: list[Erased] = []
    with as_worker():
        while not steps or not steps[-1].finished:
            with tenant(program.id):
                steps.append(holder.erase(program_id=program.id, subject_id=alice, limit=4))
    assert [step.affected for step in steps if step.affected] == [4, 2]
    assert owner.execute("SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM subject_day)").fetchone() == (0, 0)


def test_nor_does_one_that_takes_what_an_ended_consent_collected(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alice = subject_of(owner, lively(program))
    (purpose_id,) = owner.execute("SELECT id FROM purpose WHERE code = 'analytics'").fetchone() or (0,)
    what = Collected(program.id, alice, purpose_id, 9, now(), None, now().date())
    with as_worker():
        taking = personal_data.EventHolder().erase_collected(what, limit=4)
        affected = []
        while True:
            with tenant(program.id):
                step = next(taking, None)
            if step is None:
                break
            affected.append(step)
    assert [step for step in affected if step][:2] == [4, 2]
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (0,)


def test_a_page_that_only_the_subject_named_goes_with_them(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    for person in ("alice", "bob"):
        program.decide(person)
    program.send(
        event("alice", "e1", page="pages/diary/of-alice-wang"),
        event("alice", "e2", page="pages/together"),
        event("bob", "e2", page="pages/together"),
        event("alice", "e3", page="pages/one-after-the-other"),
    )
    program.send(event("bob", "e3", page="pages/one-after-the-other"), event("bob", "e4", page="pages/bobs"))
    program.send(event("alice", "e4", page="pages/diary/of-alice-wang"))
    assert erased(program, owner, as_worker)["state"] == "completed"
    assert pages(owner) == ["pages/bobs", "pages/one-after-the-other", "pages/together"]


def test_a_page_that_was_erased_is_made_anew(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    """An id that this process knew must not be written again."""
    for person in ("alice", "bob"):
        program.decide(person)
    program.send(event("alice", "e1", page="pages/here"))
    erased(program, owner, as_worker)
    assert program.send(event("bob", "e1", page="pages/here"))["stored"] == 1
    joined = "SELECT path FROM event JOIN page ON page.id = page_id"
    assert owner.execute(joined).fetchall() == [("pages/here",)]


def test_a_page_being_named_by_another_is_kept_by_the_erasure(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Bob's batch has shared the page and hangs before its commit; the erasure waits for it and passes the page over."""
    for person in ("alice", "bob"):
        program.decide(person)
    program.send(event("alice", "e1", page="pages/here"))
    filed = file(program, "erasure")
    overdue(owner)
    # Only the page is left to wait for.
    owner.execute("DELETE FROM event")
    owner.execute("DELETE FROM subject_day")
    with as_worker():
        with owner.transaction():
            owner.execute("LOCK TABLE subject_day IN SHARE MODE")
            sent = event("bob", "e1", page="pages/here")
            batch = Caller(lambda: program.send(sent))
            wait_for_waiters(owner, 1)
            erasure = Caller(lambda: work(program, filed))
            wait_for_waiters(owner, 2)
        assert batch.result()["stored"] == 1
        erasure.result()
    assert pages(owner) == ["pages/here"]


def test_the_day_of_an_event_long_ago_is_swept_too(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice", occurred_at=(now() - timedelta(days=300)).isoformat(), method="import")
    program.send(event("alice", "e1", now() - timedelta(days=250)), event("alice", "e2"), historical=True)
    owner.execute("DELETE FROM subject_day")
    assert erased(program, owner, as_worker)["state"] == "completed"
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (0,)
