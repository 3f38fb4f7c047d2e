"""Places of the test's own to publish to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.cast import Program, event
from tests.consent.receiver import receiving
from tests.ledger.logged import Working, run
from tests.ledger.verifying import verify


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the file of checkpoints is."""
    settings.ZHIQING_LEDGER_FOLDER = tmp_path / "published"
    yield tmp_path / "published"
    settings.ZHIQING_LEDGER_FOLDER = None


@pytest.fixture
def webhook():  # type: ignore[no-untyped-def]
    """Who is sent checkpoints, and answers as the test says."""
    with receiving() as receiver:
        settings.ZHIQING_LEDGER_WEBHOOK = f"{receiver.url}/checkpoints"
        yield receiver
    settings.ZHIQING_LEDGER_WEBHOOK = None


@pytest.fixture
def log(program: Program, folder: Path, as_worker: Working) -> int:
    """A log in order whose first checkpoint is of the size that is answered; some leaves lie behind it. All is published."""
    for name in ("alice", "bob"):
        program.decide(name)
    program.decide("bob", "withdrawn")
    run(as_worker)
    first = verify(folder)["logs"][0]["leaves"]
    program.send(event("alice", "e1"))
    for name in ("carol", "dave", "erin"):
        program.decide(name, "refused")
    run(as_worker)
    return int(first)
