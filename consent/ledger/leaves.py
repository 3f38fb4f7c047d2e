"""The salted leaf of a record: H(0x00 ‖ type ‖ HMAC(salt, canonical record)), RFC 9162's leaf with a commitment inside.

The record's canonical form (RFC 8785) holds no subject and no pseudonym; salt and record go at erasure, and what stays
says nothing without them.
"""

import hashlib
import hmac
import os
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import rfc8785

from consent.ledger.models import RedactedLeaf

SALT_BYTES = 32


class LeafType(IntEnum):
    CONSENT_RECORD = 1
    AUDIT_ENTRY = 2
    REDACTION = 3
    KEY_CHANGE = 4
    ORIGIN = 5


def new_salt() -> bytes:
    return os.urandom(SALT_BYTES)


def redacted(leaf_ids: Iterable[int]) -> None:
    """That records and salts of these leaves go, in the transaction that deletes them; the log lists them within a day."""
    RedactedLeaf.objects.bulk_create([RedactedLeaf(leaf_id) for leaf_id in leaf_ids], ignore_conflicts=True)


def leaf_hash(leaf_type: LeafType, salt: bytes, content: dict[str, Any]) -> bytes:
    """32 bytes."""
    commitment = hmac.new(salt, rfc8785.dumps(content), hashlib.sha256).digest()
    return hashlib.sha256(b"\x00" + bytes([leaf_type]) + commitment).digest()
