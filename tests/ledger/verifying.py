"""verify_ledger as an operator runs it, and where to look for what it finds."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.core.management import CommandError, call_command

from consent import edge
from consent.ledger import sequencer, sinks
from tests.cast import now
from tests.ledger.logged import Working


def verify(folder: Path | None = None, *arguments: str, code: int = 0) -> Any:
    """What the command answers, by the checkpoints in the folder."""
    out, published = io.StringIO(), [f"--published={folder / sinks.FILE}"] if folder else []
    try:
        call_command("verify_ledger", "--json", *published, *arguments, stdout=out)
        found = 0
    except CommandError as error:
        found = error.returncode
    assert found == code, out.getvalue()
    return json.loads(out.getvalue()) if out.getvalue() else None


def faults(folder: Path | None = None) -> list[tuple[str, str, int | None]]:
    """(fault, row, since) of what is wrong."""
    return [(one["fault"], one["row"], one["since"]) for one in verify(folder, code=1)["findings"]]


def place_of(owner: psycopg.Connection, number: int) -> tuple[int, int]:
    """(index, leaf id) of the nth leaf that a consent record opens."""
    row = owner.execute(
        'SELECT "index", leaf_id FROM log_leaf JOIN leaf ON leaf.id = leaf_id WHERE leaf.type = 1'
        ' ORDER BY "index" OFFSET %s LIMIT 1',
        [number],
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def later(as_worker: Working, by: timedelta) -> None:
    """A run of the sequencer under a clock that is ahead."""
    with as_worker():
        signing = edge.vault().keyring.signing
        sequencer.sequence(name=edge.ledger_origin(), signing=signing, published=[], now=now() + by)
