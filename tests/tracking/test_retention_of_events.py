"""L6, L13: no event outlives the retention that its subject was told, and none goes before it is over."""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection

from consent.programs.tenancy import role, tenant
from consent.rights import retention as purging
from consent.rights import tasks
from consent.rights.holders import Over, Reason
from tests.cast import Program, event, make_program, now
from tests.consent.retaining import (
    also_for,
    end_purpose,
    erase_due,
    events,
    keeping,
    over,
    promised_longer,
    purge,
    since,
    told,
    told_ahead,
)
from tests.consent.rights import Working, lively, subject_of
from tests.tracking.test_events import codes
from tracking import retention
from tracking.partitions import ensure_days

ACROSS = timedelta(days=1)
"""To the far side of a UTC day."""


def ago(days: int) -> timedelta:
    return timedelta(days=days)


def aged(openid: str, *ages: int, **more: str) -> list[dict[str, Any]]:
    """An event of each of some days ago, called by its age."""
    return [event(openid, f"{openid}-{age}", now() - ago(age), **more) for age in ages]


def stored(owner: psycopg.Connection, program: Program, openid: str, *ages: int, **more: str) -> None:
    """They are there, whatever their age."""
    with promised_longer(owner):
        assert program.send(*aged(openid, *ages, **more), historical=True)["stored"] == len(ages)


def days_held(owner: psycopg.Connection) -> set[str]:
    rows = owner.execute("SELECT relname FROM pg_class WHERE relispartition AND relname ~ '^event_[0-9]+$'").fetchall()
    return {str(row[0]) for row in rows}


@pytest.fixture
def kept_for_years(other: Program) -> Program:
    """Somebody else's notice keeps no day from being looked through: nothing is dropped as a whole."""
    told(other, days=3_000)
    return other


