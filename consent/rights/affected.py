"""Whom and what a breach touches (PIPL 57): the subjects and fields behind a key, a table, or a window of time.

Apps say in personal_data.py how the subjects of a table are found (`trace`), and in the classification which family of
the keyring guards a field. `find` looks through one mini-program in one statement, and streams what it finds; `tally` counts it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Model

from consent.errors import Invalid
from consent.ledger.audit import audit
from consent.programs.tenancy import tenant
from consent.records.minors import MINOR
from consent.records.queries import db_now
from consent.rights.classification import classified, classified_models
from consent.vault.keyring import FAMILIES

CHUNK = 10_000


@dataclass(frozen=True)
class Trace:
    """SQL that answers the subject_id of a table's rows of %(program)s: of all of them, and of those written from
    %(since)s until %(until)s; None where no row tells when it was."""

    rows: str
    written: str | None


@dataclass(frozen=True)
class OfKey:
    """A version of the keyring's key of a family; `family` None: of each family."""

    version: int
    family: str | None = None


@dataclass(frozen=True)
class OfTable:
    name: str


@dataclass(frozen=True)
class OfTime:
    """What was written from `since` until before `until`."""

    since: datetime
    until: datetime


Breach = OfKey | OfTable | OfTime


@dataclass(frozen=True)
class Field:
    """A column that the breach touches, as the registry classifies it."""

    table: str
    column: str
    classification: str
    grade: int


@dataclass(frozen=True)
class Affected:
    """A subject, the tables in which it was found, and whether it is under 18; None where that was not asked."""

    pseudonym: UUID
    tables: tuple[str, ...]
    minor: bool | None = None


_traces: dict[str, Trace] = {}
_keys: dict[str, dict[str, str]] = {family: {} for family in FAMILIES}


def trace(model: type[Model], *times: str, rows: str = "", written: str = "") -> None:
    """Declare how a table's subjects are found: by its own subject_id, and `times` when a row was written or changed.

    `rows` and `written` are SQL (see Trace) for a table that has no such columns. Raises ValueError for one declared twice.
    """
    table = model._meta.db_table
    if table in _traces:
        raise ValueError(f"{table} is traced already")
    own = rows or f"SELECT subject_id FROM {table} WHERE program_id = %(program)s AND subject_id IS NOT NULL"
    within = " OR ".join(f"({name} >= %(since)s AND {name} < %(until)s)" for name in times)
    _traces[table] = Trace(own, written or (f"{own} AND ({within})" if within else None))


def trace_key(family: str, model: type[Model], rows: str) -> None:
    """Declare where a family's %(version)s was used; `rows` is SQL that answers the subject_id of those rows."""
    _keys[family][model._meta.db_table] = rows


def traced() -> Mapping[str, Trace]:
    return _traces


def fields(breach: Breach, tables: frozenset[str] = frozenset()) -> list[Field]:
    """The fields a breach touches. `tables`: where a window of time found somebody.

    Raises Invalid `unknown_table` for a table that is none of the service's.
    """
    if isinstance(breach, OfKey):
        guarded = _families(breach)
        return [field for field, key in _registry() if key in guarded]
    if isinstance(breach, OfTime):
        return [field for field, _ in _registry() if field.table in tables]
    found = [field for field, _ in _registry() if field.table == breach.name]
    if not found:
        raise Invalid("unknown_table", f"there is no such table; the tables are {', '.join(known_tables())}")
    return found


@contextmanager
def find(*, program_id: int, breach: Breach, by: str, seconds: int, ages: bool = False) -> Iterator[Iterator[Affected]]:
    """The subjects of a mini-program that a breach touches, in the order of their ids, while the block is open. `ages`: with
    whether each is under 18.

    An audit entry says that they were listed, committed before the first is read. `seconds`: in which PostgreSQL has to find
    them, or it raises OperationalError; 0: however long it takes.
    """
    _note(program_id, breach, by)
    with tenant(program_id):
        yield _found(program_id, breach, seconds, MINOR if ages else "NULL")


def tally(*, program_id: int, breach: Breach, by: str, seconds: int) -> Counter[tuple[str, ...]]:
    """How many subjects were found in which tables. As `find`, in one statement."""
    _note(program_id, breach, by)
    merged = _merged(breach)
    if merged is None:
        return Counter()
    statement, tables = merged
    with tenant(program_id), connection.cursor() as cursor:
        _prepare(cursor, seconds)
        cursor.execute(
            f"SELECT places, count(*) FROM ({statement}) AS merged JOIN subject USING (subject_id) GROUP BY places",
            {"program": program_id, **_parameters(breach)},
        )
        return Counter({_named(tables, places): number for places, number in cursor.fetchall()})


