"""Wrapping data keys with the primary key-encryption key, online: a few at a time, in the order of their subjects.

What is done is committed, so another run goes on where rows are left. A row that was changed or erased meanwhile is left to the
next look: it is written only as it was read, and its subject is not locked for it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db import connection

from consent.programs.tenancy import tenant
from consent.vault import envelope, own, writing
from consent.vault.keyring import Keyring
from consent.vault.models import DataKey
from consent.vault.store import KeyringError
from consent.vault.suites import DoesNotOpen

_VERSIONS = """
    WITH RECURSIVE held AS (
        SELECT min(key_version) AS version FROM data_key WHERE program_id = %(program)s
        UNION ALL
        SELECT (SELECT min(key_version) FROM data_key WHERE program_id = %(program)s AND key_version > version)
        FROM held WHERE version IS NOT NULL
    )
    SELECT version FROM held WHERE version IS NOT NULL
"""


@dataclass(frozen=True)
class Step:
    """How many keys a transaction wrapped anew, and how many could not be opened."""

    done: int
    failed: int


def left(keyring: Keyring, program_id: int | None) -> int:
    """How much is not under the primary version: of a mini-program, or with None the service's own."""
    primary = keyring.key_encryption.primary
    if program_id is None:
        return own.left(primary, None)
    with tenant(program_id):
        keys = DataKey.objects.filter(program_id=program_id).exclude(key_version=primary).count()
    return keys + own.left(primary, program_id)


def missing(keyring: Keyring, program_ids: Iterable[int]) -> list[int]:
    """Versions that wrap data keys and that the keyring does not have enabled, in order. An index says it, whatever the number of rows."""
    found: set[int] = set()
    for program_id in program_ids:
        with tenant(program_id), connection.cursor() as cursor:
            cursor.execute(_VERSIONS, {"program": program_id})
            found.update(version for (version,) in cursor.fetchall())
    return sorted(found - keyring.key_encryption.keys.keys())


def rewrap(keyring: Keyring, program_id: int | None, *, size: int) -> Iterator[Step]:
    """Each step is a transaction of at most `size` keys. Raises Unavailable as `writing.hold`."""
    for sealed in own.seal_again(keyring, program_id):
        yield Step(int(sealed), int(not sealed))
    if program_id is None:
        return
    with tenant(program_id):
        others = DataKey.objects.filter(program_id=program_id).exclude(key_version=keyring.key_encryption.primary)
        versions = sorted(set(others.values_list("key_version", flat=True).distinct()))
    for version in versions:
        yield from _of_version(keyring, program_id, version, size)


def _of_version(keyring: Keyring, program_id: int, version: int, size: int) -> Iterator[Step]:
    last = 0
    while True:
        with tenant(program_id):
            writing.hold(keyring)
            of_version = DataKey.objects.filter(program_id=program_id, key_version=version, subject_id__gt=last)
            rows = list(of_version.order_by("subject_id").values_list("subject_id", "wrapped")[:size])
            if not rows:
                return
            last = rows[-1][0]
            found = [(subject_id, bytes(wrapped)) for subject_id, wrapped in rows]
            anew = [(*row, new) for row in found if (new := _again(keyring, program_id, *row)) is not None]
            done = _write(keyring.key_encryption.primary, anew)
        yield Step(done, len(rows) - len(anew))


def _again(keyring: Keyring, program_id: int, subject_id: int, wrapped: bytes) -> bytes | None:
    """None for a key that does not open: counted, told, and left as it is."""
    try:
        return envelope.wrap_again(keyring, wrapped, program_id=program_id, subject_id=subject_id)
    except (DoesNotOpen, KeyringError):
        return None


def _write(primary: int, anew: list[tuple[int, bytes, bytes]]) -> int:
    if not anew:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE data_key SET wrapped = n.anew, key_version = %s"
            " FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[]) AS n(subject_id, wrapped, anew)"
            " WHERE data_key.subject_id = n.subject_id AND data_key.wrapped = n.wrapped",
            [primary, *map(list, zip(*anew, strict=True))],
        )
        return int(cursor.rowcount)
