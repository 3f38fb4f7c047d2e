"""Whether leaves are opened by what they stand for: consent records and audit entries of a mini-program, and the log of accounts.

A mini-program's leaves are gone through in parts, which several processes may do at once (consent.ledger.beside).
"""

import json
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import DateField
from pyroaring import BitMap64

from consent.ledger import audit
from consent.ledger.findings import Fault, Findings, readable, streamed
from consent.ledger.leaves import LeafType, leaf_hash
from consent.ledger.models import AuditEntry
from consent.ledger.proofs import PROMISED_S
from consent.ledger.verify import Log
from consent.officers import accounts
from consent.officers.models import AccountEntry
from consent.records import entries
from consent.records.models import ConsentRecord
from consent.statements import ask

RECORD_LATE = timedelta(seconds=PROMISED_S)
ENTRY_LATE = timedelta(hours=2)
"""The longest transaction of a worker, at whose beginning its entries are dated, is well over by then."""
DAY = timedelta(days=1)

_LEAVES = """
    SELECT leaf.id, leaf.hash, placed.origin, placed."index", placed.hash, {columns}
    FROM leaf
    LEFT JOIN log_leaf placed ON placed.leaf_id = leaf.id AND placed."index" >= 0 AND placed.leaf_id BETWEEN %(first)s AND %(last)s
    LEFT JOIN {table} opens ON opens.leaf_id = leaf.id AND opens.leaf_id BETWEEN %(first)s AND %(last)s
    WHERE leaf.program_id {own} AND leaf.type = %(type)s AND leaf.id BETWEEN %(first)s AND %(last)s ORDER BY leaf.id
"""
_THEIRS = "FROM leaf WHERE program_id {own} AND type = %(type)s AND id > 0"
_WHOLE = f"SELECT count(*), min(id), max(id) {_THEIRS}"
_PARTS = f"""
    SELECT min(id), max(id), count(*) FROM (SELECT id, ntile(%(parts)s) OVER (ORDER BY id) AS part {_THEIRS}) AS numbered
    GROUP BY part ORDER BY part
"""
_LEAFLESS = """
    SELECT opens.id FROM {table} opens WHERE {opens}
    AND NOT EXISTS (
        SELECT FROM leaf WHERE leaf.id = opens.leaf_id AND leaf.id > 0 AND leaf.program_id {own} AND leaf.type = %(type)s
    )
"""
_PASSED = """
    SELECT redacted.leaf_id, placed.origin, placed."index"
    FROM leaf_redacted redacted JOIN log_leaf placed ON placed.leaf_id = redacted.leaf_id
    WHERE redacted.day <= %s AND redacted.leaf_id > 0
"""
_OMITTED = """
    SELECT id FROM audit_entry WHERE program_id = %(program)s AND leaf_id IS NULL AND (at >= %(since)s OR id > (
        SELECT coalesce(max(entry.id) FILTER (WHERE placed.origin = %(origin)s AND placed."index" < %(size)s), min(entry.id))
        FROM audit_entry entry JOIN log_leaf placed ON placed.leaf_id = entry.leaf_id WHERE entry.program_id = %(program)s
    )) ORDER BY id
"""
_OMITTED_OF_ACCOUNTS = """
    SELECT id FROM account_entry, (SELECT min(id), min(at) FROM account_entry WHERE leaf_id IS NOT NULL) AS first (number, moment)
    WHERE leaf_id IS NULL AND (id > first.number OR at > first.moment) ORDER BY id
"""
_OF_PROGRAM = "opens.program_id = %(program)s"
_WITH_LEAF = "opens.leaf_id IS NOT NULL"
"""Of entries from before they had one `_omitted` tells."""
MINUTE = timedelta(minutes=1)

Model = type[ConsentRecord] | type[AuditEntry] | type[AccountEntry]


@dataclass(frozen=True)
class Kind:
    """What opens leaves of a type. `dated`: when it says it was received, and how long after that it may be without a place.
    `own`: whose leaves, and `opens` the rows that have one, as SQL has it."""

    leaf: LeafType
    model: Model
    columns: tuple[str, ...]
    read: Callable[[Sequence[Any]], Any]
    canonical: Callable[[Any], dict[str, Any]]
    dated: Callable[[Any], datetime]
    own: str = "= %(program)s"
    opens: str = _OF_PROGRAM

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    def asked(self, column: str) -> str:
        name = f"opens.{column}"
        return readable(name) if isinstance(self.model._meta.get_field(column), DateField) else name


