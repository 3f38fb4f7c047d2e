"""Gives leaves their places in the log, and signs what it has come to: one transaction under one lock (docs/ledger.md).

It takes every leaf that can be seen, in one statement and so in one snapshot, ordered by (subject version, id). What a
transaction has not committed yet (idle, prepared, slow) is not seen and waits; nobody waits for it. Nothing is asked of
transaction ids, which restores and prepared transactions would falsify. A sequencer that is killed leaves nothing.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from consent.ledger import checkpoints, log, losses, statements, tree
from consent.ledger.checkpoints import Head
from consent.ledger.losses import Lost
from consent.ledger.models import LogCheckpoint, LogOrigin
from consent.ledger.statements import Statement
from consent.ledger.tree import Growing, Leaves
from consent.programs.tenancy import as_ledger
from consent.vault.signing import SigningKeys

PAGE = 10_000
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('ledger', 0))"
_TAKE = """
    WITH taken AS (DELETE FROM leaf_waiting RETURNING leaf_id)
    INSERT INTO log_leaf (origin, "index", leaf_id, hash)
    SELECT %s, %s - 1 + row_number() OVER (ORDER BY leaf.subject_version, leaf.id), leaf.id, leaf.hash
    FROM taken JOIN leaf ON leaf.id = taken.leaf_id
"""
_PAGE = 'SELECT hash FROM log_leaf WHERE origin = %s AND "index" >= %s AND "index" < %s ORDER BY "index"'


class Behind(Exception):
    """The log is smaller than what was published of it, or another. It never goes on: only a new origin does."""


@dataclass(frozen=True)
class Sequenced:
    """What a run came to: how many leaves got a place, the log's size, and whether there is a new checkpoint."""

    taken: int
    size: int
    signed: bool


def sequence(*, name: str, signing: SigningKeys, published: Sequence[Head], now: datetime) -> Sequenced | None:
    """One run; None where another has the lock. `name`: the first origin's; `published`: the newest checkpoint of each place
    that can be read. Raises Behind."""
    with as_ledger():
        with connection.cursor() as cursor:
            cursor.execute(_LOCK)
            if not cursor.fetchone()[0]:
                return None
        origin = log.current()
        refuse_behind(origin, published)
        if origin is None:
            origin = LogOrigin.objects.create(number=1, name=name)
        return _grown(origin, signing, now)


def begin(*, name: str, lost: Lost, earlier: Sequence[Lost]) -> LogOrigin:
    """Begin another log, whose first leaf names the checkpoint that the one before had come to, and what of it is missing, and the
    same of `earlier` ones of which nothing that is left tells.

    Waits for a run that is under way. The next run signs, once it has given all that waits a place.
    """
    with as_ledger():
        with connection.cursor() as cursor:
            cursor.execute(_LOCK.replace("pg_try_advisory_xact_lock", "pg_advisory_xact_lock"))
        before = log.current()
        origin = LogOrigin.objects.create(number=before.number + 1 if before else 1, name=name, previous=lost.note)
        _write(origin.number, 0, [statements.of_origin(name, lost, earlier)])
        _extended(origin.number, Growing())
        return origin


def refuse_behind(origin: LogOrigin | None, published: Sequence[Head]) -> None:
    """Raises Behind unless the log is what was published of it, or more: by the places that can be read, and by what the database
    says that others took."""
    if not log.has_published(origin):
        raise Behind("the database says that more was published than it has")
    for head in published:
        if origin is None:
            raise Behind("checkpoints were published and the database has no log")
        if head.origin == origin.name:
            if log.root_at(origin.number, head.size) != head.root:
                raise Behind("the log does not begin with what was published of it")
        elif not any(_before(head, gone) for gone in losses.told(origin)):
            raise Behind("checkpoints of another origin were published, which the log does not go on from")


def _before(head: Head, previous: Head) -> bool:
    """Whether one that was published of a log before is the one gone on from, or smaller: then another place had more."""
    return head.text() == previous.text() or (head.origin == previous.origin and head.size < previous.size)


def _grown(origin: LogOrigin, signing: SigningKeys, now: datetime) -> Sequenced:
    before = log.size_of(origin.number)
    said = [*statements.key_changes(origin.number, signing), *statements.redactions(now)]
    _write(origin.number, before, said)
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [origin.number, before + len(said)])
        taken = cursor.rowcount
    grown = _growing(origin.number, before)
    _extended(origin.number, grown)
    return Sequenced(taken, grown.size, _sign(origin, grown, signing, now))


def _write(origin: int, size: int, said: Sequence[Statement]) -> None:
    """What the log says itself, in its place and opened."""
    with connection.cursor() as cursor:
        for index, statement in enumerate(said, size):
            cursor.execute(
                'INSERT INTO log_leaf (origin, "index", hash) VALUES (%s, %s, %s)', [origin, index, statement.hash()]
            )
            cursor.execute(
                'INSERT INTO log_statement (origin, "index", type, salt, content) VALUES (%s, %s, %s, %s, %s)',
                [origin, index, statement.type, statement.salt, json.dumps(statement.content)],
            )


def _growing(origin: int, size: int) -> Growing:
    """The tree of that size, by what is stored. Raises KeyError where a hash is gone."""
    edge = tree.subtrees(Leaves(0, size))
    hashes = log.stored(origin, edge)
    return Growing(size, [hashes[subtree] for subtree in edge])


def _extended(origin: int, grown: Growing) -> None:
    """Add the leaves that have a place behind the tree's end, and store the subtrees that they complete."""
    for page in _pages(origin, grown.size):
        completed = [found for one in page for found in grown.append(one)]
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY log_node (origin, level, position, hash) FROM STDIN") as copy,
        ):
            for subtree, found in completed:
                copy.write_row((origin, subtree.level, subtree.position, found))


def _pages(origin: int, begin: int) -> Iterator[list[bytes]]:
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_PAGE, [origin, begin, begin + PAGE])
            page = [bytes(row[0]) for row in cursor.fetchall()]
        if not page:
            return
        yield page
        begin += len(page)


def _sign(origin: LogOrigin, grown: Growing, signing: SigningKeys, now: datetime) -> bool:
    """A checkpoint of what there is, unless there is one; False also where no key is enabled, and the next run has one."""
    key, last = signing.of(now), log.newest(origin.number)
    if not grown.size or (last is not None and last.size == grown.size) or key is None or key.private is None:
        return False
    head = Head(origin.name, grown.size, grown.root())
    LogCheckpoint.objects.create(
        origin=origin.number,
        size=head.size,
        root=head.root,
        at=checkpoints.minute(now),
        note=checkpoints.signed(head, key.private, at=now),
    )
    return True
