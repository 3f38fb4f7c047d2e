"""Writes authorised events: packed rows straight into the partitioned table by binary COPY, or one INSERT for a retry."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from django.db import connection
from pyroaring import BitMap64

from consent.statements import Answer, Int8s, Json, ask
from tracking.ingest.gate import Candidate
from tracking.ingest.parse import Said

_COLUMNS = (
    "subject_id, consent_record_id, type_id, occurred_at, corrected_at, received_at, day, event_id, page_id, dwell_ms,"
    " session_id, scene, context, properties"
)
_COPY = f"COPY event ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(2000, 1, 1)
_NULL = struct.pack(">i", -1)
_HEAD = struct.Struct(">hiqiqiqiqiqiqiii")
"""Of each row: the number of fields, those that are never null, and the length of the last of these, the event's id."""
_INT8 = struct.Struct(">iq")
_INT4 = struct.Struct(">ii")
_LENGTH = struct.Struct(">i")
_LENGTHS = [_LENGTH.pack(length) for length in range(4 * 64 + 1)]
"""Of the texts: 64 characters at most, of four bytes at most."""
_JSONB = b"\x01"
_json = msgspec.json.Encoder()


@dataclass(slots=True)
class Rows:
    """Events as they are stored: authorised, with the ids of their pages."""

    events: Sequence[Candidate]
    pages: Mapping[str, int]
    received_at: datetime


def copy(rows: Rows) -> None:
    """COPY; the caller acts as `zq_ingest`, which may insert past row-level security and do nothing else.

    The tenant is a column default. Raises psycopg's own errors (Django does not wrap those of a COPY): UniqueViolation
    where an event is there already.
    """
    data = _packed(rows)
    with connection.cursor() as cursor, cursor.copy(_COPY) as stream:
        stream.write(data)


_INSERT = f"""
    INSERT INTO event ({_COLUMNS})
    SELECT {_COLUMNS} FROM json_to_recordset(%s) AS sent(
        subject_id bigint, consent_record_id bigint, type_id bigint, page_id bigint, occurred_at timestamptz,
        corrected_at timestamptz, received_at timestamptz, day date, dwell_ms int, event_id text, session_id text,
        scene text, context jsonb, properties jsonb)
    ON CONFLICT DO NOTHING RETURNING day, subject_id, event_id
"""


class _Row(msgspec.Struct, omit_defaults=True, gc=False):
    """An event as _INSERT takes it."""

    subject_id: int
    consent_record_id: int
    type_id: int
    page_id: int | None
    occurred_at: datetime
    corrected_at: datetime
    received_at: datetime
    day: date
    dwell_ms: int | None
    event_id: str
    session_id: str | None
    scene: str | None
    context: dict[str, Any] | None
    properties: dict[str, Any] | None


def ask_insert(rows: Rows) -> Answer:
    """Row by row, for few rows or where some may be there already; answers the keys of those that were not."""
    return ask(_INSERT, [Json(_json.encode([_row(event, rows) for event in rows.events]))])


def _row(event: Candidate, rows: Rows) -> _Row:
    sent = event.read.sent
    return _Row(
        event.subject_id,
        event.record_id,
        event.event_type.id,
        None if sent.page is None else rows.pages[sent.page],
        # PostgreSQL reads no offset of 16 hours or more, which RFC 3339 allows.
        sent.occurred_at.astimezone(UTC),
        event.corrected_at,
        rows.received_at,
        event.day,
        sent.dwell_ms,
        sent.event_id,
        sent.session_id,
        None if sent.scene is None else str(sent.scene),
        event.read.context.values or None,
        event.read.properties.values or None,
    )


# In key order, so that two batches wait for each other and never deadlock. Days as numbers, which are quick to send.
_MARK_DAYS = """
    INSERT INTO subject_day (subject_id, day, program_id)
    SELECT s, date '2000-01-01' + n::int, %s FROM unnest(%s::bigint[], %s::bigint[]) AS w(s, n)
    ORDER BY s, n ON CONFLICT DO NOTHING
"""


_marked: WeakKeyDictionary[object, dict[date, BitMap64]] = WeakKeyDictionary()
"""By connection, the subjects of a day that are marked: a row of theirs goes with the subject or the day's partition only
(tracking/retention.py). After a failover, which may have lost the last rows, a connection is another one."""
_MAX_DAYS = 64


@dataclass(slots=True)
class MarkedDays:
    """Keeps each subject's active days: to be made within `together`, remembered after the commit."""

    new: dict[date, BitMap64]

    @classmethod
    def ask(cls, program_id: int, events: Sequence[Candidate]) -> "MarkedDays":
        known = _marked.get(connection.connection, {})
        named: dict[date, list[int]] = {}
        for event in events:
            named.setdefault(event.day, []).append(event.subject_id)
        new = {day: BitMap64(ids) - known.get(day, BitMap64()) for day, ids in named.items()}
        subjects = [subject_id for ids in new.values() for subject_id in ids]
        if subjects:
            days = [_day_number(day) for day, ids in new.items() for _ in ids]
            ask(_MARK_DAYS, [program_id, Int8s.of(subjects), Int8s.of(days)])
        return cls(new)

    def remember(self) -> None:
        known = _marked.setdefault(connection.connection, {})
        if len(known) + len(self.new) > _MAX_DAYS:
            known.clear()
        for day, ids in self.new.items():
            held = known.setdefault(day, BitMap64())
            held |= ids


