"""From an identifier to the index under which its subject is found: a keyed HMAC, one way, apart for each mini-program."""

import re
import struct
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from cryptography.hazmat.primitives.hmac import HMAC

from consent.errors import Invalid, invalid
from consent.vault.keyring import Keyring
from consent.vault.suites import AES, Suite

PSEUDONYM = "subject_id"
KINDS = ("openid", "unionid", "external_id", PSEUDONYM)
"""By which a subject is named."""
PHONE = "phone"
"""A contact attribute, and not one of them: people share numbers, and a number changes hands."""
MAX_IDENTIFIER_CHARS = 128
INDEX_BYTES = 32

_LENGTH = struct.Struct(">I")
_E164 = re.compile(r"\+[1-9][0-9]{7,14}")
_CHINESE_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_BETWEEN_DIGITS = re.compile(r"[ ()-]")

Identifiers = Mapping[str, str]
"""Kind -> value as sent: `{"openid": …}`, `{"subject_id": …}` and so on; several kinds may name one subject."""


def normalise(kind: str, value: str, *, pointer: str = "/subject") -> str:
    """Identifiers are opaque and compared as they are; a pseudonym is compared as the UUID it is, a phone in E.164.

    Raises Invalid (at `pointer`/<kind>) for an empty, overlong or unprintable value.
    """
    if kind == PHONE:
        return _e164(value, f"{pointer}/{kind}")
    if kind == PSEUDONYM:
        try:
            return str(uuid.UUID(value))
        except ValueError:
            raise _invalid(f"{pointer}/{kind}", "subject_id must be the UUID that Zhiqing answered") from None
    if not 0 < len(value) <= MAX_IDENTIFIER_CHARS or not value.isprintable() or value != value.strip():
        raise _invalid(
            f"{pointer}/{kind}", f"give 1 to {MAX_IDENTIFIER_CHARS} printable characters without spaces around them"
        )
    return value


def _e164(value: str, pointer: str) -> str:
    """+ and 8 to 15 digits; a mobile number of mainland China may come without its +86. Which numbers exist is not asked."""
    number = _BETWEEN_DIGITS.sub("", value)
    if _CHINESE_MOBILE.fullmatch(number):
        return f"+86{number}"
    if not _E164.fullmatch(number):
        raise _invalid(pointer, "give + and 8 to 15 digits (E.164), or a mobile number of mainland China")
    return number


def _invalid(pointer: str, detail: str) -> Invalid:
    return invalid("invalid_identifier", detail, pointer)


def _finished(begun: HMAC, value: str) -> bytes:
    mac = begun.copy()
    encoded = value.encode()
    mac.update(_LENGTH.pack(len(encoded)) + encoded)
    return mac.finalize()


class Lookup:
    """Computes indexes. Keys are derived once per (suite, version, kind) and each HMAC copied from a prepared one."""

    def __init__(self, keyring: Keyring, suite_of: Callable[[int], Suite]) -> None:
        """`suite_of`: a mini-program's suite, which it has for life."""
        self._keyring = keyring
        self._suite_of = suite_of
        self._prepared = lru_cache(maxsize=128)(self._prepare)
        self._begun = lru_cache(maxsize=4096)(self._begin)

    def _prepare(self, suite: Suite, version: int, kind: str) -> HMAC:
        key = suite.derive(self._keyring.index.key(version), b"zhiqing lookup " + kind.encode())
        return suite.mac(key)

    def _begin(self, program_id: int, kind: str, version: int) -> HMAC:
        """What all values of a mini-program and a kind begin with."""
        mac = self._prepared(self._suite_of(program_id), version, kind).copy()
        mac.update(struct.pack(">II", program_id, len(kind)) + kind.encode())
        return mac

    @property
    def primary(self) -> int:
        return self._keyring.index.primary

    @property
    def versions(self) -> tuple[int, ...]:
        """All enabled versions: while a key rotates, creation writes and lookups read every one."""
        return tuple(sorted(self._keyring.index.keys))

    def index(self, program_id: int, kind: str, value: str, version: int) -> bytes:
        """INDEX_BYTES for a normalised value."""
        return _finished(self._begun(program_id, kind, version), value)

    def indexes(self, program_id: int, named: Iterable[Iterable[tuple[str, str]]]) -> list[list[bytes]]:
        """The same of many subjects, each named by (kind, value) pairs: for each the index of each pair and version."""
        versions = self.versions
        begun = {kind: [self._begun(program_id, kind, version) for version in versions] for kind in KINDS}
        return [[_finished(mac, value) for kind, value in pairs for mac in begun[kind]] for pairs in named]

    def fingerprint(self, purpose: str, message: bytes) -> bytes:
        """A keyed hash of what is no mini-program's, to be recognised again but not read: whose attempts to sign in are counted."""
        return self._fingerprint(AES, self.primary, purpose, message)

    def fingerprints(self, program_id: int, purpose: str, message: bytes) -> tuple[bytes, ...]:
        """The same of a mini-program's, by every enabled version, the oldest first: Idempotency-Keys and the bodies under them."""
        suite = self._suite_of(program_id)
        return tuple(self._fingerprint(suite, version, purpose, message) for version in self.versions)

    def _fingerprint(self, suite: Suite, version: int, purpose: str, message: bytes) -> bytes:
        mac = self._prepared(suite, version, f"fingerprint {purpose}").copy()
        mac.update(message)
        return mac.finalize()
