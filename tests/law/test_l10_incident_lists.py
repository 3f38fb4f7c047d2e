"""L10 (MOR 36): an officer takes the pseudonyms of those whom an incident affects along, minors among them, after another approved it."""

from datetime import timedelta

import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError, connection

from consent.processing import incidents
from consent.processing.models import Incident
from consent.programs.tenancy import tenant
from consent.rights.models import USABLE, WAITS
from tests.cast import Program
from tests.consent.desk import Desk, holder, officer
from tests.consent.processing import incident
from tests.consent.test_home import home
from tests.consent.test_home import listed as listed_rows

TOLD = "another officer has to approve"
APPROVED = "approved_by = 'officer:0', approved_at = clock_timestamp()"


MAY = ("download_affected", "view_minoraccess", "change_minoraccess")


@pytest.fixture
def grace(program: Program) -> Desk:
    return officer("grace", program, may_see=("incident",), may=MAY).enter(program)


@pytest.fixture
def heidi(program: Program) -> Desk:
    return officer("heidi", program, may_see=("incident",), may=MAY).enter(program)


@pytest.fixture
def breach(program: Program) -> Incident:
    """An incident that affects two people, one of them of 16."""
    program.decide("alice", age_band="adult")
    program.decide("kid", age_band="14_17")
    return incident(program, table="consent_record")


def take(desk: Desk, found: Incident) -> str:
    """The file, or the page that is told instead."""
    response = desk.client.post(f"/admin/consent/incident/{found.pk}/pseudonyms/", follow=True)
    return str(response.content.decode())


def approve(desk: Desk, owner: psycopg.Connection, found: Incident) -> str:
    """What was asked last; what the page says then."""
    newest = owner.execute("SELECT id FROM incident_access ORDER BY asked_at DESC LIMIT 1").fetchone()
    assert newest is not None
    address = f"/admin/consent/incident/{found.pk}/approve/"
    return str(desk.client.post(address, {"access": str(newest[0])}, follow=True).content.decode())


def listed(owner: psycopg.Connection) -> str:
    """The file as it has to be."""
    rows = owner.execute("SELECT pseudonym FROM subject ORDER BY subject_id").fetchall()
    return "".join(f"{pseudonym}\n" for (pseudonym,) in rows)


def test_a_list_with_minors_is_taken_once_after_another_officer_approved(
    program: Program, owner: psycopg.Connection, grace: Desk, heidi: Desk, breach: Incident
) -> None:
    whole = listed(owner)
    assert TOLD in take(grace, breach)
    assert TOLD in take(grace, breach), "it still waits"
    assert owner.execute("SELECT count(*) FROM incident_access").fetchone() == (1,)
    assert owner.execute("SELECT count(*) FROM disclosure").fetchone() == (0,)
    junior = holder("officer", program).enter(program)
    assert "2 people are affected" in junior.post(f"consent/incident/{breach.pk}/affected/").content.decode()
    page = f"consent/incident/{breach.pk}/approve/"
    assert page in heidi.get(f"consent/incident/{breach.pk}/change/").content.decode()
    assert page not in junior.get(f"consent/incident/{breach.pk}/change/").content.decode()
    asker, other = (f"officer:{desk.user.pk}" for desk in (grace, heidi))
    shown = heidi.get(page).content.decode()
    assert asker in shown and not any(pseudonym in shown for pseudonym in whole.split())
    assert "may take them along once" in approve(heidi, owner, breach)
    assert TOLD in take(heidi, breach), "it is the first officer's"
    assert take(grace, breach) == whole
    assert TOLD in take(grace, breach), "once"
    told = owner.execute(
        "SELECT action, actor FROM audit_entry WHERE action LIKE 'incident.list%%' AND target = %s ORDER BY id",
        [f"incident:{breach.pk}"],
    ).fetchall()
    assert told == [
        ("incident.list_asked", asker),
        ("incident.list_approved", other),
        ("incident.list_asked", other),
        ("incident.listed", asker),
        ("incident.list_asked", asker),
    ]
    given = owner.execute("SELECT recipient, ground, subjects, actor FROM disclosure").fetchall()
    assert given == [("officer", "incident.notice", 2, asker)]