def _entry_dated(entry: AuditEntry) -> datetime:
    """An entry of midnight tells its day only."""
    at = entry.at.astimezone(UTC)
    return at + (DAY if at.time() == datetime.min.time() else timedelta(0)) + ENTRY_LATE


def _columns(model: Model, *unread: str) -> tuple[str, ...]:
    """All but some, in the model's own order, which its instances are made in."""
    return tuple(field.attname for field in model._meta.concrete_fields if field.attname not in unread)


_RECORD_COLUMNS = _columns(ConsentRecord, "client_id", "idempotency", "answered", "leaf_id")
_ENTRY_COLUMNS = _columns(AuditEntry, "leaf_id")
_ACCOUNT_COLUMNS = _columns(AccountEntry, "leaf_id")
_Record = namedtuple("_Record", _RECORD_COLUMNS)  # type: ignore[misc]
"""What `entries.canonical` reads of a record: there may be millions, and a model's instance costs more than all else."""


def _read_entry(values: Sequence[Any]) -> AuditEntry:
    entry = AuditEntry.from_db("default", _ENTRY_COLUMNS, values)
    entry.details = json.loads(entry.details)
    return entry


def _read_account(values: Sequence[Any]) -> AccountEntry:
    entry = AccountEntry.from_db("default", _ACCOUNT_COLUMNS, values)
    entry.details = json.loads(entry.details)
    return entry


KINDS = (
    Kind(
        LeafType.CONSENT_RECORD,
        ConsentRecord,
        _RECORD_COLUMNS,
        _Record._make,
        entries.canonical,
        lambda record: record.received_at + RECORD_LATE,
    ),
    Kind(
        LeafType.AUDIT_ENTRY,
        AuditEntry,
        _ENTRY_COLUMNS,
        _read_entry,
        audit.canonical,
        _entry_dated,
        opens=f"{_OF_PROGRAM} AND {_WITH_LEAF}",
    ),
)
OF_ACCOUNTS = Kind(
    LeafType.AUDIT_ENTRY,
    AccountEntry,
    _ACCOUNT_COLUMNS,
    _read_account,
    accounts.canonical,
    lambda entry: entry.at + ENTRY_LATE,
    own="IS NULL",
    opens=_WITH_LEAF,
)


@dataclass(frozen=True)
class Part:
    """Leaves of a mini-program (None: of the log of accounts) of one type, by their ids, both inclusive."""

    program_id: int | None
    type: LeafType
    first: int
    last: int
    leaves: int


@dataclass
class Opened:
    """What was gone through. `placed`: the indexes whose leaf was seen, by origin; `unlisted`: erased, and not listed yet."""

    opened: int = 0
    redacted: int = 0
    unlisted: int = 0
    waiting: int = 0
    placed: dict[int, BitMap64] = field(default_factory=dict)

    def __iadd__(self, other: "Opened") -> "Opened":
        self.opened += other.opened
        self.redacted += other.redacted
        self.unlisted += other.unlisted
        self.waiting += other.waiting
        for number, indexes in other.placed.items():
            self.placed[number] = self.placed.get(number, BitMap64()) | indexes
        return self


