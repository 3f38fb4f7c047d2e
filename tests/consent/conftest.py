"""An officer who decides, a mini-program whose erasures go to review, a keyring to change, and an officer's window."""

import pytest
from playwright.sync_api import Browser

from consent.rights.review import set_review
from tests.cast import Program
from tests.consent.desk import DECIDES, Desk, officer
from tests.consent.window import LOCALES, Window
from tests.journeys.server import Server


@pytest.fixture
def desk(program: Program) -> Desk:
    return officer("grace", program, may=DECIDES).enter(program)


@pytest.fixture(params=LOCALES)
def window(server: Server, browser: Browser, database: None, request: pytest.FixtureRequest) -> Window:
    """An officer's, in each language."""
    return Window(browser, server, request.param)


@pytest.fixture
def reviewed(program: Program) -> Program:
    """The mini-program, with its erasures sent to review."""
    assert set_review(program_id=program.id, kind="erasure", on=True, by="test")
    return program
