"""L10 (MOR 36): staff see the data of a minor only with a second person's approval, which leaves an audit row."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError, connection
from psycopg.errors import CheckViolation

from consent import edge
from consent.errors import Invalid, NotFound, Problem
from consent.processing import incidents
from consent.processing.incidents import Said
from consent.processing.models import Incident
from consent.programs.tenancy import tenant
from consent.records.grants import begun_everywhere
from consent.records.minors import FOUR_YEARS, MINOR, is_minor
from consent.rights import holders
from consent.rights.holders import Over
from consent.rights.models import USABLE, WAITS, MinorAccess
from consent.rights.reveal import Cause, Reason, reveal
from consent.vault.models import Subject
from tests.cast import Program, event, now
from tests.consent.acts import guarded, minors_notice
from tests.consent.desk import Desk, holder, officer
from tests.consent.retaining import over, purge
from tests.consent.rights import Working, carry_out, erased, file
from tests.consent.test_find_person import PERSON
from tests.consent.test_home import home, listed

MAY = ("find_subject", "reveal_subject", "view_minoraccess", "change_minoraccess")
ASKED = {"reason": "authority", "reference": "京网信〔2026〕12号"}


@pytest.fixture
def grace(program: Program) -> Desk:
    return officer("grace", program, may=MAY).enter(program)


@pytest.fixture
def heidi(program: Program) -> Desk:
    return officer("heidi", program, may=MAY).enter(program)


def child(program: Program, openid: str = "kid", **more: Any) -> None:
    """Somebody of 16, with a profile."""
    program.decide(openid, **{"age_band": "14_17"} | more)
    program.decide(openid, purpose="personalisation", **{"age_band": "14_17"} | more)
    profile = {"subject": {"openid": openid}, "attributes": {"nickname": "小艾"}}
    assert program.call("PUT", "profile", profile).status_code == 200


def person(desk: Desk, openid: str = "kid") -> str:
    (address,) = PERSON.findall(desk.post("person/", kind="openid", value=openid).content.decode())
    return str(address)


def ask(desk: Desk, *, openid: str = "kid", **given: Any) -> str:
    """Send the form that shows a person's values; the page it comes to."""
    response = desk.client.post(f"/admin/{person(desk, openid)}reveal/", ASKED | given, follow=True)
    assert "no-store" in response["Cache-Control"]
    return str(response.content.decode())


def approve(desk: Desk, owner: psycopg.Connection) -> str:
    """What was asked last; what the page says then."""
    newest = owner.execute("SELECT id FROM minor_access ORDER BY asked_at DESC LIMIT 1").fetchone()
    assert newest is not None
    response = desk.client.post(f"/admin/consent/minoraccess/{newest[0]}/approve/", follow=True)
    return str(response.content.decode())


def shown(text: str) -> bool:
    return "小艾" in text and ">kid<" in text


def entries(owner: psycopg.Connection) -> list[tuple[str, str]]:
    return owner.execute(
        "SELECT action, actor FROM audit_entry WHERE action LIKE 'minor_access.%' OR action = 'person.revealed' ORDER BY id"
    ).fetchall()


def test_the_first_page_tells_of_what_waits(
    program: Program, owner: psycopg.Connection, grace: Desk, heidi: Desk
) -> None:
    words = "Minors’ data that wait for another officer"
    child(program)
    ask(grace)
    approve(heidi, owner)
    assert home(heidi)[words].told == "0"
    ask(heidi)
    line = home(grace)[words]
    assert (line.told, listed(grace, line)) == ("1", 1)
    earlier(owner, WAITS)
    assert home(grace)[words].told == "0", "it is over"


