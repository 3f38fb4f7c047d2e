"""L23 (DSL 29; PIPL 57): incidents have a log that is only added to. L21: its page tells whom and what one affects."""

import html
import io
import re
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.core.management import CommandError, call_command

from consent.errors import Invalid
from consent.processing import incidents
from consent.processing.incidents import Said
from consent.processing.models import Incident
from consent.programs.tenancy import tenant
from tests.cast import Program, now
from tests.consent.desk import Desk, holder
from tests.consent.processing import incident
from tests.consent.rights import lively

ZONE = ZoneInfo("Asia/Shanghai")
FOUND = now() - timedelta(hours=2)


def moment(at: Any) -> str:
    """As a form sends it: to the minute, in the mini-program's zone."""
    return str(at.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M"))


def form(**more: str) -> dict[str, str]:
    return {"happened": "a backup was copied", "found_at": moment(FOUND)} | more


@pytest.fixture
def senior(program: Program) -> Desk:
    return holder("senior_officer", program).enter(program)


def newest(program: Program, incident: Incident) -> int:
    """The newest entry's id."""
    with tenant(program.id):
        return incidents.standing(program.id, incident.pk).pk


def listed(desk: Desk) -> str:
    """The list's rows, without its filters."""
    page: str = desk.get("consent/incident/").content.decode()
    return page.partition('id="result_list"')[2].partition("</table>")[0]


def entries(owner: psycopg.Connection) -> list[Any]:
    rows = owner.execute(
        'SELECT incident_id, "by", happened, authority_at, people_at, people_not_told, measures, closed'
        " FROM incident_entry ORDER BY id"
    )
    return rows.fetchall()


def test_an_incident_is_opened_corrected_and_closed_and_each_entry_stays(
    program: Program, senior: Desk, owner: psycopg.Connection
) -> None:
    by = f"officer:{senior.user.pk}"
    assert senior.post("consent/incident/add/", **form(table="event")).status_code == 302
    ((number, *first),) = entries(owner)
    assert first == [by, "a backup was copied", None, None, "", "", False]
    assert "authority not notified" in listed(senior)
    page = f"consent/incident/{number}/entry/"
    begun = senior.get(page).content.decode()
    assert "a backup was copied" in begun and f'value="{moment(FOUND)}"' in begun
    newest = owner.execute("SELECT max(id) FROM incident_entry").fetchone()
    assert newest is not None and f'name="after" value="{newest[0]}"' in begun
    told = {"table": "event", "authority_at": moment(now()), "measures": "keys rotated", "after": str(newest[0])}
    refusal = senior.post(page, **form(**told, closed="on"))
    assert refusal.status_code == 200 and "Before it is closed" in refusal.content.decode()
    assert len(entries(owner)) == 1
    corrected = form(
        **told | {"happened": "two backups were copied", "people_not_told": "no key was taken"}, closed="on"
    )
    assert senior.post(page, **corrected).status_code == 302
    second = entries(owner)[1]
    assert second[2] == "two backups were copied" and second[5:] == ("no key was taken", "keys rotated", True)
    shown = senior.get(f"consent/incident/{number}/change/").content.decode()
    assert shown.index("two backups were copied") < shown.index("a backup was copied")
    assert "closed" in listed(senior)
    log = owner.execute(
        "SELECT actor, action, details FROM audit_entry WHERE target = %s ORDER BY id", [f"incident:{number}"]
    )
    assert log.fetchall() == [(by, "incident.opened", {"closed": False}), (by, "incident.entered", {"closed": True})]


def test_an_entry_takes_back_none_that_its_officer_has_not_read(
    program: Program, senior: Desk, owner: psycopg.Connection
) -> None:
    made = incident(program)
    page, read = f"consent/incident/{made.pk}/entry/", newest(program, made)
    assert senior.post(page, **form(measures="keys rotated", after=str(read))).status_code == 302
    for after in (str(read), "", "x"):
        refused = senior.post(page, **form(happened="nothing was copied", after=after))
        assert "Somebody else has added an entry" in refused.content.decode(), after
    assert [row[6] for row in entries(owner)] == ["", "keys rotated"]


@pytest.mark.parametrize("field", ["happened", "measures", "people_not_told"])
def test_a_text_that_names_somebody_is_neither_kept_nor_repeated(
    program: Program, senior: Desk, owner: psycopg.Connection, field: str
) -> None:
    refusal = senior.post("consent/incident/add/", **form(**{"measures": "keys rotated", field: "of 13812345678"}))
    shown = refusal.content.decode()
    assert refusal.status_code == 200 and "looks like a person" in shown
    assert "13812345678" not in shown and entries(owner) == []
    assert ("keys rotated" in shown) == (field != "measures"), "the other texts are not lost"


def test_the_log_is_only_added_to(owner: psycopg.Connection) -> None:
    for table in ("incident", "incident_entry"):
        for login in ("zq_app", "zq_ingest", "zq_erase", "zq_ops"):
            for right in ("UPDATE", "DELETE", "TRUNCATE"):
                asked = owner.execute("SELECT has_table_privilege(%s, %s, %s)", [login, table, right])
                assert asked.fetchone() == (False,), (table, login, right)
            columns = owner.execute("SELECT has_any_column_privilege(%s, %s, 'UPDATE')", [login, table])
            assert columns.fetchone() == (False,)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"found_at": now() + timedelta(days=1)}, "found_in_the_future"),
        ({"key": "1", "table": "event"}, "several_scopes"),
        ({"table": "event", "since": FOUND, "until": now()}, "several_scopes"),
        ({"since": FOUND}, "invalid_window"),
        ({"since": FOUND, "until": FOUND}, "invalid_window"),
        ({"key": "master"}, "unknown_key"),
        ({"table": "pg_authid"}, "unknown_table"),
        ({"authority_at": FOUND - timedelta(minutes=1)}, "notified_out_of_time"),
        ({"people_at": now() + timedelta(days=1)}, "notified_out_of_time"),
        ({"closed": True}, "not_ready_to_close"),
        ({"closed": True, "authority_at": FOUND, "measures": "x"}, "not_ready_to_close"),
        ({"closed": True, "people_at": FOUND, "measures": "x"}, "not_ready_to_close"),
        ({"closed": True, "people_at": FOUND, "authority_at": FOUND}, "not_ready_to_close"),
    ],
)
def test_what_cannot_be_is_not_entered(
    program: Program, owner: psycopg.Connection, more: dict[str, Any], code: str
) -> None:
    made = incident(program)
    given: dict[str, Any] = {"happened": "x", "found_at": FOUND}
    said = Said(**given | more)
    with pytest.raises(Invalid, match=code):
        incidents.add(program_id=program.id, incident_id=made.pk, said=said, after=newest(program, made), by="test")
    with pytest.raises(Invalid, match=code):
        incidents.open_incident(program_id=program.id, said=said, by="test")
    assert (len(entries(owner)), owner.execute("SELECT count(*) FROM incident").fetchone()) == (1, (1,))


