"""The event catalogue in the service: what an import may change, the versions it leaves, and what ingest makes of it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection

from consent.errors import Conflict, Invalid, NotFound, Problem
from consent.programs.tenancy import tenant
from tests import stack
from tests.cast import Program, event, now
from tests.tracking.test_events import codes
from tracking.catalogue import Imported, compare_catalogue, import_catalogue, parse, set_status
from tracking.models import EventStatus

FIRST = """
events:
  seen:
    purpose: analytics
    categories: [behaviour]
    description: It was seen
    properties:
      size: {type: integer}
      colour: {type: string, enum: [red, green, blue]}
"""
GREY = FIRST.replace("[red, green, blue]", "[red, grey]")
RETIRED, DRAFT = (FIRST.replace("    purpose", f"    status: {status}\n    purpose") for status in ("retired", "draft"))


def load(program: Program, text: str, by: str = "operator", **more: bool) -> Imported:
    return import_catalogue(program_id=program.id, catalogue=parse(text), by=by, now=now(), **more)


def refused(program: Program, text: str) -> Problem:
    """The problem, which a comparison tells as well and which changes nothing."""
    with pytest.raises((Conflict, Invalid)) as compared:
        compare_catalogue(program_id=program.id, catalogue=parse(text))
    with pytest.raises(type(compared.value)) as imported:
        load(program, text)
    assert imported.value == compared.value
    return imported.value


def switch(program: Program, owner: psycopg.Connection, status: EventStatus, by: str = "officer:7") -> None:
    set_status(program_id=program.id, type_id=type_id(owner), status=status, by=by, now=now())


def type_id(owner: psycopg.Connection, name: str = "seen") -> int:
    (found,) = owner.execute("SELECT id FROM event_type WHERE name = %s", [name]).fetchone()  # type: ignore[misc]
    return int(found)


def versions(owner: psycopg.Connection, name: str = "seen") -> list[tuple[Any, ...]]:
    """(version, status, actor), the first first."""
    return owner.execute(
        "SELECT v.version, v.declaration->>'status', v.actor FROM event_type_version v"
        " JOIN event_type t ON t.id = v.event_type_id WHERE t.name = %s ORDER BY v.version",
        [name],
    ).fetchall()


# --- Versions --------------------------------------------------------------------------------------------------------


def test_each_change_is_a_version_with_all_that_was_said(program: Program, owner: psycopg.Connection) -> None:
    assert load(program, FIRST).created == ["seen"]
    assert load(program, FIRST).unchanged == ["seen"]
    assert load(program, GREY, by="test").updated == ["seen"]
    switch(program, owner, EventStatus.RETIRED)
    assert versions(owner) == [(1, "active", "operator"), (2, "active", "test"), (3, "retired", "officer:7")]
    said = owner.execute(
        "SELECT v.declaration, v.at = t.updated_at, t.version FROM event_type_version v"
        " JOIN event_type t ON t.id = v.event_type_id WHERE t.name = 'seen' ORDER BY v.version"
    ).fetchall()
    first = {
        "purpose": "analytics",
        "categories": ["behaviour"],
        "description": "It was seen",
        "status": "active",
        "properties": {
            "size": {"type": "integer"},
            "colour": {"type": "string", "enum": ["red", "green", "blue"]},
        },
    }
    assert said[0] == (first, False, 3)
    assert said[1][0]["properties"]["colour"]["enum"] == ["red", "grey"]
    assert said[2] == ({**said[1][0], "status": "retired"}, True, 3)


def test_a_version_can_be_neither_changed_nor_taken_away(program: Program) -> None:
    for statement in ("UPDATE event_type_version SET actor = 'x'", "DELETE FROM event_type_version"):
        with pytest.raises(DatabaseError, match="permission denied"), tenant(program.id), connection.cursor() as cursor:
            cursor.execute(statement)


def test_an_import_is_one_transaction_with_its_versions_and_audit_entry(
    program: Program, owner: psycopg.Connection
) -> None:
    before = owner.execute("SELECT count(*) FROM audit_entry").fetchone()
    text = FIRST.replace("events:", "events:\n  tap: {purpose: nothing, categories: [behaviour]}")
    assert refused(program, text).code == "unknown_purpose"
    assert versions(owner) == []
    assert owner.execute("SELECT count(*) FROM audit_entry").fetchone() == before
    load(program, FIRST)
    kept = owner.execute("SELECT actor, action, target, details FROM audit_entry ORDER BY id DESC LIMIT 1").fetchone()
    counts = {"created": 1, "updated": 0, "unchanged": 0, "absent": 16, "retired": 0}
    assert kept == ("operator", "catalogue.imported", "catalogue", counts)


def test_what_the_file_leaves_out_is_named_and_left_or_retired(program: Program, owner: psycopg.Connection) -> None:
    load(program, RETIRED.replace("seen", "old"))
    done = load(program, FIRST)
    assert (len(done.absent), done.retired) == (17, [])
    assert versions(owner, "tap") == [(1, "active", "test")]
    done = load(program, FIRST, retire_missing=True)
    assert (done.absent, len(done.retired), done.unchanged) == (["old"], 16, ["seen"])
    assert versions(owner, "tap") == [(1, "active", "test"), (2, "retired", "operator")]
    assert versions(owner, "old") == [(1, "retired", "operator")]
    assert [(change.at, change.after) for change in done.changes["tap"]] == [("status", "retired")]


def test_two_imports_at_once_are_one_after_the_other(program: Program, owner: psycopg.Connection) -> None:
    def one(number: int) -> Imported:
        try:
            return load(program, FIRST.replace("It was seen", f"It was seen {number % 2}"))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(one, range(8)))
    assert sum(bool(each.created) for each in done) == 1
    made = versions(owner)
    assert [number for number, *_ in made] == list(range(1, len(made) + 1))
    assert len(made) == sum(bool(each.created or each.updated) for each in done)


def test_event_types_from_before_versions_were_kept_get_their_current_one(
    program: Program, owner: psycopg.Connection
) -> None:
    load(program, FIRST)
    load(program, GREY)
    kept = owner.execute("SELECT version, declaration FROM event_type_version WHERE version = 2").fetchall()
    try:
        stack.manage("migrate", "tracking", "0006", "--verbosity=0")
        assert owner.execute("SELECT to_regclass('event_type_version')").fetchone() == (None,)
    finally:
        stack.manage("migrate", "--verbosity=0")
    assert versions(owner) == [(2, "active", "migration")]
    assert owner.execute("SELECT version, declaration FROM event_type_version WHERE version = 2").fetchall() == kept
    assert not load(program, GREY).updated
    assert refused(program, GREY.replace("integer", "number")).code == "type_fixed"


# --- What may change -------------------------------------------------------------------------------------------------


def test_a_type_is_fixed_once_the_event_was_in_use(program: Program, owner: psycopg.Connection) -> None:
    load(program, FIRST)
    problem = refused(program, FIRST.replace("{type: integer}", "{type: string, max_length: 9}"))
    assert (problem.code, problem.status) == ("type_fixed", 409)
    assert "events.seen.properties.size" in problem.detail
    assert "new property name" in problem.detail
    assert versions(owner) == [(1, "active", "operator")]
    load(program, FIRST.replace("size: {type: integer}", "size_name: {type: string, max_length: 9}"))
    again = FIRST.replace("size: {type: integer}", "size: {type: number}")
    assert refused(program, again).code == "type_fixed", "also after it was taken out"
    load(program, FIRST)


@pytest.mark.parametrize("then", [DRAFT, RETIRED])
def test_a_type_stays_fixed_whatever_the_status_has_become(program: Program, then: str) -> None:
    load(program, FIRST)
    load(program, then)
    assert refused(program, then.replace("{type: integer}", "{type: number}")).code == "type_fixed"


def test_a_draft_that_was_never_in_use_may_change_its_types(program: Program, owner: psycopg.Connection) -> None:
    load(program, DRAFT)
    load(program, DRAFT.replace("{type: integer}", "{type: number}"))
    load(program, FIRST.replace("{type: integer}", "{type: boolean}"))
    assert refused(program, FIRST).code == "type_fixed"
    assert versions(owner) == [(1, "draft", "operator"), (2, "draft", "operator"), (3, "active", "operator")]


@pytest.mark.parametrize("status", ["active", "draft"])
def test_a_purpose_is_fixed(program: Program, status: str) -> None:
    text = FIRST if status == "active" else DRAFT
    load(program, text)
    problem = refused(program, text.replace("purpose: analytics", "purpose: personalisation"))
    assert (problem.code, problem.status) == ("purpose_fixed", 409)


def test_all_that_is_against_a_file_is_told_at_once(program: Program) -> None:
    load(program, FIRST)
    text = FIRST.replace("purpose: analytics", "purpose: personalisation").replace("{type: integer}", "{type: number}")
    problem = refused(program, text)
    assert [(fault.code, fault.pointer) for fault in problem.errors] == [
        ("purpose_fixed", "events.seen"),
        ("type_fixed", "events.seen.properties.size"),
    ]


def test_everything_else_may_change(program: Program, owner: psycopg.Connection) -> None:
    load(program, FIRST)
    text = (
        GREY.replace("{type: integer}", "{type: integer, required: true, grade: 2, classification: operational}")
        .replace("It was seen", "Somebody saw it")
        .replace("[behaviour]", "[behaviour, device]")
    )
    done = load(program, text)
    assert [(change.at, change.before, change.after) for change in done.changes["seen"]] == [
        ("categories", ["behaviour"], ["behaviour", "device"]),
        ("description", "It was seen", "Somebody saw it"),
        ("properties.colour.enum", ["red", "green", "blue"], ["red", "grey"]),
        ("properties.size.classification", "behaviour", "operational"),
        ("properties.size.grade", 3, 2),
        ("properties.size.required", False, True),
    ]


# --- Status ----------------------------------------------------------------------------------------------------------


def test_what_an_officer_retired_no_import_activates(program: Program, owner: psycopg.Connection) -> None:
    load(program, FIRST)
    switch(program, owner, EventStatus.RETIRED)
    for text in (FIRST, DRAFT):
        problem = refused(program, text)
        assert (problem.code, problem.status) == ("retired_by_officer", 409)
    done = load(program, RETIRED.replace("It was seen", "It was seen once"))
    assert done.updated == ["seen"]
    assert refused(program, FIRST).code == "retired_by_officer", "also after another change"
    switch(program, owner, EventStatus.ACTIVE)
    assert load(program, FIRST).updated == ["seen"]


def test_what_a_file_retired_a_file_activates(program: Program, owner: psycopg.Connection) -> None:
    load(program, FIRST)
    switch(program, owner, EventStatus.RETIRED)
    switch(program, owner, EventStatus.ACTIVE)
    load(program, RETIRED)
    assert load(program, FIRST).updated == ["seen"]
    assert [status for _, status, _ in versions(owner)] == ["active", "retired", "active", "retired", "active"]


def test_a_status_is_set_once_and_within_the_mini_program(
    program: Program, other: Program, owner: psycopg.Connection
) -> None:
    load(program, FIRST)
    switch(program, owner, EventStatus.RETIRED)
    with pytest.raises(Conflict, match="status_unchanged"):
        switch(program, owner, EventStatus.RETIRED)
    with pytest.raises(NotFound):
        switch(other, owner, EventStatus.ACTIVE)
    kept = owner.execute(
        "SELECT actor, action, target FROM audit_entry WHERE action LIKE 'event_type.%' ORDER BY id"
    ).fetchall()
    assert kept == [("officer:7", "event_type.retired", f"event_type:{type_id(owner)}")]
    assert len(versions(owner)) == 2


# --- In ingest -------------------------------------------------------------------------------------------------------


def test_ingest_goes_by_the_newest_version_at_once(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    numbers = iter(range(99))

    def sent(**properties: Any) -> list[tuple[str, str | None]]:
        return codes(program.send(event("alice", f"e{next(numbers)}", name="seen", properties=properties)))

    unknown, invalid = [("refused", "unknown_event")], [("refused", "invalid_property")]
    stored, undeclared = [("stored", None)], [("refused", "undeclared_property")]
    assert sent() == unknown
    load(program, DRAFT)
    assert sent() == unknown
    load(program, FIRST)
    assert sent(colour="green", size=1) == stored
    assert sent(colour="grey") == invalid
    load(program, GREY)
    assert (sent(colour="green"), sent(colour="grey")) == (invalid, stored)
    load(program, GREY.replace("      size: {type: integer}\n", ""))
    assert sent(size=1) == undeclared
    switch(program, owner, EventStatus.RETIRED)
    assert sent() == unknown
    switch(program, owner, EventStatus.ACTIVE)
    assert sent(colour="grey") == stored


@pytest.mark.parametrize(
    "value", ["2026-W40-4", "2026W404", "20261001", "2026-10-1", "2026-02-30", " 2026-10-01", 20261001]
)
def test_a_date_is_written_as_the_catalogue_says(program: Program, value: Any) -> None:
    load(program, FIRST.replace("size: {type: integer}", "day: {type: date}"))
    program.decide("alice")
    answer = program.send(
        *(event("alice", f"e{n}", name="seen", properties={"day": day}) for n, day in enumerate((value, "2026-10-01")))
    )
    assert codes(answer) == [("refused", "invalid_property"), ("stored", None)]


def test_an_unknown_event_is_refused_at_its_name(program: Program) -> None:
    program.decide("alice")
    answer = program.send(event("alice", "e1"), event("alice", "e2", name="unheard_of"))
    assert answer["results"][1] == {
        "event_id": "e2",
        "result": "refused",
        "code": "unknown_event",
        "pointer": "/events/1/name",
    }
