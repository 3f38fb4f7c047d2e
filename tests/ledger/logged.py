"""What the tests of the log share: runs of the sequencer, and proofs checked with nothing but what is published."""

import base64
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import psycopg

from consent import edge
from consent.ledger import checkpoints, tasks, tree
from consent.ledger.checkpoints import Head
from tests.cast import Program

Working = Callable[[], AbstractContextManager[None]]


def run(as_worker: Working) -> None:
    """What beat has a worker do every few seconds."""
    with as_worker():
        tasks.run()


def decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def head(note: str) -> Head:
    """Verified with the public keys."""
    return checkpoints.opened(note, [key.public for key in edge.vault().keyring.signing.keys])


def included(answer: Any) -> Head:
    """The head of the checkpoint by which a receipt's or certificate's proof holds."""
    found, proof = head(answer["checkpoint"]), answer["inclusion"]
    path = [decoded(step) for step in proof["path"]]
    assert tree.includes(found.root, found.size, proof["index"], decoded(proof["leaf"]), path)
    return found


def receipt(program: Program, record_id: str, **query: int) -> Any:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    response = program.get(f"receipts/{record_id}" + (f"?{asked}" if asked else ""))
    assert response.status_code == 200, response.content
    return response.json()


def rows(owner: psycopg.Connection) -> list[tuple[int, int | None]]:
    """(index, leaf id) of the log's rows in their order."""
    found = owner.execute('SELECT "index", leaf_id FROM log_leaf ORDER BY origin, "index"').fetchall()
    return [(row[0], row[1]) for row in found]


def leaves(owner: psycopg.Connection) -> set[int]:
    return {int(row[0]) for row in owner.execute("SELECT id FROM leaf").fetchall()}


def placed(owner: psycopg.Connection) -> set[int]:
    return {leaf_id for _, leaf_id in rows(owner) if leaf_id is not None}
