"""Rotating the keyring's keys: a version is added, promoted, taken over by re-wrapping or re-indexing, disabled, destroyed.

The database is told before the keyring, so that of a command that ends half-way nobody writes with what is on its way out;
the same command again finishes it. Each step leaves an audit entry in every mini-program.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from consent.errors import Conflict
from consent.ledger.audit import audit
from consent.programs.idempotency import KEPT
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant, without_tenant
from consent.vault import keyring, own, processes, reindexing, writing
from consent.vault.keyring import (
    DESTROYED,
    DISABLED,
    ENABLED,
    INDEX,
    KEY_ENCRYPTION,
    Keyring,
    KeySet,
    Version,
)
from consent.vault.models import DataKey, KeyVersion, Writes
from consent.vault.store import KeyStore

_COUNTED = {
    "data_keys": (KEY_ENCRYPTION, "SELECT key_version, count(*) FROM data_key WHERE program_id = %s GROUP BY 1"),
    "lookups": (INDEX, "SELECT key_version, count(*) FROM subject_lookup WHERE program_id = %s GROUP BY 1"),
    "phones": (
        INDEX,
        "SELECT lookup_version, count(*) FROM subject_identifier WHERE program_id = %s AND lookup IS NOT NULL GROUP BY 1",
    ),
}


@dataclass(frozen=True)
class Told:
    """A version, what the database asks of it, and what it still opens or finds: name -> number of rows, of all mini-programs."""

    version: Version
    writes: str | None
    uses: dict[str, int]

    @property
    def used(self) -> int:
        return sum(self.uses.values())


def programs() -> list[int]:
    with without_tenant():
        return list(MiniProgram.objects.order_by("id").values_list("id", flat=True))


def needed() -> bool:
    """Whether the database has somebody whom only the keys of its own keyring find. Before `migrate` it has nobody. As the owner, who
    sees every row, or as a login of the service."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.data_key') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return False
        cursor.execute("SELECT pg_has_role(current_user, 'zq_ops', 'SET')")
        if not cursor.fetchone()[0]:
            return DataKey.objects.exists()
    return any(_known(program_id) for program_id in programs())


def _known(program_id: int) -> bool:
    with tenant(program_id):
        return DataKey.objects.filter(program_id=program_id).exists()


def told(store: KeyStore) -> list[Told]:
    """Every version of both families. Raises KeyringError."""
    asked = {(row.family, row.version): row.writes for row in KeyVersion.objects.all()}
    counted = _uses(programs())
    return [
        Told(
            version,
            asked.get((version.family, version.version)),
            counted.get((version.family, version.version), {}) | _own(version),
        )
        for version in keyring.versions(store)
    ]


def add(store: KeyStore, family: str, *, by: str, at: datetime) -> int:
    """The next version, which nothing uses yet. Raises KeyringError; Conflict `keyring_behind` where another machine has made it
    already: two keys of one number would each find half of the people."""
    newest = max(one.version for one in keyring.versions(store) if one.family == family)
    if KeyVersion.objects.filter(family=family, version__gt=newest).exists():
        detail = "the database knows a newer version than this keyring has: copy the newest keyring here first"
        raise Conflict("keyring_behind", detail)
    version = keyring.add_key(store, family, made=at)
    writing.change(family, version, Writes.OPTIONAL)
    _audit("added", family, version, by)
    return version


def promote(store: KeyStore, family: str, version: int, *, by: str) -> None:
    """New use takes it from now on; of an index key every writer writes it, beside those before it.

    Raises Conflict `processes_behind` while a live process does not hold it, KeyringError.
    """
    keyring.load(store).family(family).key(version)
    _await(family, lambda held: version in held.keys, "has not taken up the version yet")
    writing.change(family, version, Writes.REQUIRED if family == INDEX else Writes.OPTIONAL)
    keyring.promote(store, family, version)
    _audit("promoted", family, version, by)


def disable(store: KeyStore, family: str, version: int, *, by: str, at: datetime) -> None:
    """Nothing is read or written with it any more. Raises Conflict `processes_behind`, `still_used`, `too_early`; KeyringError."""
    ring = _not_primary(store, family, version)
    _await(family, lambda held: held.primary != version, "still writes with the version")
    if family == INDEX:
        _refuse_unfound(ring)
        writing.change(family, version, Writes.OPTIONAL)
    else:
        writing.change(family, version, Writes.REFUSED)
        _refuse_used(family, version)
    keyring.set_status(store, family, version, DISABLED, at=at)
    _audit("disabled", family, version, by)


def enable(store: KeyStore, family: str, version: int, *, by: str) -> None:
    """A disabled version is read again, as after a restore of what it sealed. Raises KeyringError."""
    keyring.set_status(store, family, version, ENABLED)
    if KeyVersion.objects.filter(family=family, version=version, writes=Writes.REFUSED).exists():
        writing.change(family, version, Writes.OPTIONAL)
    _audit("enabled", family, version, by)


