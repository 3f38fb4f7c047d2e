"""The keyring: versioned key-encryption keys, index keys and signing keys in a file that only the service may read.

File: `{"key_encryption": {"primary": 1, "keys": [{"version", "status", "key"}]}, "index": {…same…}, "signing": {"keys":
[{"version", "status", "since", "public", "key"}]}}`, keys in base64; Ed25519 keys as their 32 bytes. Of a signing key that
is destroyed only `key` goes. Status as Tink has it: enabled, disabled, destroyed. A KMS can take the file's place behind the
same class.
"""

import base64
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent.vault.jws import PUBLIC_BYTES
from consent.vault.signing import BEGINNING, SigningKey, SigningKeys
from consent.vault.suites import KEY_BYTES

FAMILIES = ("key_encryption", "index")
SIGNING = "signing"
STATUSES = ("enabled", "disabled", "destroyed")


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
    signing: SigningKeys


def create(path: Path) -> bool:
    """Write a new keyring (mode 0600) unless one exists; answers whether it did. Never overwrites."""
    content: dict[str, Any] = {
        family: {
            "primary": 1,
            "keys": [{"version": 1, "status": "enabled", "key": _text(secrets.token_bytes(KEY_BYTES))}],
        }
        for family in FAMILIES
    }
    content[SIGNING] = {"keys": [_new_signing_key(1, since=None)]}
    try:
        with _opened_new(path) as file:
            _write(file, content)
    except FileExistsError:
        return False
    _keep_names(path.parent)
    return True


def load(path: Path) -> Keyring:
    """Raises KeyringError where the file is missing, readable by others, or not a keyring."""
    content = _read(path)
    key_encryption, index = (_family(content, family) for family in FAMILIES)
    return Keyring(key_encryption=key_encryption, index=index, signing=_signing(content))


def complete(path: Path) -> bool:
    """Give a keyring from before there were signing keys its first one; answers whether it lacked one. Raises KeyringError."""
    if load(path).signing.keys:
        return False
    add_signing_key(path, since=None)
    return True


def add_signing_key(path: Path, *, since: datetime | None) -> SigningKey:
    """A new key that signs what is of `since` or later (None: the first key, for all); nothing else changes.

    Raises KeyringError, also where `since` is no later than that of the key before: it would sign anew what that one signed.
    """
    with _replacing(path.resolve()) as content:
        keys = _signing(content).keys
        if keys and (since is None or since <= keys[-1].since):
            raise KeyringError("a signing key takes effect later than the one before it: give a later time")
        version = keys[-1].version + 1 if keys else 1
        content.setdefault(SIGNING, {"keys": []})["keys"].append(_new_signing_key(version, since=since))
        return _signing(content).keys[-1]


@contextmanager
def _replacing(path: Path) -> Iterator[dict[str, Any]]:
    """The file's content, to be changed in the block; the file is replaced whole, so that others read the old or the new.

    Raises KeyringError.
    """
    changed = path.with_name(f"{path.name}.new")
    try:
        with _opened_new(changed) as file:
            try:
                content, owned = _read(path), path.stat()
                yield content
                os.fchown(file.fileno(), owned.st_uid, owned.st_gid)
                _write(file, content)
                changed.replace(path)
            except BaseException:
                # Only while it is ours: the replacement gave its name free, and the next change may stand under it already.
                changed.unlink(missing_ok=True)
                raise
            _keep_names(path.parent)
    except FileExistsError:
        raise KeyringError(f"{changed.name} is there: another change is under way, or remove what one left") from None
    except OSError as error:
        raise KeyringError(f"the keyring file cannot be replaced: {error.strerror}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        mode = path.stat().st_mode
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise KeyringError("there is no keyring file: make one with `manage.py create_keyring`") from None
    except ValueError:
        raise KeyringError("the keyring file is not JSON") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyringError("the keyring file may be read by others: chmod 600 it")
    if not isinstance(content, dict):
        raise KeyringError("the keyring file is not in the expected form")
    return content


def _opened_new(path: Path) -> TextIO:
    """For its owner only. Raises FileExistsError, OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")


def _write(file: TextIO, content: dict[str, Any]) -> None:
    """Durable before it returns."""
    json.dump(content, file, indent=1)
    file.flush()
    os.fsync(file.fileno())


def _keep_names(folder: Path) -> None:
    """That the folder names the file durably: until then a loss of power may bring the one before back, or none."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


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


def _signing(content: dict[str, Any]) -> SigningKeys:
    """None in a keyring from before there were any; it is a keyring all the same."""
    try:
        keys = tuple(_signing_key(entry) for entry in content.get(SIGNING, {"keys": []})["keys"])
    except (KeyError, TypeError, ValueError):
        raise KeyringError("the keyring's signing keys are not in the expected form") from None
    for before, after in pairwise(keys):
        if before.version >= after.version or before.since >= after.since:
            raise KeyringError("the keyring's signing keys are not in the order of their versions and times")
    return SigningKeys(keys)


def _signing_key(entry: dict[str, Any]) -> SigningKey:
    """Raises KeyError, TypeError, ValueError."""
    public = base64.b64decode(entry["public"], validate=True)
    since = BEGINNING if entry["since"] is None else datetime.fromisoformat(entry["since"])
    private = None
    if entry["status"] == "enabled":
        private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(entry["key"], validate=True))
    mismatched = private is not None and private.public_key().public_bytes_raw() != public
    if entry["status"] not in STATUSES or len(public) != PUBLIC_BYTES or since.tzinfo is None or mismatched:
        raise ValueError
    return SigningKey(int(entry["version"]), since, public, private)


def _new_signing_key(version: int, *, since: datetime | None) -> dict[str, Any]:
    private = Ed25519PrivateKey.generate()
    return {
        "version": version,
        "status": "enabled",
        "since": None if since is None else since.isoformat(),
        "public": _text(private.public_key().public_bytes_raw()),
        "key": _text(private.private_bytes_raw()),
    }


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()
