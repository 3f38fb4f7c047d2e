"""Envelope encryption: a random data key per subject, wrapped by the keyring, seals that subject's cells.

Ciphertext = suite (1 byte), key version (4 bytes, big-endian), nonce (12), ciphertext with tag. The associated data
binds suite, key version, mini-program, table, column, row and subject, so that a cell moved elsewhere does not open.
"""

import os
import struct
from dataclasses import dataclass, field

from consent.vault.keyring import Keyring
from consent.vault.suites import NONCE_BYTES, SUITES, TAG_BYTES, DoesNotOpen, Suite, ready

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


@dataclass(frozen=True)
class SubjectKey:
    """A subject's data key in plaintext, and the suite it is a key of: its own cells are sealed with no other."""

    suite: Suite
    secret: bytes = field(repr=False)


def new_data_key(suite: Suite) -> SubjectKey:
    return SubjectKey(suite, os.urandom(suite.key_bytes))


def wrap(keyring: Keyring, data_key: SubjectKey, *, program_id: int, subject_id: int) -> tuple[bytes, int]:
    """The wrapped data key and the version of the key-encryption key that wraps it."""
    wrapped = seal_own(keyring, data_key.secret, _data_key_cell(program_id, subject_id), data_key.suite)
    return wrapped, keyring.key_encryption.primary


def unwrap(keyring: Keyring, wrapped: bytes, *, program_id: int, subject_id: int) -> SubjectKey:
    """Raises DoesNotOpen, KeyringError."""
    suite, secret = _open_own(keyring, wrapped, _data_key_cell(program_id, subject_id))
    return SubjectKey(suite, secret)


def wrap_again(keyring: Keyring, wrapped: bytes, *, program_id: int, subject_id: int) -> bytes:
    """The same data key, wrapped by the primary key-encryption key. Raises DoesNotOpen, KeyringError."""
    return seal_own_again(keyring, wrapped, _data_key_cell(program_id, subject_id))


def seal(data_key: SubjectKey, plaintext: bytes, cell: Cell) -> bytes:
    return _seal(data_key.suite, data_key.secret, DATA_KEY_VERSION, plaintext, cell)


def open_cell(data_key: SubjectKey, sealed: bytes, cell: Cell) -> bytes:
    """Raises DoesNotOpen."""
    suite, version = _said(sealed)
    if suite is not data_key.suite or version != DATA_KEY_VERSION:
        raise DoesNotOpen("the ciphertext was sealed with another suite or key than the subject's")
    return _open(suite, data_key.secret, sealed, cell)


def seal_own(keyring: Keyring, plaintext: bytes, cell: Cell, suite: Suite) -> bytes:
    """With the primary key-encryption key itself: for what is a mini-program's or the service's; the cell's subject is NOBODY.

    What is stored is sealed under `writing.hold`.
    """
    version = keyring.key_encryption.primary
    key = suite.key_encryption(keyring.key_encryption.key(version))
    return _seal(suite, key, version, plaintext, cell)


def open_own(keyring: Keyring, sealed: bytes, cell: Cell) -> bytes:
    """Raises DoesNotOpen, KeyringError."""
    return _open_own(keyring, sealed, cell)[1]


def seal_own_again(keyring: Keyring, sealed: bytes, cell: Cell) -> bytes:
    """The same with the primary key and in its suite, whatever key it was sealed with. Raises DoesNotOpen, KeyringError."""
    suite, plaintext = _open_own(keyring, sealed, cell)
    return seal_own(keyring, plaintext, cell, suite)


def key_version(sealed: bytes) -> int:
    """The version of the key that it says it was sealed with. Raises DoesNotOpen."""
    return _said(sealed)[1]


def _open_own(keyring: Keyring, sealed: bytes, cell: Cell) -> tuple[Suite, bytes]:
    suite, version = _said(sealed)
    return suite, _open(suite, suite.key_encryption(keyring.key_encryption.key(version)), sealed, cell)


def _data_key_cell(program_id: int, subject_id: int) -> Cell:
    return Cell(program_id, "data_key", "wrapped", str(subject_id), subject_id)


def _seal(suite: Suite, key: bytes, version: int, plaintext: bytes, cell: Cell) -> bytes:
    head = _HEAD.pack(suite.code, version)
    nonce = os.urandom(NONCE_BYTES)
    return head + nonce + suite.seal(key, nonce, plaintext, cell.associated(head))


def _said(sealed: bytes) -> tuple[Suite, int]:
    """Suite and key version, as the head says them."""
    if len(sealed) < _HEAD.size + NONCE_BYTES:
        raise DoesNotOpen("the ciphertext is too short")
    code, version = _HEAD.unpack_from(sealed)
    if code not in SUITES:
        raise DoesNotOpen("the ciphertext names an unknown suite")
    return ready(SUITES[code]), version


def _open(suite: Suite, key: bytes, sealed: bytes, cell: Cell) -> bytes:
    head, rest = sealed[: _HEAD.size], sealed[_HEAD.size :]
    return suite.open(key, rest[:NONCE_BYTES], rest[NONCE_BYTES:], cell.associated(head))