def test_a_minors_values_are_shown_once_after_another_officer_approved(
    program: Program, owner: psycopg.Connection, grace: Desk, heidi: Desk
) -> None:
    child(program)
    asked = ask(grace)
    assert not shown(asked) and "another officer has to approve" in asked
    assert not shown(ask(grace)), "it still waits"
    assert owner.execute("SELECT count(*) FROM minor_access").fetchone() == (1,)
    waits = heidi.get("consent/minoraccess/").content.decode()
    assert "an authority asks for it by law" in waits and "kid" not in waits
    assert "may see it once" in approve(heidi, owner)
    assert not shown(ask(heidi)), "it is the first officer's"
    number = str(opened(program).pk)
    assert not shown(ask(grace, reason="incident", incident_id=number)), "for the reason that was approved"
    assert not shown(ask(grace, reference="another letter")), "and what it refers to"
    program.send(event("kid", "e1", page="pages/index"))
    assert "page_view" not in grace.get(person(grace)).content.decode()
    seen = ask(grace)
    assert shown(seen) and "page_view" in seen
    assert not shown(ask(grace)), "once"
    first, second = (f"officer:{desk.user.pk}" for desk in (grace, heidi))
    told = entries(owner)
    assert told[:2] == [("minor_access.asked", first), ("minor_access.approved", second)]
    assert told[5:7] == [("minor_access.used", first), ("person.revealed", first)]
    kept = owner.execute("SELECT string_agg(t::text, ' ') FROM audit_entry t").fetchone()
    assert kept is not None and "小艾" not in kept[0] and "kid" not in kept[0]
    given = owner.execute("SELECT recipient, ground, fields, subjects, actor FROM disclosure").fetchall()
    assert given == [("authority", "reveal.authority", ["attributes", "identifiers"], 1, first)]


def test_nobody_approves_what_they_ask(program: Program, owner: psycopg.Connection, grace: Desk) -> None:
    child(program)
    ask(grace)
    assert "another officer approves it" in approve(grace, owner)
    assert not shown(ask(grace))
    asker = f"officer:{grace.user.pk}"
    with pytest.raises(IntegrityError, match="minor_access_two_officers"), tenant(program.id):
        MinorAccess.objects.update(approved_by=asker, approved_at=now())
    assert entries(owner) == [("minor_access.asked", asker)]


def test_what_is_over_shows_nothing(program: Program, owner: psycopg.Connection, grace: Desk, heidi: Desk) -> None:
    child(program)
    ask(grace)
    earlier(owner, WAITS)
    approve(heidi, owner)
    assert owner.execute("SELECT approved_by FROM minor_access").fetchall() == [(None,)]
    ask(grace)
    approve(heidi, owner)
    earlier(owner, USABLE)
    assert not shown(ask(grace))
    for approved in ("NOT NULL", "NULL"):
        with pytest.raises(CheckViolation, match="minor_access_used"):
            owner.execute(f"UPDATE minor_access SET used_at = now() WHERE approved_at IS {approved}".encode())


AT = "clock_timestamp()"
APPROVED = f"approved_by = 'officer:0', approved_at = {AT}"
ONE_STEP = "approved once while it waits"


def made(program: Program, **columns: str) -> None:
    """A row as the application itself would write it; `columns` as SQL."""
    own = {"approved_by": "NULL", "approved_at": "NULL", "used_at": "NULL", "asked_at": AT} | columns
    with tenant(program.id), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO minor_access (id, subject_id, program_id, what, reason, asked_by, {', '.join(own)})"
            f" SELECT gen_random_uuid(), subject_id, program_id, 'values', 'identity', 'officer:1', {', '.join(own.values())}"
            " FROM subject"
        )


def changed(program: Program, change: str) -> None:
    """All rows, by the application itself."""
    with tenant(program.id), connection.cursor() as cursor:
        cursor.execute(f"UPDATE minor_access SET {change}")


@pytest.mark.parametrize(
    "columns",
    [
        {"approved_by": "'officer:2'", "approved_at": AT},
        {"approved_by": "'officer:2'", "approved_at": AT, "used_at": AT},
        {"asked_at": f"{AT} + interval '1 hour'"},
        {"asked_at": f"{AT} - interval '1 hour'"},
    ],
)
def test_the_application_writes_no_access_that_is_more_than_asked_for_now(
    program: Program, columns: dict[str, str]
) -> None:
    child(program)
    with pytest.raises(ProgrammingError, match="row-level security"):
        made(program, **columns)
    made(program)


