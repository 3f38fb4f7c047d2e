"""The only door to identifiers: resolve, create, attach, detach, replace, open. Nothing else reads or writes them."""

import json
import os
import uuid
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db import connection

from consent.errors import Conflict, Invalid
from consent.programs.models import MiniProgram
from consent.statements import Byteas, ask
from consent.vault import envelope, keyring, writing
from consent.vault.envelope import Cell, SubjectKey
from consent.vault.lookup import INDEX_BYTES, KINDS, PHONE, PSEUDONYM, Identifiers, Lookup, normalise
from consent.vault.models import DataKey, IdentifierKind, Subject, SubjectIdentifier, SubjectLookup
from consent.vault.store import KeyStore
from consent.vault.suites import NAMED, DoesNotOpen, Suite, ready


@dataclass(frozen=True)
class Vault:
    """A keyring with what is prepared from it; passed into the domain, which keeps it for one call."""

    keyring: keyring.Keyring
    _suites: dict[int, Suite] = field(default_factory=dict)

    @classmethod
    def load(cls, store: KeyStore) -> "Vault":
        """Raises KeyringError."""
        return cls(keyring.load(store))

    @cached_property
    def lookup(self) -> Lookup:
        return Lookup(self.keyring, self.suite)

    def suite(self, program_id: int) -> Suite:
        """The mini-program's, which it has for life. Raises Unavailable `suite_unavailable`, MiniProgram.DoesNotExist."""
        if program_id not in self._suites:
            name = MiniProgram.objects.values_list("suite", flat=True).get(id=program_id)
            self._suites[program_id] = ready(NAMED[name])
        return self._suites[program_id]

    def data_key(self, program_id: int, subject_id: int) -> SubjectKey:
        """Raises DataKey.DoesNotExist once the subject is erased; DoesNotOpen where it is no key of the mini-program's suite, or
        under another key than its row says; KeyringError."""
        wrapped, version = DataKey.objects.values_list("wrapped", "key_version").get(subject_id=subject_id)
        return self.unwrapped(program_id, subject_id, bytes(wrapped), version)

    def unwrapped(self, program_id: int, subject_id: int, wrapped: bytes, version: int) -> SubjectKey:
        """The same of a row that was read already."""
        found = envelope.unwrap(self.keyring, wrapped, program_id=program_id, subject_id=subject_id)
        if found.suite is not self.suite(program_id) or envelope.key_version(wrapped) != version:
            raise DoesNotOpen("the data key is of another suite or key version than it should be")
        return found


class Held:
    """The vault as a process holds it: made anew when the store has another keyring."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._held: tuple[Hashable, Vault] | None = None

    def vault(self) -> Vault:
        """Raises KeyringError."""
        state, held = self._store.state(), self._held
        if held is None or held[0] != state:
            held = self._held = state, Vault.load(self._store)
        return held[1]


class SubjectTaken(Exception):
    """Another transaction created the same subject first: roll back and resolve again."""


def checked(identifiers: Identifiers) -> dict[str, str]:
    """Normalised. Raises Invalid for an unknown kind, a bad value, or none at all."""
    unknown = [kind for kind in identifiers if kind not in KINDS]
    if unknown or not identifiers:
        raise Invalid("invalid_identifier", f"name the subject by one or more of {', '.join(KINDS)}")
    return {kind: normalise(kind, value) for kind, value in identifiers.items()}


def checked_values(identifiers: Identifiers, *, pointer: str) -> dict[str, str]:
    """Values to be kept, of which a phone may be one; normalised. Raises Invalid at `pointer`/<kind>."""
    if not set(identifiers) <= set(IdentifierKind.values):
        raise Invalid(
            "invalid_identifier", f"a subject has identifiers of the kinds {', '.join(IdentifierKind.values)}"
        )
    return {kind: normalise(kind, value, pointer=pointer) for kind, value in identifiers.items()}


def refuse_closed(subject: Subject) -> None:
    """Raises Conflict where the subject's data may only be stored: `erasure_pending`, `restricted`."""
    if subject.erasure_pending:
        raise Conflict("erasure_pending", "the subject asked to be erased; take that request back first")
    if subject.restricted:
        raise Conflict("restricted", "the subject's data are restricted: they are stored and not used")


def resolve(vault: Vault, program_id: int, identifiers: Identifiers) -> int | None:
    """The internal id of the subject the identifiers name, or None. Raises Invalid, Conflict `identity_conflict`."""
    return resolve_many(vault, program_id, [checked(identifiers)])[0]


def resolve_many(vault: Vault, program_id: int, named: list[dict[str, str]]) -> list[int | None]:
    """One query for any number of subjects; `named` is checked. Raises Conflict where one name means two subjects."""
    return AskedSubjects(vault, program_id, [identifiers.items() for identifiers in named]).each()


