"""The only door to identifiers: resolve, create, attach, replace, open. Nothing else reads or writes them."""

import json
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from django.db import connection

from consent.errors import Conflict, Invalid
from consent.statements import Byteas, ask
from consent.vault import envelope, keyring
from consent.vault.envelope import Cell
from consent.vault.lookup import INDEX_BYTES, KINDS, PSEUDONYM, Identifiers, Lookup, normalise
from consent.vault.models import DataKey, Subject, SubjectIdentifier, SubjectLookup


@dataclass(frozen=True)
class Vault:
    """The keyring with what is prepared from it; made once a process and passed into the domain."""

    keyring: keyring.Keyring

    @classmethod
    def load(cls, path: Path) -> "Vault":
        """Raises KeyringError."""
        return cls(keyring.load(path))

    @cached_property
    def lookup(self) -> Lookup:
        return Lookup(self.keyring)

    def data_key(self, program_id: int, subject_id: int) -> bytes:
        """Raises DataKey.DoesNotExist once the subject is erased."""
        wrapped = DataKey.objects.values_list("wrapped", flat=True).get(subject_id=subject_id)
        return envelope.unwrap(self.keyring, bytes(wrapped), program_id=program_id, subject_id=subject_id)


class SubjectTaken(Exception):
    """Another transaction created the same subject first: roll back and resolve again."""


def checked(identifiers: Identifiers) -> dict[str, str]:
    """Normalised. Raises Invalid for an unknown kind, a bad value, or none at all."""
    unknown = [kind for kind in identifiers if kind not in KINDS]
    if unknown or not identifiers:
        raise Invalid("invalid_identifier", f"name the subject by one or more of {', '.join(KINDS)}")
    return {kind: normalise(kind, value) for kind, value in identifiers.items()}


def resolve(vault: Vault, program_id: int, identifiers: Identifiers) -> int | None:
    """The internal id of the subject the identifiers name, or None. Raises Invalid, Conflict `identity_conflict`."""
    return resolve_many(vault, program_id, [checked(identifiers)])[0]


def resolve_many(vault: Vault, program_id: int, named: list[dict[str, str]]) -> list[int | None]:
    """One query for any number of subjects; `named` is checked. Raises Conflict where one name means two subjects."""
    answers = find(vault, program_id, named)
    if any(len(found) > 1 for found in answers):
        raise Conflict("identity_conflict", "these identifiers belong to two subjects; name the one you mean")
    return [next(iter(found), None) for found in answers]


def find(vault: Vault, program_id: int, named: Iterable[Mapping[str, str]]) -> list[set[int]]:
    """For each name the set of subjects it means: empty, one, or (a conflict) more."""
    return AskedSubjects(vault, program_id, [identifiers.items() for identifiers in named]).found()


class AskedSubjects:
    """The same within `together`, made in it and read after it; `named` as (kind, value) pairs."""

    def __init__(self, vault: Vault, program_id: int, named: Iterable[Iterable[tuple[str, str]]]) -> None:
        versions = vault.lookup.versions
        index = vault.lookup.index
        self._indexes = [
            [index(program_id, kind, value, version) for kind, value in identifiers for version in versions]
            for identifiers in named
        ]
        wanted = Byteas.of({item for group in self._indexes for item in group}, size=INDEX_BYTES)
        self._asked = ask("SELECT index, subject_id FROM subject_lookup WHERE index = ANY(%b)", [wanted])

    def found(self) -> list[set[int]]:
        found = dict(self._asked.rows())
        return [{found[item] for item in group if item in found} for group in self._indexes]


def create(vault: Vault, program_id: int, identifiers: Identifiers) -> Subject:
    """A new subject with handle, pseudonym, lookups of every enabled key version, data key and sealed identifiers.

    Raises SubjectTaken where an identifier was taken meanwhile: the caller rolls back. Raises Invalid for a pseudonym,
    which only Zhiqing gives out.
    """
    if PSEUDONYM in identifiers:
        raise Invalid("unknown_subject", "no subject has this subject_id; name new subjects by the platform's id")
    subject = Subject.objects.create(program_id=program_id, pseudonym=uuid.uuid4(), erasure_handle=os.urandom(16))
    _add_lookups(vault, subject, {**identifiers, PSEUDONYM: str(subject.pseudonym)})
    data_key = envelope.new_data_key()
    wrapped, version = envelope.wrap(vault.keyring, data_key, program_id=program_id, subject_id=subject.id)
    DataKey.objects.create(subject=subject, program_id=program_id, wrapped=wrapped, key_version=version)
    _seal_identifiers(data_key, subject, identifiers)
    return subject