@pytest.mark.parametrize(
    ("meanwhile", "change"),
    [
        ("", f"used_at = {AT}"),
        ("", f"{APPROVED}, used_at = {AT}"),
        ("", f"approved_by = 'officer:0', approved_at = {AT} + interval '1 hour'"),
        ("asked_at = asked_at - interval '1 day'", APPROVED),
        (APPROVED, APPROVED),
        (APPROVED, "approved_by = 'officer:9'"),
        (APPROVED, "approved_by = NULL, approved_at = NULL"),
        (f"{APPROVED}, asked_at = {AT} - interval '2 hours'", f"{APPROVED}, used_at = {AT}"),
        (
            f"asked_at = {AT} - interval '2 hours', approved_by = 'officer:0', approved_at = {AT} - interval '1 hour'",
            f"used_at = {AT} - interval '1 second'",
        ),
        (f"{APPROVED}, used_at = {AT}", f"used_at = {AT}"),
        (f"{APPROVED}, used_at = {AT}", "used_at = NULL"),
    ],
)
def test_the_application_takes_no_other_step_than_the_next(
    program: Program, owner: psycopg.Connection, meanwhile: str, change: str
) -> None:
    """Whatever came meanwhile the owner writes, whom row-level security does not bind, as it does not what is restored."""
    child(program)
    made(program)
    if meanwhile:
        owner.execute(f"UPDATE minor_access SET {meanwhile}".encode())
    with pytest.raises(IntegrityError, match=ONE_STEP):
        changed(program, change)


def test_the_application_approves_and_uses_what_is_asked_for(program: Program) -> None:
    child(program)
    made(program)
    changed(program, APPROVED)
    changed(program, f"used_at = {AT}")
    with pytest.raises(ProgrammingError, match="permission denied"):
        changed(program, f"asked_at = {AT}")


def earlier(owner: psycopg.Connection, by: timedelta) -> None:
    owner.execute("UPDATE minor_access SET asked_at = asked_at - %s, approved_at = approved_at - %s", [by, by])


def test_of_two_at_once_one_sees_it(program: Program, owner: psycopg.Connection, grace: Desk, heidi: Desk) -> None:
    child(program)
    ask(grace)
    approve(heidi, owner)
    address = f"/admin/{person(grace)}reveal/"

    def see(_: int) -> bool:
        try:
            return shown(grace.client.post(address, ASKED, follow=True).content.decode())
        finally:
            connection.close()

    with ThreadPoolExecutor() as pool:
        assert sorted(pool.map(see, range(4))) == [False, False, False, True]
    assert len(owner.execute("SELECT FROM disclosure").fetchall()) == 1


def test_an_adults_values_are_shown_with_a_reason(program: Program, owner: psycopg.Connection, grace: Desk) -> None:
    child(program, age_band="adult")
    request_id = file(program, "access", "kid")["request_id"]
    other = file(program, "access", "somebody")["request_id"]
    page = grace.get(f"{person(grace)}reveal/").content.decode()
    assert request_id in page and not shown(page)
    for wrong in (
        {"reason": ""},
        {"reason": "because"},
        {"reason": "request"},
        {"reason": "identity"},
        {"reason": "identity", "request_id": other},
        {"reason": "incident"},
        {"reason": "incident", "incident_id": "1"},
        {"reason": "authority", "reference": " "},
        {"reason": "authority", "reference": "x" * 65},
    ):
        assert not shown(ask(grace, **{"reference": ""} | wrong)), wrong
    assert entries(owner) == []
    number = str(opened(program).pk)
    assert shown(ask(grace, reason="request", request_id=request_id))
    assert shown(ask(grace, reason="identity", request_id=request_id, incident_id=number)), "the rest is left alone"
    assert shown(ask(grace, reason="incident", incident_id=number))
    assert shown(ask(grace))
    by = f"officer:{grace.user.pk}"
    assert entries(owner) == [("person.revealed", by)] * 4
    told = owner.execute(
        "SELECT target, details FROM audit_entry WHERE action = 'person.revealed' ORDER BY id"
    ).fetchall()
    assert told == [
        (f"request:{request_id}", {"reason": "request"}),
        (f"request:{request_id}", {"reason": "identity"}),
        (f"incident:{number}", {"reason": "incident"}),
        (f"program:{program.id}", {"reason": "authority", "reference": ASKED["reference"]}),
    ]
    given = owner.execute("SELECT recipient, ground, target FROM disclosure ORDER BY id").fetchall()
    assert given[0] == ("officer", "reveal.request", f"request:{request_id}")
    assert given[-1] == ("authority", "reveal.authority", f"program:{program.id}")