def test_the_first_page_tells_of_a_list_that_waits(
    program: Program, owner: psycopg.Connection, grace: Desk, heidi: Desk, breach: Incident
) -> None:
    words = "Lists of people that wait for another officer"
    incident(program, table="consent_record")
    assert home(heidi)[words].told == "0"
    take(grace, breach)
    line = home(heidi)[words]
    assert (line.told, listed_rows(heidi, line)) == ("1", 1)
    approve(heidi, owner, breach)
    assert home(heidi)[words].told == "0"


def test_nobody_approves_the_list_they_ask_for(
    program: Program, owner: psycopg.Connection, grace: Desk, breach: Incident
) -> None:
    take(grace, breach)
    page = grace.get(f"consent/incident/{breach.pk}/approve/").content.decode()
    assert "another officer approves it" in page and 'type="submit"' not in page.partition('id="content-main"')[2]
    assert "another officer approves it" in approve(grace, owner, breach)
    assert TOLD in take(grace, breach)
    with (
        pytest.raises(IntegrityError, match="incident_access_two_officers"),
        tenant(program.id),
        connection.cursor() as at,
    ):
        at.execute("UPDATE incident_access SET approved_by = asked_by, approved_at = clock_timestamp()")


def test_a_list_of_adults_needs_no_other_officer(program: Program, owner: psycopg.Connection, grace: Desk) -> None:
    program.decide("alice", age_band="adult")
    program.decide("bob")
    assert take(grace, incident(program, table="consent_record")) == listed(owner)
    assert owner.execute("SELECT count(*) FROM incident_access").fetchone() == (0,)


def test_what_was_approved_is_the_list_of_that_entry(
    program: Program, owner: psycopg.Connection, grace: Desk, heidi: Desk, breach: Incident
) -> None:
    take(grace, breach)
    approve(heidi, owner, breach)
    with tenant(program.id):
        newest = incidents.standing(program.id, breach.pk)
    said = incidents.Said(happened="more was copied", found_at=newest.found_at, table="subject")
    incidents.add(program_id=program.id, incident_id=breach.pk, said=said, after=newest.pk, by="test")
    assert TOLD in take(grace, breach)


def test_what_is_over_gives_no_list(owner: psycopg.Connection, grace: Desk, heidi: Desk, breach: Incident) -> None:
    take(grace, breach)
    earlier(owner, WAITS)
    assert f"officer:{grace.user.pk}" not in heidi.get(f"consent/incident/{breach.pk}/approve/").content.decode()
    assert "has waited for more than a day" in approve(heidi, owner, breach)
    take(grace, breach)
    approve(heidi, owner, breach)
    earlier(owner, USABLE)
    assert TOLD in take(grace, breach)


def earlier(owner: psycopg.Connection, by: timedelta) -> None:
    owner.execute("UPDATE incident_access SET asked_at = asked_at - %s, approved_at = approved_at - %s", [by, by])


def test_the_application_writes_and_steps_as_with_one_minors_data(
    program: Program, other: Program, owner: psycopg.Connection, grace: Desk, breach: Incident
) -> None:
    made = (
        "INSERT INTO incident_access (id, program_id, entry_id, asked_by, asked_at, approved_by, approved_at)"
        " SELECT gen_random_uuid(), program_id, id, 'officer:1', clock_timestamp(), 'officer:2', clock_timestamp()"
        " FROM incident_entry"
    )
    with pytest.raises(ProgrammingError, match="row-level security"), tenant(program.id), connection.cursor() as cursor:
        cursor.execute(made)
    take(grace, breach)
    for step in (f"{APPROVED}, used_at = clock_timestamp()", "used_at = clock_timestamp()"):
        with (
            pytest.raises(IntegrityError, match="approved once while it waits"),
            tenant(program.id),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"UPDATE incident_access SET {step}")
    theirs = incident(other, table="consent_record")
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="incident_access_entry_id_of_program"):
        owner.execute(
            "UPDATE incident_access SET entry_id = (SELECT id FROM incident_entry WHERE incident_id = %s)", [theirs.pk]
        )


def test_another_mini_programs_officer_approves_no_list(
    other: Program, owner: psycopg.Connection, grace: Desk, breach: Incident
) -> None:
    take(grace, breach)
    stranger = holder("senior_officer", other).enter(other)
    assert stranger.get(f"consent/incident/{breach.pk}/approve/").status_code in (403, 404)
    own = incident(other)
    assert "was approved meanwhile" in approve(stranger, owner, own)
    assert owner.execute("SELECT approved_by FROM incident_access").fetchall() == [(None,)]
