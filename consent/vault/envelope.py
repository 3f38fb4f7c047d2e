"""Envelope encryption: a random data key per subject, wrapped by the keyring, seals that subject's cells.

Ciphertext = suite (1 byte), key version (4 bytes, big-endian), nonce (12), ciphertext with tag. The associated data
binds suite, key version, mini-program, table, column, row and subject, so that a cell moved elsewhere does not open.
"""

import os
import struct
from dataclasses import dataclass

from consent.vault.keyring import Keyring
from consent.vault.suites import AES, KEY_BYTES, NONCE_BYTES, SUITES, TAG_BYTES, DoesNotOpen, Suite

_HEAD = struct.Struct(">BI")
OVERHEAD = _HEAD.size + NONCE_BYTES + TAG_BYTES
"""So many bytes longer than its plaintext a ciphertext is, in every suite."""
DATA_KEY_VERSION = 1
NOBODY = 0
"""No subject has this id."""


@dataclass(frozen=True)
class Cell:
    """Where a ciphertext stands."""

    program_id: int
    table: str
    column: str
    row: str
    subject_id: int

    def associated(self, head: bytes) -> bytes:
        """Length-prefixed, so that no two places give the same bytes."""
        parts = (str(self.program_id), self.table, self.column, self.row, str(self.subject_id))
        return head + b"".join(struct.pack(">I", len(part.encode())) + part.encode() for part in parts)


def new_data_key() -> bytes:
    return os.urandom(KEY_BYTES)


def wrap(keyring: Keyring, data_key: bytes, *, program_id: int, subject_id: int) -> tuple[bytes, int]:
    """The wrapped data key and the version of the key-encryption key that wraps it."""
    return seal_own(keyring, data_key, _data_key_cell(program_id, subject_id)), keyring.key_encryption.primary


def unwrap(keyring: Keyring, wrapped: bytes, *, program_id: int, subject_id: int) -> bytes:
    """Raises DoesNotOpen, KeyringError."""
    return open_own(keyring, wrapped, _data_key_cell(program_id, subject_id))


def seal(data_key: bytes, plaintext: bytes, cell: Cell) -> bytes:
    return _seal(AES, data_key, DATA_KEY_VERSION, plaintext, cell)


def open_cell(data_key: bytes, sealed: bytes, cell: Cell) -> bytes:
    """Raises DoesNotOpen."""
    return _open(data_key, sealed, cell)


def seal_own(keyring: Keyring, plaintext: bytes, cell: Cell) -> bytes:
    """With the primary key-encryption key itself: for what is a mini-program's or the service's; the cell's subject is NOBODY."""
    version = keyring.key_encryption.primary
    return _seal(AES, keyring.key_encryption.key(version), version, plaintext, cell)


def open_own(keyring: Keyring, sealed: bytes, cell: Cell) -> bytes:
    """Raises DoesNotOpen, KeyringError."""
    if len(sealed) < _HEAD.size:
        raise DoesNotOpen("the ciphertext is too short")
    _, version = _HEAD.unpack_from(sealed)
    return _open(keyring.key_encryption.key(version), sealed, cell)


def _data_key_cell(program_id: int, subject_id: int) -> Cell:
    return Cell(program_id, "data_key", "wrapped", str(subject_id), subject_id)


def _seal(suite: Suite, key: bytes, version: int, plaintext: bytes, cell: Cell) -> bytes:
    head = _HEAD.pack(suite.code, version)
    nonce = os.urandom(NONCE_BYTES)
    return head + nonce + suite.seal(key, nonce, plaintext, cell.associated(head))


def _open(key: bytes, sealed: bytes, cell: Cell) -> bytes:
    if len(sealed) < _HEAD.size + NONCE_BYTES:
        raise DoesNotOpen("the ciphertext is too short")
    head, rest = sealed[: _HEAD.size], sealed[_HEAD.size :]
    code, _ = _HEAD.unpack(head)
    if code not in SUITES:
        raise DoesNotOpen("the ciphertext names an unknown suite")
    return SUITES[code].open(key, rest[:NONCE_BYTES], rest[NONCE_BYTES:], cell.associated(head))