class AskedSubjects:
    """The same within `together`, made in it and read after it; `named` as (kind, value) pairs.

    `wanted`: the indexes of all of them, for a statement beside it that finds a subject itself.
    """

    def __init__(self, vault: Vault, program_id: int, named: Iterable[Iterable[tuple[str, str]]]) -> None:
        self._indexes = vault.lookup.indexes(program_id, named)
        self.wanted = Byteas.of({item for group in self._indexes for item in group}, size=INDEX_BYTES)
        self._asked = ask("SELECT index, subject_id FROM subject_lookup WHERE index = ANY(%b)", [self.wanted])

    def found(self) -> list[set[int]]:
        found = dict(self._asked.rows())
        return [{found[item] for item in group if item in found} for group in self._indexes]

    def each(self) -> list[int | None]:
        """The one subject that each name means, or None. Raises Conflict where one name means two."""
        answers = self.found()
        if any(len(found) > 1 for found in answers):
            raise Conflict("identity_conflict", "these identifiers belong to two subjects; name the one you mean")
        return [next(iter(found), None) for found in answers]


def create(vault: Vault, program_id: int, identifiers: Identifiers) -> Subject:
    """A new subject with handle, pseudonym, lookups of every enabled key version, data key and sealed identifiers.

    Raises SubjectTaken where an identifier was taken meanwhile: the caller rolls back. Raises Invalid for a pseudonym,
    which only Zhiqing gives out; Unavailable as `writing.hold`.
    """
    if PSEUDONYM in identifiers:
        raise Invalid("unknown_subject", "no subject has this subject_id; name new subjects by the platform's id")
    writing.hold(vault.keyring)
    subject = Subject.objects.create(program_id=program_id, pseudonym=uuid.uuid4(), erasure_handle=os.urandom(16))
    _add_lookups(vault, subject, {**identifiers, PSEUDONYM: str(subject.pseudonym)})
    data_key = envelope.new_data_key(vault.suite(program_id))
    wrapped, version = envelope.wrap(vault.keyring, data_key, program_id=program_id, subject_id=subject.id)
    DataKey.objects.create(subject=subject, program_id=program_id, wrapped=wrapped, key_version=version)
    _seal_identifiers(vault, data_key, subject, identifiers)
    return subject


def attach(vault: Vault, subject: Subject, named: Identifiers, *, more: Identifiers | None = None) -> list[str]:
    """Add the kinds a known subject lacks, of those that named it and of `more`; answers which. The caller holds its row.

    Raises Conflict `identity_conflict` where the subject has another value of a kind or another subject has the value,
    SubjectTaken on a race: the caller rolls back and resolves again.
    """
    held = _held(vault, subject)
    _check_still_named(named, held)
    wanted = [item for item in [*named.items(), *(more or {}).items()] if item[0] != PSEUDONYM]
    known = {**named, **held}
    if any(known.get(kind, value) != value for kind, value in wanted):
        raise Conflict("identity_conflict", "the subject has another identifier of this kind; rectify it instead")
    added = {kind: value for kind, value in wanted if kind not in held}
    naming = [[item] for item in added.items() if item[0] in KINDS]
    if naming and any(AskedSubjects(vault, subject.program_id, naming).found()):
        raise Conflict("identity_conflict", "one of these identifiers belongs to another subject")
    if added:
        writing.hold(vault.keyring)
        _add_lookups(vault, subject, added)
        _seal_identifiers(vault, vault.data_key(subject.program_id, subject.id), subject, added)
    return list(added)


def detach(vault: Vault, subject: Subject, named: Identifiers, unwanted: Collection[str]) -> list[str]:
    """Remove the kinds that the subject has of `unwanted`; answers which. The caller holds the subject's row.

    Raises Conflict `last_identifier` where nobody could be recognised as the subject any more; SubjectTaken as `attach`.
    """
    held = _held(vault, subject)
    _check_still_named(named, held)
    removed = sorted(set(unwanted) & held.keys())
    if removed and not (held.keys() - removed) & set(KINDS):
        raise Conflict(
            "last_identifier",
            "without openid, unionid and external_id nobody can be recognised as this subject; add another one first,"
            " or file an erasure",
        )
    _delete(subject, removed)
    return removed


def _check_still_named(named: Identifiers, held: Identifiers) -> None:
    """Raises SubjectTaken where all that named the subject was taken from it, or put right, before its row was held."""
    if PSEUDONYM not in named and not any(held.get(kind) == value for kind, value in named.items()):
        raise SubjectTaken


def kinds(subject: Subject) -> list[str]:
    """The kinds of identifiers the subject has."""
    return list(SubjectIdentifier.objects.filter(subject=subject).order_by("kind").values_list("kind", flat=True))


def replace(vault: Vault, subject: Subject, identifiers: Identifiers) -> int:
    """Put new values in place of old ones (rectification); answers how many. The caller holds the subject's row.

    Raises SubjectTaken where a new value belongs to another subject.
    """
    writing.hold(vault.keyring)
    _delete(subject, list(identifiers))
    _add_lookups(vault, subject, identifiers)
    _seal_identifiers(vault, vault.data_key(subject.program_id, subject.id), subject, identifiers)
    return len(identifiers)


