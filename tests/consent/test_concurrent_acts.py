"""Ten callers at once on one subject: nothing acknowledged is lost, and some order of the acts explains what is left."""

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection

from tests.cast import Program
from tests.consent.acts import act
from tests.consent.rights import subject_of

CALLERS, ACTS = 10, 6
ALICE = {"openid": "alice"}
PURPOSES = ("analytics", "personalisation", "precise_location")
ADDED = {"unionid": "u-1", "external_id": "user-1", "phone": "+8613812345678"}
# What a caller may be told besides success: the subject asked to be erased.
REFUSALS = {"erasure_pending"}
# And who would add an identifier: no purpose was consented to just then.
UNCONSENTED = {"consent_missing", "consent_refused", "consent_withdrawn"}
DECIDED = {"given": "given", "refused": "refused", "withdrawn": "withdrawn", "deferred": "requested"}

Call = tuple[str, Any]
"""Path and body."""


def at_once(callers: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each answers, all of them begun at the same moment, each on a connection of its own."""
    start = threading.Barrier(len(callers))

    def run(caller: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return caller()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(callers)) as pool:
        return [running.result(120) for running in [pool.submit(run, caller) for caller in callers]]


def drawn(program: Program, chance: random.Random) -> Call:
    """A decision about one purpose or two, or a change of identifiers."""
    kind = chance.randrange(8)
    if kind == 0:
        name = chance.choice(sorted(ADDED))
        return "identities", {"subject": ALICE, "add": {name: ADDED[name]}}
    if kind == 1:
        return "identities", {"subject": ALICE, "remove": chance.sample(sorted(ADDED), 2)}
    if kind == 2:
        made = [(purpose, chance.choice(["refused", "withdrawn"])) for purpose in chance.sample(PURPOSES, 2)]
        return "consents", act(program, *made)
    decision = chance.choice(["given", "given", "refused", "withdrawn", "deferred"])
    return "consents", act(program, (chance.choice(PURPOSES), decision))


@dataclass
class Stands:
    """How a purpose stands, by the few rules that records alone tell."""

    state: str = "unknown"
    since: datetime | None = None
    barrier: datetime | None = None

    def follow(self, decided: str, authorises_from: datetime | None, received_at: datetime) -> None:
        if decided == "given":
            assert authorises_from is not None, "a consent of now, which nothing forbids"
            self.state = "renewed" if self.since else "given"
            self.since = self.since or authorises_from
        elif decided in ("refused", "withdrawn"):
            self.state, self.since, self.barrier = decided, None, received_at
        elif self.state == "unknown":
            self.state = "requested"

    def reopen(self, at: datetime) -> None:
        """An erasure was taken back: nothing reaches back over that."""
        self.barrier, self.since = at, at if self.since else None


def replayed(owner: psycopg.Connection, reopened: datetime | None) -> tuple[dict[str, Stands], dict[str, str]]:
    """The subject's records in the order of their versions: what each purpose comes to, and the state after each record."""
    rows = owner.execute(
        "SELECT r.record_id::text, p.code, r.state, r.authorises_from, r.received_at FROM consent_record r"
        " JOIN purpose p ON p.id = r.purpose_id ORDER BY r.version, r.id"
    ).fetchall()
    stands: dict[str, Stands] = {}
    after: dict[str, str] = {}
    for record_id, purpose, decided, authorises_from, received_at in rows:
        if reopened is not None and received_at > reopened:
            _reopen(stands, reopened)
            reopened = None
        one = stands.setdefault(purpose, Stands())
        one.follow(decided, authorises_from, received_at)
        after[record_id] = one.state
    if reopened is not None:
        _reopen(stands, reopened)
    return stands, after


def _reopen(stands: dict[str, Stands], at: datetime) -> None:
    for one in stands.values():
        one.reopen(at)


def held(owner: psycopg.Connection) -> dict[str, Stands]:
    rows = owner.execute(
        "SELECT p.code, s.state, s.grant_from, s.barrier_at FROM consent_state s JOIN purpose p ON p.id = s.purpose_id"
    ).fetchall()
    return {code: Stands(state, since, barrier) for code, state, since, barrier in rows}


def one(owner: psycopg.Connection, query: str) -> Any:
    row = owner.execute(query.encode()).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def kinds_replayed(owner: psycopg.Connection) -> set[str]:
    """What the audit log's additions and removals leave of the identifiers."""
    kinds = {"openid"}
    for action, changed in owner.execute(
        "SELECT action, details->'kinds' FROM audit_entry WHERE action LIKE 'identifiers.%' ORDER BY id"
    ).fetchall():
        assert kinds.isdisjoint(changed) if action == "identifiers.added" else kinds >= set(changed)
        kinds = kinds | set(changed) if action == "identifiers.added" else kinds - set(changed)
    return kinds


def acknowledged(answers: Sequence[tuple[Call, Any]]) -> dict[str, tuple[str, str, str]]:
    """record id -> (purpose, decision, state answered) of every act that was acknowledged; anything else was refused so."""
    found = {}
    for (path, body), response in answers:
        told = response.json()
        if response.status_code == 409:
            assert told["code"] in REFUSALS, told
        elif response.status_code == 422:
            assert (path, body.keys()) == ("identities", {"subject", "add"}), told
            assert told["code"] in UNCONSENTED, told
        else:
            assert response.status_code in (200, 201, 202), (path, told)
        if response.status_code == 201:
            for made, asked in zip(told["records"], body["decisions"], strict=True):
                assert made["purpose"] == asked["purpose"]
                found[made["record_id"]] = (made["purpose"], asked["decision"], made["state"])
    return found


def _all(program: Program, plan: Sequence[Call]) -> list[tuple[Call, Any]]:
    return [send(program, call) for call in plan]


def send(program: Program, call: Call) -> tuple[Call, Any]:
    return call, program.post(*call)


@pytest.mark.parametrize("taken_back", [True, False], ids=["taken back", "left standing"])
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_and_an_order_explains_what_is_left(
    program: Program, owner: psycopg.Connection, seed: int, taken_back: bool
) -> None:
    chance = random.Random(f"{seed} {taken_back}")
    first = send(program, ("consents", act(program, ("analytics", "given"))))
    plans = [[drawn(program, chance) for _ in range(ACTS)] for _ in range(CALLERS - 1)]

    def erases() -> list[tuple[Call, Any]]:
        """Some acts, then an erasure, more acts, and back."""
        plan = [drawn(program, chance) for _ in range(ACTS)]
        erasure: Call = ("requests", {"subject": ALICE, "kind": "erasure", "locale": "en"})
        done = [send(program, call) for call in [*plan[:2], erasure, *plan[2:4]]]
        if taken_back:
            request_id = done[2][1].json()["request_id"]
            done.append(send(program, (f"requests/{request_id}/withdraw", None)))
        return done + [send(program, call) for call in plan[4:]]

    callers = [partial(_all, program, plan) for plan in plans]
    answers = [first, *(answer for done in at_once([erases, *callers]) for answer in done)]
    made = acknowledged(answers)

    rows = owner.execute(
        "SELECT r.record_id::text, p.code, r.state, r.version, r.received_at FROM consent_record r"
        " JOIN purpose p ON p.id = r.purpose_id ORDER BY r.version, r.id"
    ).fetchall()
    assert {row[0]: row[1:3] for row in rows} == {
        record_id: (purpose, DECIDED[decision]) for record_id, (purpose, decision, _) in made.items()
    }
    versions = sorted({row[3] for row in rows})
    assert versions == list(range(1, one(owner, "SELECT version FROM subject") + 1))
    assert [row[4] for row in rows] == sorted(row[4] for row in rows), "received in the order of their versions"

    closed, reopened = one(owner, "SELECT received_at, closed_at FROM subject_request")
    pending, barrier = one(owner, "SELECT erasure_pending, barrier_at FROM subject")
    assert (pending, barrier is not None, reopened is not None) == (not taken_back, taken_back, taken_back)
    stands, after = replayed(owner, barrier)
    assert held(owner) == stands
    assert {record_id: state for record_id, (_, _, state) in made.items()} == after
    assert one(owner, "SELECT bool_and(erasure_pending), bool_or(erasure_pending) FROM consent_state") == (
        pending,
        pending,
    )
    shut = [row for row in rows if row[2] == "given" and closed < row[4] and (barrier is None or row[4] < barrier)]
    assert shut == [], "given while the erasure stood"

    kinds = {row[0] for row in owner.execute("SELECT kind FROM subject_identifier").fetchall()}
    named = {row[0] for row in owner.execute("SELECT kind FROM subject_lookup").fetchall()}
    assert kinds == kinds_replayed(owner)
    assert named == (kinds - {"phone"}) | {"subject_id"}
    assert one(owner, "SELECT count(*) FROM withdrawal_intent") == 0
    assert one(owner, "SELECT count(*) FROM subject") == 1


@pytest.mark.parametrize("path", ["consents", "identities", "requests"])
def test_one_idempotency_key_by_ten_at_once_is_one_act(program: Program, owner: psycopg.Connection, path: str) -> None:
    pseudonym = program.decide("alice")["subject_id"]
    body = {
        "consents": act(program, ("personalisation", "given")),
        "identities": {"subject": ALICE, "add": {"external_id": "user-1"}},
        "requests": {"subject": ALICE, "kind": "access", "locale": "en"},
    }[path]
    callers = [lambda: program.post(path, body, Idempotency_Key="one") for _ in range(CALLERS)]
    answers = at_once(callers)
    told = [answer.json() for answer in answers if answer.status_code < 300]
    others = [answer.json()["code"] for answer in answers if answer.status_code >= 300]
    assert set(others) <= {"idempotency_in_progress"}
    assert told
    assert all(one == told[0] for one in told)
    assert program.post(path, body, Idempotency_Key="one").json() == told[0]
    made = {
        "consents": "SELECT count(*) - 1 FROM consent_record",
        "identities": "SELECT count(*) FROM audit_entry WHERE action = 'identifiers.added'",
        "requests": "SELECT count(*) FROM subject_request",
    }[path]
    assert one(owner, made) == 1
    assert subject_of(owner, pseudonym)


def test_one_person_met_by_several_names_at_once_is_one_subject(program: Program, owner: psycopg.Connection) -> None:
    """Each call names the openid, and other kinds beside it or none."""
    names = [
        ALICE,
        ALICE | {"unionid": "u-1"},
        ALICE | {"external_id": "user-1"},
        ALICE | {"unionid": "u-1", "external_id": "user-1"},
    ]
    bodies = [act(program, ("analytics", "given"), subject=names[place % len(names)]) for place in range(CALLERS)]
    answers = at_once([partial(program.post, "consents", body) for body in bodies])
    assert [answer.status_code for answer in answers] == [201] * CALLERS
    assert len({answer.json()["subject_id"] for answer in answers}) == 1
    assert one(owner, "SELECT count(*), max(version) FROM subject") == (1, CALLERS)
    assert one(owner, "SELECT count(*) FROM consent_record") == CALLERS
    kinds = [row[0] for row in owner.execute("SELECT kind FROM subject_identifier ORDER BY kind").fetchall()]
    assert kinds == ["external_id", "openid", "unionid"]


def test_of_two_who_add_one_identifier_to_two_subjects_one_does(program: Program, owner: psycopg.Connection) -> None:
    for place in range(CALLERS):
        program.decide(f"person-{place}")
    added = {"add": {"external_id": "user-1"}}
    bodies = [{"subject": {"openid": f"person-{place}"}} | added for place in range(CALLERS)]
    callers = [partial(program.post, "identities", body) for body in bodies]
    answers = at_once(callers)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (CALLERS - 1)
    assert {answer.json().get("code") for answer in answers} == {None, "identity_conflict"}
    assert one(owner, "SELECT count(*) FROM subject_lookup WHERE kind = 'external_id'") == 1
