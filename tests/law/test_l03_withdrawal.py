"""L3 (PIPL 15): withdrawing takes no more than giving, counts at once, and leaves the past lawful."""

import psycopg

from tests.cast import Program, event


def test_a_withdrawal_is_one_call_with_fewer_fields_than_a_consent(program: Program) -> None:
    given = {
        "subject": {"openid": "alice"},
        "notice": program.notice,
        "locale": "zh-Hans",
        "method": "dialog",
        "act": "single",
        "decisions": [{"purpose": "analytics", "decision": "given"}],
    }
    assert program.post("consents", given).status_code == 201
    withdrawn = {"subject": {"openid": "alice"}, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
    assert withdrawn.keys() < given.keys()
    assert program.post("consents", withdrawn).status_code == 201


def test_what_is_separate_to_give_is_withdrawn_with_everything_else_in_one_call(program: Program) -> None:
    for purpose in ("analytics", "precise_location"):
        program.decide("alice", purpose=purpose)
    both = [{"purpose": purpose, "decision": "withdrawn"} for purpose in ("analytics", "precise_location")]
    response = program.post("consents", {"subject": {"openid": "alice"}, "decisions": both})
    assert [record["state"] for record in response.json()["records"]] == ["withdrawn", "withdrawn"]


def test_once_it_is_acknowledged_nothing_more_is_stored_and_the_records_of_before_stay(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    assert program.send(event("alice", "e1"))["stored"] == 1
    program.decide("alice", "withdrawn")
    assert program.send(event("alice", "e2"))["results"][0]["code"] == "consent_withdrawn"
    kept = owner.execute("SELECT state FROM consent_record ORDER BY version").fetchall()
    assert kept == [("given",), ("withdrawn",)]


def test_an_objection_ends_the_consent_with_its_answer(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    asked = {"subject": {"openid": "alice"}, "kind": "objection", "scope": {"purposes": ["analytics"]}, "locale": "en"}
    answer = program.post("requests", asked).json()
    assert (answer["state"], len(answer["records"])) == ("completed", 1)
    assert program.send(event("alice", "e1"))["results"][0]["code"] == "consent_withdrawn"
