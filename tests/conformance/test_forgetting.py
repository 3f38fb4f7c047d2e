"""I4, beyond the tables: what Redis, logs, files and sessions hold of a subject whom a real worker has erased, and whether
the same person, asked again, can be linked to who they were.

What stays in a web process is told in docs/threat-model.md.
"""

from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from django.contrib.sessions.models import Session
from psycopg import sql

from consent.admin import second_factor
from consent.admin.tenancy import SESSION_KEY
from tests.cast import Program
from tests.conformance.search import Search
from tests.conformance.test_canaries import PHONE, Backend, Canaries, working
from tests.conformance.test_canaries import broker as broker
from tests.conformance.test_canaries import server as server
from tests.conformance.test_canaries import told as told
from tests.consent.desk import officer
from tests.consent.receiver import Receiver
from tests.consent.rights import Working, erased, lively, overdue, subject_of
from tests.consent.test_erasure import columns
from tests.consent.test_erasure import far_ids as far_ids
from tests.consent.test_find_person import PERSON
from tests.journeys.server import Server

OF_A_LOGIN = {"_auth_user_id", "_auth_user_backend", "_auth_user_hash", SESSION_KEY, second_factor.SESSION_KEY}


def names_of(owner: psycopg.Connection) -> list[str]:
    """By which the only subject could be found: id, pseudonym (with and without dashes), handle, indexes, record ids."""
    rows = owner.execute(
        "SELECT subject_id::text, pseudonym::text, replace(pseudonym::text, '-', ''), encode(erasure_handle, 'hex')"
        " FROM subject"
    ).fetchall()
    (row,) = rows
    others = owner.execute(
        "SELECT encode(index, 'hex') FROM subject_lookup UNION ALL SELECT record_id::text FROM consent_record"
    ).fetchall()
    return [*row, *(other[0] for other in others)]


def found(owner: psycopg.Connection, broker: redis.Redis, folder: Path, names: list[str]) -> list[str]:
    searches = [Search(name, owner, broker, folder) for name in names]
    return [place for search in searches for place in (*search.in_database(), *search.in_redis(), *search.in_files())]


@pytest.mark.long
def test_of_an_erased_subject_nothing_is_in_a_table_in_redis_or_in_a_file(
    server: Server, program: Program, owner: psycopg.Connection, broker: redis.Redis, tmp_path: Path, far_ids: None,
    told: Receiver,
) -> None:  # fmt: skip
    canary, backend = Canaries(), Backend(server, program)
    openid = canary("openid")
    backend.known(canary, openid)
    desk = officer("grace", program, may=("find_subject",)).enter(program)
    with working(tmp_path):
        assert backend.ended(backend.request(openid, "access")) == "completed"
        people = PERSON.findall(desk.post("person/", kind="phone", value=PHONE).content.decode())
        assert [desk.get(person).status_code for person in people] == [200]
        names = names_of(owner)
        held = found(owner, broker, tmp_path, names)
        assert {"subject.subject_id", "subject.pseudonym", "event.subject_id", "consent_record.record_id"} <= set(held)
        assert {"webhook_message.subject_id", "webhook_message.data"} <= set(held)
        erasure = backend.request(openid, "erasure")
        overdue(owner)
        assert backend.ended(erasure) == "completed"
    assert told.told()[-1] == "subject.erased"
    assert found(owner, broker, tmp_path, [*names, openid, PHONE.removeprefix("+86")]) == []
    assert broker.dbsize(), "rate limits are there, which the search has gone through"
    for session in Session.objects.all():
        assert session.get_decoded().keys() <= OF_A_LOGIN


def values_of(owner: psycopg.Connection, subject_id: int) -> dict[str, set[Any]]:
    """table.column -> everything in the subject's rows."""
    held: dict[str, set[Any]] = {}
    owned = sorted({table for table, column, _ in columns(owner) if column == "subject_id"})
    for table in owned:
        asked = sql.SQL("SELECT * FROM {} WHERE subject_id = %s").format(sql.Identifier(table))
        rows = owner.execute(asked, [subject_id])
        assert rows.description is not None
        for row in rows.fetchall():
            for column, value in zip(rows.description, row, strict=True):
                if value is not None:
                    held.setdefault(f"{table}.{column.name}", set()).add(str(value))
    return held


def test_asked_again_the_same_openid_shares_no_value_with_who_was_erased(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """What another person's rows have too is nobody's own; and of the index, which the openid alone makes, nothing is left
    to compare with."""
    first = values_of(owner, subject_of(owner, lively(program)))
    assert {"subject.pseudonym", "consent_record.salt", "data_key.wrapped", "profile_attribute.sealed"} <= first.keys()
    erased(program, owner, as_worker)
    second = values_of(owner, subject_of(owner, lively(program)))
    everybodys = values_of(owner, subject_of(owner, lively(program, "bob"))) | {"page.program_id": {str(program.id)}}
    shared = {
        column for column, values in second.items() if values & first.get(column, set()) - everybodys.get(column, set())
    }
    # The caller gives its events their ids, and its pages their paths.
    assert shared == {"subject_lookup.index", "event.event_id", "page.path"}
