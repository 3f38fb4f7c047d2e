"""A shop's history, and an officer who may see its reports."""

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from tests.cast import Program, now
from tests.consent.desk import Desk, officer
from tests.reports.events import History
from tests.reports.sent import Receipts, Sent
from tests.reports.shop import regulars, visits

ZONE = ZoneInfo("Asia/Shanghai")
PEOPLE = 120


@pytest.fixture
def shop(
    history: Callable[..., History],
    owner: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> History:
    """Not a sandbox: figures of few are withheld."""
    found = history()
    today = now().astimezone(ZONE).date()
    visits(found, today, PEOPLE)
    if getattr(request.node, "callspec", None) and request.node.callspec.params.get("metric") == "forecast":
        # It takes more days than the shop has been open.
        regulars(found, today, 14, days=100)
    sent = Receipts(found.program, owner, monkeypatch)
    noon = datetime.combine(today, datetime.min.time(), ZONE) - timedelta(hours=12)
    for ago in range(4, 12):
        at = noon - timedelta(days=ago)
        sent.receive(at, *(Sent(f"s{n}") for n in range(20 + ago)))
        sent.receive(at, *(Sent(f"s{n}", "consent_withdrawn", known=False) for n in range(11)))
        sent.receive(at, *(Sent(f"s{n}", "unknown_event", "nothing", known=False) for n in range(3)))
    return found


@pytest.fixture
def analyst(shop: History) -> Desk:
    return officer("ana", shop.program, may_see=("report",), may=("keep_report",)).enter(shop.program)


@pytest.fixture
def idle(program: Program) -> Desk:
    """The same of a mini-program in which nothing happened."""
    return officer("ida", program, may_see=("report",), may=("keep_report",)).enter(program)
