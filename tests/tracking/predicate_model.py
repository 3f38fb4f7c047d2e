"""The predicate in plain Python, written from its text alone: a history of acts, and what it authorises at an instant.

The model keeps the acts as they came and works everything out anew for each event; it holds no projected state. Where the
text leaves two readings, an event is UNSURE: the service may store it or refuse it, but must name the right record.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from hypothesis import strategies as st

TOLERANCE = timedelta(seconds=60)
MAX_SKEW = timedelta(hours=24)
FRESH = timedelta(hours=24)
LATE, HISTORICAL = timedelta(days=7), timedelta(days=400)


@dataclass(frozen=True)
class Told:
    """What a notice says of a purpose."""

    categories: frozenset[str]
    validity: timedelta | None
    material: bool


@dataclass(frozen=True)
class Version:
    number: int
    sha256: str
    effective_at: datetime
    told: dict[str, Told]


@dataclass(frozen=True)
class Consent:
    """A given: `at` its corrected time, `received_at` by the service's clock. `order` counts the acts."""

    record: str
    version: Version
    at: datetime
    received_at: datetime
    order: int

    @property
    def starts(self) -> datetime:
        return max(self.at, self.version.effective_at)


@dataclass
class Held:
    """A purpose of a subject. `barrier`: the service's time of the newest refusal, withdrawal or erasure taken back."""

    ended: str | None = None
    barrier: datetime | None = None
    consents: list[Consent] = field(default_factory=list)


@dataclass(frozen=True)
class Sent:
    """An event with its raw time, its sender's clock at sending (None: not said), and what its type asks for."""

    event_id: str
    subject: str
    purpose: str
    categories: frozenset[str]
    occurred_at: datetime
    skew: timedelta
    historical: bool

    @property
    def corrected_at(self) -> datetime:
        return self.occurred_at + self.skew


class Answer(Enum):
    STORE = "store"
    REFUSE = "refuse"
    UNSURE = "unsure"


@dataclass(frozen=True)
class Verdict:
    """`codes`: those that a refusal may carry; `records`: those of which one is to be named if it is stored."""

    answer: Answer
    codes: frozenset[str] = frozenset()
    records: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Segment:
    """The time in which one record is the newest in force."""

    consent: Consent
    since: datetime
    until: datetime | None

    def holds(self, at: datetime) -> bool:
        return self.since <= at and (self.until is None or at < self.until)


