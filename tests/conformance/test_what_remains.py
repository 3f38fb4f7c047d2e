"""I4, the other way round: every row, key, file and message that is left of one person after their erasure, against the list that
docs/threat-model.md tells people. The world before they came is compared with the world after they went.
"""

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import psycopg
import redis
from django.conf import settings
from psycopg import sql

from consent.journal import writing
from tests.cast import Program
from tests.conformance.test_canaries import broker as broker
from tests.consent.journals import journaling
from tests.consent.rights import Working, carry_out, erased, file, lively
from tests.consent.test_erasure import far_ids as far_ids
from tests.consent.test_erasure import places, traces_of
from tests.ledger.logged import run as sequence

PAGE = Path(settings.BASE_DIR) / "docs" / "threat-model.md"
CHAPTER = "## What remains after an erasure"
HINTS = {"requests", "_kombu.binding.celery", "_kombu.binding.requests", "_kombu.binding_permanent.celery"}
HINTS |= {"_kombu.binding_permanent.requests"}

LEFT = {
    "audit_entry": 6,
    "erasure_count": 1,
    "holder_run": 18,
    "idempotency_record": 1,
    "ingest_count": 1,
    "journal_given_out": 3,
    "leaf": 11,
    "log_checkpoint": 2,
    "log_leaf": 12,
    "log_node": ANY,
    "log_statement": 1,
    "page": 1,
    "rollup_day": ANY,
    "subject_request": 3,
}
"""By table: rows that are there, or changed, after an erasure and were not before its person came."""


DAYS = 2
"""Of events: none is late, at whatever time of the day this runs."""


def world(owner: psycopg.Connection) -> dict[str, Counter[str]]:
    """Every row of every table, as text."""
    tables = owner.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relispartition"
    ).fetchall()
    found = {}
    for (table,) in tables:
        rows = owner.execute(sql.SQL("SELECT held::text FROM {} held").format(sql.Identifier(table)))
        found[str(table)] = Counter(str(row[0]) for row in rows)
    return found


def left(before: dict[str, Counter[str]], after: dict[str, Counter[str]]) -> dict[str, int]:
    return {table: more for table, rows in sorted(after.items()) if (more := (rows - before[table]).total())}


def files(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


def a_life(program: Program, owner: psycopg.Connection, as_worker: Working) -> list[Any]:
    """Everything a person does here; answers all by which they could be found."""
    pseudonym = lively(program, days=DAYS)
    program.decide("alice", "withdrawn", "personalisation")
    again = {
        "subject": {"openid": "alice"}, "notice": program.notice, "locale": "en", "method": "dialog", "act": "single",
        "decisions": [{"purpose": "analytics", "decision": "given"}],
    }  # fmt: skip
    assert program.post("consents", again, Idempotency_Key="for-alice").status_code == 201
    program.post("portal-sessions", {"subject": {"openid": "alice"}, "locale": "en"})
    assert carry_out(program, as_worker, file(program, "access"))["state"] == "completed"
    changes = {"identifiers": {"unionid": "u-alice"}}
    assert carry_out(program, as_worker, file(program, "rectification", changes=changes))["state"] == "completed"
    return traces_of(owner, pseudonym, "alice")


def test_what_is_left_of_a_person_is_what_the_threat_model_says(
    program: Program, owner: psycopg.Connection, as_worker: Working, broker: redis.Redis, tmp_path: Path, far_ids: None
) -> None:
    lively(program, "bob", days=DAYS)
    sequence(as_worker)
    folders = (Path(os.environ["VAR"]), tmp_path)
    with journaling(tmp_path / "journal") as journal:
        kept = files(*folders)
        writing.mark()
        before, keys = world(owner), set(broker.scan_iter())
        traces = a_life(program, owner, as_worker)
        assert erased(program, owner, as_worker)["state"] == "completed"
        sequence(as_worker)
        # What had no place yet when it was erased is listed by the next run.
        sequence(as_worker)
        after = world(owner)
    assert left(before, after) == LEFT
    # Bob's are as they were, but for what is counted of both, and the page that only he had seen.
    changed = {table: gone.total() for table, rows in before.items() if (gone := rows - after[table])}
    assert changed == {"ingest_count": 1, "page": 1}
    assert {place.partition(".")[0] for place in places(owner, traces)} <= {"idempotency_record"}
    # Files: the journal alone, and nothing in it by which the person is found.
    assert {path.name for path in files(*folders) - kept} == {journal.newest().name, "lock", "writer"}
    assert journal.told() == [("withdrawal", "personalisation"), ("erasure",), ("tombstone",)]
    written = journal.newest().read_text()
    for trace in traces:
        assert (trace.hex() if isinstance(trace, bytes) else str(trace)) not in written
    # Redis: hints to workers, which hold the number of a request.
    assert {bytes(key).decode() for key in set(broker.scan_iter()) - keys} <= HINTS


def test_the_list_is_the_one_that_people_are_told() -> None:
    """A table that comes to be left, or is left no more, has to be told."""
    chapter = PAGE.read_text().partition(CHAPTER)[2].partition("\n## ")[0]
    rows = [line for line in chapter.splitlines() if line.startswith("| ")]
    told = {name for line in rows for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])}
    assert LEFT.keys() <= told, f"say in {PAGE.name} why these are left: {', '.join(sorted(LEFT.keys() - told))}"
