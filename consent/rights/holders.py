"""Who holds personal data: each app registers its holders in personal_data.py, and requests are carried out by them all.

    class Notes(PersonalDataHolder):
        identifier, stage = "notes.notes", 30
        ...
    register(Notes())

consent never imports an app above it; an app that keeps something of a person and registers no holder is found by the
test that wants every field of every model classified.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from consent.rights.models import RequestKind
from consent.vault.identities import Vault
from consent.vault.models import Subject

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    Word = _StrPromise | str

LAST_STAGE = 100
"""The stage of the subject itself: erased in the transaction that completes the erasure, after every other holder."""

Row = tuple[str, dict[str, Any]]
"""A section's name, and one row of it in plaintext as JSON takes it. The rows of a section follow one another."""


Tally = tuple[date, str, int]
"""A day (UTC), the name of what was collected on it, and how often."""


@dataclass(frozen=True)
class Changes:
    """What a rectification asks for: attributes (None removes one) and identifiers, kind -> new value."""

    attributes: Mapping[str, str | None] = field(default_factory=dict)
    identifiers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Erased:
    """What one bounded step of an erasure did; `finished` when nothing of the subject is left in this holder."""

    affected: int
    finished: bool


@dataclass(frozen=True)
class Collected:
    """What was collected of a subject under a purpose by the consents before a version; `asked_at`: when that was given.

    All of it, or with `kept_days` what on `today` (UTC) has been held for longer.
    """

    program_id: int
    subject_id: int
    purpose_id: int
    before_version: int
    asked_at: datetime
    kept_days: int | None
    today: date


@dataclass(frozen=True)
class Keeping:
    """By which times what is held may be kept no longer.

    `lag`: after it whatever was being stored can be seen. `within`: the deadline of an erasure that nobody asked for.
    `accepted`: how long after its day an event may still come.
    """

    now: datetime
    lag: timedelta
    within: timedelta
    accepted: timedelta

    @property
    def settled(self) -> datetime:
        """Nothing is stored any more under what held before this time."""
        return self.now - self.lag

    @property
    def today(self) -> date:
        """UTC's. What is kept for n days is over when the n-th day after its own is (Civil Code 201)."""
        return self.settled.astimezone(UTC).date()

    def overdue(self, owed_from: datetime) -> bool:
        return owed_from + self.within < self.now


class Reason(StrEnum):
    RETENTION = "retention"
    """The period told in the notice is over."""
    WHOLE_DAY = "whole_day"
    """The longest period that any notice told is over: the day is dropped as a whole."""
    WITHDRAWN = "withdrawn"
    """The consent ended, or agreed to a shorter period."""
    PURPOSE_ENDED = "purpose_ended"
    EXPIRED = "expired"
    """What is kept for a time of ours."""


@dataclass(frozen=True)
class Over:
    """Rows of one table that may be kept no longer, and why; `overdue` of them should be gone already."""

    table: str
    reason: Reason
    rows: int
    overdue: int = 0
    purpose: str | None = None
    kept_days: int | None = None


