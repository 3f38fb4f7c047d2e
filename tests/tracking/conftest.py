"""Both ways of writing a batch, and somebody to write of."""

import pytest

from tests.cast import Program
from tracking.ingest import actions


@pytest.fixture(params=["copy", "insert"])
def written_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Few rows are inserted, many copied: here all of them one way."""
    monkeypatch.setattr(actions, "FEW", 0 if request.param == "copy" else actions.FEW)
    return str(request.param)


@pytest.fixture
def known(program: Program) -> Program:
    """A mini-program where alice has given both purposes."""
    program.decide("alice")
    program.decide("alice", purpose="personalisation")
    return program
