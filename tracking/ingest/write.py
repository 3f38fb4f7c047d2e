"""Writes authorised events: packed rows straight into the partitioned table by binary COPY, or one INSERT for a retry."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

import msgspec
from django.db import connection

from consent.programs.tenancy import role
from tracking.ingest.gate import Authorised
from tracking.models import Page

_COLUMNS = (
    "subject_id, consent_record_id, type_id, page_id, occurred_at, corrected_at, received_at, day, dwell_ms, event_id,"
    " session_id, scene, context, properties"
)
_COPY = f"COPY event ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(2000, 1, 1)
_NULL = struct.pack(">i", -1)
_HEAD = struct.Struct(">hiqiqiq")
_TIMES = struct.Struct(">iqiqiqii")
_INT8 = struct.Struct(">iq")
_INT4 = struct.Struct(">ii")
_LENGTH = struct.Struct(">i")
_FIELDS = 14
_JSONB = b"\x01"
_json = msgspec.json.Encoder()


@dataclass(slots=True)
class Row:
    """An event as it is stored."""

    event: Authorised
    page_id: int | None
    received_at: datetime


def copy(rows: Sequence[Row]) -> None:
    """COPY as `zq_ingest`, which may insert past row-level security and do nothing else. The tenant is a column default.

    Raises psycopg's own errors (Django does not wrap those of a COPY): UniqueViolation where an event is there already.
    """
    data = b"".join((_HEADER, *map(_packed, rows), _TRAILER))
    with role("zq_ingest"), connection.cursor() as cursor, cursor.copy(_COPY) as stream:
        stream.write(data)


def insert(rows: Sequence[Row]) -> set[tuple[date, int, str]]:
    """Row by row where some may be there already; answers (day, subject id, event id) of those that were not."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO event ({_COLUMNS})"
            " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[],"
            " %s::timestamptz[], %s::timestamptz[], %s::date[], %s::int[], %s::text[], %s::text[], %s::text[],"
            " %s::jsonb[], %s::jsonb[])"
            " ON CONFLICT DO NOTHING RETURNING day, subject_id, event_id",
            [list(column) for column in zip(*map(_values, rows), strict=True)],
        )
        return {(row[0], row[1], row[2]) for row in cursor.fetchall()}