def opened(program: Program) -> Incident:
    said = Said(happened="a disk was lost", found_at=now())
    return incidents.open_incident(program_id=program.id, said=said, by="test")


@pytest.mark.parametrize(
    ("cause", "refused", "code"),
    [
        (Cause(Reason.REQUEST, request_id=uuid.UUID(int=1)), NotFound, "not_found"),
        (Cause(Reason.INCIDENT, incident_id=0), NotFound, "not_found"),
        (Cause(Reason.INCIDENT), Invalid, "cause_missing"),
        (Cause(Reason.AUTHORITY, incident_id=1), Invalid, "cause_missing"),
        (Cause(Reason.AUTHORITY, reference="a\nb"), Invalid, "reference_too_long"),
        (Cause(Reason.AUTHORITY, reference="no. 13812345678"), Invalid, "identifier_in_reference"),
    ],
)
def test_a_reason_refers_to_what_can_be_looked_up(
    program: Program, owner: psycopg.Connection, cause: Cause, refused: type[Problem], code: str
) -> None:
    program.decide("alice")
    (subject_id,) = owner.execute("SELECT subject_id FROM subject").fetchone() or (0,)
    with pytest.raises(refused) as caught:
        reveal(vault=edge.vault(), program_id=program.id, subject_id=subject_id, cause=cause, most=9, by="test")
    assert caught.value.code == code
    assert owner.execute("SELECT FROM disclosure").fetchall() == []


def test_another_mini_programs_incident_and_what_is_answered_are_no_reason(
    program: Program, other: Program, owner: psycopg.Connection, grace: Desk
) -> None:
    child(program, age_band="adult")
    request_id = file(program, "access", "kid")["request_id"]
    number = str(opened(other).pk)
    assert not shown(ask(grace, reason="incident", incident_id=number))
    done = "UPDATE subject_request SET closed_at = received_at, "
    for answered in (
        "state = 'completed'",
        "state = 'rejected', rejection = 'retention_required', rejection_delivered_at = now()",
    ):
        owner.execute((done + answered).encode())
        assert not shown(ask(grace, reason="request", request_id=request_id))
    owner.execute("UPDATE subject_request SET rejection_delivered_at = NULL")
    assert shown(ask(grace, reason="request", request_id=request_id)), "a refusal that is still to be handed over"
    owner.execute("UPDATE subject_request SET state = 'failed', rejection = NULL")
    assert shown(ask(grace, reason="request", request_id=request_id))
    owner.execute("UPDATE request_subject SET open = false")
    again = file(program, "access", "kid")["request_id"]
    assert shown(ask(grace, reason="request", request_id=again))
    assert not shown(ask(grace, reason="request", request_id=request_id)), "it was asked again since"


def test_a_closed_incident_is_no_reason(program: Program, owner: psycopg.Connection, grace: Desk) -> None:
    child(program, age_band="adult")
    number = opened(program).pk
    given = {"reason": "incident", "incident_id": str(number)}
    assert shown(ask(grace, **given))
    with tenant(program.id):
        first = incidents.standing(program.id, number)
    said = Said(
        happened=first.happened, found_at=first.found_at, authority_at=now(), people_at=now(), measures="m", closed=True
    )
    incidents.add(program_id=program.id, incident_id=number, said=said, after=first.pk, by="test")
    assert not shown(ask(grace, **given))
    assert f"#{number} " not in grace.get(f"{person(grace)}reveal/").content.decode()
    (subject_id,) = owner.execute("SELECT subject_id FROM subject").fetchone() or (0,)
    cause = Cause(Reason.INCIDENT, incident_id=number)
    with pytest.raises(NotFound):
        reveal(vault=edge.vault(), program_id=program.id, subject_id=subject_id, cause=cause, most=9, by="test")


def test_a_reference_that_names_somebody_is_not_repeated(program: Program, grace: Desk) -> None:
    child(program, age_band="adult")
    page = ask(grace, reference="about 13812345678")
    assert not shown(page) and "give the number of the letter" in page and "13812345678" not in page


