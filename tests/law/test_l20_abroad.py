"""L20 (PIPL 38): nothing goes abroad without a mechanism, or an exemption with its ground."""

import html
import io
from datetime import date, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection

from consent.errors import Conflict, Invalid, NotFound
from consent.notices.document import NoticeText
from consent.notices.linter import checked
from consent.processing import terms
from consent.processing.models import Mechanism
from consent.programs.tenancy import tenant
from consent.rights.tasks import remind
from tests.cast import Program, now
from tests.consent.acts import act, refused, status
from tests.consent.desk import holder
from tests.consent.notice_texts import ABROAD, REFERENCE, publish, text_with
from tests.consent.processing import MECHANISM, PROCESSOR, mechanism, processor
from tests.consent.rights import Working

GROUND = {"zh-Hans": "履行合同所必需", "en": "A contract with the person needs it"}


@pytest.mark.parametrize(
    "named",
    [
        None,
        {"kind": "standard_contract"},
        {"kind": "assessment"},
        {"kind": "certification"},
        {"kind": "exemption"},
        {"kind": "exemption", "reference": "SCC-1"},
    ],
)
def test_nothing_goes_abroad_without_a_mechanism(named: dict[str, Any] | None) -> None:
    told = msgspec.to_builtins(text_with(separate_consent="39", recipients=[ABROAD], assessment=REFERENCE))
    told["purposes"][-1]["recipients"][0]["mechanism"] = named
    with pytest.raises(Invalid, match="mechanism"):
        checked(told)


@pytest.mark.parametrize(
    "told", [{"kind": "certification", "reference": "C-1"}, {"kind": "exemption", "ground": GROUND}]
)
def test_with_one_and_a_consent_of_its_own_it_may(program: Program, told: dict[str, Any]) -> None:
    mechanism(program, "abroad")
    publish(program, going_abroad(ABROAD | {"mechanism": told}))
    assert status(program, "alice", "abroad")["allowed"] is False
    program.decide("alice", purpose="abroad")
    assert status(program, "alice", "abroad")["allowed"] is True


def going_abroad(*recipients: dict[str, Any], **more: Any) -> NoticeText:
    """With one more purpose, which is assessed."""
    return text_with("abroad", separate_consent="39", recipients=list(recipients), **{"assessment": REFERENCE} | more)


def activate(program: Program) -> None:
    call_command("purpose", "activate", "--purpose=abroad", f"--program={program.id}", stdout=io.StringIO())


TODAY, DAY = now().date(), timedelta(days=1)
NOT_NOW: list[dict[str, Any]] = [
    {"purposes": ["health"]},
    {"recipient": "Somebody else"},
    {"valid_from": TODAY + 2 * DAY},
    {"valid_from": TODAY - 9 * DAY, "valid_until": TODAY - 2 * DAY},
]


@pytest.mark.parametrize("more", NOT_NOW)
def test_no_purpose_goes_abroad_before_a_mechanism_is_valid(program: Program, more: dict[str, Any]) -> None:
    mechanism(program, "abroad", **more)
    publish(program, going_abroad(ABROAD))
    refused(program, act(program, ("abroad", "given")), 422, "purpose_inactive")
    with pytest.raises(CommandError, match="mechanism_not_valid"):
        activate(program)
    mechanism(program, "abroad", valid_from=TODAY - 3 * DAY, valid_until=TODAY + 2 * DAY)
    activate(program)
    program.decide("alice", purpose="abroad")


def test_each_recipient_needs_one(program: Program) -> None:
    """Also one that a later version adds to a purpose in use."""
    mechanism(program, "abroad")
    publish(program, going_abroad(ABROAD))
    wider = going_abroad(ABROAD, ABROAD | {"name": "Second Ltd"})
    with pytest.raises(Conflict, match="mechanism_not_valid") as refusal:
        publish(program, wider)
    assert [fault.pointer for fault in refusal.value.errors] == ["/purposes/3/recipients"]
    assert "Second Ltd" in refusal.value.detail and "Partner Ltd" not in refusal.value.detail
    mechanism(program, "abroad", recipient="Second Ltd")
    publish(program, wider)


@pytest.mark.parametrize("more", [more for more in NOT_NOW if "recipient" not in more])
def test_the_database_itself_lets_none_become_active(
    program: Program, owner: psycopg.Connection, more: dict[str, Any]
) -> None:
    mechanism(program, "abroad", **more)
    publish(program, going_abroad(ABROAD))
    none = "no mechanism that is valid today"
    with pytest.raises(psycopg.errors.CheckViolation, match=none):
        owner.execute("UPDATE purpose SET active = true WHERE code = 'abroad'")
    with pytest.raises(IntegrityError, match=none), tenant(program.id), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO purpose (program_id, code, title, necessary, separate_consent, active)"
            " SELECT program_id, 'another', title, necessary, separate_consent, true FROM purpose WHERE code = 'abroad'"
        )
    mechanism(program, "abroad", valid_until=TODAY + DAY)
    owner.execute("UPDATE purpose SET active = true WHERE code = 'abroad'")