class Model:
    """Notices, subjects and what they decided."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.subjects: dict[str, dict[str, Held]] = {}
        self.pending: set[str] = set()
        self.reopened: dict[str, datetime] = {}
        self._acts = 0

    # What happens

    def decided(
        self, subject: str, purpose: str, decision: str, version: Version, record: str, at: datetime, now: datetime
    ) -> None:
        """A decision recorded at `now`. A given dated before the barrier is evidence and authorises nothing."""
        self._acts += 1
        held = self.subjects.setdefault(subject, {}).setdefault(purpose, Held(barrier=self.reopened.get(subject)))
        if decision in ("refused", "withdrawn"):
            held.ended, held.barrier, held.consents = decision, now, []
        elif decision == "given" and (held.barrier is None or at > held.barrier):
            held.ended = None
            held.consents.append(Consent(record, version, min(at, now), now, self._acts))

    def taken_back(self, subject: str, now: datetime) -> None:
        """From now on: for purposes on which nothing has been decided yet, too."""
        self.pending.discard(subject)
        self.reopened[subject] = now
        for held in self.subjects[subject].values():
            held.barrier = now

    def erased(self, subject: str) -> None:
        self.pending.discard(subject)
        self.reopened.pop(subject, None)
        self.subjects.pop(subject, None)

    def act_refusals(
        self, subject: str, made: dict[str, str], version: Version, at: datetime, now: datetime
    ) -> set[str]:
        """The codes with which POST /consents may refuse an act; none: it is recorded."""
        codes = set()
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
            if version.number > consent.version.number and purpose in version.told and version.told[purpose].material
        ]
        return min(later, default=None)

    def expires(self, consent: Consent, purpose: str) -> datetime | None:
        validity = consent.version.told[purpose].validity
        return None if validity is None else consent.at + validity

    def ends(self, consent: Consent, purpose: str) -> datetime | None:
        found = [end for end in (self.expires(consent, purpose), self.lapses(consent, purpose)) if end is not None]
        return min(found, default=None)

    def boundaries(self, subject: str) -> list[datetime]:
        """Every instant at which the answer may change."""
        found = [version.effective_at for version in self.versions]
        for purpose, held in self.subjects.get(subject, {}).items():
            found += [held.barrier] if held.barrier else []
            for consent in held.consents:
                ends = (self.expires(consent, purpose), self.lapses(consent, purpose))
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
        readings = [self._in_grant(held, event, now, generous=generous) for generous in (False, True)]
        refusals = frozenset(codes | perhaps).union(*(reading.codes for reading in readings))
        records = frozenset().union(*(reading.records for reading in readings))
        if codes or not records:
            return Verdict(Answer.REFUSE, refusals)
        return Verdict(Answer.UNSURE if refusals else Answer.STORE, refusals, records)

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

    def _in_grant(self, held: Held, event: Sent, now: datetime, *, generous: bool) -> Verdict:
        segments = self._segments(held, event.purpose, generous=generous)
        place = next((n for n, segment in enumerate(segments) if segment.holds(now)), None)
        if place is None:
            return Verdict(Answer.REFUSE, self._codes_outside(held, event.purpose, now))
        since = place
        while since and self._joined(segments[since - 1], segments[since], event.purpose, generous=generous):
            since -= 1
        begins = segments[since].since if held.barrier is None else max(segments[since].since, held.barrier)
        if min(event.occurred_at, event.corrected_at) < begins:
            return Verdict(Answer.REFUSE, frozenset({"outside_consent"}))
        # The true time is the corrected one; one a little ahead of the service's clock may lie in the next segment.
        named = [segment for segment in segments[since:] if segment.since <= event.corrected_at][-1].consent
        if not event.categories <= named.version.told[event.purpose].categories:
            return Verdict(Answer.REFUSE, frozenset({"outside_consent"}))
        return Verdict(Answer.STORE, records=frozenset({named.record}))

    def _segments(self, held: Held, purpose: str, *, generous: bool) -> list[Segment]:
        """The records in the order in which they are in force, each until its own end or the next one's start.

        A consent to a version already superseded ends before it starts: it authorises nothing and ends nothing. One
        that comes late, dated before the start of the newest record, adds nothing, or (generous) what its own times say.
        The service compares its date, not its own start, with that start, which may be a notice's effective time after
        the consent: it then passes over a consent that the text takes. Both answers are let pass until it does.
        """
        valid: list[Consent] = []
        for consent in held.consents:
            end = self.ends(consent, purpose)
            if end is not None and end <= consent.starts:
                continue
            if not generous and valid and consent.at < valid[-1].starts:
                continue
            valid.append(consent)
        valid.sort(key=lambda consent: (consent.starts, consent.order))
        segments = []
        for consent, following in zip(valid, [*valid[1:], None], strict=False):
            ends = [end for end in (self.ends(consent, purpose), following.starts if following else None) if end]
            segment = Segment(consent, consent.starts, min(ends, default=None))
            if segment.until is None or segment.since < segment.until:
                segments.append(segment)
        return segments

    def _joined(self, before: Segment, after: Segment, purpose: str, *, generous: bool) -> bool:
        """Whether the grant is unbroken between two records: by the times of consent, or (surely) by those of receipt."""
        end = self.ends(before.consent, purpose)
        begins = after.since if generous else max(after.since, after.consent.received_at)
        return end is None or end >= begins

    def _codes_outside(self, held: Held, purpose: str, now: datetime) -> frozenset[str]:
        codes = set()
        for consent in held.consents:
            lapses, expires = self.lapses(consent, purpose), self.expires(consent, purpose)
            if lapses is not None and lapses <= now:
                codes.add("renewal_required")
            if expires is not None and expires <= now:
                codes.add("consent_expired")
            if consent.starts > now:
                codes.add("outside_consent")
        return frozenset(codes)


# What the test draws from

SUBJECTS = ("ann", "bob")
PURPOSES = ("analytics", "personalisation")
TYPES = {
    "view": ("analytics", frozenset({"behaviour"})),
    "device_seen": ("analytics", frozenset({"behaviour", "device"})),
    "like": ("personalisation", frozenset({"behaviour"})),
}

gaps = st.sampled_from(
    [timedelta(seconds=s) for s in 3 * (20, 90, 600, 3600, 4 * 3600, 20 * 3600)]
    + [timedelta(days=d) for d in (3, 8, 31)]
)
skews = st.sampled_from([timedelta(seconds=s) for s in (*20 * (0,), 40, -40, 200, -200, 7200, -7200, 80_000, -90_000)])
near = st.sampled_from([timedelta(seconds=s) for s in (-4000, -300, -40, -5, 5, 40, 300, 4000)])


@dataclass(frozen=True)
class Place:
    """A time for an event or an act: so far from now, or from one of the instants at which answers change."""

    away: timedelta
    boundary: int | None = None


NOW = Place(timedelta(0))
agos = [Place(timedelta(seconds=-s)) for s in (0, 0, 0, 5, 5, 60, 600, 7200, 79_200)]
days_ago = [Place(timedelta(days=-d)) for d in (2, 2, 6, 8, 40, 300, 399, 402)]
ahead = [Place(timedelta(seconds=s)) for s in (30, 90, 90_000)]
beside = st.builds(Place, near, st.integers(0, 60))
event_places = st.one_of(st.sampled_from(agos), st.sampled_from(agos + days_ago + ahead), beside, beside)
act_places = st.one_of(
    st.just(NOW),
    st.just(NOW),
    st.sampled_from([NOW, *(Place(timedelta(seconds=s)) for s in (30, 90, -60, -600, -7200, -80_000, -90_000))]),
    st.sampled_from([NOW, NOW, *(Place(timedelta(days=-d)) for d in (3, 20, 60, 300))]),
    beside,
)
decisions = st.sampled_from([*8 * ["given"], "refused", "withdrawn", "deferred"])
events = st.tuples(st.sampled_from(sorted(TYPES)), event_places, skews)
tellings = st.fixed_dictionaries(
    {},
    optional={
        purpose: st.builds(
            Told,
            st.sampled_from([frozenset({"behaviour"}), frozenset({"behaviour", "device"})]),
            st.sampled_from([None, timedelta(days=2), timedelta(days=30)]),
            st.sampled_from([False, False, True]),
        )
        for purpose in PURPOSES
    },
).filter(bool)
