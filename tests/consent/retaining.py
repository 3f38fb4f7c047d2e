"""Time passes: what was collected is made older, and workers do what they would do then."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg

from consent.notices import assessments
from consent.notices.actions import publish_notice
from consent.rights import collected, retention
from consent.rights.holders import Keeping, Over
from tests.cast import AT_ONCE, Program, example_notice, now
from tests.consent.rights import Working

WITHIN = timedelta(hours=72)
ACCEPTED = timedelta(days=400)


def keeping(*, later: timedelta = timedelta(0)) -> Keeping:
    return Keeping(now=now() + later, lag=timedelta(0), within=WITHIN, accepted=ACCEPTED)


def erase_due(as_worker: Working) -> tuple[int, int]:
    """What the worker does every few seconds: (erasures done, rows)."""
    with as_worker():
        return collected.erase_due(seconds=30)


def purge(program: Program, as_worker: Working, *, later: timedelta = timedelta(0), full: bool = False) -> int:
    """What the worker does every hour; answers the rows."""
    with as_worker():
        deleted = retention.purge(program_id=program.id, keeping=keeping(later=later), full=full)
    return sum(deleted.values())


def over(program: Program, *, later: timedelta = timedelta(0)) -> list[Over]:
    return retention.over(program_id=program.id, keeping=keeping(later=later))


def events(owner: psycopg.Connection) -> list[str]:
    return [row[0] for row in owner.execute("SELECT event_id FROM event ORDER BY 1").fetchall()]


def told(program: Program, *, days: int, purpose: str = "analytics", at: Any = None) -> str:
    """Publish a notice that keeps a purpose's data for a number of days; answers its sha256."""
    text = example_notice()
    for item in text.purposes:
        if item.code == purpose:
            item.retention_days = days
    return publish_notice(program_id=program.id, text=text, effective_at=at, lead=AT_ONCE, by="test", now=now()).sha256


def told_ahead(owner: psycopg.Connection, program: Program, *, days: int, at: Any = None) -> str:
    """The same as agreed to before it takes effect: a longer retention ends no consent then, and the grant goes on."""
    sha256 = told(program, days=days, at=at)
    owner.execute(
        "UPDATE notice_purpose SET material = false FROM notice n WHERE n.id = notice_id AND n.sha256 = %s", [sha256]
    )
    return sha256


@contextmanager
def promised_longer(owner: psycopg.Connection) -> Iterator[None]:
    """What is sent meanwhile is taken at any age, and is then as old as if it had come in time."""
    owner.execute("UPDATE notice_purpose SET retention_days = retention_days + 1000")
    yield
    owner.execute("UPDATE notice_purpose SET retention_days = retention_days - 1000")


def since(program: Program, openid: str, days: int, **more: Any) -> Any:
    """A consent that was given a number of days ago."""
    return program.decide(openid, occurred_at=(now() - timedelta(days=days)).isoformat(), method="import", **more)


def also_for(owner: psycopg.Connection, program: Program, name: str, purpose: str) -> None:
    """Let an event type serve another purpose; before it is first used."""
    owner.execute(
        "UPDATE event_type SET purpose_id = (SELECT id FROM purpose WHERE program_id = %s AND code = %s)"
        " WHERE program_id = %s AND name = %s",
        [program.id, purpose, program.id, name],
    )


def end_purpose(program: Program, code: str) -> None:
    assert assessments.deactivate(program_id=program.id, purpose=code, by="test")