def attach(vault: Vault, subject: Subject, identifiers: Identifiers) -> None:
    """Add the kinds a known subject lacks. The caller holds the subject's row.

    Raises Conflict `identity_conflict` where the subject has another value of a kind, SubjectTaken on a race.
    """
    named = {kind: value for kind, value in identifiers.items() if kind != PSEUDONYM}
    held = set(SubjectIdentifier.objects.filter(subject=subject).values_list("kind", flat=True))
    added = {kind: value for kind, value in named.items() if kind not in held}
    rest = {kind: value for kind, value in named.items() if kind in held}
    if rest and any(not found for found in find(vault, subject.program_id, [{k: v} for k, v in rest.items()])):
        raise Conflict("identity_conflict", "the subject has another identifier of this kind; rectify it instead")
    if added:
        _add_lookups(vault, subject, added)
        _seal_identifiers(vault.data_key(subject.program_id, subject.id), subject, added)


def replace(vault: Vault, subject: Subject, identifiers: Identifiers) -> int:
    """Put new values in place of old ones (rectification); answers how many. The caller holds the subject's row.

    Raises SubjectTaken where a new value belongs to another subject.
    """
    SubjectLookup.objects.filter(subject_id=subject.id, kind__in=list(identifiers)).delete()
    SubjectIdentifier.objects.filter(subject=subject, kind__in=list(identifiers)).delete()
    _add_lookups(vault, subject, identifiers)
    _seal_identifiers(vault.data_key(subject.program_id, subject.id), subject, identifiers)
    return len(identifiers)


def opened(vault: Vault, subject: Subject) -> dict[str, str]:
    """The subject's identifiers in plaintext, for the subject's own package. Kind -> value."""
    data_key = vault.data_key(subject.program_id, subject.id)
    return {
        row.kind: envelope.open_cell(data_key, bytes(row.sealed), identifier_cell(subject, row.kind)).decode()
        for row in SubjectIdentifier.objects.filter(subject=subject).order_by("kind")
    }


def identifier_cell(subject: Subject, kind: str) -> Cell:
    return Cell(subject.program_id, "subject_identifier", "sealed", kind, subject.id)


def seal_json(data_key: bytes, value: Any, cell: Cell) -> bytes:
    return envelope.seal(data_key, json.dumps(value, ensure_ascii=False).encode(), cell)


def open_json(data_key: bytes, sealed: bytes, cell: Cell) -> Any:
    """Raises DoesNotOpen."""
    return json.loads(envelope.open_cell(data_key, bytes(sealed), cell))


def _seal_identifiers(data_key: bytes, subject: Subject, identifiers: Identifiers) -> None:
    SubjectIdentifier.objects.bulk_create(
        SubjectIdentifier(
            subject=subject,
            kind=kind,
            program_id=subject.program_id,
            sealed=envelope.seal(data_key, value.encode(), identifier_cell(subject, kind)),
        )
        for kind, value in identifiers.items()
    )


def _add_lookups(vault: Vault, subject: Subject, identifiers: Identifiers) -> None:
    """In the order of their bytes, so that two creators of one subject wait for each other and never deadlock."""
    rows = sorted(
        (vault.lookup.index(subject.program_id, kind, value, version), kind, version)
        for kind, value in identifiers.items()
        for version in vault.lookup.versions
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO subject_lookup (index, program_id, subject_id, kind, key_version)"
            " SELECT i, %s, %s, k, v FROM unnest(%s::bytea[], %s::text[], %s::int[]) WITH ORDINALITY AS t(i, k, v, n)"
            " ORDER BY n ON CONFLICT DO NOTHING",
            [subject.program_id, subject.id, *map(list, zip(*rows, strict=True))],
        )
        if cursor.rowcount != len(rows):
            raise SubjectTaken
