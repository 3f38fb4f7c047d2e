"""Reads of the log: its origin, its newest checkpoints, the stored hashes of its tree."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Subquery

from consent.ledger import tree
from consent.ledger.models import LogCheckpoint, LogOrigin, LogPublication
from consent.ledger.tree import Leaves, Subtree

_SIZE = 'SELECT coalesce(max("index") + 1, 0) FROM log_leaf WHERE origin = %s'
_STORED = """
    SELECT 0, "index", hash FROM log_leaf WHERE origin = %(origin)s AND "index" = ANY(%(leaves)s)
    UNION ALL
    SELECT node.level, node.position, node.hash FROM unnest(%(levels)s::smallint[], %(positions)s::bigint[]) AS wanted (level, position)
    JOIN log_node node ON node.origin = %(origin)s AND node.level = wanted.level AND node.position = wanted.position
"""


def current() -> LogOrigin | None:
    """The origin that grows; None before the first leaf has its place."""
    return LogOrigin.objects.order_by("-number").first()


def known(name: str) -> bool:
    """Whether an origin has, or had, this name."""
    return LogOrigin.objects.filter(name=name).exists()


def size_of(origin: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_SIZE, [origin])
        return int(cursor.fetchone()[0])


def newest(origin: int) -> LogCheckpoint | None:
    return LogCheckpoint.objects.filter(origin=origin).order_by("-size").first()


def newest_accepted(origin: int) -> LogCheckpoint | None:
    """The newest that some place accepted; None where none did yet."""
    accepted = LogPublication.objects.filter(origin=origin, accepted=True).order_by("-size").values("size")[:1]
    return LogCheckpoint.objects.filter(origin=origin, size=Subquery(accepted)).first()


def latest(origin: int, *, limit: int) -> list[LogCheckpoint]:
    """Its newest checkpoints, the newest first."""
    return list(LogCheckpoint.objects.filter(origin=origin).order_by("-size")[:limit])


def has_published(origin: LogOrigin | None) -> bool:
    """Whether the log has the largest checkpoint that the database says some place took; True where it says of none."""
    taken = LogPublication.objects.filter(accepted=True)
    if origin is None:
        return not taken.exists()
    largest = taken.filter(origin=origin.number).order_by("-size").first()
    if largest is None:
        return True
    head = LogCheckpoint.objects.filter(origin=origin.number, size=largest.size).first()
    return head is not None and root_at(origin.number, head.size) == bytes(head.root)


def stored(origin: int, wanted: Iterable[Subtree]) -> dict[Subtree, bytes]:
    """The hashes of complete subtrees, leaves among them: one query. What is not there is left out."""
    wanted = list(wanted)
    above = [subtree for subtree in wanted if subtree.level]
    values: dict[str, Any] = {
        "origin": origin,
        "leaves": [subtree.position for subtree in wanted if not subtree.level],
        "levels": [subtree.level for subtree in above],
        "positions": [subtree.position for subtree in above],
    }
    with connection.cursor() as cursor:
        cursor.execute(_STORED, values)
        return {Subtree(level, position): bytes(found) for level, position, found in cursor.fetchall()}


def root_at(origin: int, size: int) -> bytes | None:
    """The root of the log's first `size` leaves, by the stored hashes; None where it has fewer."""
    hashes = stored(origin, tree.subtrees(Leaves(0, size)))
    try:
        return tree.hash_of(Leaves(0, size), hashes)
    except KeyError:
        return None


def waiting(*, limit: int, program_id: int | None = None, before: datetime | None = None) -> int:
    """How many leaves have no place yet, of all or of one mini-program, under its tenant; one more than `limit` at most.
    `before`: of those that have waited since then."""
    own = "JOIN leaf ON leaf.id = leaf_id AND leaf.program_id = %(program)s" if program_id is not None else ""
    long = "WHERE since < %(before)s" if before is not None else ""
    with connection.cursor() as cursor:
        asked = {"limit": limit + 1, "program": program_id, "before": before}
        cursor.execute(f"SELECT count(*) FROM (SELECT FROM leaf_waiting {own} {long} LIMIT %(limit)s) AS few", asked)
        return int(cursor.fetchone()[0])
