"""Keys as an operator rotates them, on a keyring of the test's own."""

import io
import json
import uuid
from datetime import timedelta
from typing import Any

import psycopg
from django.core.management import CommandError, call_command

from consent import edge
from consent.vault import keyring, processes
from consent.vault.identities import Vault
from consent.vault.store import FileStore
from tests.consent.signed import Ring

KEY_ENCRYPTION, INDEX = keyring.FAMILIES
PHONE = "+8613812345678"
FIRST = "INSERT INTO key_version (family, version, writes) VALUES ('key_encryption', 1, 'optional'), ('index', 1, 'required') ON CONFLICT DO NOTHING"
"""What the migration puts there, and an emptied database lacks."""


def keys(*arguments: Any) -> dict[str, Any]:
    """What `keys` answers."""
    out = io.StringIO()
    call_command("keys", *map(str, arguments), "--json", stdout=out, stderr=io.StringIO())
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def refused(*arguments: Any) -> str:
    """Why `keys` refuses."""
    try:
        keys(*arguments)
    except CommandError as error:
        assert error.returncode == 1
        return str(error)
    raise AssertionError(f"keys {arguments} was not refused")


def shown(family: str) -> dict[int, dict[str, Any]]:
    """Version -> what `keys list` says."""
    return {one["version"]: one for one in keys("list")["keys"] if one["family"] == family}


def vault_of(ring: Ring) -> Vault:
    """As a process has it that reads the keyring now, and never again."""
    return Vault.load(FileStore(ring.path))


def holds(kind: str, vault: Vault) -> uuid.UUID:
    """A running process holds it."""
    process = uuid.uuid4()
    processes.report(process, kind, vault.keyring)
    return process


def a_day_later(owner: psycopg.Connection) -> None:
    owner.execute("UPDATE key_version SET since = since - %s", [timedelta(hours=25)])


def index_rotated(owner: psycopg.Connection) -> None:
    """Version 2 in the place of version 1, whose lookups and key are gone."""
    keys("add", INDEX)
    keys("promote", f"{INDEX}:2")
    keys("reindex")
    a_day_later(owner)
    keys("retire", f"{INDEX}:1")
    keys("retire", f"{INDEX}:1", "--destroy", "--now")


def wrapping_rotated() -> None:
    keys("add", KEY_ENCRYPTION)
    keys("promote", f"{KEY_ENCRYPTION}:2")
    keys("rewrap")
    keys("retire", f"{KEY_ENCRYPTION}:1")
    keys("retire", f"{KEY_ENCRYPTION}:1", "--destroy", "--now")


def primary(family: str) -> int:
    return edge.vault().keyring.family(family).primary