def parts(program_id: int | None, *, most: int, at_least: int) -> list[Part]:
    """So many of each type at most, about as large as one another, and of so many leaves where there are several. Under the tenant."""
    found: list[Part] = []
    for kind in _kinds(program_id):
        asked = {"program": program_id, "type": kind.leaf}
        ((leaves, first, last),) = ask(_WHOLE.format(own=kind.own), asked).rows()
        number = min(most, leaves // at_least)
        if number > 1:
            parts = streamed(_PARTS.format(own=kind.own), asked | {"parts": number})
            found += [Part(program_id, kind.leaf, *part) for part in parts]
        elif leaves:
            found.append(Part(program_id, kind.leaf, first, last, leaves))
    return found


def opened(part: Part, logs: Mapping[int, Log]) -> tuple[Opened, Findings]:
    """Goes through the leaves. `logs`: by their numbers. Under the tenant, within a snapshot."""
    opened, findings = Opened(), Findings()
    pending = BitMap64(row[0] for row in streamed("SELECT leaf_id FROM leaf_redacted WHERE leaf_id > 0"))
    waiting = BitMap64(row[0] for row in streamed("SELECT leaf_id FROM leaf_waiting WHERE leaf_id > 0"))
    redacted, overdue, newest = _redacted(logs), _overdue(logs), logs[max(logs)] if logs else None
    (kind,) = (kind for kind in _kinds(part.program_id) if kind.leaf == part.type)
    asked = {"program": part.program_id, "type": part.type, "first": part.first, "last": part.last}
    columns = ", ".join(map(kind.asked, kind.columns))
    rows, before = streamed(_LEAVES.format(columns=columns, table=kind.table, own=kind.own), asked), None
    for leaf_id, hashed, origin, index, placed, *values in rows:
        if leaf_id == before:
            told = "another row opens the same leaf: all but one were put in"
            findings.add(Fault.RECORD_WITHOUT_LEAF, f"{kind.table} {values[0]}", told)
            continue
        before = leaf_id
        place = Place(leaf_id, bytes(hashed), logs.get(origin), index, None if placed is None else bytes(placed))
        _placed(place, waiting, opened, findings)
        if values[0] is not None:
            _open(kind, place, values, redacted, newest, opened, findings)
        elif kind.leaf != LeafType.CONSENT_RECORD:
            told = "what opened this leaf is gone, and no entry is ever erased"
            findings.add(Fault.RECORD_GONE, place.row(), told)
        elif place.known_in(redacted):
            opened.redacted += 1
        elif leaf_id in pending:
            opened.unlisted += 1
            if leaf_id in overdue:
                told = "what opened this leaf is gone, and no redaction lists it, which a day's run would have done"
                findings.add(Fault.RECORD_GONE, place.row(), told)
        else:
            told = "what opened this leaf is gone, and no redaction lists it"
            findings.add(Fault.RECORD_GONE, place.row(), told)
    return opened, findings


def leafless(program_id: int | None, logs: Mapping[int, Log], findings: Findings) -> None:
    """What has no leaf and should have one, or whose leaf is gone. Under the tenant, within a snapshot."""
    for kind in _kinds(program_id):
        asked = {"program": program_id, "type": kind.leaf}
        for (row_id,) in streamed(_LEAFLESS.format(table=kind.table, own=kind.own, opens=kind.opens), asked):
            findings.add(
                Fault.RECORD_WITHOUT_LEAF,
                f"{kind.table} {row_id}",
                "it has no leaf, or its leaf is gone, or is another's",
            )
    if program_id is None:
        _omitted_of_accounts(findings)
    else:
        _omitted(program_id, logs, findings)


def _kinds(program_id: int | None) -> Sequence[Kind]:
    return KINDS if program_id is not None else [OF_ACCOUNTS]


def _omitted(program_id: int, logs: Mapping[int, Log], findings: Findings) -> None:
    """Entries without a leaf are from before there was a log: those that by their time or number are not were put beside it. Where the
    first checkpoint has none of the mini-program, its first entry with a leaf takes its place."""
    first = next((log for log in logs.values() if log.times), None)
    if first is None:
        return
    asked = {
        "program": program_id,
        "since": first.times[0] + MINUTE,
        "origin": first.origin.number,
        "size": first.sizes[0],
    }
    for (row_id,) in streamed(_OMITTED, asked):
        findings.add(
            Fault.RECORD_WITHOUT_LEAF, f"audit_entry {row_id}", "it has no leaf, and is later than the first checkpoint"
        )


def _omitted_of_accounts(findings: Findings) -> None:
    """Entries without a leaf are from before the log of accounts had any, which there was a log before: neither by their time nor by their
    number is one later than the first that has."""
    for (row_id,) in streamed(_OMITTED_OF_ACCOUNTS):
        findings.add(
            Fault.RECORD_WITHOUT_LEAF,
            f"account_entry {row_id}",
            "it has no leaf, and is later than the first that has one",
        )


@dataclass(slots=True)
class Place:
    """A leaf and where it is in a log; `log` None: it has no place."""

    leaf_id: int
    hash: bytes
    log: Log | None
    index: int | None
    placed: bytes | None

    def row(self) -> str:
        if self.log is None or self.index is None:
            return f"leaf {self.leaf_id}"
        return f"{self.log.row(self.index)} (leaf {self.leaf_id})"

    def known_in(self, places: Mapping[str, BitMap64]) -> bool:
        return self.log is not None and self.index in places.get(self.log.origin.name, ())


def _placed(place: Place, waiting: BitMap64, opened: Opened, findings: Findings) -> None:
    if place.log is None or place.index is None:
        opened.waiting += 1
        if place.leaf_id not in waiting:
            findings.add(Fault.LEAF_WITHOUT_PLACE, place.row(), "it has no place in the log, and does not wait for one")
        return
    opened.placed.setdefault(place.log.origin.number, BitMap64()).add(place.index)
    if place.hash != place.placed:
        told = "the leaf is not the one that was given this place"
        findings.add(Fault.LEAF_CHANGED, place.row(), told, since=place.log.last_good)


def _open(
    kind: Kind,
    place: Place,
    values: Sequence[Any],
    redacted: Mapping[str, BitMap64],
    newest: Log | None,
    opened: Opened,
    findings: Findings,
) -> None:
    row = _committed(kind, values, place.hash)
    opened.opened += 1
    if row is None:
        findings.add(Fault.RECORD_CHANGED, _named(kind, values, place), "it is not what its leaf commits to")
    elif place.known_in(redacted):
        findings.add(Fault.RECORD_NOT_ERASED, _named(kind, values, place), "a redaction lists it, and it is there")
    elif (missed := _missed(place, newest, kind.dated(row))) is not None:
        told = f"by its date it would be in the checkpoint of size {missed}: dated back, or written very slowly"
        findings.add(Fault.LATE, _named(kind, values, place), told, since=missed)


def _committed(kind: Kind, values: Sequence[Any], hashed: bytes) -> Any:
    """The row that the leaf commits to; None of another, also of one that has no canonical form."""
    try:
        row = kind.read(values)
        return row if leaf_hash(kind.leaf, bytes(row.salt or b""), kind.canonical(row)) == hashed else None
    except (ValueError, RecursionError):
        return None


def _missed(place: Place, newest: Log | None, promised: datetime) -> int | None:
    """As `Log.missed`. A leaf without a place gets one behind all that the newest log has, and is late already if it will be then."""
    if place.log is not None and place.index is not None:
        return place.log.missed(place.index, promised)
    return None if newest is None else newest.missed(newest.size, promised)


def _named(kind: Kind, values: Sequence[Any], place: Place) -> str:
    return f"{kind.table} {values[0]} of {place.row()}"


def _redacted(logs: Mapping[int, Log]) -> dict[str, BitMap64]:
    """The listed places of each origin, whichever log lists them."""
    found: dict[str, BitMap64] = {}
    for log in logs.values():
        for origin, places in log.redacted.items():
            found[origin] = found.get(origin, BitMap64()) | places
    return found


def _overdue(logs: Mapping[int, Log]) -> BitMap64:
    """Erased leaves that a run of a later day would have listed: it lists what has a place before it gives others theirs. A day
    more is left to what was committed after midnight."""
    newest = max((log.times[-1].date() for log in logs.values() if log.times), default=None)
    if newest is None:
        return BitMap64()
    found = BitMap64()
    for leaf_id, origin, index in streamed(_PASSED, [newest - 2 * DAY]):
        covered = logs[origin].covered(index) if origin in logs else None
        if covered is not None and covered.date() < newest:
            found.add(leaf_id)
    return found


def without_leaf(logs: Mapping[int, Log], opened: Opened, findings: Findings) -> None:
    """After all mini-programs: places whose leaf nobody has."""
    for number, log in logs.items():
        for index in log.present - opened.placed.get(number, BitMap64()) - log.said - log.unsaid:
            findings.add(Fault.LEAF_GONE, log.row(index), "the leaf that was given this place is gone")


def programs() -> Iterator[int]:
    yield from (row[0] for row in streamed("SELECT id FROM program ORDER BY id"))
