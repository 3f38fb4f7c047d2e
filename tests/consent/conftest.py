"""An officer who decides, a mini-program whose erasures go to review, and a keyring to change."""

import pytest

from consent.rights.review import set_review
from tests.cast import Program
from tests.consent.desk import DECIDES, Desk, officer


@pytest.fixture
def desk(program: Program) -> Desk:
    return officer("grace", program, may=DECIDES).enter(program)


@pytest.fixture
def reviewed(program: Program) -> Program:
    """The mini-program, with its erasures sent to review."""
    assert set_review(program_id=program.id, kind="erasure", on=True, by="test")
    return program