def test_an_officer_sees_so_many_people_an_hour_in_all_mini_programs_together(
    program: Program, other: Program, owner: psycopg.Connection, heidi: Desk, settings: Any
) -> None:
    settings.ZHIQING_PERSON_REVEALS = 2
    desk = officer("ivan", program, other, may=MAY).enter(program)
    for shop in (program, other):
        child(shop, age_band="adult")
    assert shown(ask(desk))
    desk.enter(other)
    assert shown(ask(desk))
    for shop in (program, other):
        desk.enter(shop)
        refused = ask(desk)
        assert not shown(refused) and "You saw 2 people within an hour" in refused
    assert shown(ask(heidi)), "each for themselves"
    by = f"officer:{desk.user.pk}"
    earlier = "UPDATE audit_entry SET at = at - %s::interval WHERE action = 'person.revealed' AND actor = %s"
    owner.execute(earlier, ["59 minutes", by])
    assert not shown(ask(desk))
    owner.execute(earlier, ["1 minute", by])
    assert shown(ask(desk))


def test_without_the_permission_or_while_reading_is_closed_nothing_is_shown(
    program: Program, owner: psycopg.Connection, grace: Desk
) -> None:
    child(program, age_band="adult")
    junior = holder("officer", program).enter(program)
    page = junior.get(person(junior)).content.decode()
    assert "reveal/" not in page
    assert junior.post(f"{person(junior)}reveal/", reason="identity").status_code == 403
    assert junior.get("consent/minoraccess/").status_code == 403
    file(program, "restriction", "kid")
    assert "closed to reading" in ask(grace) and not shown(ask(grace))
    assert owner.execute("SELECT count(*) FROM disclosure").fetchone() == (0,)


@pytest.mark.parametrize(("page", "kind"), [("package", "access"), ("rectified", "rectification")])
def test_packages_and_what_was_put_right_are_guarded_alike(
    program: Program, owner: psycopg.Connection, as_worker: Working, grace: Desk, heidi: Desk, page: str, kind: str
) -> None:
    child(program)
    changes = {"changes": {"attributes": {"nickname": "小芳"}}} if kind == "rectification" else {}
    filed = file(program, kind, "kid", **changes)
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    address = f"/admin/consent/subjectrequest/{filed['request_id']}/{page}/"

    def taken() -> bool:
        response = grace.client.post(address, {"form": "json", "reason": "review"}, follow=True)
        return "小艾" in (response.getvalue() if response.streaming else response.content).decode()

    assert not taken()
    approve(heidi, owner)
    assert [taken(), taken()] == [True, False]
    assert owner.execute("SELECT subjects, actor FROM disclosure").fetchall() == [(1, f"officer:{grace.user.pk}")]
    assert [action for action, _actor in entries(owner)][:3] == [
        f"minor_access.{deed}" for deed in ("asked", "approved", "used")
    ]


def test_who_takes_a_package_for_others_names_why_and_is_counted(
    program: Program, owner: psycopg.Connection, as_worker: Working, grace: Desk, settings: Any
) -> None:
    settings.ZHIQING_PERSON_REVEALS = 2
    child(program, age_band="adult")
    filed = file(program, "access", "kid")
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    address = f"/admin/consent/subjectrequest/{filed['request_id']}/package/"

    def take(reason: str, reference: str = "") -> str:
        given = {"form": "json", "reason": reason, "reference": reference}
        response = grace.client.post(address, given, follow=True)
        return str((response.getvalue() if response.streaming else response.content).decode())

    for wrong, told in (("", "Give the reference"), ("about 13812345678", "give the number of the letter")):
        page = take("authority", wrong)
        assert "小艾" not in page and told in page and "13812345678" not in page
    assert entries(owner) == []
    assert "小艾" in take("authority", ASKED["reference"])
    assert "小艾" in take("review")
    refused = take("review")
    assert "小艾" not in refused and "You saw 2 people within an hour" in refused
    assert not shown(ask(grace)), "counted together with those whose values were shown"
    assert "小艾" in take("delivery"), "what is handed to the person is not counted"
    counted = owner.execute(
        "SELECT target, details FROM audit_entry WHERE action = 'person.revealed' ORDER BY id"
    ).fetchall()
    assert counted == [
        (f"program:{program.id}", {"reason": "authority", "reference": ASKED["reference"]}),
        (f"request:{filed['request_id']}", {"reason": "request"}),
    ]
    taken = owner.execute(
        "SELECT details ->> 'reference' FROM audit_entry WHERE action = 'package.downloaded' ORDER BY id"
    )
    assert taken.fetchall() == [(ASKED["reference"],), (None,), (None,)]


