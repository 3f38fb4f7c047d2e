"""The record of processing: what is there, as a page and as JSON, and nothing of a person."""

from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent.processing.record import add_part
from tests.cast import Program
from tests.consent.desk import holder
from tests.consent.notice_texts import ABROAD, REFERENCE, publish, text_with
from tests.consent.processing import mechanism, processor


def told(program: Program, role: str = "viewer") -> Any:
    answered = holder(role, program).enter(program).get("record.json")
    assert answered.status_code == 200
    return answered.json()


def test_it_is_read_off_what_is_there(program: Program, other: Program, owner: psycopg.Connection) -> None:
    processor(program)
    mechanism(program, "abroad")
    processor(other, name="Another Ltd")
    publish(program, text_with("abroad", separate_consent="39", recipients=[ABROAD], assessment=REFERENCE))
    record = told(program)
    (notice,) = record["notices"]
    assert (notice["sha256"], notice["audience"]) == (program.notice, "general")
    assert notice["controller"] and notice["contact"] and record["mini_program"]["app"].startswith("wechat:")
    purposes = {row["code"]: row for row in record["purposes"]}
    rows = owner.execute("SELECT code FROM purpose WHERE program_id = %s", [program.id]).fetchall()
    assert set(purposes) == {code for (code,) in rows}
    abroad = purposes["abroad"]
    flags = ("active", "sensitive", "minors", "automated_decision", "cross_border", "necessary")
    assert [abroad[flag] for flag in flags] == [True, True, False, False, True, False]
    assert (abroad["legal_ground"], abroad["separate_consent"]) == ("consent", "39")
    assert (abroad["recipients"][0]["name"], abroad["recipients"][0]["country"]) == ("Partner Ltd", "SG")
    assert {"reference": "PIA-7", "assessed_on": "2026-10-01", "conclusion": "acceptable"} in abroad["assessments"]
    assert abroad["retention_days"] > 0 and abroad["after_retention"]
    assert [row["name"] for row in record["processors"]] == ["Cloud Ltd"]
    assert [(row["recipient"], row["purposes"]) for row in record["mechanisms"]] == [("Partner Ltd", ["abroad"])]


def test_it_has_the_catalogue_that_is_in_force(program: Program, owner: psycopg.Connection) -> None:
    events = {row["name"]: row for row in told(program)["events"]}
    rows = owner.execute("SELECT name, properties FROM event_type WHERE program_id = %s", [program.id]).fetchall()
    assert {name: {p["name"] for p in row["properties"]} for name, row in events.items()} == {
        name: set(properties) for name, properties in rows
    }
    said = [p for row in events.values() for p in row["properties"]]
    assert said and all(p["classification"] and 1 <= p["grade"] <= 4 and p["type"] for p in said)
    name = rows[0][0]
    owner.execute("UPDATE event_type SET status = 'retired' WHERE name = %s", [name])
    assert name not in {row["name"] for row in told(program, "officer")["events"]}


def test_what_secures_it_is_asked_of_the_database(program: Program, owner: psycopg.Connection) -> None:
    security = told(program)["security"]
    only_added = set(security["tables_only_added_to"])
    assert {"audit_entry", "incident_entry", "impact_assessment", "notice", "disclosure"} <= only_added
    assert {"purpose", "mechanism", "consent_state"}.isdisjoint(only_added)
    assert security["fields_guarded_by_key"]["key_encryption"] > 5 and security["tables_apart_by_mini_program"] > 20
    owner.execute("GRANT UPDATE (actor) ON audit_entry TO zq_app")
    try:
        assert "audit_entry" not in told(program, "officer")["security"]["tables_only_added_to"]
    finally:
        owner.execute("REVOKE UPDATE (actor) ON audit_entry FROM zq_app")


def test_a_purpose_that_no_notice_in_force_tells_of_is_there_too(program: Program, owner: psycopg.Connection) -> None:
    publish(program, text_with(assessment=REFERENCE))
    owner.execute("UPDATE notice SET body = jsonb_set(body, '{purposes}', (body->'purposes') - 3)")
    (row,) = [row for row in told(program)["purposes"] if row["code"] == "health"]
    assert (row["audience"], row["active"]) == (None, True)
    page = holder("officer", program).enter(program).get("record/").content.decode()
    assert "No notice in force tells of it." in page


def test_its_page_reads_in_both_languages_in_as_many_queries_whatever_there_is(program: Program) -> None:
    mechanism(program, "abroad")
    publish(program, text_with("abroad", separate_consent="39", recipients=[ABROAD], assessment=REFERENCE))
    desk = holder("viewer", program).enter(program)
    desk.get("record/")
    counts = []
    for number in (1, 20):
        for _ in range(number):
            processor(program)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page = desk.get("record/").content.decode()
        counts.append(len(queries))
        assert page.count("Cloud Ltd") == (1 if number == 1 else 21)
    assert counts[0] == counts[1]
    assert "Partner Ltd" in page and "standard contract" in page and program.notice in page
    desk.client.cookies["django_language"] = "zh-hans"
    chinese = desk.get("record/").content.decode()
    assert "处理活动记录" in chinese
    for shown, words in ((page, "behaviour, grade 3 (harm to a person)"), (chinese, "使用行为, 级别 3(损害个人)")):
        assert words in " ".join(shown.split()), "codes are told in words"


def test_only_whoever_may_sees_it(program: Program) -> None:
    for role in ("analyst", "administrator"):
        desk = holder(role, program).enter(program)
        assert [desk.get(page).status_code for page in ("record/", "record.json")] == [403, 403]
        assert "/admin/record/" not in desk.get().content.decode()


def test_a_part_is_added_once() -> None:
    with pytest.raises(ValueError, match="already"):
        add_part("events", lambda program_id: [])