def test_what_is_restored_may_have_a_mechanism_that_is_over(program: Program, owner: psycopg.Connection) -> None:
    """As a dump of the data alone is: by the owner, with no search path."""
    mechanism(program, "abroad", valid_until=TODAY - 2 * DAY)
    owner.execute("SET search_path = ''")
    owner.execute(
        "INSERT INTO public.purpose (program_id, code, title, necessary, separate_consent, active)"
        " VALUES (%s, 'abroad', '{}', false, '39', true)",
        [program.id],
    )
    assert owner.execute("SELECT active FROM public.purpose WHERE code = 'abroad'").fetchall() == [(True,)]


def test_its_end_is_told_once_a_stage_and_deactivates_nothing(
    program: Program, owner: psycopg.Connection, as_worker: Working, caplog: pytest.LogCaptureFixture
) -> None:
    row = mechanism(program, "abroad", valid_until=TODAY + 40 * DAY)
    publish(program, going_abroad(ABROAD))
    program.decide("alice", purpose="abroad")
    senior = holder("senior_officer", program).enter(program)
    seen = []
    for left in (40, 20, -2):
        owner.execute("UPDATE mechanism SET valid_until = %s", [TODAY + left * DAY])
        for _ in range(2):
            with as_worker():
                remind()
        page = senior.get("consent/mechanism/").content.decode()
        rows = page.partition('id="result_list"')[2].partition("</table>")[0]
        seen.append(["ends soon" in rows, "ended" in rows, "abroad is active, and no cross-border" in page])
    assert seen == [[False, False, False], [True, False, False], [False, True, True]]
    told = [getattr(record, "fields", {}) for record in caplog.records if "term needs an officer" in record.message]
    said = {"program": program.id, "kind": "mechanism", "id": row.pk}
    assert told == [said | {"stage": "ending"}, said | {"stage": "ended"}]
    entries = owner.execute(
        "SELECT actor, action FROM audit_entry WHERE target = %s ORDER BY id", [f"mechanism:{row.pk}"]
    )
    assert entries.fetchall()[1:] == [("system", "mechanism.ending"), ("system", "mechanism.ended")]
    assert status(program, "alice", "abroad")["allowed"] is True
    key = owner.execute("SELECT id FROM purpose WHERE code = 'abroad'").fetchone()
    assert key is not None
    page = senior.get(f"consent/purpose/{key[0]}/change/").content.decode()
    assert "No cross-border mechanism is valid today for: Partner Ltd" in page
    with pytest.raises(Conflict, match="mechanism_not_valid"):
        publish(program, going_abroad(ABROAD))


def test_an_end_that_moved_is_told_anew_and_another_mini_programs_is_not_there(
    program: Program, other: Program
) -> None:
    row = mechanism(program, valid_until=TODAY + 20 * DAY)
    entrusted = processor(program, valid_until=TODAY - 2 * DAY)
    assert [(one.kind, one.id, one.stage) for one in terms.remind(program.id)] == [
        ("mechanism", row.pk, "ending"),
        ("processor", entrusted.pk, "ended"),
    ]
    moved = MECHANISM | {"valid_until": TODAY + 10 * DAY}
    with pytest.raises(NotFound):
        terms.change(Mechanism, program_id=other.id, term_id=row.pk, given=moved, by="test")
    assert terms.remind(program.id) == terms.remind(other.id) == []
    assert terms.change(Mechanism, program_id=program.id, term_id=row.pk, given=moved, by="test")
    assert not terms.change(Mechanism, program_id=program.id, term_id=row.pk, given=moved, by="test")
    assert [(one.id, one.stage) for one in terms.remind(program.id)] == [(row.pk, "ending")]