@pytest.mark.parametrize(
    "more",
    [
        "\"key\" = '1', \"table\" = 'event'",
        "\"key\" = '1', since = now() - interval '1 day', until = now()",
        "since = now()",
        "since = now(), until = now()",
        "closed = true, authority_at = now(), measures = 'x'",
        "closed = true, people_at = now(), measures = 'x'",
        "closed = true, authority_at = now(), people_at = now()",
    ],
)
def test_the_database_itself_keeps_no_such_entry(program: Program, owner: psycopg.Connection, more: str) -> None:
    incident(program)
    with pytest.raises(psycopg.errors.CheckViolation):
        owner.execute(f"UPDATE incident_entry SET {more}")


def numbers(page: str, table: str) -> dict[str, tuple[str, ...]]:
    """First cell -> the others of a row."""
    (body,) = re.findall(rf'id="{table}".*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in body.split("</tr>")]
    return {html.unescape(first): tuple(rest) for first, *rest in filter(None, rows)}


def test_its_page_counts_whom_and_what_it_affects(
    program: Program, other: Program, senior: Desk, owner: psycopg.Connection
) -> None:
    lively(program)
    program.decide("bob")
    lively(other)
    made = incident(program, since=FOUND, until=now() + timedelta(minutes=1))
    page = f"consent/incident/{made.pk}/affected/"
    assert "by-field" not in senior.get(page).content.decode()
    assert owner.execute("SELECT count(*) FROM audit_entry WHERE action = 'breach.listed'").fetchone() == (0,)
    shown = senior.post(page).content.decode()
    assert "2 people are affected." in shown
    fields = numbers(shown, "by-field")
    assert fields["consent_record.evidence"] == ("2", "4 (serious harm to a person or to all)", "evidence of consent")
    assert fields["event.properties"] == ("1", "3 (harm to a person)", "behaviour")
    classes = re.findall(
        r"<td[^>]*>(behaviour|evidence of consent)</td>\s*<td[^>]*>(\d) [^<]*</td>\s*<td[^>]*>(\d)</td>", shown
    )
    assert ("behaviour", "3", "1") in classes and ("evidence of consent", "4", "2") in classes
    (listed,) = owner.execute("SELECT actor, program_id FROM audit_entry WHERE action = 'breach.listed'").fetchall()
    assert listed == (f"officer:{senior.user.pk}", program.id)


def test_of_a_key_everything_it_guards_is_counted(program: Program, senior: Desk) -> None:
    lively(program)
    made = incident(program, key="key_encryption:1")
    fields = numbers(senior.post(f"consent/incident/{made.pk}/affected/").content.decode(), "by-field")
    assert fields["profile_attribute.sealed"] == ("1", "4 (serious harm to a person or to all)", "profile")


def test_who_may_takes_the_pseudonyms_which_is_a_disclosure(
    program: Program, other: Program, senior: Desk, owner: psycopg.Connection
) -> None:
    alice = lively(program)
    lively(other)
    made = incident(program, table="consent_record")
    page = f"consent/incident/{made.pk}/pseudonyms/"
    assert alice not in senior.get(page).content.decode()
    answered = senior.post(page)
    assert answered.content.decode() == f"{alice}\n"
    assert answered.headers["Content-Disposition"] == f'attachment; filename="incident-{made.pk}.txt"'
    assert "no-store" in answered.headers["Cache-Control"]
    by, target = f"officer:{senior.user.pk}", f"incident:{made.pk}"
    logged = owner.execute(
        "SELECT recipient, ground, fields, subjects, actor FROM disclosure WHERE target = %s", [target]
    )
    assert logged.fetchall() == [("officer", "incident.notice", ["subject.pseudonym"], 1, by)]
    audited = owner.execute(
        "SELECT actor, target, details FROM audit_entry WHERE action = 'incident.listed'"
    ).fetchall()
    assert audited == [(by, target, {"subjects": 1})]
    officer = holder("officer", program).enter(program)
    assert [officer.get(page).status_code, officer.post(page).status_code] == [403, 403]
    assert "1 person is affected." in officer.post(f"consent/incident/{made.pk}/affected/").content.decode()


def test_what_takes_too_long_or_is_too_much_for_a_page_is_for_the_command(
    program: Program, senior: Desk, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    program.decide("bob")
    made = incident(program, table="consent_record")
    pages = [f"consent/incident/{made.pk}/{name}/" for name in ("affected", "pseudonyms")]
    told = f"finds them by manage.py affected --program {program.id} --table consent_record"
    monkeypatch.setattr(incidents, "LISTED", 1)
    assert "2 people are affected" in senior.client.post(f"/admin/{pages[0]}", follow=True).content.decode()
    assert told in senior.client.post(f"/admin/{pages[1]}", follow=True).content.decode()
    monkeypatch.setattr(incidents, "SECONDS", 1)
    slow = "CREATE POLICY slow ON consent_record AS RESTRICTIVE FOR SELECT TO zq_app USING (pg_sleep(2) IS NOT NULL)"
    owner.execute(slow)
    try:
        for page in pages:
            assert told in senior.client.post(f"/admin/{page}", follow=True).content.decode()
    finally:
        owner.execute("DROP POLICY slow ON consent_record")
    assert owner.execute("SELECT FROM disclosure").fetchall() == []


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ({"key": "1"}, "--key 1"),
        ({"key": "index:1"}, "--key index:1"),
        ({"since": FOUND, "until": FOUND + timedelta(hours=1)}, f"--from {FOUND.isoformat()} --to"),
    ],
    ids=["key", "index", "window"],
)
def test_the_command_is_asked_for_the_same(program: Program, scope: dict[str, Any], told: str) -> None:
    made = incident(program, **scope)
    command = incidents.command(program_id=program.id, incident_id=made.pk)
    assert told in command
    with pytest.raises(CommandError, match="nobody is affected"):
        call_command(*command.removeprefix("manage.py ").split(), stdout=io.StringIO(), stderr=io.StringIO())


def test_where_it_is_not_known_what_is_affected_nobody_is_looked_for(
    program: Program, senior: Desk, owner: psycopg.Connection
) -> None:
    made = incident(program)
    for page in ("affected", "pseudonyms"):
        assert senior.post(f"consent/incident/{made.pk}/{page}/").status_code == 302
    shown = senior.get(f"consent/incident/{made.pk}/change/").content.decode()
    assert "Enter first which key, table or window of time is affected." in shown
    assert owner.execute("SELECT count(*) FROM disclosure").fetchone() == (0,)
    assert owner.execute("SELECT count(*) FROM audit_entry WHERE action = 'breach.listed'").fetchone() == (0,)


def test_another_mini_programs_incident_is_not_there(program: Program, other: Program, senior: Desk) -> None:
    made = incident(other, table="consent_record")
    for page in ("entry", "affected", "pseudonyms"):
        for answered in (
            senior.get(f"consent/incident/{made.pk}/{page}/"),
            senior.post(f"consent/incident/{made.pk}/{page}/"),
        ):
            assert answered.status_code in (403, 404)
