"""I1: whatever the order of acts and events, what is stored is what the predicate says, and names the right record."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from consent.notices.actions import publish_notice
from consent.notices.document import NoticeText
from tests.cast import example_notice, make_program, now
from tests.consent.rights import ask, carry_out
from tests.tracking.predicate_model import (
    PURPOSES,
    SUBJECTS,
    TYPES,
    Answer,
    Model,
    Place,
    Sent,
    Told,
    Verdict,
    Version,
    act_places,
    decisions,
    events,
    gaps,
    skews,
    tellings,
)
from tracking.catalogue import Catalogue, Declaration, import_catalogue

Working = Callable[[], AbstractContextManager[None]]

FIRST = {
    "analytics": Told(frozenset({"behaviour", "device"}), timedelta(days=30), material=False),
    "personalisation": Told(frozenset({"behaviour"}), None, material=False),
}
MARGIN, STEP = timedelta(seconds=3), timedelta(seconds=7)
SLOW = timedelta(seconds=1.5)

# Time passes for the service by moving everything it has stored back.
_PASS = """
    WITH shift AS (SELECT make_interval(secs => %(seconds)s) AS by),
    records AS (
        UPDATE consent_record SET occurred_at = occurred_at - by, corrected_at = corrected_at - by,
            received_at = received_at - by, authorises_from = authorises_from - by,
            authorises_until = authorises_until - by
        FROM shift WHERE program_id = %(program)s),
    states AS (
        UPDATE consent_state SET record_from = record_from - by, grant_from = grant_from - by,
            grant_until = grant_until - by, barrier_at = barrier_at - by, asked_at = asked_at - by
        FROM shift WHERE program_id = %(program)s),
    subjects AS (
        UPDATE subject SET barrier_at = barrier_at - by FROM shift
        WHERE program_id = %(program)s AND barrier_at IS NOT NULL)
    UPDATE notice SET effective_at = effective_at - by FROM shift WHERE program_id = %(program)s
"""
_PASS_EVENTS = """
    WITH shift AS (SELECT make_interval(secs => %(seconds)s) AS by),
    moved AS (
        UPDATE event SET occurred_at = occurred_at - by, corrected_at = corrected_at - by,
            received_at = received_at - by, day = ((occurred_at - by) AT TIME ZONE 'UTC')::date
        FROM shift WHERE program_id = %(program)s AND day = ANY(%(days)s) RETURNING subject_id, day)
    INSERT INTO subject_day (subject_id, day, program_id)
    SELECT DISTINCT subject_id, day, %(program)s FROM moved ON CONFLICT DO NOTHING