_pages: dict[tuple[int, str], int] = {}
"""Shared pages only: no erasure deletes those, so their ids hold for ever."""
_MAX_PAGES = 100_000

_KNOWN_PAGES = "SELECT path, id, subject_id FROM page WHERE program_id = %s AND path = ANY(%s)"
# Waits for whoever creates, shares or erases the same page, and then has a row that nobody deletes before our commit.
_NAME_PAGES = """
    INSERT INTO page (program_id, path, subject_id)
    SELECT %s, path, subject_id FROM unnest(%s::text[], %s::bigint[]) AS named(path, subject_id)
    ON CONFLICT (program_id, path) DO UPDATE
        SET subject_id = CASE WHEN page.subject_id = excluded.subject_id THEN page.subject_id END
    RETURNING path, id, subject_id
"""


def page_ids(program_id: int, events: Sequence[Candidate]) -> tuple[dict[str, int], dict[str, int]]:
    """Path -> id for the authorised events' pages, and those of them that are shared (see Page.subject_id).

    New ones are created here: a refused event's page is stored nowhere. A page that only another subject has named so
    far becomes shared, under its lock, since that subject may be being erased. A page that only this subject has named
    needs none: the gate's lock keeps its erasure from beginning.
    """
    paths = {path for event in events if (path := event.read.sent.page) is not None}
    found = {path: _pages[program_id, path] for path in paths if (program_id, path) in _pages}
    visitors: dict[str, set[int]] = {path: set() for path in paths if path not in found}
    if visitors:
        for event in events:
            if (path := event.read.sent.page) in visitors:
                visitors[path].add(event.subject_id)
    unknown = list(visitors)
    lasting: dict[str, int] = {}
    for path, page_id, subject_id in ask(_KNOWN_PAGES, [program_id, unknown]).rows() if unknown else ():
        if subject_id is None:
            lasting[path] = page_id
        elif visitors[path] == {subject_id}:
            found[path] = page_id
    # In order of their paths, as with the days.
    if missing := sorted(visitors.keys() - found.keys() - lasting.keys()):
        owners = [next(iter(visitors[path])) if len(visitors[path]) == 1 else None for path in missing]
        for path, page_id, subject_id in ask(_NAME_PAGES, [program_id, missing, owners]).rows():
            (lasting if subject_id is None else found)[path] = page_id
    return found | lasting, lasting


def remember_pages(program_id: int, lasting: dict[str, int]) -> None:
    """Only after the commit: an id of a transaction that was rolled back must not be used again."""
    if len(_pages) + len(lasting) > _MAX_PAGES:
        _pages.clear()
    _pages.update({(program_id, path): page_id for path, page_id in lasting.items()})


def _packed(rows: Rows) -> bytes:
    """COPY's binary format: for each row the number of fields, then for each its length (-1: null) and bytes."""
    received = _micros(rows.received_at)
    pages = {path: _INT8.pack(8, page_id) for path, page_id in rows.pages.items()}
    parts = [_HEADER]
    for event in rows.events:
        read = event.read
        sent = read.sent
        page, dwell_ms, session_id, scene = sent.page, sent.dwell_ms, sent.session_id, sent.scene
        subject, record, type_id = event.subject_id, event.record_id, event.event_type.id
        event_id = sent.event_id.encode()
        at, corrected, day = _micros(sent.occurred_at), _micros(event.corrected_at), _day_number(event.day)
        parts += (
            _HEAD.pack(14, 8, subject, 8, record, 8, type_id, 8, at, 8, corrected, 8, received, 4, day, len(event_id)),
            event_id,
            _NULL if page is None else pages[page],
            _NULL if dwell_ms is None else _INT4.pack(4, dwell_ms),
            _NULL if session_id is None else _text(session_id),
            _NULL if scene is None else _text(str(scene)),
            read.context.packed or _field(read.context),
            read.properties.packed or _field(read.properties),
        )
    parts.append(_TRAILER)
    return b"".join(parts)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _LENGTHS[len(encoded)] + encoded


def _field(said: Said) -> bytes:
    if said.packed is None:
        encoded = _json.encode(said.values)
        said.packed = _LENGTH.pack(len(encoded) + 1) + _JSONB + encoded if said.values else _NULL
    return said.packed


def _micros(moment: datetime) -> int:
    """Microseconds since 2000-01-01 UTC, exactly."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@lru_cache(maxsize=1024)
def _day_number(day: date) -> int:
    return (day - _EPOCH_DAY).days
