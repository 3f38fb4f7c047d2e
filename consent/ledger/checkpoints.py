"""Checkpoints: the signed head of a log, as C2SP's tlog-checkpoint, signed-note and tlog-cosignature have it.

The text has three lines: the log's origin, its size, and its root hash in base64. Each key signs twice: the text itself
(Ed25519, type 1), and the text with the minute in which it was signed (a timestamped cosignature, type 4).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from consent.ledger.tree import HASH_BYTES

ORIGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:/-]{0,199}", re.ASCII)
"""A URL without its scheme, as is recommended; neither spaces nor plus signs."""
MAX_NOTE_BYTES = 16 * 1024
_TEXT = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/=]+)\n", re.ASCII)
_SIGNATURE = re.compile(r"\u2014 (\S+) ([A-Za-z0-9+/=]+)")
_PLAIN, _TIMED = 1, 4
_ID_BYTES, _TIME_BYTES, _SIGNATURE_BYTES = 4, 8, 64


class NotACheckpoint(Exception):
    """It is none, or none of the keys signed it; the message says why in words of ours."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a checkpoint says. `at`: the minute in which it was signed; None where no signature tells it."""

    origin: str
    size: int
    root: bytes
    at: datetime | None = None

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{_encoded(self.root)}\n"


def signed(head: Head, key: Ed25519PrivateKey, *, at: datetime) -> str:
    """The checkpoint's note. Of `at` only the minute is told."""
    text, public = head.text(), key.public_key().public_bytes_raw()
    time = int(minute(at).timestamp())
    plain = key.sign(text.encode())
    timed = time.to_bytes(_TIME_BYTES, "big") + key.sign(_timed(text, time))
    lines = [
        f"\u2014 {head.origin} {_encoded(key_id(head.origin, kind, public) + signature)}\n"
        for kind, signature in ((_PLAIN, plain), (_TIMED, timed))
    ]
    return f"{text}\n{''.join(lines)}"


def minute(moment: datetime) -> datetime:
    """The minute it is in, in UTC."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def opened(note: str, keys: Iterable[bytes]) -> Head:
    """What one of the public keys (32 bytes each) signed. Raises NotACheckpoint.

    Signatures of other names and keys are passed over, so that witnesses may add theirs; one of a known key that does not
    verify voids the whole.
    """
    head, lines = _parted(note)
    text, plain, at = head.text(), False, None
    known = {key_id(head.origin, kind, public): (kind, public) for public in keys for kind in (_PLAIN, _TIMED)}
    for name, data in lines:
        kind, public = known.get(data[:_ID_BYTES], (0, b""))
        if name != head.origin or not kind:
            continue
        signature, message = data[_ID_BYTES:], text.encode()
        time = int.from_bytes(signature[:_TIME_BYTES], "big")
        if kind == _TIMED:
            signature, message = signature[_TIME_BYTES:], _timed(text, time)
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except InvalidSignature:
            raise NotACheckpoint("its signature is not that of its text") from None
        plain, at = (True, at) if kind == _PLAIN else (plain, _moment(time))
    if not plain:
        raise NotACheckpoint("none of the public keys signed it")
    return Head(head.origin, head.size, head.root, at)


def read(note: str) -> Head:
    """What it says, whoever signed it. Raises NotACheckpoint."""
    return _parted(note)[0]


def key_id(name: str, kind: int, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:_ID_BYTES]


def verifier_key(origin: str, public: bytes) -> str:
    """The public key in the one line that tools for signed notes take."""
    return f"{origin}+{key_id(origin, _PLAIN, public).hex()}+{_encoded(bytes([_PLAIN]) + public)}"


def _parted(note: str) -> tuple[Head, list[tuple[str, bytes]]]:
    """The head and the signatures by their names. Raises NotACheckpoint."""
    text, _, rest = note.rpartition("\n\n")
    found = _TEXT.fullmatch(f"{text}\n")
    lines = [_SIGNATURE.fullmatch(line) for line in rest.removesuffix("\n").split("\n")]
    if len(note.encode()) > MAX_NOTE_BYTES or found is None or not rest.endswith("\n"):
        raise NotACheckpoint("it does not have a checkpoint's three lines and its signatures")
    root = _decoded(found[3])
    if len(root) != HASH_BYTES or None in lines:
        raise NotACheckpoint("its root or one of its signatures is not in the expected form")
    return Head(found[1], int(found[2]), root), [(line[1], _decoded(line[2])) for line in lines if line]


def _timed(text: str, time: int) -> bytes:
    """What a timestamped cosignature signs; `time` in seconds since 1970."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _moment(time: int) -> datetime:
    """Raises NotACheckpoint."""
    try:
        return datetime.fromtimestamp(time, UTC)
    except (ValueError, OverflowError, OSError):
        raise NotACheckpoint("its time is none") from None


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    """Raises NotACheckpoint, also for another spelling of the same bytes."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        data = b""
    if _encoded(data) != text:
        raise NotACheckpoint("a part of it is not base64")
    return data
