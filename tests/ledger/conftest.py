"""Places of the test's own to publish to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the file of checkpoints is."""
    settings.ZHIQING_LEDGER_FOLDER = tmp_path / "published"
    yield tmp_path / "published"
    settings.ZHIQING_LEDGER_FOLDER = None
