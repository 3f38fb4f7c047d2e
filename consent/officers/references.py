"""How an officer's page of a person is addressed: sealed, so that the address tells nobody and leads there for this session only.

Nothing is stored, and of an erased person a reference leads nowhere.
"""

import base64
import binascii
import struct
from datetime import datetime, timedelta

from consent.vault.envelope import NOBODY, Cell, open_own, seal_own
from consent.vault.identities import Vault
from consent.vault.store import KeyringError
from consent.vault.suites import DoesNotOpen

KEPT = timedelta(minutes=30)
_BODY = struct.Struct(">QQ")


def refer(vault: Vault, subject_id: int, *, program_id: int, session: str, now: datetime) -> str:
    """A reference as part of an address. `session`: the key of the officer's."""
    until = int((now + KEPT).timestamp())
    sealed = seal_own(vault.keyring, _BODY.pack(subject_id, until), _cell(program_id, session), vault.suite(program_id))
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def referred(vault: Vault, reference: str, *, program_id: int, session: str, now: datetime) -> int | None:
    """The subject's id; None for what is over, or was made for another session or mini-program, or by nobody."""
    try:
        sealed = base64.urlsafe_b64decode(reference + "=" * (-len(reference) % 4))
        subject_id, until = _BODY.unpack(open_own(vault.keyring, sealed, _cell(program_id, session)))
    except (binascii.Error, ValueError, DoesNotOpen, KeyringError):
        return None
    return int(subject_id) if now.timestamp() < until else None


def _cell(program_id: int, session: str) -> Cell:
    return Cell(program_id, "desk", "person", session, NOBODY)