def destroy(store: KeyStore, family: str, version: int, *, size: int, by: str, disabled_before: datetime | None) -> int:
    """The key goes, and with an index key its lookups; answers how many. `disabled_before`: later ones a backup may need; None: whenever.

    Raises Conflict as `disable`, `not_disabled`, `backups_need_it`; KeyringError.
    """
    _not_primary(store, family, version)
    _refuse_needed(store, family, version, disabled_before)
    _await(family, lambda held: version not in held.keys, "still holds the version")
    writing.change(family, version, Writes.REFUSED)
    removed = 0
    if family == INDEX:
        removed = sum(sum(reindexing.remove(version, program_id, size=size)) for program_id in programs())
    _refuse_used(family, version)
    keyring.set_status(store, family, version, DESTROYED)
    _audit("destroyed", family, version, by)
    return removed


def check_reindexable(ring: Keyring) -> None:
    """Raises Conflict while somebody may create a subject, or keep a phone, without the primary index key."""
    primary = ring.index.primary
    if not KeyVersion.objects.filter(family=INDEX, version=primary, writes=Writes.REQUIRED).exists():
        raise Conflict("not_promoted", "promote the index key first: not every process writes it yet")
    _await(INDEX, lambda held: held.primary == primary, "has not taken up the promoted version yet")


def record(action: str, family: str, version: int, *, by: str) -> None:
    """An audit entry of a re-wrapping or a re-indexing."""
    _audit(action, family, version, by)


def _not_primary(store: KeyStore, family: str, version: int) -> Keyring:
    ring = keyring.load(store)
    if version == ring.family(family).primary:
        raise Conflict("primary_key", f"version {version} is the primary {family} key: promote another one first")
    return ring


def _await(family: str, has: Callable[[KeySet], bool], words: str) -> None:
    behind = processes.lacking(family, has)
    if behind:
        who = ", ".join(f"{kind} {count}" for kind, count in sorted(behind.items()))
        raise Conflict(
            "processes_behind",
            f"{behind.total()} running process(es) ({who}): each {words}. They look every"
            f" {processes.RENEWED.total_seconds():.0f} s; is the new keyring on every machine?",
        )


def _refuse_needed(store: KeyStore, family: str, version: int, disabled_before: datetime | None) -> None:
    every = keyring.versions(store)
    one = next((one for one in every if (one.family, one.version) == (family, version)), None)
    if one is None or one.status != DISABLED:
        raise Conflict(
            "not_disabled", "only a disabled version is destroyed: disable it first, and wait for your backups"
        )
    if disabled_before is not None and (one.disabled is None or one.disabled > disabled_before):
        when = "at a time that is not known" if one.disabled is None else f"on {one.disabled.date().isoformat()}"
        raise Conflict(
            "backups_need_it",
            f"version {version} was disabled {when}, and backups from before would never open again: wait until"
            " ZHIQING_BACKUP_DAYS are over, or say --now where there is no such backup",
        )


def _refuse_used(family: str, version: int) -> None:
    ids = programs()
    uses = _uses(ids).get((family, version), {}) | _own(Version(family, version, ENABLED, False, None))
    if any(uses.values()):
        what = ", ".join(f"{name} {count}" for name, count in uses.items() if count)
        raise Conflict("still_used", f"version {version} is still used ({what}): run manage.py keys rewrap, then again")


def _refuse_unfound(ring: Keyring) -> None:
    primary = ring.index.primary
    missing = sum(reindexing.lacking(primary, program_id) for program_id in programs())
    if missing:
        raise Conflict(
            "still_used",
            f"{missing} identifier(s) are not found by version {primary} yet: run manage.py keys reindex, then again",
        )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM key_version WHERE family = %s AND version = %s AND writes = %s AND since < now() - %s * interval '1 second'",
            [INDEX, primary, Writes.REQUIRED.value, KEPT.total_seconds()],
        )
        (old_enough,) = cursor.fetchone()
    if not old_enough:
        raise Conflict(
            "too_early",
            f"Idempotency-Keys of the last {KEPT.total_seconds() / 3600:.0f} h may be known by earlier versions only:"
            f" wait until version {primary} was promoted for so long",
        )


def _uses(ids: list[int]) -> dict[tuple[str, int], dict[str, int]]:
    found: dict[tuple[str, int], Counter[str]] = {}
    for program_id in ids:
        with tenant(program_id), connection.cursor() as cursor:
            for name, (family, statement) in _COUNTED.items():
                cursor.execute(statement, [program_id])
                for version, count in cursor.fetchall():
                    found.setdefault((family, version), Counter())[name] += count
    return {key: dict(counts) for key, counts in found.items()}


def _own(version: Version) -> dict[str, int]:
    if version.family == INDEX:
        return {}
    scopes = [None, *programs()]
    return {"own_secrets": sum(own.used(version.version, scope) for scope in scopes)}


def _audit(what: str, family: str, version: int, by: str) -> None:
    for program_id in programs():
        with tenant(program_id):
            audit(
                program_id=program_id,
                actor=by,
                action=f"keys.{what}",
                target=f"program:{program_id}",
                details={"family": family, "version": version},
            )