def test_another_mini_programs_officer_approves_nothing(
    program: Program, other: Program, owner: psycopg.Connection, grace: Desk
) -> None:
    child(program)
    ask(grace)
    (access_id,) = owner.execute("SELECT id FROM minor_access").fetchone() or (None,)
    stranger = officer("olga", other, may=MAY).enter(other)
    assert str(access_id) not in stranger.get("consent/minoraccess/").content.decode()
    assert stranger.post(f"consent/minoraccess/{access_id}/approve/").status_code == 404


def test_who_is_a_minor(program: Program, owner: psycopg.Connection) -> None:
    minors = minors_notice(program)
    today = date.today()  # noqa: DTZ011
    program.decide("unsaid")
    program.decide("adult", age_band="adult")
    program.decide("teen", age_band="14_17")
    program.decide("teen", "deferred")
    program.decide("grown", age_band="14_17")
    program.decide("grown", "deferred", age_band="adult")
    program.decide("long ago", age_band="14_17")
    program.decide("child", **guarded(minors))
    eighteen = today - timedelta(days=1461)
    for openid, turned in (("just 18", eighteen - timedelta(days=2)), ("nearly 18", eighteen + timedelta(days=2))):
        program.decide(openid, age_band="14_17", turns_14_on=turned.isoformat())
    found = {}
    with tenant(program.id), connection.cursor() as cursor:
        for subject in Subject.objects.order_by("id"):
            found[subject.id] = [is_minor(subject, at) for at in (now(), now() + timedelta(days=1462))]
        for place, at in enumerate((now(), now() + timedelta(days=1462))):
            cursor.execute(f"SELECT subject_id, {MINOR} FROM subject", {"now": at})
            assert dict(cursor.fetchall()) == {number: both[place] for number, both in found.items()}, "many at once"
        born = date(2013, 5, 4)
        subject.turns_14_on = born
        for at in (begun_everywhere(born + FOUR_YEARS) + timedelta(seconds=n) for n in (-1, 0)):
            cursor.execute(
                f"SELECT {MINOR} FROM (SELECT %(born)s::date AS turns_14_on, false AS under_14, 0 AS subject_id) subject",
                {"now": at, "born": born},
            )
            assert cursor.fetchone() == (is_minor(subject, at),)
    assert list(found.values()) == [
        [False, False],  # unsaid
        [False, False],  # adult
        [True, False],  # teen
        [False, False],  # grown
        [True, False],  # long ago: four years later nobody said to be 14 to 17 still is
        [True, True],  # child: nobody knows when it turns 14
        [False, False],  # just 18
        [True, False],  # nearly 18
    ]


def test_a_consent_record_tells_an_officer_no_birthday(
    program: Program, owner: psycopg.Connection, grace: Desk
) -> None:
    program.decide("kid", age_band="14_17", turns_14_on="2025-03-04")
    (record_id,) = owner.execute("SELECT id FROM consent_record").fetchone() or (None,)
    page = grace.get(f"consent/consentrecord/{record_id}/change/").content.decode()
    assert "14 to 17" in page
    assert not any(day in page for day in ("2025-03-04", "March 4", "2025年3月4日"))


def test_what_was_asked_goes_with_the_person_and_when_it_is_over(
    program: Program, owner: psycopg.Connection, as_worker: Working, grace: Desk
) -> None:
    child(program)
    child(program, "other")
    ask(grace)
    ask(grace, openid="other")
    rows = "SELECT count(*) FROM minor_access"
    erased(program, owner, as_worker, "kid")
    assert owner.execute(rows).fetchone() == (1,)
    expired = [Over("minor_access", holders.Reason.EXPIRED, 1, late) for late in (0, 1)]
    assert over(program, later=timedelta(hours=24)) == []
    assert [over(program, later=timedelta(hours=hours)) for hours in (26, 50)] == [[one] for one in expired]
    assert purge(program, as_worker, later=timedelta(hours=24)) == 0
    assert purge(program, as_worker, later=timedelta(hours=26)) == 1
    assert owner.execute(rows).fetchone() == (0,)
