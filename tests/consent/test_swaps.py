"""Whoever writes in the database and moves what is sealed elsewhere is found out: it does not open, and nothing of it is told."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from consent import edge
from consent.programs.actions import create_program
from consent.programs.tenancy import tenant
from consent.records import profile
from consent.rights.reveal import Cause, Reason, reveal
from consent.vault.models import Subject
from consent.vault.suites import DoesNotOpen
from tests.cast import Program, make_program
from tests.consent.desk import officer
from tests.consent.rights import subject_of
from tests.consent.rotating import FIRST, KEY_ENCRYPTION, keys, vault_of
from tests.consent.signed import Ring
from tests.consent.test_person_page import person

NAMES = ("alice-1", "bob-2", "carol-3", "u-alice", "u-bob", "u-carol", "Shanghai", "Beijing")
"""What no answer may hold."""


@pytest.fixture
def people(own_ring: Ring, database: None, owner: psycopg.Connection) -> dict[str, Any]:
    """alice and bob of one mini-program, carol of another one, dora of one with the other suite; a profile of alice and of bob."""
    owner.execute(FIRST)
    programs = [make_program(), make_program(), make_program(suite="sm")]
    found: dict[str, Any] = {"program": programs[0], "ring": own_ring}
    for name, program in (("alice", programs[0]), ("bob", programs[0]), ("carol", programs[1]), ("dora", programs[2])):
        number = {"alice": 1, "bob": 2, "carol": 3, "dora": 4}[name]
        answer = program.decide("x", subject={"openid": f"{name}-{number}", "unionid": f"u-{name}"})
        program.decide("x", purpose="personalisation", subject={"openid": f"{name}-{number}"})
        found[name] = subject_of(owner, answer["subject_id"])
    for name, value in (
        ("alice", {"city": "Shanghai", "nickname": "gold"}),
        ("bob", {"city": "Beijing", "nickname": "none"}),
    ):
        write_profile(programs[0], found[name], value)
    return found


def write_profile(program: Program, subject_id: int, attributes: dict[str, str]) -> None:
    with tenant(program.id):
        assert profile.write(edge.vault(), Subject.objects.get(id=subject_id), attributes) >= 0


def swap(owner: psycopg.Connection, table: str, column: str, one: str, other: str, **values: Any) -> None:
    """A column's values in two rows, each named by a condition, change places."""
    before = [owner.execute(f"SELECT {column} FROM {table} WHERE {row}", values).fetchall() for row in (one, other)]
    assert [len(rows) for rows in before] == [1, 1], (one, other)
    for row, value in ((one, before[1][0][0]), (other, before[0][0][0])):
        owner.execute(f"UPDATE {table} SET {column} = %(value)s WHERE {row}", {**values, "value": value})


Swapping = Callable[[psycopg.Connection, dict[str, Any]], None]
OF = "subject_id = %({})s AND kind = '{}'"


