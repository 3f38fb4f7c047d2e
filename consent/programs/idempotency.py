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
    """A client's key and the body it came with, both as keyed hashes of 32 bytes."""

    program_id: int
    client_id: int
    key_hash: bytes
    fingerprint: bytes


def claim(key: IdempotencyKey) -> bool:
    """True: the first use, go on. False: a repetition, answer again. Call inside the action's transaction.

    Raises Conflict `idempotency_in_progress` while the first runs, Invalid `idempotency_conflict` for another body.
    """
    with connection.cursor() as cursor:
        # A lock that is tried, not waited for: the second caller learns at once that the first is still running.
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(encode(%s, 'hex'), %s))", [key.key_hash, key.client_id]
        )
        row = cursor.fetchone()
    if row is None or not row[0]:
        raise Conflict(
            "idempotency_in_progress", "the first call with this Idempotency-Key is still running", retry_after=1
        )
    record, created = IdempotencyRecord.objects.get_or_create(
        client_id=key.client_id,
        key_hash=key.key_hash,
        defaults={"program_id": key.program_id, "fingerprint": key.fingerprint},
    )
    if not created and bytes(record.fingerprint) != key.fingerprint:
        raise Invalid("idempotency_conflict", "this Idempotency-Key was used with another body; take a new one")
    return created


def used(key: IdempotencyKey) -> bool:
    """Whether the key was used before, without claiming it."""
    return IdempotencyRecord.objects.filter(client_id=key.client_id, key_hash=key.key_hash).exists()


def forget_old(program_id: int, *, now: datetime) -> int:
    """Delete what is older than 24 hours; answers how many."""
    deleted, _ = IdempotencyRecord.objects.filter(program_id=program_id, created_at__lt=now - KEPT).delete()
    return deleted
