"""The status call: what it costs, and what it answers in the less common cases."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.pq import PipelineStatus

from consent import edge
from consent.notices.actions import publish_notice
from consent.programs.tenancy import tenant
from consent.records.status import STATUS
from consent.statements import Byteas, ask
from consent.vault.lookup import INDEX_BYTES
from tests.cast import AT_ONCE, Program, example_notice, now
from tests.consent.acts import act, status

# Enough for the planner to prefer an index wherever there is one.
_MANY = """
    WITH made AS (
        INSERT INTO subject (program_id, pseudonym, erasure_handle, version, restricted, erasure_pending, under_14)
        SELECT %(program)s, gen_random_uuid(), decode(md5(n::text), 'hex'), 1, false, false, false
        FROM generate_series(1, 3000) n RETURNING subject_id, program_id
    ), found AS (
        INSERT INTO subject_lookup (index, program_id, subject_id, kind, key_version)
        SELECT sha256(subject_id::text::bytea), program_id, subject_id, 'openid', 1 FROM made
    ), recorded AS (
        INSERT INTO consent_record (subject_id, program_id, record_id, purpose_id, version, state, age_band, occurred_at,
                                    corrected_at, received_at, leaf_id, salt)
        SELECT made.subject_id, p.program_id, gen_random_uuid(), p.id, 1, 'refused', 'unknown', now(), now(), now(), 1, ''
        FROM made, purpose p WHERE p.program_id = %(program)s
    )
    INSERT INTO consent_state (subject_id, purpose_id, program_id, state, record_id, asked_at, restricted, erasure_pending,
                               guardian_pending, renewal_required, version)
    SELECT made.subject_id, p.id, p.program_id, 'refused', 1, now(), false, false, false, false, 1
    FROM made, purpose p WHERE p.program_id = %(program)s
"""


class Sent:
    """The statements that go to the database, each with whether it waits for its answer."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, bool]] = []

    def waited_for(self) -> int:
        """How many round trips: those that wait alone, and one for those that are sent together."""
        alone = sum(waits for _, waits in self.statements)
        return alone + (alone < len(self.statements))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    noted, execute = Sent(), psycopg.Cursor.execute

    def noting(cursor: Any, query: Any, *arguments: Any, **more: Any) -> Any:
        together = cursor.connection.pgconn.pipeline_status != PipelineStatus.OFF
        noted.statements.append((str(query), not together))
        return execute(cursor, query, *arguments, **more)

    monkeypatch.setattr(psycopg.Cursor, "execute", noting)
    yield noted
    monkeypatch.undo()


def versions_to_come(program: Program) -> list[str]:
    """Two versions that take effect one after the other."""
    return [
        publish_notice(
            program_id=program.id,
            text=example_notice(),
            effective_at=now() + timedelta(days=days),
            lead=AT_ONCE,
            by="test",
            now=now(),
        ).sha256
        for days in (1, 2)
    ]


def test_the_status_is_one_query_and_two_round_trips(program: Program, sent: Sent) -> None:
    """The key; then the tenant, the subject, the status and the clock together. What was decided makes no difference."""
    program.decide("alice")
    for notice in versions_to_come(program):
        program.decide("alice", notice=notice)
    program.decide("alice", "refused", "personalisation")
    for openid, asked in (("alice", None), ("alice", ["analytics"]), ("nobody", None)):
        sent.statements.clear()
        body: dict[str, Any] = {"subject": {"openid": openid, "external_id": "e"}} | (
            {"purposes": asked} if asked else {}
        )
        assert program.post("consents/status", body).status_code == 200
        assert len(sent.statements) <= 5, sent.statements
        assert sent.waited_for() == 2
        assert sum("consent_state" in statement for statement, _ in sent.statements) == 1


def test_the_status_finds_the_states_by_their_primary_key(program: Program, owner: psycopg.Connection) -> None:
    owner.execute(_MANY, {"program": program.id})
    owner.execute("ANALYZE subject, subject_lookup, consent_state, consent_record, purpose, notice, notice_purpose")
    index = edge.vault().lookup.index(program.id, "openid", "alice", edge.vault().lookup.primary)
    with tenant(program.id):
        plan = ask(f"EXPLAIN (FORMAT JSON) {STATUS}", [Byteas.of([index], size=INDEX_BYTES), program.id]).rows()[0][0]
    found = dict(scans(json.loads(plan) if isinstance(plan, str) else plan))
    assert found["consent_state"] == "consent_state_pkey"
    assert found["subject_lookup"] == "subject_lookup_pkey"
    assert None not in (found["consent_record"], found["subject"])


def scans(node: Any) -> Iterator[tuple[str, str | None]]:
    """(table, index) of a plan's scans; None where the table is read as it lies."""
    if isinstance(node, list):
        for item in node:
            yield from scans(item)
    elif isinstance(node, dict):
        if node.get("Node Type") == "Bitmap Heap Scan":
            yield node["Relation Name"], node["Plans"][0]["Index Name"]
        elif "Relation Name" in node:
            yield node["Relation Name"], node.get("Index Name")
        for value in node.values():
            yield from scans(value)


def test_a_version_that_has_come_into_force_is_told(program: Program, owner: psycopg.Connection) -> None:
    """Of two to come the first has come: the grant rests on it, unbroken."""
    program.decide("alice")
    first, second = versions_to_come(program)
    for notice in (first, second):
        program.decide("alice", notice=notice)
    assert status(program, "alice")["notice"] == program.notice
    for table, column in (("consent_record", "authorises_from"), ("notice", "effective_at")):
        owner.execute(f"UPDATE {table} SET {column} = {column} - interval '25 hours' WHERE {column} > now()".encode())
    found = status(program, "alice")
    assert (found["state"], found["allowed"], found["notice"]) == ("renewed", True, first)
    assert second != first


def test_every_active_purpose_is_told_and_others_where_they_are_named(
    program: Program, owner: psycopg.Connection
) -> None:
    owner.execute("UPDATE purpose SET active = false WHERE code = 'personalisation'")
    told = program.post("consents/status", {"subject": {"openid": "alice"}}).json()
    assert [one["purpose"] for one in told] == ["analytics", "precise_location"]
    assert status(program, "alice", "personalisation")["state"] == "unknown"


def test_a_purpose_that_is_not_active_allows_nothing_and_is_not_asked_for(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    owner.execute("UPDATE purpose SET active = false, necessary = true")
    for purpose in ("analytics", "personalisation"):
        found = status(program, "alice", purpose)
        assert (found["allowed"], found["may_prompt"]) == (False, False)
        assert found["service_allowed"], "nobody can consent to it, and nothing is done for it"


def test_whoever_is_restricted_is_asked_for_nothing(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    owner.execute("UPDATE consent_state SET restricted = true")
    for purpose in ("analytics", "personalisation"):
        assert status(program, "alice", purpose)["may_prompt"] is False


def test_whoever_asked_to_be_erased_is_asked_for_nothing(program: Program) -> None:
    """Not for what was never decided either: a grant would be refused."""
    program.decide("alice")
    assert program.post(
        "requests", {"subject": {"openid": "alice"}, "kind": "erasure", "locale": "en"}
    ).status_code == 202  # fmt: skip
    told = program.post("consents/status", {"subject": {"openid": "alice"}}).json()
    assert [(one["state"], one["allowed"], one["may_prompt"]) for one in told] == [
        ("given", False, False),
        ("unknown", False, False),
        ("unknown", False, False),
    ]
    assert program.post("consents", act(program, ("personalisation", "given"))).status_code == 409
