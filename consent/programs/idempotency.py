"""Idempotency-Key: the same key and body twice make one thing (the IETF draft httpapi-idempotency-key-header).

The row is written in the transaction of the call it guards, so a call that fails leaves none, and a crash leaves none
without its effect. No content is kept: what the call made carries the key's hash and gives the first answer again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from consent.errors import Conflict, Invalid
from consent.programs.models import IdempotencyRecord

KEPT = timedelta(hours=24)


@dataclass(frozen=True)
class IdempotencyKey:
    """A client's key and the body it came with, both as keyed hashes of 32 bytes, as many of each."""

    program_id: int
    client_id: int
    hashes: tuple[bytes, ...]
    """By every enabled version of the index key, the oldest first: of two processes in a rotation both have one of them."""
    fingerprints: tuple[bytes, ...]
    key_hash: bytes
    """What the rows carry that the call makes: by the primary version, which every process has."""


def claim(key: IdempotencyKey) -> bool:
    """True: the first use, go on. False: a repetition, answer again. Call inside the action's transaction.

    Raises Conflict `idempotency_in_progress` while the first runs, Invalid `idempotency_conflict` for another body.
    """
    with connection.cursor() as cursor:
        # A lock that is tried, not waited for: the second caller learns at once that the first is still running.
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(encode(%s, 'hex'), %s))", [key.hashes[0], key.client_id]
        )
        row = cursor.fetchone()
    if row is None or not row[0]:
        raise _in_progress()
    before = IdempotencyRecord.objects.filter(client_id=key.client_id, key_hash__in=key.hashes)
    known = [bytes(fingerprint) for fingerprint in before.values_list("fingerprint", flat=True)]
    if not set(known) <= set(key.fingerprints):
        raise Invalid("idempotency_conflict", "this Idempotency-Key was used with another body; take a new one")
    if not known and _insert(key) < len(key.hashes):
        # By a process that holds another version of the index key, and so another lock.
        raise _in_progress()
    return not known


def _insert(key: IdempotencyKey) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO idempotency_record (program_id, client_id, key_hash, fingerprint)"
            " SELECT %s, %s, h, f FROM unnest(%s::bytea[], %s::bytea[]) AS t(h, f) ON CONFLICT DO NOTHING",
            [key.program_id, key.client_id, list(key.hashes), list(key.fingerprints)],
        )
        return int(cursor.rowcount)


def _in_progress() -> Conflict:
    return Conflict(
        "idempotency_in_progress", "the first call with this Idempotency-Key is still running", retry_after=1
    )


def used(key: IdempotencyKey) -> bool:
    """Whether the key was used before, without claiming it."""
    return IdempotencyRecord.objects.filter(client_id=key.client_id, key_hash__in=key.hashes).exists()


def forget_old(program_id: int, *, now: datetime) -> int:
    """Delete what is older than 24 hours; answers how many."""
    deleted, _ = IdempotencyRecord.objects.filter(program_id=program_id, created_at__lt=now - KEPT).delete()
    return deleted