class PersonalDataHolder(ABC):
    """One store of personal data and what the rights of its subjects mean there.

    `stage` orders an erasure: what was derived or collected goes before the consents that allowed it, those before the
    subject (LAST_STAGE). Methods are called under the mini-program's tenant, with the subject's row locked, and see no
    settings. Each is idempotent: a worker may die after any step and another begin anew.
    """

    identifier: str
    title: "Word"
    description: "Word"
    stage: int
    collects: str = ""
    """The table of what is collected under purposes, where there is one."""
    portable: bool = False
    """What is here was provided by the subject or observed of it, on consent: a transfer takes it along (PIPL 45)."""
    derived: bool = False
    """It is worked out of what other holders have, and taken back by that: no law keeps it by itself."""
    explains: bool = False
    """It can tell the rules under which the subject's data are processed (PIPL 48)."""
    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    cards: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Sections as people read them: tables with these columns, or cards that begin with these fields; the rest is beside."""

    def concerned(self, *, program_id: int) -> bool:
        """Whether a request of the mini-program has a run of this holder. Under the tenant."""
        return True

    def words(self, *, program_id: int) -> Mapping[str, "Word"]:
        """What people read, in the active language, for the names in a row: a section's and a field's by its name (one
        within another as `outer.inner`), a coded value's as `field=value`. What has no word is shown as it is."""
        return {}

    @abstractmethod
    def export(self, *, vault: Vault, subject: Subject) -> Iterator[Row]:
        """Every row about the subject. It is advanced over several transactions: read by pages, hold no cursor open."""

    def explain(self, *, vault: Vault, subject: Subject) -> Iterator[Row]:
        """The rules in force for the subject, as `export` gives rows."""
        yield from ()

    def tally(self, *, subject: Subject, since: date) -> Iterator[Tally]:
        """How much of what was collected, by day, for an officer: no content. In a number of queries that does not grow."""
        yield from ()

    def rectify(self, *, vault: Vault, subject: Subject, changes: Changes, now: datetime) -> int:
        """Put in place what of `changes` is kept here; answers how many values. Raises Problem where it cannot be."""
        return 0

    def rectifiable(self, *, vault: Vault, subject: Subject, changes: Changes) -> Changes:
        """What is held here now of what `changes` names, in plaintext; None for an attribute that is not held."""
        return Changes()

    def restrict(self, *, subject: Subject, restricted: bool, now: datetime) -> int:
        """Suspend (or resume) every use but storage; answers the rows affected. Most holders are reached by the gate."""
        return 0

    def stand_again(self, *, subject: Subject) -> None:
        """An erasure was taken back: what was left out while it was pending is used again."""
        return

    @abstractmethod
    def erase(self, *, program_id: int, subject_id: int, limit: int) -> Erased:
        """Delete about `limit` rows at most, as zq_erase: one short transaction of many."""

    @abstractmethod
    def count(self, *, program_id: int, subject_id: int) -> int:
        """How many rows are left of the subject; 0 is what an erasure must come to."""

    def erase_collected(self, what: Collected, *, limit: int) -> Iterator[int]:
        """Delete what was collected under a purpose, about `limit` rows a step, as zq_erase; yields the rows of each.

        Advanced over several transactions, each with the subject's row locked. Most holders collect nothing.
        """
        yield from ()

    def count_collected(self, what: Collected) -> int:
        """How many rows `erase_collected` would delete."""
        return 0

    def purge(self, *, program_id: int, keeping: Keeping, full: bool, limit: int) -> Iterator[int]:
        """Delete what is over by itself, in every subject's rows; yields the rows of each step, as `erase_collected`.

        No lock is held but those it takes. `full`: look everywhere, also where an earlier purge has been.
        """
        yield from ()

    def over(self, *, program_id: int, keeping: Keeping) -> Iterator[Over]:
        """What `purge` would delete if it looked everywhere."""
        yield from ()


_registered: dict[str, PersonalDataHolder] = {}


def register(holder: PersonalDataHolder) -> None:
    """Raises ValueError for an identifier that is taken, and for a second holder of the last stage."""
    if holder.identifier in _registered:
        raise ValueError(f"a personal data holder {holder.identifier} is registered already")
    if holder.stage >= LAST_STAGE and any(other.stage >= LAST_STAGE for other in _registered.values()):
        raise ValueError(f"stage {LAST_STAGE} belongs to the subject alone")
    _registered[holder.identifier] = holder


def holders() -> list[PersonalDataHolder]:
    """All of them, in the order in which an erasure goes through them."""
    return sorted(_registered.values(), key=lambda holder: (holder.stage, holder.identifier))


def holdable() -> list[PersonalDataHolder]:
    """Those of which a law may keep what they have."""
    return [holder for holder in holders() if not holder.derived]


def fulfilling(kind: str) -> list[PersonalDataHolder]:
    """Those that have a part in requests of this kind. An objection is carried out where it is filed, by none."""
    if kind == RequestKind.OBJECTION:
        return []
    if kind == RequestKind.EXPLANATION:
        return [holder for holder in holders() if holder.explains]
    if kind == RequestKind.PORTABILITY:
        return [holder for holder in holders() if holder.portable]
    return holders()


def holder_of(identifier: str) -> PersonalDataHolder:
    """Raises UnknownHolder where the app that registered it is no longer installed."""
    try:
        return _registered[identifier]
    except KeyError:
        raise UnknownHolder from None


class UnknownHolder(Exception):
    """A run names a holder that is not registered in this process."""


class AnswersAwaited(Exception):
    """Somebody outside has to answer first: the run is tried again until they have, and loses no attempt by it."""
