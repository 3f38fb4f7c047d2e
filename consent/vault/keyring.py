"""The keyring: versioned key-encryption keys and index keys in a file that only the service may read.

File: `{"key_encryption": {"primary": 1, "keys": [{"version", "status", "key"}]}, "index": {…same…}}`, keys in base64.
Status as Tink has it: enabled, disabled, destroyed. A KMS can take the file's place behind the same class.
"""

import base64
import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consent.vault.suites import KEY_BYTES

FAMILIES = ("key_encryption", "index")


class KeyringError(Exception):
    """The keyring cannot be used; the message says why and never holds a key."""


@dataclass(frozen=True)
class KeySet:
    """One family's enabled keys by version, and the version that new use takes."""

    primary: int
    keys: dict[int, bytes]

    def key(self, version: int) -> bytes:
        """Raises KeyringError where the version is unknown, disabled or destroyed."""
        try:
            return self.keys[version]
        except KeyError:
            raise KeyringError(f"key version {version} is not enabled in the keyring") from None


@dataclass(frozen=True)
class Keyring:
    key_encryption: KeySet
    index: KeySet


def create(path: Path) -> bool:
    """Write a new keyring (mode 0600) unless one exists; answers whether it did. Never overwrites."""
    content = {
        family: {
            "primary": 1,
            "keys": [
                {"version": 1, "status": "enabled", "key": base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}
            ],
        }
        for family in FAMILIES
    }
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return True


def load(path: Path) -> Keyring:
    """Raises KeyringError where the file is missing, readable by others, or not a keyring."""
    try:
        mode = path.stat().st_mode
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise KeyringError("there is no keyring file: make one with `manage.py create_keyring`") from None
    except ValueError:
        raise KeyringError("the keyring file is not JSON") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyringError("the keyring file may be read by others: chmod 600 it")
    key_encryption, index = (_family(content, family) for family in FAMILIES)
    return Keyring(key_encryption=key_encryption, index=index)


def _family(content: dict[str, Any], family: str) -> KeySet:
    try:
        primary = int(content[family]["primary"])
        keys = {
            int(entry["version"]): base64.b64decode(entry["key"], validate=True)
            for entry in content[family]["keys"]
            if entry["status"] == "enabled"
        }
    except (KeyError, TypeError, ValueError):
        raise KeyringError(f"the keyring's {family} keys are not in the expected form") from None
    if primary not in keys or any(len(key) != KEY_BYTES for key in keys.values()):
        raise KeyringError(f"the keyring's primary {family} key is missing, not enabled or of the wrong length")
    return KeySet(primary=primary, keys=keys)
