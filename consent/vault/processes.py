"""Which versions of the keyring's keys the running processes hold, as they themselves say.

A process says it under a lease that it renews; one that ended says nothing more. Nothing rests on it but an operator's view and
patience: what a process that says nothing may still write is for `consent.vault.writing` to see.
"""

import json
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from django.db import connection, transaction

from consent.vault.keyring import FAMILIES, Keyring, KeySet

LEASE = timedelta(seconds=45)
RENEWED = timedelta(seconds=10)
"""How often a process looks whether there is another keyring, and says which it holds."""


def report(process: uuid.UUID, kind: str, keyring: Keyring) -> None:
    """`kind`: web, worker. Whose lease is over is forgotten."""
    sets = {family: keyring.family(family) for family in FAMILIES}
    holds = {family: {"primary": held.primary, "enabled": sorted(held.keys)} for family, held in sets.items()}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO keyring_process (id, kind, holds, until) VALUES (%s, %s, %s, clock_timestamp() + %s * interval '1 second')"
            " ON CONFLICT (id) DO UPDATE SET holds = excluded.holds, until = excluded.until",
            [process, kind, json.dumps(holds), LEASE.total_seconds()],
        )
        cursor.execute(
            "DELETE FROM keyring_process WHERE until < clock_timestamp() - %s * interval '1 second'",
            [LEASE.total_seconds()],
        )


def ended(process: uuid.UUID) -> None:
    """It says that it holds nothing any more."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM keyring_process WHERE id = %s", [process])


def lacking(family: str, has: Callable[[KeySet], bool]) -> Counter[str]:
    """Kind -> how many live processes hold a family's versions so that `has` is false; of the keys only the versions are told."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, holds FROM keyring_process WHERE until > clock_timestamp()")
        rows = cursor.fetchall()
    found: Counter[str] = Counter()
    for kind, said in rows:
        held = json.loads(said)[family] if isinstance(said, str) else said[family]
        if not has(KeySet(held["primary"], dict.fromkeys(held["enabled"], b""))):
            found[kind] += 1
    return found