"""


def text_of(told: dict[str, Told]) -> NoticeText:
    """The example notice, telling of these purposes this."""
    example = example_notice()
    purposes = [
        msgspec.structs.replace(
            purpose,
            categories=sorted(told[purpose.code].categories),
            validity_days=validity.days if (validity := told[purpose.code].validity) else None,
            material=told[purpose.code].material,
        )
        for purpose in example.purposes
        if purpose.code in told
    ]
    return msgspec.structs.replace(example, purposes=purposes)


@dataclass
class Tally:
    """What was run, over all examples."""

    steps: int = 0
    stored: int = 0
    refused: int = 0
    unsure: int = 0
    codes: dict[str, int] = field(default_factory=dict)


class PredicateMachine(RuleBasedStateMachine):
    """The service over HTTP beside the model. The model's times are the service's plus what has passed (`ahead`)."""

    owner: psycopg.Connection
    as_worker: Working
    tally: Tally

    def __init__(self) -> None:
        super().__init__()
        self.ahead = timedelta(0)
        self.model = Model()
        self.program = make_program()
        self.catalogue()
        self.publish(FIRST, None, dated_back=timedelta(days=500))
        self.requests: dict[str, Any] = {}
        self.stored: dict[str, tuple[Sent, str]] = {}
        self.batch: list[Sent] = []
        self.numbers = iter(range(1_000_000))

    # Time

    def now(self) -> datetime:
        return now() + self.ahead

    def clear(self, at: datetime, others: list[datetime]) -> datetime:
        """`at`, or a little before it, so that no comparison hangs on how long a call takes."""
        while any(abs(at - other) < MARGIN for other in others):
            at -= STEP
        return at

    def boundaries(self, *subjects: str) -> list[datetime]:
        moment = self.now()
        limits = [moment + away for away in (timedelta(seconds=60), timedelta(days=1), timedelta(days=-1))]
        limits += [moment - timedelta(days=7), moment - timedelta(days=400)]
        return sorted({bound for subject in subjects for bound in self.model.boundaries(subject)}) + limits

    def at(self, place: Place, subject: str) -> datetime:
        bounds = self.boundaries(subject)
        base = self.now() if place.boundary is None else bounds[-1 - place.boundary % len(bounds)]
        return self.clear(base + place.away, bounds)

    def let_pass(self, gap: timedelta) -> None:
        bounds = self.boundaries(*SUBJECTS)[:-5]
        while any(abs(self.now() + gap - bound) < MARGIN for bound in bounds):
            gap += STEP
        self.no_intent_is_left()
        told = {"seconds": gap.total_seconds(), "program": self.program.id}
        if self.stored:
            days = {(sent.occurred_at - self.ahead).date() for sent, _ in self.stored.values()}
            new = {(sent.occurred_at - self.ahead - gap).date() for sent, _ in self.stored.values()}
            self.owner.execute("SELECT ensure_event_days(%s)", [sorted(new)])
            self.owner.execute(_PASS_EVENTS, told | {"days": sorted(days)})
        self.owner.execute(_PASS, told)
        self.ahead += gap
        self.tally.steps += 1

    def no_intent_is_left(self) -> None:
        """An act that has been answered, recorded or refused, leaves no intent behind."""
        left = self.owner.execute(
            "SELECT count(*) FROM withdrawal_intent WHERE program_id = %s", [self.program.id]
        ).fetchone()
        assert left == (0,)

    # The service

    def catalogue(self) -> None:
        declared = {
            name: Declaration(purpose=purpose, categories=sorted(categories))
            for name, (purpose, categories) in TYPES.items()
        }
        import_catalogue(program_id=self.program.id, catalogue=Catalogue(declared), by="test", now=now())

    def publish(
        self, told: dict[str, Told], effective_in: timedelta | None, *, dated_back: timedelta = timedelta(0)
    ) -> None:
        """`dated_back`: an owner's edit afterwards, since only a program's first notice may be dated back."""
        moment = now()
        effective = None if effective_in is None else moment + effective_in
        if self.model.versions:
            # A version takes effect no sooner than the one before it.
            latest = self.model.versions[-1].effective_at - self.ahead
            if latest >= (effective or moment):
                effective = latest + timedelta(minutes=1)
        made = publish_notice(
            program_id=self.program.id, text=text_of(told), effective_at=effective, by="test", now=moment
        )
        if dated_back:
            self.owner.execute(
                "UPDATE notice SET effective_at = effective_at - %s WHERE id = %s", [dated_back, made.pk]
            )
        version = Version(made.version, made.sha256, made.effective_at - dated_back + self.ahead, told)
        self.model.versions.append(version)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """A call, none of which may take so long that the margins no longer hold."""
        began = now()
        response = self.program.post(path, body)
        assume(now() - began < SLOW)
        return response

    # Rules

    @initialize(back=st.sampled_from([timedelta(minutes=5), timedelta(days=20), timedelta(days=300)]))
    def consent_first(self, back: timedelta) -> None:
        """Most of what is interesting happens to those who have agreed at some time."""
        self.decide(timedelta(seconds=20), "ann", dict.fromkeys(PURPOSES, "given"), 0, Place(-back), timedelta(0))

    @rule(
        gap=gaps,
        told=tellings,
        effective_in=st.sampled_from([None, None, timedelta(hours=2), timedelta(days=2), timedelta(days=20)]),
    )
    def publish_version(self, gap: timedelta, told: dict[str, Told], effective_in: timedelta | None) -> None:
        self.let_pass(gap)
        self.publish(told, effective_in)

    @rule(
        gap=gaps,
        subject=st.sampled_from(SUBJECTS),
        made=st.dictionaries(st.sampled_from(PURPOSES), decisions, min_size=1),
        back=st.sampled_from([0, 0, 0, 0, 1, 2]),
        place=act_places,
        skew=skews,
    )
    def decide(
        self, gap: timedelta, subject: str, made: dict[str, str], back: int, place: Place, skew: timedelta
    ) -> None:
        self.let_pass(gap)
        version = self.model.versions[max(0, len(self.model.versions) - 1 - back)]
        if "given" in made.values() and subject in self.model.subjects:
            version = self.in_force()
        at, moment = self.at(place, subject), self.now()
        body = {
            "subject": {"openid": subject},
            "notice": version.sha256,
            "locale": "en",
            "method": "dialog",
            "act": "bundled" if len(made) > 1 else "single",
            "occurred_at": (at - skew - self.ahead).isoformat(),
            "sent_at": (moment - skew - self.ahead).isoformat(),
            "decisions": [{"purpose": purpose, "decision": decision} for purpose, decision in made.items()],
        }
        response = self.post("consents", body)
        refusals = self.model.act_refusals(subject, made, version, at, moment)
        if response.status_code != 201:
            assert response.json()["code"] in refusals, (response.content, refusals)
            return
        assert not refusals
        if subject not in self.model.subjects and set(made.values()) == {"withdrawn"}:
            # Somebody nobody knows: nothing to withdraw, and nothing is made of it.
            assert {record["record_id"] for record in response.json()["records"]} == {None}
            return
        for (purpose, decision), record in zip(made.items(), response.json()["records"], strict=True):
            received = self.received(record["record_id"])
            self.model.decided(subject, purpose, decision, version, record["record_id"], at, received)

    def in_force(self) -> Version:
        """The newest version in force, in place of one that is not yet, or of an older one.

        Left out until the service follows the text there: beside a grant, a consent to a version that is not yet in
        force hides the grant or the next consent to the version in force, and one to a superseded version ends it.
        """
        return [known for known in self.model.versions if known.effective_at <= self.now()][-1]

    def received(self, record_id: str) -> datetime:
        row = self.owner.execute("SELECT received_at FROM consent_record WHERE record_id = %s", [record_id]).fetchone()
        assert row is not None
        received: datetime = row[0]
        return received + self.ahead

    @rule(
        gap=gaps,
        subject=st.sampled_from(SUBJECTS),
        made=st.lists(events, min_size=1, max_size=6),
        historical=st.booleans(),
    )
    def send(self, gap: timedelta, subject: str, made: list[tuple[str, Place, timedelta]], historical: bool) -> None:
        self.let_pass(gap)
        batch = []
        for name, place, skew in made:
            purpose, categories = TYPES[name]
            at = self.at(place, subject)
            # Either of its two times, so that skew moves the other over the boundaries.
            occurred = at if place.boundary is None or place.boundary % 2 else at - skew
            sent = Sent(f"e{next(self.numbers)}-{name}", subject, purpose, categories, occurred, skew, historical)
            batch.append(self.apart(sent))
        self.batch = batch
        self.deliver(batch)

    def apart(self, sent: Sent) -> Sent:
        """Both of its times clear of all boundaries."""
        bounds = self.boundaries(sent.subject)
        while any(abs(at - bound) < MARGIN for at in (sent.occurred_at, sent.corrected_at) for bound in bounds):
            sent = replace(sent, occurred_at=sent.occurred_at - STEP)
        return sent

    @precondition(lambda self: self.batch)
    @rule(gap=gaps)
    def send_again(self, gap: timedelta) -> None:
        """A retry with the same ids and times, whatever has happened since."""
        self.let_pass(gap)
        self.deliver([sent for sent in self.batch if self.apart(sent) == sent])

    def deliver(self, batch: list[Sent]) -> None:
        if not batch:
            return
        moment = self.now()
        body = {"historical": batch[0].historical, "events": [self.body_of(sent, moment) for sent in batch]}
        verdicts = [self.model.verdict(sent, moment) for sent in batch]
        response = self.post("events", body)
        assert response.status_code == 200, response.content
        for sent, verdict, result in zip(batch, verdicts, response.json()["results"], strict=True):
            self.compare(sent, verdict, result, moment)

    def body_of(self, sent: Sent, moment: datetime) -> dict[str, Any]:
        name = sent.event_id.split("-")[1]
        body = {"event_id": sent.event_id, "name": name, "subject": {"openid": sent.subject}}
        body["occurred_at"] = (sent.occurred_at - self.ahead).isoformat()
        return body | ({"sent_at": (moment - sent.skew - self.ahead).isoformat()} if sent.skew else {})

    def compare(self, sent: Sent, verdict: Verdict, result: dict[str, Any], moment: datetime) -> None:
        told = f"{sent}\nat {moment}\nmodel {verdict}\nservice {result}"
        assert result["result"] in ("stored", "duplicate", "refused"), told
        if result["result"] == "refused":
            assert verdict.answer != Answer.STORE, told
            assert result["code"] in verdict.codes, told
            self.tally.refused += 1
            self.tally.codes[result["code"]] = self.tally.codes.get(result["code"], 0) + 1
        else:
            assert verdict.answer != Answer.REFUSE, told
            assert result["result"] == ("duplicate" if sent.event_id in self.stored else "stored"), told
            record = self.record_of(sent)
            assert record in verdict.records or sent.event_id in self.stored, f"{told}\nnames {record}"
            self.stored.setdefault(sent.event_id, (sent, record))
            self.tally.stored += 1
        self.tally.unsure += verdict.answer == Answer.UNSURE

    def record_of(self, sent: Sent) -> str:
        row = self.owner.execute(
            "SELECT r.record_id FROM event e JOIN consent_record r ON r.id = e.consent_record_id"
            " AND r.subject_id = e.subject_id WHERE e.program_id = %s AND e.event_id = %s AND e.day = %s",
            [self.program.id, sent.event_id, (sent.occurred_at - self.ahead).date()],
        ).fetchone()
        assert row is not None, f"{sent.event_id} is not there"
        return str(row[0])

    @rule(gap=gaps, subject=st.sampled_from(SUBJECTS))
    def ask_for_erasure(self, gap: timedelta, subject: str) -> None:
        self.let_pass(gap)
        response = ask(self.program, "erasure", subject)
        if subject in self.model.pending:
            assert (response.status_code, response.json()["code"]) == (409, "request_open")
            return
        assert response.status_code == 202, response.content
        if subject in self.model.subjects:
            self.model.pending.add(subject)
            self.requests[subject] = response.json()

    @precondition(lambda self: self.model.pending)
    @rule(gap=gaps, which=st.integers(0, 2))
    def take_back(self, gap: timedelta, which: int) -> None:
        self.let_pass(gap)
        subject = sorted(self.model.pending)[which % len(self.model.pending)]
        response = self.post(f"requests/{self.requests.pop(subject)['request_id']}/withdraw", {})
        assert response.status_code == 200, response.content
        self.model.taken_back(subject, self.now())

    @precondition(lambda self: self.model.pending)
    @rule(gap=gaps, which=st.integers(0, 8))
    def carry_out_erasure(self, gap: timedelta, which: int) -> None:
        """Less often than it is taken back: the subject's whole history is gone after it."""
        if which > 2:
            return
        self.let_pass(gap)
        subject = sorted(self.model.pending)[which % len(self.model.pending)]
        filed = self.requests.pop(subject)
        self.owner.execute("UPDATE subject_request SET undo_until = received_at WHERE id = %s", [filed["request_id"]])
        self.owner.execute(
            "UPDATE holder_run SET not_before = received_at FROM subject_request r"
            " WHERE r.id = request_id AND request_id = %s",
            [filed["request_id"]],
        )
        assert carry_out(self.program, self.as_worker, filed)["state"] == "completed"
        self.model.erased(subject)
        self.stored = {key: value for key, value in self.stored.items() if value[0].subject != subject}

    def teardown(self) -> None:
        """What is stored is what was answered as stored, each with the record named then."""
        rows = self.owner.execute(
            "SELECT e.event_id, r.record_id::text FROM event e JOIN consent_record r ON r.id = e.consent_record_id"
            " AND r.subject_id = e.subject_id WHERE e.program_id = %s",
            [self.program.id],
        ).fetchall()
        assert dict(rows) == {event_id: record for event_id, (_, record) in self.stored.items()}
        count = self.owner.execute("SELECT count(*) FROM event WHERE program_id = %s", [self.program.id]).fetchone()
        assert count == (len(self.stored),)


def explore(
    owner: psycopg.Connection, as_worker: Working, examples: int, steps: int, *, derandomize: bool = False
) -> Tally:
    tally = Tally()

    class Machine(PredicateMachine):
        pass

    Machine.owner, Machine.as_worker, Machine.tally = owner, staticmethod(as_worker), tally
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=derandomize,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(tally)  # noqa: T201  for `pytest -rP`
    return tally


def test_the_service_agrees_with_the_predicate(database: None, owner: psycopg.Connection, as_worker: Working) -> None:
    tally = explore(owner, as_worker, 40, 50, derandomize=True)
    assert tally.steps >= 1000


@pytest.mark.long
def test_the_service_agrees_with_the_predicate_at_length(
    database: None, owner: psycopg.Connection, as_worker: Working
) -> None:
    assert explore(owner, as_worker, 400, 60).steps >= 10_000