def key_named(text: str) -> OfKey:
    """A version (`1`), or one of a family (`index:1`). Raises Invalid `unknown_key`."""
    family, _, version = text.rpartition(":")
    if (family and family not in FAMILIES) or not version.isascii() or not version.isdigit() or len(version) > 9:
        raise Invalid("unknown_key", f"write a version, as 1, or one of a family, as {FAMILIES[1]}:1")
    return OfKey(int(version), family or None)


def known_tables() -> list[str]:
    """The tables that a breach may be of."""
    return sorted({field.table for field, _ in _registry()})


def described(breach: Breach) -> dict[str, Any]:
    """What was asked for, as JSON has it."""
    if isinstance(breach, OfKey):
        return {"key": breach.version, "families": list(_families(breach))}
    if isinstance(breach, OfTable):
        return {"table": breach.name}
    return {"from": breach.since.isoformat(), "to": breach.until.isoformat()}


def arguments(breach: Breach) -> str:
    """How `manage.py affected` is asked for it."""
    if isinstance(breach, OfKey):
        return f"--key {breach.version if breach.family is None else f'{breach.family}:{breach.version}'}"
    if isinstance(breach, OfTable):
        return f"--table {breach.name}"
    return f"--from {breach.since.isoformat()} --to {breach.until.isoformat()}"


def _families(breach: OfKey) -> tuple[str, ...]:
    return FAMILIES if breach.family is None else (breach.family,)


def _registry() -> Iterator[tuple[Field, str | None]]:
    """Every classified column, and the family of the key that guards it."""
    for label in classified_models():
        model = apps.get_model(label)
        for name, said in classified(model).items():
            column = model._meta.get_field(name).column
            yield Field(model._meta.db_table, column, said.kind.value, said.grade), said.key


def _searches(breach: Breach) -> dict[str, str]:
    """Table -> SQL that answers the subjects there."""
    if isinstance(breach, OfKey):
        return {table: rows for family in _families(breach) for table, rows in _keys[family].items()}
    if isinstance(breach, OfTable):
        return {breach.name: _traces[breach.name].rows} if breach.name in _traces else {}
    return {table: found.written for table, found in _traces.items() if found.written is not None}


def _note(program_id: int, breach: Breach, by: str) -> None:
    with tenant(program_id):
        audit(
            program_id=program_id,
            actor=by,
            action="breach.listed",
            target=f"program:{program_id}",
            details=described(breach),
        )


def _found(program_id: int, breach: Breach, seconds: int, minor: str) -> Iterator[Affected]:
    merged = _merged(breach)
    if merged is None:
        return
    statement, tables = merged
    with connection.cursor() as cursor:
        _prepare(cursor, seconds)
    now = db_now()
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            f"SELECT pseudonym, places, {minor} FROM ({statement}) AS merged JOIN subject USING (subject_id) ORDER BY subject_id",
            {"program": program_id, "now": now, **_parameters(breach)},
        )
        while chunk := cursor.fetchmany(CHUNK):
            for pseudonym, places, under_18 in chunk:
                yield Affected(pseudonym, _named(tables, places), under_18)


def _merged(breach: Breach) -> tuple[str, list[str]] | None:
    """SQL that answers each subject_id with the places where it was found, as bits, and the table of each; None: it is found nowhere."""
    searches = _searches(breach)
    if not searches:
        return None
    # What several tables have in common, as an event and the day it marks, is read once.
    places: dict[str, int] = defaultdict(int)
    for place, rows in enumerate(searches.values()):
        places[rows] |= 1 << place
    # Each search comes to a set by itself, so that a table of many rows a subject is no longer large when they are joined.
    parts = " UNION ALL ".join(
        f"SELECT {bits}::bigint AS place, subject_id FROM ({rows}) AS rows_{number} GROUP BY subject_id"
        for number, (rows, bits) in enumerate(places.items())
    )
    return f"SELECT subject_id, bit_or(place) AS places FROM ({parts}) AS found GROUP BY subject_id", list(searches)


def _prepare(cursor: CursorWrapper, seconds: int) -> None:
    """For this transaction. All rows are wanted, and whole tables are joined: what the planner expects without statistics, or
    of a cursor's first rows, is a loop over each."""
    cursor.execute("SET LOCAL enable_nestloop = off; SET LOCAL cursor_tuple_fraction = 1")
    cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{seconds}s"])


def _named(tables: list[str], places: int) -> tuple[str, ...]:
    return tuple(name for place, name in enumerate(tables) if places & 1 << place)


def _parameters(breach: Breach) -> dict[str, Any]:
    """`first` and `last`: the UTC days on which the window begins and on which it ends."""
    if isinstance(breach, OfKey):
        return {"version": breach.version}
    if isinstance(breach, OfTable):
        return {}
    until = breach.until - timedelta(microseconds=1)
    return {
        "since": breach.since,
        "until": breach.until,
        "first": breach.since.astimezone(UTC).date(),
        "last": until.astimezone(UTC).date(),
    }
