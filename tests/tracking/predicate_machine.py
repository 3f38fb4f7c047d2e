"""The machine that runs the service and the model of the predicate side by side, whatever the order of acts and events."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any

import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.consent.acts import GUARDIAN
from tests.consent.rights import ask, carry_out
from tests.tracking.predicate_draws import (
    NO_AGE,
    PURPOSES,
    SUBJECTS,
    TYPES,
    Place,
    ToldAge,
    act_places,
    ages,
    decisions,
    effectives,
    events,
    gaps,
    skews,
    tellings,
)
from tests.tracking.predicate_model import BIRTHDAY, Age, Answer, Consent, Model, Sent, Told, Verdict, Version
from tests.tracking.predicate_service import SLOW, Service

Working = Callable[[], AbstractContextManager[None]]

FIRST = {
    "analytics": Told(frozenset({"behaviour", "device"}), timedelta(days=30), profiled=False),
    "personalisation": Told(frozenset({"behaviour"}), None, profiled=False),
}
MARGIN, STEP = timedelta(seconds=3), timedelta(seconds=7)
STILL = timedelta(0)


@dataclass
class Tally:
    """What was run, over all examples.

    `exact`: times at the very instant of a boundary; `pending`: batches of a subject who has consented to a version
    to come.
    """

    steps: int = 0
    stored: int = 0
    refused: int = 0
    unsure: int = 0
    exact: int = 0
    pending: int = 0
    codes: dict[str, int] = field(default_factory=dict)


class PredicateMachine(RuleBasedStateMachine):
    """The service over HTTP beside the model."""

    owner: psycopg.Connection
    as_worker: Working
    tally: Tally

    def __init__(self) -> None:
        super().__init__()
        self.service = Service(self.owner)
        self.model = Model()
        self.publish(FIRST, None, dated_back=timedelta(days=500))
        self.requests: dict[str, Any] = {}
        self.pseudonyms: dict[str, str] = {}
        self.birthdays: dict[str, date] = {}
        self.stored: dict[str, tuple[Sent, str]] = {}
        self.batch: list[Sent] = []
        self.numbers = count()

    # Time

    def now(self) -> datetime:
        return self.service.now()

    def limits(self) -> list[datetime]:
        """The bounds that move with the clock. No time may hang on how long a call takes."""
        moment, day = self.now(), timedelta(days=1)
        return [moment + away for away in (STILL, timedelta(seconds=60), day, -day, -7 * day, -400 * day)]

    def bounds(self, subject: str) -> list[datetime]:
        found = self.model.boundaries(subject)
        birthday = [self.birthday(subject)] if subject in self.birthdays else []
        return sorted({*found, *birthday, *(day + BIRTHDAY for day in birthday)})

    def at(self, place: Place, subject: str, *, exact: bool) -> datetime:
        """The time of a place: near a boundary or (`exact`: the service is told it as it is) at it."""
        bounds = self.bounds(subject)
        if place.boundary is None or not bounds:
            return self.clear(self.now() + place.away, bounds)
        moment = self.now()
        base = sorted(bounds, key=lambda bound: abs(bound - moment))[place.boundary % len(bounds)]
        if exact and not place.away:
            self.tally.exact += 1
            return self.clear(base, [])
        return self.clear(base + place.away, bounds)

    def clear(self, at: datetime, others: list[datetime]) -> datetime:
        """`at`, or a little before it."""
        others = [*others, *self.limits()[1:]]
        while any(abs(at - other) < MARGIN for other in others):
            at -= STEP
        return at

    def let_pass(self, gap: timedelta) -> None:
        bounds = [bound for subject in SUBJECTS for bound in self.bounds(subject)]
        while any(abs(self.now() + gap - bound) < MARGIN for bound in bounds):
            gap += STEP
        self.service.no_intent_is_left()
        self.service.let_pass(gap, {self.service.day(sent.occurred_at) for sent, _ in self.stored.values()})
        self.tally.steps += 1

    def birthday(self, subject: str) -> datetime:
        """The earliest instant of the subject's 14th birthday: a date, so that it does not come nearer as time passes."""
        return self.earliest(self.birthdays[subject])

    def earliest(self, day: date) -> datetime:
        return datetime.combine(day, time.min, UTC) - timedelta(hours=14) + self.service.ahead

    def told(self, subject: str, age: ToldAge, moment: datetime) -> Age:
        """What an act tells of age, with the birthday that is known then."""
        day = self.birthdays.get(subject)
        if age.birthday_in is not None:
            day = self.service.day(moment) + age.birthday_in
        birthday = None if day is None else self.earliest(day)
        return Age(age.under_14, age.guardian, birthday, told=age.birthday_in is not None)

    # Rules

    @initialize(back=st.sampled_from([timedelta(minutes=5), timedelta(days=20), timedelta(days=300)]))
    def consent_first(self, back: timedelta) -> None:
        """Most of what is interesting happens to those who have agreed at some time."""
        for subject in SUBJECTS:
            self.decide(
                timedelta(seconds=20), subject, dict.fromkeys(PURPOSES, "given"), 0, Place(-back), STILL, NO_AGE
            )

    @rule(gap=gaps, told=tellings, effective=effectives)
    def publish_version(self, gap: timedelta, told: dict[str, Told], effective: Place | None) -> None:
        self.let_pass(gap)
        self.publish(told, effective)

    def publish(self, told: dict[str, Told], effective: Place | None, dated_back: timedelta = STILL) -> None:
        at = None if effective is None else self.effective_at(effective)
        if self.model.versions:
            # A version takes effect no sooner than the one before it.
            latest = self.model.versions[-1].effective_at
            if latest >= (at or self.now()):
                at = latest + timedelta(minutes=1)
        self.model.versions.append(self.service.publish(told, at, dated_back=dated_back))

    def effective_at(self, place: Place) -> datetime | None:
        """Some time from now, or the very instant at which something else will change, if there is one."""
        if place.boundary is None:
            return self.now() + place.away
        coming = [bound for subject in SUBJECTS for bound in self.bounds(subject) if bound > self.now() + MARGIN]
        return coming[place.boundary % len(coming)] if coming else None

    @rule(
        gap=gaps,
        subject=st.sampled_from(SUBJECTS),
        made=st.dictionaries(st.sampled_from(PURPOSES), decisions, min_size=1),
        back=st.sampled_from([0, 0, 0, 0, 1, 2]),
        place=act_places,
        skew=skews,
        age=ages,
    )
    def decide(
        self, gap: timedelta, subject: str, made: dict[str, str], back: int, place: Place, skew: timedelta, age: ToldAge
    ) -> None:
        """Ann is grown up; bob may turn out to be a child."""
        self.let_pass(gap)
        age = self.tellable(subject, age)
        version = self.version_for(subject, back, age)
        at, moment = self.at(place, subject, exact=not skew), self.now()
        body = self.body_of_act(subject, made, version, at, skew, age)
        response = self.service.post("consents", body)
        told = self.told(subject, age, moment)
        refusals = self.model.act_refusals(subject, made, version, at, moment, told, body["notice"])
        if response.status_code != 201:
            assert response.json()["code"] in refusals, (response.content, refusals)
            return
        assert not refusals
        if subject not in self.model.subjects and set(made.values()) == {"withdrawn"}:
            # Somebody nobody knows: nothing to withdraw, and nothing is made of it.
            assert {record["record_id"] for record in response.json()["records"]} == {None}
            return
        self.recorded(subject, made, version, at, age, response.json())

    def tellable(self, subject: str, age: ToldAge) -> ToldAge:
        """A birthday does not come nearer here, so it is not mixed with what is to come: the two are tested elsewhere."""
        if subject != "bob" or (age.birthday_in is not None and self.model.waits(subject, self.now())):
            return NO_AGE
        return age

    def version_for(self, subject: str, back: int, age: ToldAge) -> Version:
        dated = subject in self.birthdays or age.birthday_in is not None
        known = [version for version in self.model.versions if not dated or version.effective_at <= self.now()]
        return known[max(0, len(known) - 1 - back)]

    def guarded(self, subject: str, age: ToldAge) -> bool:
        """Whether a guardian decides for somebody known to be a child: for anybody else there is no minors' notice."""
        return age.guardian and subject in self.model.minors

    def body_of_act(
        self, subject: str, made: dict[str, str], version: Version, at: datetime, skew: timedelta, age: ToldAge
    ) -> dict[str, Any]:
        body = {
            "subject": {"openid": subject},
            "notice": version.minors if age.under_14 or self.guarded(subject, age) else version.sha256,
            "locale": "en",
            "method": "dialog",
            "act": "bundled" if len(made) > 1 else "single",
            "occurred_at": self.service.sent(at - skew),
            "decisions": [{"purpose": purpose, "decision": decision} for purpose, decision in made.items()],
        }
        if skew:
            body["sent_at"] = self.service.sent(self.now() - skew)
        if age.under_14:
            body["age_band"] = "under_14"
        if age.guardian:
            body["guardian"] = GUARDIAN
        if age.birthday_in is not None:
            body["turns_14_on"] = (self.service.day(self.now()) + age.birthday_in).isoformat()
        return body

    def recorded(
        self, subject: str, made: dict[str, str], version: Version, at: datetime, age: ToldAge, answer: dict[str, Any]
    ) -> None:
        """The act counts: tell the model, with the times that the service gave it."""
        self.pseudonyms[subject] = answer["subject_id"]
        told = self.told(subject, age, self.now())
        if age.birthday_in is not None:
            self.birthdays[subject] = self.service.day(self.now()) + age.birthday_in
        self.model.told_age(subject, told, self.now())
        for (purpose, decision), record in zip(made.items(), answer["records"], strict=True):
            received, corrected = self.service.times(record["record_id"])
            # The service corrects by its own clock, a little later than ours: its time is taken where ours is nearly it.
            assert abs(corrected - min(at, received)) < SLOW
            given = Consent(record["record_id"], version, corrected, received, next(self.numbers))
            self.model.decided(subject, purpose, decision, given, told)

    @rule(
        gap=gaps,
        subject=st.sampled_from(SUBJECTS),
        made=st.lists(events, min_size=3, max_size=8),
        historical=st.booleans(),
    )
    def send(self, gap: timedelta, subject: str, made: list[tuple[str, Place, timedelta]], historical: bool) -> None:
        self.let_pass(gap)
        batch = []
        for name, place, skew in made:
            purpose, categories = TYPES[name]
            at = self.at(place, subject, exact=not skew)
            # Either of its two times, so that skew moves the other over the boundaries.
            occurred = at if place.boundary is None or place.boundary % 2 else at - skew
            sent = Sent(f"e{next(self.numbers)}-{name}", subject, purpose, categories, occurred, skew, historical)
            batch.append(self.apart(sent))
        self.batch = batch
        self.deliver(batch)

    def apart(self, sent: Sent) -> Sent:
        """Both of its times clear of what the clock moves; one that the service corrects itself, of all boundaries."""
        bounds = [*self.limits()[1:], *(self.bounds(sent.subject) if sent.skew else [])]
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
        verdicts = [self.model.verdict(self.aged(sent, moment), moment) for sent in batch]
        self.tally.pending += self.model.waits(batch[0].subject, moment)
        response = self.service.post("events", body)
        assert response.status_code == 200, response.content
        for sent, verdict, result in zip(batch, verdicts, response.json()["results"], strict=True):
            self.compare(sent, verdict, result, moment)
        self.status(batch[0].subject, moment)

    def aged(self, sent: Sent, moment: datetime) -> Sent:
        return replace(sent, age=(self.service.day(moment) - self.service.day(sent.occurred_at)).days)

    def status(self, subject: str, moment: datetime) -> None:
        """The status call agrees with the gate."""
        answer = self.service.post("consents/status", {"subject": {"openid": subject}, "purposes": list(PURPOSES)})
        allowed = {found["purpose"]: found["allowed"] for found in answer.json()}
        assert allowed == {purpose: self.model.allowed(subject, purpose, moment) for purpose in PURPOSES}

    def body_of(self, sent: Sent, moment: datetime) -> dict[str, Any]:
        name = sent.event_id.split("-")[1]
        body = {"event_id": sent.event_id, "name": name, "subject": {"openid": sent.subject}}
        body["occurred_at"] = self.service.sent(sent.occurred_at)
        return body | ({"sent_at": self.service.sent(moment - sent.skew)} if sent.skew else {})

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
            record = self.service.record_of(sent.event_id, self.service.day(sent.occurred_at))
            assert record == verdict.record or sent.event_id in self.stored, f"{told}\nnames {record}"
            self.stored.setdefault(sent.event_id, (sent, record))
            self.tally.stored += 1
        self.tally.unsure += verdict.answer == Answer.UNSURE

    @rule(gap=gaps, subject=st.sampled_from(SUBJECTS), which=st.integers(0, 3))
    def ask_for_erasure(self, gap: timedelta, subject: str, which: int) -> None:
        """Not too often: hardly anything can happen while it is pending."""
        if which:
            return
        self.let_pass(gap)
        response = ask(self.service.program, "erasure", subject)
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
        response = self.service.post(f"requests/{self.requests.pop(subject)['request_id']}/withdraw", {})
        assert response.status_code == 200, response.content
        self.model.taken_back(subject, self.service.reopened(self.pseudonyms[subject]))

    @precondition(lambda self: self.model.pending)
    @rule(gap=gaps, which=st.integers(0, 8))
    def carry_out_erasure(self, gap: timedelta, which: int) -> None:
        """Less often than it is taken back: the subject's whole history is gone after it."""
        if which > 2:
            return
        self.let_pass(gap)
        subject = sorted(self.model.pending)[which % len(self.model.pending)]
        filed = self.requests.pop(subject)
        self.service.end_undo_window(filed["request_id"])
        assert carry_out(self.service.program, self.as_worker, filed)["state"] == "completed"
        self.model.erased(subject)
        self.birthdays.pop(subject, None)
        self.stored = {key: value for key, value in self.stored.items() if value[0].subject != subject}

    def teardown(self) -> None:
        """What is stored is what was answered as stored, each with the record named then."""
        rows = self.service.stored()
        assert dict(rows) == {event_id: record for event_id, (_, record) in self.stored.items()}
        assert len(rows) == len(self.stored)
