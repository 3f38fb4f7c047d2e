"""What entries come to, of each subject, API client and staff account: pure rules, of which replaying twice makes no more than replaying once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from consent.journal.entries import Entry, Kind


@dataclass
class Ending:
    """Of one purpose, the newest."""

    at: datetime
    objected: bool


@dataclass
class Wanted:
    """How a subject left things. `restriction` and `erasure`: the newest entry of those; a tombstone is the last of all. `came_about`:
    the journal says that the erasure was committed, which a receiver is not told."""

    endings: dict[str, Ending] = field(default_factory=dict)
    restriction: Entry | None = None
    erasure: Entry | None = None
    came_about: bool = False


_RESTRICTION = (Kind.RESTRICTION, Kind.RESTRICTION_LIFTED)
_ERASURE = (Kind.ERASURE, Kind.ERASURE_TAKEN_BACK, Kind.TOMBSTONE)


def wanted(entries: Iterable[Entry]) -> dict[str, Wanted]:
    """By the hash of the handle. Numbers rise with time, over several machines and restores."""
    found: dict[str, Wanted] = {}
    in_order = sorted(entries, key=_number)
    committed = {entry.number for entry in in_order if entry.kind == Kind.COMMITTED}
    for entry in in_order:
        if entry.handle is None:
            continue
        mine = found.setdefault(entry.handle, Wanted())
        if entry.kind in (Kind.WITHDRAWAL, Kind.OBJECTION):
            for purpose in entry.purposes:
                mine.endings[purpose] = Ending(entry.at, entry.kind == Kind.OBJECTION)
        elif entry.kind in _RESTRICTION:
            mine.restriction = entry
        elif entry.kind in _ERASURE and (mine.erasure is None or mine.erasure.kind != Kind.TOMBSTONE):
            mine.erasure, mine.came_about = entry, entry.number in committed
    return found


def revoked(entries: Iterable[Entry]) -> dict[int, Entry]:
    """The newest revocation, by API client."""
    return {entry.client: entry for entry in sorted(entries, key=_number) if entry.client is not None}


def accounts(entries: Iterable[Entry]) -> dict[int, Entry]:
    """The newest entry, by staff account."""
    return {entry.account: entry for entry in sorted(entries, key=_number) if entry.account is not None}


def epoch(entries: Iterable[Entry]) -> int:
    """The highest that ids went on in; 0 where nothing was replayed yet."""
    return max((entry.epoch for entry in entries if entry.epoch is not None), default=0)


def _number(entry: Entry) -> int:
    return entry.number
