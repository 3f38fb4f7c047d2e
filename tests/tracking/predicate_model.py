"""The predicate in plain Python, written from its text alone: a history of acts, and what it authorises at an instant.

The model keeps the acts as they came and works everything out anew for each event; it holds no projected state. Where the
text names one of an event's two times and does not say which, the event is UNSURE: it may be stored or refused.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

TOLERANCE = timedelta(seconds=60)
MAX_SKEW = timedelta(hours=24)
FRESH = timedelta(hours=24)
BIRTHDAY = timedelta(hours=26)
"""From the earliest instant of a day on earth to when it has begun everywhere."""
LATE, HISTORICAL = timedelta(days=7), timedelta(days=400)


@dataclass(frozen=True)
class Told:
    """What a notice says of a purpose. `profiled`: whether profiling is among its methods."""

    categories: frozenset[str]
    validity: timedelta | None
    profiled: bool
    kept: int = 365
    """Days."""

    def within(self, other: "Told") -> bool:
        """Whether it allows nothing that the other does not."""
        return self.categories <= other.categories and self.profiled <= other.profiled and self.kept <= other.kept


@dataclass(frozen=True)
class Version:
    """`minors`: the sha256 of the notice for minors, which says the same."""

    number: int
    sha256: str
    minors: str
    effective_at: datetime
    told: dict[str, Told]


@dataclass(frozen=True)
class Consent:
    """A given: `at` its corrected time, `received_at` by the service's clock. `order` counts the acts.

    `birthday`: the earliest instant of the subject's 14th, if it had not begun everywhere at the consent.
    """

    record: str
    version: Version
    at: datetime
    received_at: datetime
    order: int
    birthday: datetime | None = None

    @property
    def starts(self) -> datetime:
        return max(self.at, self.version.effective_at)


@dataclass
class Held:
    """A purpose of a subject. `barrier`: the service's time of the newest refusal, withdrawal or erasure taken back.

    `unguarded`: what was given waits for a guardian.
    """

    ended: str | None = None
    barrier: datetime | None = None
    unguarded: bool = False
    consents: list[Consent] = field(default_factory=list)


@dataclass(frozen=True)
class Sent:
    """An event with its raw time, its sender's clock at sending (None: not said), and what its type asks for.

    `age`: the UTC days from its own to that of receipt.
    """

    event_id: str
    subject: str
    purpose: str
    categories: frozenset[str]
    occurred_at: datetime
    skew: timedelta
    historical: bool
    age: int = 0

    @property
    def corrected_at(self) -> datetime:
        return self.occurred_at + self.skew


@dataclass(frozen=True)
class Age:
    """What an act tells of the subject's age, and whether a guardian stands by it.

    `birthday`: the one known then; `told`: it is known by this act.
    """

    under_14: bool = False
    guardian: bool = False
    birthday: datetime | None = None
    told: bool = False


class Answer(Enum):
    STORE = "store"
    REFUSE = "refuse"
    UNSURE = "unsure"


@dataclass(frozen=True)
class Verdict:
    """`codes`: those that a refusal may carry; `record`: the one to be named if it is stored."""

    answer: Answer
    codes: frozenset[str] = frozenset()
    record: str | None = None


@dataclass(frozen=True)
class Segment:
    """The time in which one record is the newest in force."""

    consent: Consent
    since: datetime
    until: datetime | None

    def holds(self, at: datetime) -> bool:
        return self.since <= at and (self.until is None or at < self.until)


def _until_14(consent: Consent, birthday: datetime | None) -> Consent:
    if birthday is None or birthday + BIRTHDAY <= consent.at:
        return consent
    return replace(consent, birthday=min(birthday, consent.birthday or birthday))


class Model:
    """Notices, subjects and what they decided."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.subjects: dict[str, dict[str, Held]] = {}
        self.pending: set[str] = set()
        self.reopened: dict[str, datetime] = {}
        self.minors: set[str] = set()

    # What happens

    def told_age(self, subject: str, age: Age, now: datetime) -> None:
        """An act says how old its subject is: what a child gave so far waits for a guardian, and ends at the birthday."""
        under_14 = self.child(subject, age, now)
        for held in self.subjects.setdefault(subject, {}).values():
            if held.consents and subject in self.minors and not under_14:
                held.ended, held.consents = "missing" if held.unguarded else "expired", []
            held.unguarded |= under_14 and subject not in self.minors
            if age.told:
                held.consents = [_until_14(consent, age.birthday) for consent in held.consents]
        (self.minors.add if under_14 else self.minors.discard)(subject)

    def child(self, subject: str, age: Age, now: datetime) -> bool:
        """Whether they are under 14, by an act and what was known before: a birthday says it, and otherwise the act."""
        if age.birthday is None:
            return age.under_14 or subject in self.minors
        return now < age.birthday + BIRTHDAY

    def decided(self, subject: str, purpose: str, decision: str, consent: Consent, age: Age) -> None:
        """A decision recorded; `consent` is what it comes to if it is a given that counts."""
        held = self.subjects[subject].setdefault(purpose, Held(barrier=self.reopened.get(subject)))
        if decision in ("refused", "withdrawn"):
            held.ended, held.barrier, held.consents = decision, consent.received_at, []
        elif decision == "given" and self._counts(held, purpose, consent := _until_14(consent, age.birthday)):
            waits = subject in self.minors and not age.guardian
            if waits and held.consents and not held.unguarded:
                return
            held.ended, anew = None, held.unguarded
            held.unguarded = waits
            held.consents = [consent] if anew else [*held.consents, consent]

    def _counts(self, held: Held, purpose: str, consent: Consent) -> bool:
        """Whether a given is more than evidence.

        Not if dated before the barrier, not if it ends before it starts, and not if it comes late: it would start before
        the record that is in force when it comes.
        """
        if held.barrier is not None and consent.at <= held.barrier:
            return False
        begun = [known.starts for known in self._valid(held, purpose) if known.starts <= consent.received_at]
        return self._lives(consent, purpose) and not (begun and consent.starts < max(begun))

    def _lives(self, consent: Consent, purpose: str) -> bool:
        end = self.ends(consent, purpose)
        return end is None or consent.starts < end

    def _valid(self, held: Held, purpose: str) -> list[Consent]:
        """The consents in the order in which they come into force; a later version may have ended one before its start."""
        living = [consent for consent in held.consents if self._lives(consent, purpose)]
        return sorted(living, key=lambda consent: (consent.starts, consent.order))

    def taken_back(self, subject: str, now: datetime) -> None:
        """From now on: for purposes on which nothing has been decided yet, too."""
        self.pending.discard(subject)
        self.reopened[subject] = now
        for held in self.subjects[subject].values():
            held.barrier = now

    def erased(self, subject: str) -> None:
        self.pending.discard(subject)
        self.reopened.pop(subject, None)
        self.minors.discard(subject)
        self.subjects.pop(subject, None)

    def act_refusals(
        self, subject: str, made: dict[str, str], version: Version, at: datetime, now: datetime, age: Age, notice: str
    ) -> set[str]:
        """The codes with which POST /consents may refuse an act; none: it is recorded. `notice`: the sha256 sent."""
        codes = set()
        begun = age.birthday is not None and age.birthday + BIRTHDAY <= at
        if age.under_14 and begun and {"given", "deferred"} & set(made.values()):
            codes.add("age_contradicted")
        if "given" in made.values() and age.birthday is not None and age.birthday <= at and not begun:
            codes.add("turning_14")
        if "given" in made.values() and self.child(subject, age, at):
            codes |= {"separate_consent_required"} if len(made) > 1 else set()
            codes |= {"minor_notice_required"} if notice != version.minors else set()
        elif "given" in made.values() and notice == version.minors:
            codes.add("general_notice_required")
        if any(decision != "withdrawn" and purpose not in version.told for purpose, decision in made.items()):
            codes.add("purpose_not_in_notice")
        if "given" in made.values() and subject in self.pending:
            codes.add("erasure_pending")
        # A subject who only says no is heard whatever the clock says; it counts from the service's time.
        if not {"given", "deferred"} & set(made.values()):
            return codes
        if at > now + TOLERANCE:
            codes.add("in_the_future")
        if at < now - FRESH and subject in self.subjects:
            codes.add("too_old")
        return codes

    # What follows from it

    def lapses(self, consent: Consent, purpose: str) -> datetime | None:
        """When the next material version of the consent's notice takes effect."""
        later = [
            version.effective_at
            for version in self.versions
            if version.number > consent.version.number and self.broadens(version, purpose)
        ]
        return min(later, default=None)

    def broadens(self, version: Version, purpose: str) -> bool:
        """Whether a version allows more than the newest one before it that tells of the purpose."""
        told = [
            earlier.told[purpose]
            for earlier in self.versions
            if purpose in earlier.told and earlier.number < version.number
        ]
        return purpose in version.told and any(not version.told[purpose].within(before) for before in told[-1:])

    def expires(self, consent: Consent, purpose: str) -> datetime | None:
        validity = consent.version.told[purpose].validity
        return None if validity is None else consent.at + validity

    def ends(self, consent: Consent, purpose: str) -> datetime | None:
        ends = (self.expires(consent, purpose), self.lapses(consent, purpose), consent.birthday)
        return min((end for end in ends if end is not None), default=None)

    def waits(self, subject: str, now: datetime) -> bool:
        """Whether something given is not yet in force."""
        held = self.subjects.get(subject, {}).values()
        return any(consent.starts > now for purpose in held for consent in purpose.consents)

    def boundaries(self, subject: str) -> list[datetime]:
        """Every instant at which the answer may change."""
        found = [version.effective_at for version in self.versions]
        for purpose, held in self.subjects.get(subject, {}).items():
            found += [held.barrier] if held.barrier else []
            for consent in held.consents:
                ends = (self.expires(consent, purpose), self.lapses(consent, purpose), consent.birthday)
                found += [consent.at, consent.received_at, *(end for end in ends if end is not None)]
        return found

    def verdict(self, event: Sent, now: datetime) -> Verdict:
        codes, perhaps = self._codes_of_its_own(event, now)
        held = self.subjects.get(event.subject, {}).get(event.purpose)
        if event.subject in self.pending and held is not None:
            codes.add("erasure_pending")
        if held is None or not held.consents:
            codes.add(f"consent_{held.ended}" if held is not None and held.ended else "consent_missing")
            return Verdict(Answer.REFUSE, frozenset(codes | perhaps))
        if held.unguarded:
            codes.add("guardian_required")
        named = self._named(held, event, now)
        if isinstance(named, frozenset):
            return Verdict(Answer.REFUSE, named | codes | perhaps)
        if codes:
            return Verdict(Answer.REFUSE, frozenset(codes | perhaps))
        return Verdict(Answer.UNSURE if perhaps else Answer.STORE, frozenset(perhaps), named)

    def allowed(self, subject: str, purpose: str, now: datetime) -> bool:
        """Whether an event of now would be stored."""
        held = self.subjects.get(subject, {}).get(purpose)
        if held is None or held.unguarded or subject in self.pending:
            return False
        return any(segment.holds(now) for segment in self._segments(held, purpose))

    def _codes_of_its_own(self, event: Sent, now: datetime) -> tuple[set[str], set[str]]:
        """The codes for the event's times that are sure, and those for which one of its two times alone would do."""
        codes, perhaps = set(), set()
        oldest = now - (HISTORICAL if event.historical else LATE)
        if abs(event.skew) > MAX_SKEW:
            codes.add("invalid_event")
        if event.corrected_at > now + TOLERANCE:
            codes.add("in_the_future")
        elif event.occurred_at > now + MAX_SKEW:
            perhaps.add("in_the_future")
        if max(event.occurred_at, event.corrected_at) < oldest:
            codes.add("too_old")
        elif min(event.occurred_at, event.corrected_at) < oldest:
            perhaps.add("too_old")
        return codes, perhaps

    def _named(self, held: Held, event: Sent, now: datetime) -> str | frozenset[str]:
        """The record that authorises an event, or the codes of why none does."""
        segments = self._segments(held, event.purpose)
        place = next((n for n, segment in enumerate(segments) if segment.holds(now)), None)
        if place is None:
            return self._codes_outside(held, event.purpose, now)
        since = until = place
        while since and self._joined(segments[since - 1], segments[since], event.purpose):
            since -= 1
        while until + 1 < len(segments) and self._joined(segments[until], segments[until + 1], event.purpose):
            until += 1
        begins = segments[since].since if held.barrier is None else max(segments[since].since, held.barrier)
        if min(event.occurred_at, event.corrected_at) < begins:
            return frozenset({"outside_consent"})
        # The true time is the corrected one; one a little ahead of the service's clock may lie in the next segment.
        named = [segment for segment in segments[since : until + 1] if segment.since <= event.corrected_at][-1].consent
        if not event.categories <= named.version.told[event.purpose].categories:
            return frozenset({"outside_consent"})
        return frozenset({"too_old"}) if event.age > self._kept(held, named, event.purpose, now) else named.record

    def _kept(self, held: Held, named: Consent, purpose: str, now: datetime) -> int:
        """The days an event is kept: as its own record's notice says, or one in force since that promised less."""
        since = [consent for consent in held.consents if named.starts < consent.starts <= now]
        return min(consent.version.told[purpose].kept for consent in (named, *since))

    def _segments(self, held: Held, purpose: str) -> list[Segment]:
        """The records in the order in which they come into force, each until its own end or the next one's start."""
        valid = self._valid(held, purpose)
        segments = []
        for consent, following in zip(valid, [*valid[1:], None], strict=False):
            ends = [end for end in (self.ends(consent, purpose), following.starts if following else None) if end]
            segment = Segment(consent, consent.starts, min(ends, default=None))
            if segment.until is None or segment.since < segment.until:
                segments.append(segment)
        return segments

    def _joined(self, before: Segment, after: Segment, purpose: str) -> bool:
        """Whether the grant is unbroken between two records: the gate was open until the second was there and in force."""
        end = self.ends(before.consent, purpose)
        return end is None or end >= max(after.since, after.consent.received_at)

    def _codes_outside(self, held: Held, purpose: str, now: datetime) -> frozenset[str]:
        codes = set()
        for consent in held.consents:
            lapses, expires = self.lapses(consent, purpose), self.expires(consent, purpose)
            if lapses is not None and lapses <= now:
                codes.add("renewal_required")
            ends = [end for end in (expires, consent.birthday) if end is not None]
            if ends and min(ends) <= now:
                codes.add("consent_expired")
            if consent.starts > now:
                codes.add("outside_consent")
        return frozenset(codes)
