"""A folder for a stack of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from config import embedded


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "var"
    yield folder
    embedded.remove(folder)
