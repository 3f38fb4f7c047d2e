"""The keyring: versioned key-encryption keys, index keys and signing keys, as a KeyStore keeps them.

JSON: `{"key_encryption": {"primary": 1, "keys": [{"version", "status", "made", "key"}]}, "index": {…same…}, "signing":
{"keys": [{"version", "status", "since", "public", "key"}]}}`, keys in base64; Ed25519 keys as their 32 bytes; `made` is
missing of keys from before it was kept. Of a key that is destroyed only `key` goes. Status as Tink has it: enabled, disabled,
destroyed.
"""

import base64
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent.vault.jws import PUBLIC_BYTES
from consent.vault.signing import BEGINNING, SigningKey, SigningKeys
from consent.vault.store import KeyringError as KeyringError
from consent.vault.store import KeyStore
from consent.vault.suites import KEY_BYTES

KEY_ENCRYPTION, INDEX = FAMILIES = ("key_encryption", "index")
SIGNING = "signing"
ENABLED, DISABLED, DESTROYED = STATUSES = ("enabled", "disabled", "destroyed")
_STEPS = {(ENABLED, DISABLED), (DISABLED, ENABLED), (DISABLED, DESTROYED)}


@dataclass(frozen=True)
class KeySet:
    """One family's enabled keys by version, and the version that new use takes. `made`: when that one was; None where the
    keyring does not say."""

    primary: int
    keys: dict[int, bytes] = field(repr=False)
    made: datetime | None = None

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

    def family(self, name: str) -> KeySet:
        """Of FAMILIES."""
        return self.key_encryption if name == KEY_ENCRYPTION else self.index


@dataclass(frozen=True)
class Version:
    """What may be told of a key. `made`, and `disabled` of one that is: None where the keyring does not say."""

    family: str
    version: int
    status: str
    primary: bool
    made: datetime | None
    disabled: datetime | None = None


def create(store: KeyStore, *, made: datetime | None = None) -> bool:
    """Keep a new keyring unless there is one; answers whether there was none. Never overwrites."""
    content: dict[str, Any] = {family: {"primary": 1, "keys": [_new_key(1, made=made)]} for family in FAMILIES}
    content[SIGNING] = {"keys": [_new_signing_key(1, since=None)]}
    return store.create(content)


def load(store: KeyStore) -> Keyring:
    """Raises KeyringError where there is none, others may read it, or it is no keyring."""
    content = store.read()
    key_encryption, index = (_family(content, family) for family in FAMILIES)
    return Keyring(key_encryption=key_encryption, index=index, signing=_signing(content))


def complete(store: KeyStore) -> bool:
    """Give a keyring from before there were signing keys its first one; answers whether it lacked one. Raises KeyringError."""
    if load(store).signing.keys:
        return False
    add_signing_key(store, since=None)
    return True


def add_signing_key(store: KeyStore, *, since: datetime | None) -> SigningKey:
    """A new key that signs what is of `since` or later (None: the first key, for all); nothing else changes.

    Raises KeyringError, also where `since` is no later than that of the key before: it would sign anew what that one signed.
    """
    with store.replacing() as content:
        keys = _signing(content).keys
        if keys and (since is None or since <= keys[-1].since):
            raise KeyringError("a signing key takes effect later than the one before it: give a later time")
        version = keys[-1].version + 1 if keys else 1
        content.setdefault(SIGNING, {"keys": []})["keys"].append(_new_signing_key(version, since=since))
        return _signing(content).keys[-1]


def versions(store: KeyStore) -> list[Version]:
    """Every key-encryption and index key there ever was. Raises KeyringError."""
    content = store.read()
    return [
        Version(
            family,
            int(entry["version"]),
            entry["status"],
            entry["version"] == content[family]["primary"],
            _made(entry),
            datetime.fromisoformat(entry["disabled"]) if entry.get("disabled") else None,
        )
        for family in FAMILIES
        if _family(content, family)
        for entry in content[family]["keys"]
    ]


def add_key(store: KeyStore, family: str, *, made: datetime) -> int:
    """The next version of a family, enabled, which nothing uses before it is promoted. Raises KeyringError."""
    with store.replacing() as content:
        _family(content, family)
        keys = content[family]["keys"]
        version = max(int(entry["version"]) for entry in keys) + 1
        keys.append(_new_key(version, made=made))
    return version


def promote(store: KeyStore, family: str, version: int) -> None:
    """New use takes this version. Raises KeyringError where it is not enabled."""
    with store.replacing() as content:
        _family(content, family).key(version)
        content[family]["primary"] = version


def set_status(store: KeyStore, family: str, version: int, status: str, *, at: datetime | None = None) -> None:
    """From enabled to disabled and back, and from disabled to destroyed, when the key goes. Raises KeyringError for another step,
    and for the primary version. `at`: when it is disabled."""
    with store.replacing() as content:
        _family(content, family)
        entry = next((entry for entry in content[family]["keys"] if entry["version"] == version), None)
        if entry is None:
            raise KeyringError(f"the keyring has no {family} key of version {version}")
        if version == content[family]["primary"]:
            raise KeyringError(f"version {version} is the primary {family} key: promote another one first")
        if (entry["status"], status) not in _STEPS:
            raise KeyringError(
                f"the {family} key of version {version} is {entry['status']}, and cannot become {status}"
            )
        entry["status"] = status
        entry.pop("disabled", None)
        if status == DISABLED and at is not None:
            entry["disabled"] = at.isoformat()
        if status == DESTROYED:
            del entry["key"]


def _family(content: dict[str, Any], family: str) -> KeySet:
    try:
        primary = int(content[family]["primary"])
        keys = {
            int(entry["version"]): base64.b64decode(entry["key"], validate=True)
            for entry in content[family]["keys"]
            if entry["status"] == ENABLED
        }
        known = all(entry["status"] in STATUSES for entry in content[family]["keys"])
        made = {int(entry["version"]): _made(entry) for entry in content[family]["keys"]}
    except (KeyError, TypeError, ValueError):
        raise KeyringError(f"the keyring's {family} keys are not in the expected form") from None
    if not known:
        raise KeyringError(f"the keyring's {family} keys are not in the expected form")
    if primary not in keys or any(len(key) != KEY_BYTES for key in keys.values()):
        raise KeyringError(f"the keyring's primary {family} key is missing, not enabled or of the wrong length")
    return KeySet(primary, keys, made[primary])


def _made(entry: dict[str, Any]) -> datetime | None:
    """Raises ValueError."""
    return datetime.fromisoformat(entry["made"]) if entry.get("made") else None


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


def _new_key(version: int, *, made: datetime | None) -> dict[str, Any]:
    return {
        "version": version,
        "status": ENABLED,
        "made": None if made is None else made.isoformat(),
        "key": _text(secrets.token_bytes(KEY_BYTES)),
    }


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
