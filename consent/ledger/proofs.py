"""Proofs for those outside: that a leaf is in the log, and that a log is the beginning of a later one."""

import base64
from dataclasses import dataclass
from typing import Any

from consent.errors import invalid
from consent.ledger import log, tree
from consent.ledger.models import LogCheckpoint, LogLeaf

PROMISED_S = 60
"""Within how many seconds of its receipt a record is promised to be in the log."""
RETRY_AFTER_S = 10


@dataclass(frozen=True)
class Proof:
    """That a leaf is at an index of the log whose head the checkpoint signs; hashes of 32 bytes.

    `path`: RFC 9162's inclusion proof. `consistency`: its proof that the log of the size asked for is the beginning of
    this one; None where none was asked.
    """

    index: int
    leaf: bytes
    path: list[bytes]
    checkpoint: str
    consistency: list[bytes] | None = None

    def told(self) -> dict[str, Any]:
        """As JSON: hashes in base64, as the checkpoint's root is."""
        told: dict[str, Any] = {"index": self.index, "leaf": text(self.leaf), "path": list(map(text, self.path))}
        return told if self.consistency is None else told | {"consistency": list(map(text, self.consistency))}


def of_leaf(leaf_id: int, *, published: bool, since: int | None = None) -> Proof | None:
    """By the newest checkpoint, of a log that is `published` by the newest that a place accepted: one that nobody outside has proves
    little, and may be lost. None until it covers the leaf. Three queries, and where none covers it four.

    Raises Invalid `not_a_size` where that checkpoint is smaller than `since`.
    """
    place = LogLeaf.objects.filter(leaf_id=leaf_id).first()
    if place is None:
        return None
    head = _head(place, published)
    return None if head is None or head.size <= place.index else _proof(place, head, since)


def _head(place: LogLeaf, published: bool) -> LogCheckpoint | None:
    if not published:
        return log.newest(place.origin)
    accepted = log.newest_accepted(place.origin)
    if accepted is not None and accepted.size > place.index:
        return accepted
    # A log that another goes on from is not published any more.
    now = log.current()
    return accepted if now is None or now.number == place.origin else log.newest(place.origin)


def _proof(place: LogLeaf, head: LogCheckpoint, since: int | None) -> Proof:
    if since is not None and not 0 < since <= head.size:
        raise invalid("not_a_size", f"the checkpoint to prove it by is of size {head.size}: name one that it had", "")
    included = tree.inclusion(place.index, head.size)
    extended = [] if since is None else tree.consistency(since, head.size)
    wanted = {subtree for leaves in [*included, *extended] for subtree in tree.subtrees(leaves)}
    stored = log.stored(place.origin, wanted)
    path, between = ([tree.hash_of(leaves, stored) for leaves in steps] for steps in (included, extended))
    return Proof(place.index, bytes(place.hash), path, head.note, None if since is None else between)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()