def mark_days(program_id: int, rows: Sequence[Row]) -> None:
    """Keep each subject's active days, in key order so that two batches wait for each other and never deadlock."""
    pairs = sorted({(row.event.subject_id, row.event.candidate.day) for row in rows})
    subjects, days = map(list, zip(*pairs, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.subject_id, d.day FROM subject_day d"
            " JOIN unnest(%s::bigint[], %s::date[]) AS w(subject_id, day) USING (subject_id, day)",
            [subjects, days],
        )
        known = {(row[0], row[1]) for row in cursor.fetchall()}
        missing = [pair for pair in pairs if pair not in known]
        if missing:
            subjects, days = map(list, zip(*missing, strict=True))
            cursor.execute(
                "INSERT INTO subject_day (subject_id, day, program_id)"
                " SELECT s, d, %s FROM unnest(%s::bigint[], %s::date[]) AS w(s, d) ORDER BY s, d ON CONFLICT DO NOTHING",
                [program_id, subjects, days],
            )


_pages: dict[tuple[int, str], int] = {}
"""Shared pages only: no erasure deletes those, so their ids hold for ever."""
_MAX_PAGES = 100_000

# Waits for whoever creates, shares or erases the same page, and then has a row that nobody deletes before our commit.
_NAME_PAGES = """
    INSERT INTO page (program_id, path, subject_id)
    SELECT %s, path, subject_id FROM unnest(%s::text[], %s::bigint[]) AS named(path, subject_id)
    ON CONFLICT (program_id, path) DO UPDATE
        SET subject_id = CASE WHEN page.subject_id = excluded.subject_id THEN page.subject_id END
    RETURNING path, id, subject_id
"""


def page_ids(program_id: int, events: Sequence[Authorised]) -> tuple[dict[str, int], dict[str, int]]:
    """Path -> id for the authorised events' pages, and those of them that are shared (see Page.subject_id).

    New ones are created here: a refused event's page is stored nowhere. A page that only another subject has named so
    far becomes shared, under its lock, since that subject may be being erased. A page that only this subject has named
    needs none: the gate's lock keeps its erasure from beginning.
    """
    visitors: dict[str, set[int]] = {}
    for event in events:
        if (path := event.candidate.sent.page) is not None:
            visitors.setdefault(path, set()).add(event.subject_id)
    found = {path: _pages[program_id, path] for path in visitors if (program_id, path) in _pages}
    unknown = [path for path in visitors if path not in found]
    lasting: dict[str, int] = {}
    rows = Page.objects.filter(program_id=program_id, path__in=unknown) if unknown else Page.objects.none()
    for path, page_id, subject_id in rows.values_list("path", "id", "subject_id"):
        if subject_id is None:
            lasting[path] = page_id
        elif visitors[path] == {subject_id}:
            found[path] = page_id
    # In order of their paths, as with the days.
    if missing := sorted(visitors.keys() - found.keys() - lasting.keys()):
        owners = [next(iter(visitors[path])) if len(visitors[path]) == 1 else None for path in missing]
        with connection.cursor() as cursor:
            cursor.execute(_NAME_PAGES, [program_id, missing, owners])
            for path, page_id, subject_id in cursor.fetchall():
                (lasting if subject_id is None else found)[path] = page_id
    return found | lasting, lasting


def remember_pages(program_id: int, lasting: dict[str, int]) -> None:
    """Only after the commit: an id of a transaction that was rolled back must not be used again."""
    if len(_pages) + len(lasting) > _MAX_PAGES:
        _pages.clear()
    _pages.update({(program_id, path): page_id for path, page_id in lasting.items()})


def _values(row: Row) -> tuple[object, ...]:
    event, candidate = row.event, row.event.candidate
    sent = candidate.sent
    return (
        event.subject_id,
        event.record_id,
        event.event_type.id,
        row.page_id,
        sent.occurred_at,
        candidate.corrected_at,
        row.received_at,
        candidate.day,
        sent.dwell_ms,
        sent.event_id,
        sent.session_id,
        None if sent.scene is None else str(sent.scene),
        _json.encode(sent.context).decode() if sent.context else None,
        _json.encode(sent.properties).decode() if sent.properties else None,
    )


def _packed(row: Row) -> bytes:
    """One row in COPY's binary format: the number of fields, then for each its length (-1: null) and bytes."""
    event, candidate = row.event, row.event.candidate
    sent = candidate.sent
    return b"".join(
        (
            _HEAD.pack(_FIELDS, 8, event.subject_id, 8, event.record_id, 8, event.event_type.id),
            _NULL if row.page_id is None else _INT8.pack(8, row.page_id),
            _TIMES.pack(
                8, _micros(sent.occurred_at), 8, _micros(candidate.corrected_at), 8, _micros(row.received_at),
                4, _day_number(candidate.day),
            ),
            _NULL if sent.dwell_ms is None else _INT4.pack(4, sent.dwell_ms),
            _text(sent.event_id),
            _text(sent.session_id),
            _text(None if sent.scene is None else str(sent.scene)),
            _jsonb(sent.context),
            _jsonb(sent.properties),
        )
    )  # fmt: skip


def _text(value: str | None) -> bytes:
    if value is None:
        return _NULL
    encoded = value.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def _jsonb(value: dict[str, object] | None) -> bytes:
    if not value:
        return _NULL
    encoded = _json.encode(value)
    return _LENGTH.pack(len(encoded) + 1) + _JSONB + encoded


def _micros(moment: datetime) -> int:
    """Microseconds since 2000-01-01 UTC, exactly."""
    passed = moment - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


@lru_cache(maxsize=1024)
def _day_number(day: date) -> int:
    return (day - _EPOCH_DAY).days