def _delete(subject: Subject, unwanted: Sequence[str]) -> None:
    SubjectLookup.objects.filter(subject_id=subject.id, kind__in=unwanted).delete()
    SubjectIdentifier.objects.filter(subject=subject, kind__in=unwanted).delete()


def opened(vault: Vault, subject: Subject) -> dict[str, str]:
    """The subject's identifiers in plaintext, kind -> value. Raises DoesNotOpen, also where one of them finds somebody else: who
    was found by it would be shown another person."""
    held = _held(vault, subject)
    naming = {kind: value for kind, value in held.items() if kind in KINDS} | {PSEUDONYM: str(subject.pseudonym)}
    found = AskedSubjects(vault, subject.program_id, [[item] for item in naming.items()]).found()
    if any(ids - {subject.id} for ids in found):
        raise DoesNotOpen("an identifier of the subject finds another subject")
    return held


def _held(vault: Vault, subject: Subject) -> dict[str, str]:
    data_key = vault.data_key(subject.program_id, subject.id)
    return of_rows(data_key, subject, SubjectIdentifier.objects.filter(subject=subject).order_by("kind"))


def of_rows(data_key: SubjectKey, subject: Subject, rows: Iterable[SubjectIdentifier]) -> dict[str, str]:
    """Kind -> value of rows that were read already. Raises DoesNotOpen."""
    return {
        row.kind: envelope.open_cell(data_key, bytes(row.sealed), identifier_cell(subject, row.kind)).decode()
        for row in rows
    }


def looked_up(vault: Vault, program_id: int, kind: str, value: str) -> list[int]:
    """The ids of those whom an officer looks for by a value as typed: nobody, one, or people who share a phone.

    Raises Invalid for a value that is none of its kind.
    """
    value = normalise(kind, value)
    if kind != PHONE:
        return sorted(AskedSubjects(vault, program_id, [[(kind, value)]]).found()[0])
    indexes = [vault.lookup.index(program_id, PHONE, value, version) for version in vault.lookup.versions]
    rows = SubjectIdentifier.objects.filter(program_id=program_id, lookup__in=indexes)
    return list(rows.order_by("subject_id").values_list("subject_id", flat=True))


def identifier_cell(subject: Subject, kind: str) -> Cell:
    return Cell(subject.program_id, "subject_identifier", "sealed", kind, subject.id)


def seal_json(data_key: SubjectKey, value: Any, cell: Cell) -> bytes:
    return envelope.seal(data_key, json.dumps(value, ensure_ascii=False).encode(), cell)


def open_json(data_key: SubjectKey, sealed: bytes, cell: Cell) -> Any:
    """Raises DoesNotOpen."""
    return json.loads(envelope.open_cell(data_key, bytes(sealed), cell))


def _seal_identifiers(vault: Vault, data_key: SubjectKey, subject: Subject, identifiers: Identifiers) -> None:
    SubjectIdentifier.objects.bulk_create(
        SubjectIdentifier(
            subject=subject,
            kind=kind,
            program_id=subject.program_id,
            sealed=envelope.seal(data_key, value.encode(), identifier_cell(subject, kind)),
            lookup=contact_index(vault, subject.program_id, value) if kind == PHONE else None,
            lookup_version=vault.lookup.primary,
        )
        for kind, value in identifiers.items()
    )


def contact_index(vault: Vault, program_id: int, phone: str) -> bytes:
    return vault.lookup.index(program_id, PHONE, phone, vault.lookup.primary)


def _add_lookups(vault: Vault, subject: Subject, identifiers: Identifiers) -> None:
    """Of the kinds that name a subject, in the order of their bytes, so that two creators of one subject wait for each
    other and never deadlock."""
    rows = [
        (vault.lookup.index(subject.program_id, kind, value, version), subject.id, kind, version)
        for kind, value in identifiers.items()
        if kind in KINDS
        for version in vault.lookup.versions
    ]
    if insert_lookups(subject.program_id, rows) != len(rows):
        raise SubjectTaken


def insert_lookups(program_id: int, rows: Collection[tuple[bytes, int, str, int]]) -> int:
    """Rows of (index, subject, kind, key version), in the order of their bytes; answers how many were not there."""
    if not rows:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO subject_lookup (index, program_id, subject_id, kind, key_version)"
            " SELECT i, %s, s, k, v FROM unnest(%s::bytea[], %s::bigint[], %s::text[], %s::int[]) WITH ORDINALITY"
            " AS t(i, s, k, v, n) ORDER BY n ON CONFLICT DO NOTHING",
            [program_id, *map(list, zip(*sorted(rows), strict=True))],
        )
        return int(cursor.rowcount)
