"""Both ways of writing a batch."""

import pytest

from tracking.ingest import actions


@pytest.fixture(params=["copy", "insert"])
def written_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Few rows are inserted, many copied: here all of them one way."""
    monkeypatch.setattr(actions, "FEW", 0 if request.param == "copy" else actions.FEW)
    return str(request.param)