def test_senior_officers_keep_them_and_the_audit_log_says_who(program: Program, owner: psycopg.Connection) -> None:
    publish(program, going_abroad(ABROAD))
    senior = holder("senior_officer", program).enter(program)
    page = "consent/mechanism/add/"
    given: dict[str, Any] = {
        "kind": "standard_contract", "recipient": "Partner Ltd", "reference": "", "ground": "",
        "purposes": ["abroad"], "valid_from": TODAY.isoformat(), "valid_until": (TODAY - DAY).isoformat(),
    }  # fmt: skip
    for more, said in (
        ({}, "The last day is the first one or a later one."),
        ({"valid_until": ""}, "Give the number that it was granted or filed under."),
        ({"valid_until": "", "kind": "exemption"}, "Say on what ground nothing else is needed."),
        ({"recipient": "Nobody Ltd"}, "Nobody Ltd is not one of the available choices."),
    ):
        answered = senior.post(page, **given | more)
        assert answered.status_code == 200 and said in html.unescape(answered.content.decode()), said
    given |= {"reference": "SCC-9", "valid_until": (TODAY + 90 * DAY).isoformat()}
    assert senior.post(page, **given).status_code == 302
    found = owner.execute("SELECT id, reference, purposes, valid_until FROM mechanism").fetchall()
    assert [row[1:] for row in found] == [("SCC-9", ["abroad"], TODAY + 90 * DAY)]
    key = found[0][0]
    activate(program)
    moved = given | {"valid_until": (TODAY + 120 * DAY).isoformat()}
    assert senior.revise(f"consent/mechanism/{key}/change/", **moved).status_code == 302
    rows = owner.execute(
        "SELECT actor, action, details FROM audit_entry WHERE target = %s ORDER BY id", [f"mechanism:{key}"]
    )
    by, until = f"officer:{senior.user.pk}", (TODAY + 120 * DAY).isoformat()
    (first, second) = rows.fetchall()
    assert first[:2] == (by, "mechanism.added") and first[2]["purposes"] == ["abroad"]
    assert second == (by, "mechanism.changed", {"purposes": ["abroad"], "until": until, "fields": ["valid_until"]})
    read = holder("viewer", program).enter(program).get(f"consent/mechanism/{key}/change/").content.decode()
    assert "SCC-9" in read and 'name="_save"' not in read


@pytest.mark.parametrize("name", ["processor", "mechanism"])
def test_what_another_changed_meanwhile_is_not_taken_back(
    program: Program, owner: psycopg.Connection, name: str
) -> None:
    """A mechanism that was ended would be open again. What is told of its end is nobody's change."""
    publish(program, going_abroad(ABROAD))
    row = processor(program) if name == "processor" else mechanism(program, "abroad", valid_until=TODAY + 9 * DAY)
    page, given = f"consent/{name}/{row.pk}/change/", PROCESSOR if name == "processor" else MECHANISM
    sent = {key: value.isoformat() if isinstance(value, date) else value for key, value in given.items()}
    sent |= {"purposes": ["abroad"], "valid_until": (TODAY + 300 * DAY).isoformat()}
    desk = holder("senior_officer", program).enter(program)
    before = desk.seen(page)
    call_command(name, "end", f"--program={program.id}", f"--number={row.pk}", f"--until={TODAY}", stdout=io.StringIO())
    for more in ({"seen": before}, {}):
        answer = desk.post(page, **sent, **more)
        told = answer.content.decode()
        assert answer.status_code == 200 and "Somebody else has changed it since this page was shown" in told
        assert sent["valid_until"] in told, "what was entered"
        assert owner.execute(f"SELECT valid_until FROM {name}").fetchall() == [(TODAY,)]
    before = desk.seen(page)
    assert [one.id for one in terms.remind(program.id)] == [row.pk]
    assert desk.post(page, **sent, seen=before).status_code == 302
    assert owner.execute(f"SELECT valid_until FROM {name}").fetchall() == [(TODAY + 300 * DAY,)]
    assert desk.post(page, **sent, seen=before).status_code == 302, "sent twice it changes nothing"


def test_what_was_agreed_with_a_processor_is_kept(program: Program, owner: psycopg.Connection) -> None:
    """PIPL 21: purpose, term, method, categories, protective measures, and the contract, which has the rest."""
    senior = holder("senior_officer", program).enter(program)
    whole = {name: value.isoformat() if isinstance(value, date) else value for name, value in PROCESSOR.items()}
    for name in set(whole) - {"valid_until"}:
        left = {key: value for key, value in whole.items() if key != name}
        assert senior.post("consent/processor/add/", **left).status_code == 200, name
    assert senior.post("consent/processor/add/", **whole).status_code == 302
    kept = owner.execute("SELECT name, categories, contract, valid_until FROM processor").fetchall()
    assert kept == [("Cloud Ltd", ["behaviour"], "C-2026-7", PROCESSOR["valid_until"])]
    assert "Cloud Ltd" in senior.get("consent/processor/").content.decode()


def test_neither_is_deleted(owner: psycopg.Connection) -> None:
    for table in ("processor", "mechanism"):
        for login in ("zq_app", "zq_ingest", "zq_erase", "zq_ops"):
            asked = owner.execute("SELECT has_table_privilege(%s, %s, 'DELETE')", [login, table])
            assert asked.fetchone() == (False,), (login, table)