def test_an_event_goes_when_the_last_of_its_days_is_over(
    program: Program, kept_for_years: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """365 days are told: the day itself does not count."""
    since(program, "alice", 400)
    stored(owner, program, "alice", 366, 365, 364, 0)
    assert purge(program, as_worker) == 1
    assert events(owner) == ["alice-0", "alice-364", "alice-365"]
    assert purge(program, as_worker) == 0
    assert purge(program, as_worker, later=ACROSS) == 1
    assert events(owner) == ["alice-0", "alice-364"]


def test_what_was_received_before_its_own_day_counts_from_then(
    program: Program, kept_for_years: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """A sender's clock was ahead across midnight."""
    since(program, "alice", 400)
    stored(owner, program, "alice", 365, 300)
    owner.execute("UPDATE event SET received_at = occurred_at - interval '1 day' WHERE event_id = 'alice-365'")
    assert purge(program, as_worker) == 1
    assert events(owner) == ["alice-300"]


def test_each_purpose_has_its_own_retention(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    also_for(owner, program, "search", "precise_location")
    owner.execute("UPDATE notice_purpose SET categories = '{location,behaviour}'")
    since(program, "alice", 100)
    program.decide("alice", purpose="precise_location")
    owner.execute(
        "UPDATE consent_state SET grant_from = now() - interval '100 d', record_from = now() - interval '100 d'"
    )
    owner.execute("UPDATE consent_record SET authorises_from = now() - interval '100 d'")
    stored(owner, program, "alice", 40, 30)
    sent = [event("alice", f"search-{age}", now() - ago(age), name="search") for age in (40, 30)]
    with promised_longer(owner):
        assert program.send(*sent, historical=True)["stored"] == 2
    assert purge(program, as_worker) == 1
    assert events(owner) == ["alice-30", "alice-40", "search-30"]
    assert purge(program, as_worker, later=ACROSS) == 1
    assert events(owner) == ["alice-30", "alice-40"]


def test_another_programs_events_are_its_own(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    for caller in (program, other):
        since(caller, "alice", 400)
        stored(owner, caller, "alice", 370)
    told(other, days=3_000)
    owner.execute("UPDATE notice_purpose SET retention_days = 3000 WHERE program_id = %s", [other.id])
    assert purge(program, as_worker) == 1
    assert purge(other, as_worker) == 0
    assert len(events(owner)) == 1


def test_an_ended_purpose_takes_along_what_it_collected(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """L13: purpose ended. The next purge begins after what was in flight; one deadline for all of it."""
    also_for(owner, program, "search", "personalisation")
    lively(program)
    program.send(event("alice", "kept", name="search"))
    end_purpose(program, "analytics")
    assert [(o.reason, o.rows, o.overdue) for o in over(program)] == [(Reason.PURPOSE_ENDED, 6, 0)]
    with as_worker():
        tasks.purge()
    assert len(events(owner)) == 7, "a batch may still be writing under what it read before"
    assert purge(program, as_worker, later=timedelta(minutes=1)) == 7
    assert events(owner) == ["kept"]
    assert purge(program, as_worker, later=timedelta(hours=1)) == 0
    owner.execute("UPDATE purpose SET active = true WHERE program_id = %s", [program.id])
    program.send(event("alice", "anew"))
    assert purge(program, as_worker, later=timedelta(hours=2)) == 0
    end_purpose(program, "personalisation")
    assert purge(program, as_worker, later=timedelta(hours=3)) == 3, "a search, a city and a nickname"
    assert events(owner) == ["anew"]


def test_attributes_go_when_their_retention_is_over(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    lively(program, "bob")
    owner.execute("UPDATE profile_attribute SET updated_at = now() - interval '366 days' WHERE name = 'city'")
    owner.execute("UPDATE profile_attribute SET updated_at = now() - interval '365 days' WHERE name = 'nickname'")
    found = [o for o in over(program) if o.table == "profile_attribute"]
    assert found == [Over("profile_attribute", Reason.RETENTION, 2, 0, "personalisation", 365)]
    assert purge(program, as_worker) == 2
    rows = owner.execute("SELECT DISTINCT name, count(*) FROM profile_attribute GROUP BY 1").fetchall()
    assert rows == [("nickname", 2)]


def test_an_attribute_goes_by_the_shortest_retention_told_since_it_was_set(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    program.decide("alice", purpose="personalisation", notice=told(program, days=30, purpose="personalisation"))
    program.decide("alice", purpose="personalisation", notice=told(program, days=900, purpose="personalisation"))
    assert purge(program, as_worker, later=ago(30)) == 0
    assert purge(program, as_worker, later=ago(31)) == 2


def test_pages_that_only_a_purged_event_named_go_too(
    program: Program, kept_for_years: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    since(program, "alice", 400)
    program.decide("bob")
    stored(owner, program, "alice", 366, page="pages/of-alice")
    stored(owner, program, "alice", 0, page="pages/today")
    assert purge(program, as_worker) == 2
    assert owner.execute("SELECT path FROM page").fetchall() == [("pages/today",)]


def test_active_days_go_once_nothing_of_them_can_come_any_more(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alice = subject_of(owner, lively(program))
    # 400 days an event may come after its own, and two days on either side of midnight.
    for days in (403, 402, 100):
        owner.execute("INSERT INTO subject_day VALUES (%s, current_date - %s, %s)", [alice, days, program.id])
    purge(program, as_worker)
    row = owner.execute("SELECT min(current_date - day), max(current_date - day) FROM subject_day").fetchone()
    assert row is not None
    assert row[1] == 402


# --- Whole days ------------------------------------------------------------------------------------------------------


def test_a_day_that_is_over_for_every_purpose_is_dropped_as_a_whole(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    for caller in (program, other):
        since(caller, "alice", 400)
        stored(owner, caller, "alice", 366, 365)
    whole, kept = (f"event_{(now() - ago(age)).date():%Y%m%d}" for age in (366, 365))
    assert [(o.reason, o.rows) for o in over(program)] == [(Reason.WHOLE_DAY, 1)]
    assert purge(program, as_worker) == 0
    assert kept in days_held(owner) and whole not in days_held(owner)
    assert events(owner) == ["alice-365", "alice-365"]
    # A process that remembers the day finds out, and an event of it is taken where its retention allows.
    stored(owner, other, "alice", 364)
    ensure_days([(now() - ago(366)).date()])


def test_a_page_that_only_a_dropped_day_named_goes_with_it(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Also where another mini-program's purge has dropped the day; and not while a later event names it."""
    for caller in (program, other):
        purge(caller, as_worker)
        for openid in ("alice", "bob"):
            since(caller, openid, 400)
        stored(owner, caller, "alice", 366, page="pages/of-alice")
        stored(owner, caller, "bob", 366, 0, page="pages/of-bob")
    owner.execute("UPDATE event_sweep SET swept_to = swept_to - interval '1 day'")
    for caller in (program, other):
        assert purge(caller, as_worker) == 1
        left = owner.execute("SELECT path FROM page WHERE program_id = %s", [caller.id]).fetchall()
        assert left == [("pages/of-bob",)]
    assert events(owner) == ["bob-0", "bob-0"]


def test_a_full_purge_finds_pages_of_days_that_are_forgotten(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    since(program, "alice", 400)
    stored(owner, program, "alice", 0, page="pages/today")
    owner.execute(
        "INSERT INTO page (program_id, path, subject_id) SELECT program_id, 'pages/once', subject_id FROM page"
    )
    assert purge(program, as_worker) == 0
    assert purge(program, as_worker, full=True) == 1
    assert owner.execute("SELECT path FROM page").fetchall() == [("pages/today",)]


def test_a_day_in_use_is_emptied_and_dropped_another_time(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """A report has the table open: the day's rows go, and whoever writes waits a tenth of a second at most."""
    since(program, "alice", 400)
    stored(owner, program, "alice", 366, 0)
    day = f"event_{(now() - ago(366)).date():%Y%m%d}"
    with owner.transaction():
        owner.execute("SELECT count(*) FROM event WHERE day = %s", [now().date()])
        assert purge(program, as_worker) == 0, "emptied at once, not row by row"
        assert day in days_held(owner)
    assert events(owner) == ["alice-0"]
    purge(program, as_worker, later=timedelta(minutes=1))
    assert day not in days_held(owner)


def test_the_database_drops_no_day_before_its_time(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    since(program, "alice", 400)
    stored(owner, program, "alice", 365)
    day = (now() - ago(365)).date()
    with as_worker(), tenant(program.id), role("zq_erase"), connection.cursor() as cursor:
        cursor.execute("SELECT drop_event_day(%s)", [day])
        assert cursor.fetchone() == (False,)
    assert events(owner) == ["alice-365"]


def test_only_the_workers_login_drops_days(program: Program) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), tenant(program.id), connection.cursor() as cursor:
        cursor.execute("SELECT drop_event_day(current_date)")


# --- What is looked at -----------------------------------------------------------------------------------------------


def test_a_day_is_looked_through_when_something_of_it_may_be_over_and_no_more(
    program: Program,
    kept_for_years: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    since(program, "alice", 400)
    stored(owner, program, "alice", 366, 200, 0)
    looked: list[date] = []
    erase = retention._erase_over

    def noting(program_id: int, day: retention._Day, *rest: object) -> object:
        looked.append(day.day)
        return erase(program_id, day, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(retention, "_erase_over", noting)
    purge(program, as_worker)
    assert (now() - ago(366)).date() in looked and (now() - ago(200)).date() not in looked
    looked.clear()
    purge(program, as_worker, later=timedelta(minutes=1))
    assert looked == []
    purge(program, as_worker, full=True)
    assert (now() - ago(366)).date() in looked


def test_a_purge_that_died_begins_where_something_is_left(
    program: Program,
    kept_for_years: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    since(program, "alice", 500)
    with promised_longer(owner):
        program.send(*(event("alice", f"e{n}", now() - ago(370), page="pages/x") for n in range(7)), historical=True)
    assert len(events(owner)) == 7
    monkeypatch.setattr(purging, "STEP_LIMIT", 2)
    original, erased = purging._next, [0]

    def dying_after_rows(*arguments: object) -> object:
        if erased[0]:
            raise KeyboardInterrupt
        rows = original(*arguments)  # type: ignore[arg-type]
        erased[0] = rows or 0
        return rows

    monkeypatch.setattr(purging, "_next", dying_after_rows)
    left, died = [7], True
    while died:
        erased[0] = 0
        try:
            purge(program, as_worker)
            died = False
        except KeyboardInterrupt:
            left.append(len(events(owner)))
    assert left[:5] == [7, 5, 3, 1, 0]
    assert not owner.execute("SELECT FROM page").fetchone()


def test_two_workers_do_not_purge_the_same(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    since(program, "alice", 400)
    stored(owner, program, "alice", 366)
    with owner.transaction():
        owner.execute("SELECT pg_advisory_xact_lock(hashtextextended('purge', %s))", [program.id])
        with pytest.raises(purging.Busy):
            purge(program, as_worker)
        with as_worker():
            tasks.purge()
    assert purge(program, as_worker) + len(events(owner)) <= 1


# --- What is over when it comes ---------------------------------------------------------------------------------------


def test_an_import_whose_retention_is_over_is_refused(program: Program, owner: psycopg.Connection) -> None:
    since(program, "alice", 400)
    answer = program.send(*aged("alice", 366, 365), historical=True)
    assert codes(answer) == [("refused", "too_old"), ("stored", None)]
    assert answer["results"][0]["pointer"] == "/events/0/occurred_at"
    assert events(owner) == ["alice-365"]


def test_an_import_is_held_to_a_shorter_retention_agreed_to_since(program: Program, owner: psycopg.Connection) -> None:
    """Also where the newest notice tells a longer one, and not where the shorter is yet to come."""
    since(program, "alice", 300)
    program.decide("alice", notice=told(program, days=90))
    program.decide("alice", notice=told_ahead(owner, program, days=700))
    program.decide("alice", notice=told(program, days=20, at=now() + ago(1)))
    answer = program.send(*aged("alice", 91, 90, 0), historical=True)
    assert codes(answer) == [("refused", "too_old"), ("stored", None), ("stored", None)]
    assert events(owner) == ["alice-0", "alice-90"]


def test_a_longer_retention_agreed_to_since_admits_no_older_import(program: Program, owner: psycopg.Connection) -> None:
    since(program, "alice", 400)
    program.decide("alice", notice=told_ahead(owner, program, days=3_000))
    assert codes(program.send(*aged("alice", 366, 365), historical=True)) == [("refused", "too_old"), ("stored", None)]
    assert events(owner) == ["alice-365"]


# --- A model ---------------------------------------------------------------------------------------------------------


@dataclass
class Kept:
    """An event: its first day, and the days its subject was told since."""

    collected: date
    days: int


@dataclass
class Model:
    """What is kept, told plainly."""

    held: dict[str, Kept] = field(default_factory=dict)

    def agree(self, openid: str, days: int) -> None:
        for name, kept in self.held.items():
            if name.startswith(openid):
                kept.days = min(kept.days, days)

    def left(self, today: date) -> list[str]:
        return sorted(name for name, kept in self.held.items() if today <= kept.collected + timedelta(days=kept.days))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
def test_after_a_purge_no_event_outlives_its_bound_and_none_within_it_is_gone(
    database: None, owner: psycopg.Connection, as_worker: Working, seed: int
) -> None:
    """Random consents, renewals and events, and purges at random times, each of them checked."""
    drawn = random.Random(seed)
    program, model = make_program(), Model()
    if drawn.random() < 0.7:
        told(make_program(), days=5_000)
    people = ("alice", "bob", "carol")
    terms: dict[str, int] = dict.fromkeys(people, 365)
    for openid in people:
        since(program, openid, 398)
    for _ in range(drawn.randint(1, 4)):
        for openid in drawn.sample(people, 2):
            # Renewed since: an older event is one of an earlier record, and is bound by the later ones too.
            ages = drawn.sample(range(1, 397), 6)
            fresh = [age for age in ages if f"{openid}-{age}" not in model.held]
            taken = [age for age in fresh if age <= terms[openid]]
            found = codes(program.send(*aged(openid, *fresh), historical=True))
            assert found == [("stored", None) if age in taken else ("refused", "too_old") for age in fresh]
            model.held |= {f"{openid}-{age}": Kept((now() - ago(age)).date(), terms[openid]) for age in taken}
        days = drawn.choice((20, 90, 365, 700))
        notice = told_ahead(owner, program, days=days)
        for openid in drawn.sample(people, 2):
            program.decide(openid, notice=notice)
            terms[openid] = min(terms[openid], days)
            model.agree(openid, days)
        erase_due(as_worker)
    later = 0
    for _ in range(6):
        purge(program, as_worker, later=ago(later))
        assert events(owner) == model.left((now() + ago(later)).date()), f"{later} days later"
        later += drawn.choice((0, 1, 1, 7, 60, 200))
    before = events(owner)
    purge(program, as_worker, later=ago(later - 1) if later else ago(0), full=True)
    assert events(owner) == [name for name in before if name in model.left((now() + ago(max(later - 1, 0))).date())]


def test_a_full_purge_finds_what_no_threshold_leads_to(
    program: Program, kept_for_years: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """After a restore, say: the backup was taken before a purge, and the purge is remembered."""
    since(program, "alice", 400)
    purge(program, as_worker)
    stored(owner, program, "alice", 370)
    assert purge(program, as_worker) == 0
    assert [(o.rows, o.overdue) for o in over(program)] == [(1, 1)]
    assert purge(program, as_worker, full=True) == 1


def test_keeping_counts_in_utc() -> None:
    assert keeping().today == now().date()