def cells(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    swap(owner, "subject_identifier", "sealed", OF.format("alice", "openid"), OF.format("alice", "unionid"), **ids(who))


def rows(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    row = "subject_id = %(alice)s AND name = '{}'"
    swap(owner, "profile_attribute", "sealed", row.format("city"), row.format("nickname"), **ids(who))


def subjects(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    swap(owner, "subject_identifier", "sealed", OF.format("alice", "openid"), OF.format("bob", "openid"), **ids(who))


def subjects_keys(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    swap(owner, "data_key", "wrapped", "subject_id = %(alice)s", "subject_id = %(bob)s", **ids(who))


def subjects_with_their_keys(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    """Key and cell both."""
    subjects(owner, who)
    subjects_keys(owner, who)


def subjects_lookups(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    """Whoever names alice would be shown bob, whose own cells are whole."""
    owner.execute(
        # Parameters this small come as smallint, which their sum need not fit.
        "UPDATE subject_lookup SET subject_id = %(alice)s::bigint + %(bob)s - subject_id"
        " WHERE subject_id IN (%(alice)s, %(bob)s)",
        ids(who),
    )


def programs(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    subjects_of(owner, who, "carol")


def programs_rows(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    """carol's key and identifiers, moved into alice's mini-program with all that says whose they are."""
    for table in ("data_key", "subject_identifier"):
        owner.execute(f"DELETE FROM {table} WHERE subject_id = %(alice)s", ids(who))
        owner.execute(
            f"UPDATE {table} SET subject_id = %(alice)s,"
            " program_id = (SELECT program_id FROM subject WHERE subject_id = %(alice)s) WHERE subject_id = %(carol)s",
            ids(who),
        )


def subjects_of(owner: psycopg.Connection, who: dict[str, Any], other: str) -> None:
    swap(owner, "subject_identifier", "sealed", OF.format("alice", "openid"), OF.format(other, "openid"), **ids(who))
    swap(owner, "data_key", "wrapped", "subject_id = %(alice)s", f"subject_id = %({other})s", **ids(who))


def tables(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    """Sealed with one key, and of one subject."""
    sealed = owner.execute(
        "SELECT sealed FROM profile_attribute WHERE subject_id = %(alice)s LIMIT 1", ids(who)
    ).fetchone()
    assert sealed is not None
    owner.execute(
        f"UPDATE subject_identifier SET sealed = %(sealed)s WHERE {OF.format('alice', 'openid')}",
        {**ids(who), "sealed": sealed[0]},
    )


def suites(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    subjects_of(owner, who, "dora")


def suites_said(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    """The cell says that it was sealed with SM4."""
    owner.execute(
        f"UPDATE subject_identifier SET sealed = set_byte(sealed, 0, 2) WHERE {OF.format('alice', 'openid')}", ids(who)
    )


def suites_of_the_key_said(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    owner.execute("UPDATE data_key SET wrapped = set_byte(wrapped, 0, 2) WHERE subject_id = %(alice)s", ids(who))


def key_versions(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    """alice's is wrapped by version 2 and bob's by version 1: each row goes on saying which."""
    before = owner.execute("SELECT wrapped FROM data_key WHERE subject_id = %(bob)s", ids(who)).fetchone()
    assert before is not None
    rotated(who)
    owner.execute(
        "UPDATE data_key SET wrapped = %(before)s, key_version = 1 WHERE subject_id = %(bob)s",
        {**ids(who), "before": before[0]},
    )
    for column in ("wrapped", "key_version"):
        swap(owner, "data_key", column, "subject_id = %(alice)s", "subject_id = %(bob)s", **ids(who))


def key_versions_said(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    rotated(who)
    owner.execute(
        "UPDATE data_key SET wrapped = set_byte(wrapped, 4, 1), key_version = 1 WHERE subject_id = %(alice)s", ids(who)
    )


def key_versions_taken_back(owner: psycopg.Connection, who: dict[str, Any]) -> None:
    """The key as the version before wrapped it, in a row that says the newest: a rotation would leave it behind."""
    before = owner.execute("SELECT wrapped FROM data_key WHERE subject_id = %(alice)s", ids(who)).fetchone()
    assert before is not None
    rotated(who)
    owner.execute(
        "UPDATE data_key SET wrapped = %(before)s WHERE subject_id = %(alice)s", {**ids(who), "before": before[0]}
    )


def rotated(who: dict[str, Any]) -> None:
    keys("add", KEY_ENCRYPTION)
    keys("promote", f"{KEY_ENCRYPTION}:2")
    keys("rewrap")
    assert vault_of(who["ring"]).keyring.key_encryption.primary == 2


def ids(who: dict[str, Any]) -> dict[str, int]:
    return {name: who[name] for name in ("alice", "bob", "carol", "dora")}


@pytest.mark.parametrize(
    "swapping",
    [
        cells, rows, subjects, subjects_keys, subjects_with_their_keys, subjects_lookups, programs, programs_rows, tables,
        suites, suites_said, suites_of_the_key_said, key_versions, key_versions_said, key_versions_taken_back,
    ],
)  # fmt: skip
def test_what_is_moved_does_not_open(
    people: dict[str, Any], owner: psycopg.Connection, swapping: Swapping, caplog: pytest.LogCaptureFixture
) -> None:
    program: Program = people["program"]
    desk = officer("grace", program, may=("find_subject", "reveal_subject")).enter(program)
    address = person(desk, "alice-1")
    assert revealed(people)
    swapping(owner, people)
    with pytest.raises(DoesNotOpen) as error:
        revealed(people)
    shown = [str(error.value), caplog.text]
    for answer in (
        program.post("identities", {"subject": {"openid": "alice-1"}, "add": {"external_id": "e-1"}}),
        program.post("requests", {"subject": {"openid": "alice-1"}, "kind": "rectification", "locale": "en",
                                  "changes": {"attributes": {"city": "Xi'an"}}}),
        desk.client.post(f"{address}reveal/", {"reason": "authority", "reference": "letter 1"}),
    ):  # fmt: skip
        shown.append(answer.content.decode())
    assert not [name for name in NAMES for text in shown if name in text]
    (entries,) = owner.execute("SELECT count(*) FROM audit_entry WHERE action = 'person.revealed'").fetchone() or (0,)
    assert entries == 1, "what was shown before the swap"


def revealed(people: dict[str, Any]) -> Any:
    return reveal(
        vault=edge.vault(),
        program_id=people["program"].id,
        subject_id=people["alice"],
        cause=Cause(Reason.AUTHORITY, reference="letter 1"),
        most=9,
        by="officer:1",
    )


def test_a_mini_program_keeps_its_suite(database: None, owner: psycopg.Connection) -> None:
    made = create_program(
        name="Shop", controller="Example", platform="wechat", app_id="wx1", zone="UTC", sandbox=False, suite="sm"
    )
    with pytest.raises(psycopg.errors.CheckViolation, match="keeps its cipher suite"):
        owner.execute("UPDATE program SET suite = 'aes' WHERE id = %s", [made.pk])
    owner.execute("UPDATE program SET name = 'Shop 2' WHERE id = %s", [made.pk])
