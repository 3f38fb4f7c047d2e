"""Who may write with which key: the database says it, so that no process writes by a keyring that has been replaced.

A writer holds the versions as they are until its transaction ends; whoever changes them waits for the writers there are. What
is required of an index key is written from then on by every writer there will ever be, on whatever machine and after
whatever pause, and what is refused by none.
"""

from django.db import connection, transaction

from consent.errors import Unavailable
from consent.statements import ask, together
from consent.vault.keyring import INDEX, Keyring
from consent.vault.models import Writes

PATIENCE = "10s"
"""So long a change waits for writers, and whoever writes next waits for it."""
_LOCK = "hashtextextended('key versions', 0)"


def hold(keyring: Keyring) -> None:
    """For what is stored with the keyring's keys in this transaction. Raises Unavailable `keyring_behind`."""
    with together():
        ask(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")
        asked = ask("SELECT family, version, writes FROM key_version")
    if not _fits(keyring, asked.rows()):
        raise Unavailable(
            "keyring_behind", "this process holds another keyring than the database asks for; send the same again later",
            retry_after=15,
        )  # fmt: skip


def fits(keyring: Keyring) -> bool:
    """Whether who holds this keyring may write."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT family, version, writes FROM key_version")
        return _fits(keyring, cursor.fetchall())


def change(family: str, version: int, writes: Writes) -> None:
    """From its commit on it is so, for every writer. Not within a transaction."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [PATIENCE])
        cursor.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        cursor.execute(
            "INSERT INTO key_version (family, version, writes) VALUES (%s, %s, %s) ON CONFLICT (family, version)"
            " DO UPDATE SET writes = excluded.writes, since = now() WHERE key_version.writes <> excluded.writes",
            [family, version, writes.value],
        )


def _fits(keyring: Keyring, asked: list[tuple[str, int, str]]) -> bool:
    for family, version, writes in asked:
        held = keyring.family(family)
        written = version in held.keys if family == INDEX else version == held.primary
        if (writes == Writes.REQUIRED and not written) or (writes == Writes.REFUSED and written):
            return False
    return True
