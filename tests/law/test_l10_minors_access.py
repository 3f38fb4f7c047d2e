"""L10 (MOR 36): staff see the data of a minor only with a second person's approval, which leaves an audit row."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection

from consent import edge
from consent.errors import NotFound
from consent.programs.tenancy import tenant
from consent.records.minors import is_minor
from consent.rights import holders
from consent.rights.holders import Over
from consent.rights.models import USABLE, WAITS, MinorAccess
from consent.rights.reveal import Reason, reveal
from consent.vault.models import Subject
from tests.cast import Program, event, now
from tests.consent.acts import guarded, minors_notice
from tests.consent.desk import Desk, holder, officer
from tests.consent.retaining import over, purge
from tests.consent.rights import Working, carry_out, erased, file
from tests.consent.test_find_person import PERSON

MAY = ("find_subject", "reveal_subject", "view_minoraccess", "change_minoraccess")


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
    response = desk.client.post(f"/admin/{person(desk, openid)}reveal/", {"reason": "identity"} | given, follow=True)
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


def test_a_minors_values_are_shown_once_after_another_officer_approved(
    program: Program, owner: psycopg.Connection, grace: Desk, heidi: Desk
) -> None:
    child(program)
    asked = ask(grace)
    assert not shown(asked) and "another officer has to approve" in asked
    assert not shown(ask(grace)), "it still waits"
    assert owner.execute("SELECT count(*) FROM minor_access").fetchone() == (1,)
    waits = heidi.get("consent/minoraccess/").content.decode()
    assert "to make sure that who asks is this person" in waits and "kid" not in waits
    assert "may see it once" in approve(heidi, owner)
    assert not shown(ask(heidi)), "it is the first officer's"
    assert not shown(ask(grace, reason="incident")), "for the reason that was approved"
    program.send(event("kid", "e1", page="pages/index"))
    assert "page_view" not in grace.get(person(grace)).content.decode()
    seen = ask(grace)
    assert shown(seen) and "page_view" in seen
    assert not shown(ask(grace)), "once"
    first, second = (f"officer:{desk.user.pk}" for desk in (grace, heidi))
    told = entries(owner)
    assert told[:2] == [("minor_access.asked", first), ("minor_access.approved", second)]
    assert told[4:6] == [("minor_access.used", first), ("person.revealed", first)]
    kept = owner.execute("SELECT string_agg(t::text, ' ') FROM audit_entry t").fetchone()
    assert kept is not None and "小艾" not in kept[0] and "kid" not in kept[0]
    given = owner.execute("SELECT recipient, ground, fields, subjects, actor FROM disclosure").fetchall()
    assert given == [("officer", "reveal.identity", ["attributes", "identifiers"], 1, first)]


def test_nobody_approves_what_they_ask(program: Program, owner: psycopg.Connection, grace: Desk) -> None:
    child(program)
    ask(grace)
    assert "another officer approves it" in approve(grace, owner)
    assert not shown(ask(grace))
    asker = f"officer:{grace.user.pk}"
    with pytest.raises(IntegrityError, match="minor_access_two_officers"), tenant(program.id):
        MinorAccess.objects.update(approved_by=asker, approved_at=now() + timedelta(seconds=1))
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
    with pytest.raises(IntegrityError, match="minor_access_used"), tenant(program.id):
        MinorAccess.objects.filter(approved_at__isnull=False).update(used_at=now())
    with pytest.raises(IntegrityError, match="minor_access_used"), tenant(program.id):
        MinorAccess.objects.filter(approved_at__isnull=True).update(used_at=now())


def earlier(owner: psycopg.Connection, by: timedelta) -> None:
    owner.execute("UPDATE minor_access SET asked_at = asked_at - %s, approved_at = approved_at - %s", [by, by])


def test_of_two_at_once_one_sees_it(program: Program, owner: psycopg.Connection, grace: Desk, heidi: Desk) -> None:
    child(program)
    ask(grace)
    approve(heidi, owner)
    address = f"/admin/{person(grace)}reveal/"

    def see(_: int) -> bool:
        try:
            return shown(grace.client.post(address, {"reason": "identity"}, follow=True).content.decode())
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
    for wrong in ({"reason": ""}, {"reason": "because"}, {"reason": "request"}, {"request": other}):
        assert not shown(ask(grace, **wrong)), wrong
    subject_id = int(owner.execute("SELECT min(subject_id) FROM request_subject").fetchone()[0])  # type: ignore[index]
    with pytest.raises(NotFound, match="no request of theirs"):
        reveal(
            vault=edge.vault(), program_id=program.id, subject_id=subject_id, reason=Reason.REQUEST,
            request_id=uuid.UUID(other), by="test",
        )  # fmt: skip
    assert entries(owner) == []
    assert shown(ask(grace, reason="request", request=request_id))
    assert shown(ask(grace, reason="authority"))
    by = f"officer:{grace.user.pk}"
    assert entries(owner) == [("person.revealed", by)] * 2
    given = owner.execute("SELECT recipient, ground, target FROM disclosure ORDER BY id").fetchall()
    assert given == [
        ("officer", "reveal.request", f"request:{request_id}"),
        ("authority", "reveal.authority", f"program:{program.id}"),
    ]


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
    with tenant(program.id):
        for subject in Subject.objects.order_by("id"):
            found[subject.id] = [is_minor(subject, at) for at in (now(), now() + timedelta(days=1462))]
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
