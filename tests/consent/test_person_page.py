"""What an officer is shown of a person: kinds, states and numbers, and no value."""

import re
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent.admin import person as shown_person
from consent.programs.tenancy import tenant
from consent.rights import legal_holds
from consent.rights.models import HoldGround
from tests.cast import Program, event, now
from tests.consent.acts import guarded, minors_notice
from tests.consent.desk import Desk, officer
from tests.consent.rights import file, lively
from tests.consent.test_find_person import PERSON


@pytest.fixture
def desk(program: Program) -> Desk:
    return officer("grace", program, may=("find_subject", "reveal_subject")).enter(program)


def person(desk: Desk, openid: str = "alice") -> str:
    (address,) = PERSON.findall(desk.post("person/", kind="openid", value=openid).content.decode())
    return str(address)


def section_html(text: str, name: str) -> str:
    (inner,) = re.findall(rf'<section id="{name}".*?</section>', text, flags=re.DOTALL)
    return str(inner)


def section(text: str, name: str) -> str:
    """What a section of the page says, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section_html(text, name))).strip()


def page(desk: Desk, openid: str = "alice") -> str:
    response = desk.get(person(desk, openid))
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    return str(response.content.decode())


def held(program: Program, law: str, request_id: Any = None) -> None:
    with tenant(program.id):
        legal_holds.hold(
            program_id=program.id, holder="tracking.events", ground=HoldGround.OTHER, law=law,
            until=now().date() + timedelta(days=9), request_id=request_id, by="test",
        )  # fmt: skip


def test_it_says_what_is_held_and_no_value(program: Program, owner: psycopg.Connection, desk: Desk) -> None:
    pseudonym = lively(program)
    lively(program, "bob", days=1)
    added = {"subject": {"openid": "alice"}, "add": {"phone": "13812345678"}}
    assert program.post("identities", added).status_code == 200
    filed = file(program, "access")["request_id"]
    held(program, "E-commerce Law 31")
    text = page(desk)
    assert f"/subjectrequest/{filed}/change/" in text
    assert "E-commerce Law 31" in section(text, "holds")
    assert "not known to be a minor" in section(text, "standing")
    consents = section(text, "consents")
    assert consents.count(" yes ") == 2 and consents.count(" no ") == 1
    assert section(text, "records").count("general v1 · 简体中文") == 3
    kinds = section(text, "identifiers")
    assert re.findall(r"(\w+), since \d{4}", kinds) == ["openid", "phone"]
    counted = [int(number) for number in re.findall(r"\d{4}-\d\d-\d\d (\d+) page_view \d+", section(text, "events"))]
    assert sum(counted) == 6
    for value in (pseudonym, ">alice<", "8613812345678", "小艾", "杭州", "pages/index"):
        assert value not in text, value
    viewed = owner.execute("SELECT actor, target, details FROM audit_entry WHERE action = 'person.viewed'").fetchall()
    assert viewed == [(f"officer:{desk.user.pk}", f"program:{program.id}", {})]


def test_a_consent_leads_to_the_notice_as_it_was_shown(program: Program, desk: Desk) -> None:
    for openid, locale, language in (("alice", "zh-Hans", "zh-Hans"), ("bob", "en-GB", "en")):
        program.decide(openid, locale=locale)
        links = re.findall(rf'href="(/admin/consent/notice/\d+/change/)#{language}"', page(desk, openid))
        assert len(links) == 2, "as it stands, and as it was decided"
        assert f'<article id="{language}"' in desk.client.get(links[0]).content.decode()


def test_events_are_counted_for_thirty_days_back(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    since = now() - timedelta(days=40)
    program.decide("alice", occurred_at=since.isoformat())
    program.send(event("alice", "new", now() - timedelta(hours=1), page="pages/index"))
    owner.execute("UPDATE consent_state SET grant_from = %s, record_from = %s", [since, since])
    assert re.findall(r"(\d+) page_view (\d+)", section(page(desk), "events")) == [("1", "1")]
    owner.execute("UPDATE subject_day SET day = day - 31")
    assert "None." in section(page(desk), "events")


def test_of_a_child_it_says_nothing_that_another_officer_has_not_approved(program: Program, desk: Desk) -> None:
    minors = minors_notice(program)
    program.decide("kid", **guarded(minors))
    program.decide("kid", "given", "personalisation", notice=minors, age_band="under_14")
    program.send(event("kid", "e1", page="pages/index"))
    text = page(desk, "kid")
    assert "under 14" in section(text, "standing")
    assert "another officer approves" in text
    assert "Usage statistics" not in text and "page_view" not in text and 'id="consents"' not in text


@pytest.mark.parametrize("kind", ["erasure", "restriction"])
def test_while_reading_is_closed_it_shows_requests_and_holds_only(program: Program, desk: Desk, kind: str) -> None:
    lively(program)
    filed = file(program, kind)["request_id"]
    held(program, "E-commerce Law 31")
    text = page(desk)
    assert f"/subjectrequest/{filed}/change/" in text and "E-commerce Law 31" in section(text, "holds")
    assert "closed to reading" in section(text, "standing")
    for name in ("consents", "records", "identifiers", "events"):
        assert f'<section id="{name}"' not in text
    assert "/reveal/" not in text


def test_of_many_requests_the_newest_are_shown_and_the_list_is_a_link(
    program: Program, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    filed = [file(program, kind)["request_id"] for kind in ("access", "copy")]
    text = section_html(page(desk), "requests")
    assert all(one in text for one in filed) and "All requests" not in text
    monkeypatch.setattr(shown_person, "REQUESTS", 1)
    text = section_html(page(desk), "requests")
    assert [one in text for one in filed] == [False, True]
    assert 'href="/admin/consent/subjectrequest/">All requests' in text


def test_it_asks_as_often_whatever_there_is(program: Program, desk: Desk) -> None:
    asked = []
    for openid, days, times in (("alice", 1, 1), ("bob", 6, 5)):
        lively(program, openid, days=days)
        for _ in range(times):
            program.decide(openid, purpose="personalisation")
        for kind in ("access", "copy", "explanation")[:times]:
            file(program, kind, openid)
        address = person(desk, openid)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert desk.get(address).status_code == 200
        asked.append(len(captured))
    assert asked[0] == asked[1]
