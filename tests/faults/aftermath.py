"""What must be true of a stack after the kills: what was acknowledged is there once and whole, every request has ended."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from django.db import connection
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker

from config import env
from consent.programs.tenancy import tenant
from consent.rights import packages
from consent.rights.models import TERMINAL, Package
from consent.vault.identities import Vault
from consent.vault.store import FileStore
from tests.consent.rights import sections
from tests.faults.serving import Served, wait_for
from tests.faults.traffic import ATTRIBUTES, FICKLE, OF_EACH, Filed, Remembered, Traffic
from tracking.client import Client

END_S = 75.0
"""A lease of 30 s, a sweep, a pause after a failure and the work itself, on a busy machine."""
INTENTS_S = 90.0
"""What a withdrawal that died has left is swept after a minute."""

INCOMPLETE = """
    SELECT count(*) FROM event e
    LEFT JOIN consent_record r ON r.subject_id = e.subject_id AND r.id = e.consent_record_id
    LEFT JOIN event_type t ON t.id = e.type_id AND t.program_id = e.program_id
    LEFT JOIN subject_day d ON d.subject_id = e.subject_id AND d.day = e.day
    LEFT JOIN page p ON p.id = e.page_id AND p.program_id = e.program_id
    WHERE r.id IS NULL OR t.id IS NULL OR d.day IS NULL OR p.id IS NULL OR r.purpose_id <> t.purpose_id
       OR r.authorises_from IS NULL OR r.authorises_from > least(e.occurred_at, e.corrected_at)
"""
UNPROVED = """
    SELECT (SELECT count(*) FROM consent_state s WHERE NOT EXISTS (
                SELECT FROM consent_record r WHERE r.subject_id = s.subject_id AND r.id = s.record_id))
         + (SELECT count(*) FROM consent_record r WHERE NOT EXISTS (SELECT FROM leaf l WHERE l.id = r.leaf_id))
"""


def check_requests(stack: Served, traffic: Traffic, blocker: DjangoDbBlocker) -> float:
    """Every request ends without help, as completed, and has done what it asked for; answers the seconds waited."""
    with traffic.client() as client:
        waiting = {filed.request_id for filed in traffic.seen.requests}

        def all_ended() -> bool:
            for request_id in list(waiting):
                if (state := client.request_state(request_id)["state"]) in TERMINAL:
                    assert state == "completed"
                    waiting.discard(request_id)
            return not waiting

        took = wait_for("the last request", all_ended, END_S)
        for filed in traffic.seen.requests:
            _check_subject(client, filed)
        for openid in FICKLE:
            assert _state(client, openid) == traffic.seen.states[openid]
    with _as(stack, blocker) as vault:
        for filed in traffic.seen.requests:
            if filed.kind == "access":
                _check_package(vault, traffic.program, filed)
    return took


def _check_subject(client: Client, filed: Filed) -> None:
    expected = {
        "access": [(filed.openid, "given")],
        "erasure": [(filed.openid, "unknown")],
        "rectification": [(filed.openid, "unknown"), (f"{filed.openid}-new", "given")],
    }
    assert [(openid, _state(client, openid)) for openid, _ in expected[filed.kind]] == expected[filed.kind]


def _state(client: Client, openid: str) -> str:
    return str(client.status({"openid": openid}, ["analytics"])[0]["state"])


@contextmanager
def _as(stack: Served, blocker: DjangoDbBlocker) -> Iterator[Vault]:
    """Django in this process on the stack's database, and the stack's vault."""
    ours, settings = dict(connection.settings_dict), stack.settings()
    connection.close()
    connection.settings_dict.update(env.database(settings["DATABASE_URL"]))
    try:
        with blocker.unblock():
            yield Vault.load(FileStore(stack.var / "keyring.json"))
            connection.close()
    finally:
        connection.settings_dict.update(ours)


def _check_package(vault: Vault, program_id: int, filed: Filed) -> None:
    with tenant(program_id):
        package = Package.objects.get(request_id=filed.request_id)
    document = json.loads(b"".join(packages.stream(vault, package)))
    found = sections(document)
    assert (document["subject_id"], len(found["events"])) == (filed.pseudonym, OF_EACH)
    assert len(found["attributes"]) == len(ATTRIBUTES)


def check_rows(stack: Served, seen: Remembered) -> None:
    """What the database holds is what was acknowledged."""
    erased = {filed.openid for filed in seen.requests if filed.kind == "erasure"}
    with stack.owner() as owner:
        owed = "SELECT count(*) FROM purpose_erasure WHERE done_at IS NULL"
        wait_for("what was withdrawn to be erased", lambda: _count(owner, owed) == 0, INTENTS_S)
        _check_events(owner, seen, erased)
        assert _count(owner, INCOMPLETE) == 0
        assert _count(owner, UNPROVED) == 0
        kept = {openid: acts for openid, acts in seen.acts.items() if openid not in erased}
        assert _count(owner, "SELECT count(*) FROM consent_record") == sum(kept.values())
        assert _count(owner, "SELECT count(*) FROM subject") == len(kept) == len(seen.acts) - len(erased)
        filed = {str(row[0]) for row in owner.execute("SELECT id FROM subject_request")}
        assert filed == {one.request_id for one in seen.requests} | set(seen.probes)
        _check_no_orphans(owner)
        intents = "SELECT count(*) FROM withdrawal_intent"
        wait_for("the sweep of intents", lambda: _count(owner, intents) == 0, INTENTS_S)


def _check_events(owner: psycopg.Connection, seen: Remembered, erased: set[str]) -> None:
    counts: dict[str, int] = dict(owner.execute("SELECT event_id, count(*) FROM event GROUP BY event_id").fetchall())
    assert set(counts.values()) == {1}
    assert not seen.withdrawn & counts.keys(), "of a consent that was withdrawn"
    stored = {event_id for event_id, openid in seen.events.items() if openid not in erased}
    acknowledged = stored - seen.withdrawn
    assert not acknowledged - counts.keys(), "acknowledged and not there"
    unacknowledged = counts.keys() - acknowledged
    for batch in seen.abandoned:
        assert len(unacknowledged & set(batch)) in (0, len(batch)), "a batch is there in part"
        unacknowledged -= set(batch)
    assert not unacknowledged, "never sent, refused, or of somebody who was erased"


def _check_no_orphans(owner: psycopg.Connection) -> None:
    """Nothing names a subject that is gone."""
    named = owner.execute(
        "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " WHERE a.attname = 'subject_id' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND c.relnamespace = 'public'::regnamespace"
    )
    tables = [str(row[0]) for row in named]
    assert {"event", "data_key", "subject_lookup", "package_part", "page"} <= set(tables)
    lost = sql.SQL("SELECT count(*) FROM {} WHERE subject_id NOT IN (SELECT subject_id FROM subject)")
    assert {table: _count(owner, lost.format(sql.Identifier(table))) for table in tables} == dict.fromkeys(tables, 0)


def _count(owner: psycopg.Connection, query: LiteralString | sql.Composed) -> int:
    row = owner.execute(query).fetchone()
    assert row is not None
    return int(row[0])
