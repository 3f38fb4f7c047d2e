"""L2: what is material of a change is computed from the fields, purpose by purpose."""

from typing import Any

import msgspec
import psycopg
import pytest

from consent.notices.actions import publish_notice
from consent.notices.difference import Standing, difference
from tests.cast import AT_ONCE, Program, event, example_notice, now
from tests.consent.acts import code, status
from tests.consent.test_notice_linter import ABROAD, TEXT

OTHER = {"zh-Hans": "别的", "en": "other"}
HOME = ABROAD | {"country": "CN", "rights": None, "mechanism": None}


def body(**told: Any) -> dict[str, Any]:
    """A notice as published, whose purpose precise_location says this."""
    notice: dict[str, Any] = msgspec.to_builtins(example_notice())
    notice["purposes"][2] |= told
    return notice | {"version": 1}


def compared(before: dict[str, Any], after: dict[str, Any]) -> dict[str, bool]:
    """Field -> whether its change is material, of the one purpose; the others are untouched."""
    purposes = {purpose["code"]: purpose for purpose in before["purposes"]}
    change = difference(before, purposes, after)
    assert {p.standing for p in change.purposes if p.code != "precise_location"} == {Standing.UNCHANGED}
    (purpose,) = (purpose for purpose in change.purposes if purpose.code == "precise_location")
    assert all(item.why for item in purpose.changes)
    assert (change.material == ["precise_location"]) == any(item.material for item in purpose.changes)
    return {item.field: item.material for item in purpose.changes}


@pytest.mark.parametrize(
    ("name", "less", "more"),
    [
        ("methods", ["collection"], ["collection", "automated_decision"]),
        ("categories", ["location"], ["device", "location"]),
        ("attributes", [], ["city"]),
        ("retention_days", 30, 31),
        ("disposal", "deletion", "anonymisation"),
    ],
)
def test_broader_is_material_and_narrower_is_not(name: str, less: Any, more: Any) -> None:
    assert compared(body(**{name: less}), body(**{name: more})) == {name: True}
    assert compared(body(**{name: more}), body(**{name: less})) == {name: False}
    assert compared(body(**{name: more}), body(**{name: more})) == {}


def test_swapping_one_category_for_another_is_material() -> None:
    assert compared(body(categories=["a", "b"]), body(categories=["a", "c"])) == {"categories": True}
    assert compared(body(categories=["a", "b"]), body(categories=["b", "a"])) == {}


def test_becoming_sensitive_is_material_and_ceasing_to_be_is_not() -> None:
    plain, sensitive = body(sensitive=False, separate_consent="23"), body(sensitive=True, separate_consent="23")
    assert compared(plain, sensitive) == {"sensitive": True}
    assert compared(sensitive, plain) == {"sensitive": False}


@pytest.mark.parametrize(
    ("before", "after", "material"),
    [
        (None, ["CN"], False),
        (None, ["SG"], True),
        (["CN"], ["CN", "SG"], True),
        (["SG"], ["US"], True),
        (["CN", "SG"], ["CN"], False),
        (["SG"], ["CN"], False),
        (["SG"], None, False),
    ],
)
def test_where_it_is_kept(before: list[str] | None, after: list[str] | None, material: bool) -> None:
    old, new = ([{"country": country} for country in kept] if kept else None for kept in (before, after))
    assert compared(body(storage=old), body(storage=new)) == {"storage": material}
    assert compared(body(storage=old), body(storage=old)) == {}


def test_another_place_in_the_same_country_is_not_material() -> None:
    there = [[{"country": "SG", "place": text}] for text in (TEXT, OTHER)]
    assert compared(body(storage=there[0]), body(storage=there[1])) == {"storage": False}


@pytest.mark.parametrize(
    ("before", "after", "field", "material"),
    [
        ([], [HOME], "", True),
        ([HOME], [], "", False),
        ([HOME], [HOME | {"categories": ["location", "device"]}], "/categories", True),
        ([HOME | {"categories": ["location", "device"]}], [HOME], "/categories", False),
        ([HOME], [HOME | {"purpose": OTHER}], "/purpose", True),
        ([HOME], [HOME | {"method": OTHER}], "/method", True),
        ([HOME], [HOME | {"role": "controller"}], "/role", True),
        ([HOME | {"role": "controller"}], [HOME], "/role", False),
        ([HOME], [HOME | {"country": "SG"}], "/country", True),
        ([HOME | {"country": "SG"}], [HOME | {"country": "US"}], "/country", True),
        ([HOME | {"country": "SG"}], [HOME], "/country", False),
        ([HOME], [HOME | {"contact": "elsewhere"}], "/contact", False),
        ([ABROAD], [ABROAD | {"rights": OTHER}], "/rights", False),
        ([ABROAD], [ABROAD | {"mechanism": {"kind": "certification", "reference": "C"}}], "/mechanism", False),
    ],
)
def test_who_gets_what_and_why(before: Any, after: Any, field: str, material: bool) -> None:
    found = compared(body(recipients=before), body(recipients=after))
    assert found == {f"recipients/Overseas Ltd{field}": material}


@pytest.mark.parametrize(
    ("name", "value"),
    [("title", TEXT), ("description", TEXT), ("after_retention", TEXT), ("impact", TEXT), ("validity_days", 9000)],
)
def test_words_and_how_long_a_consent_counts_are_not_material(name: str, value: Any) -> None:
    assert compared(body(), body(**{name: value})) == {name: False}


def test_texts_of_the_notice_are_told_and_material_for_none() -> None:
    change = difference(body(), {p["code"]: p for p in body()["purposes"]}, body() | {"rights": TEXT, "contact": "x"})
    assert [(item.field, item.material) for item in change.changes] == [("contact", False), ("rights", False)]
    assert change.material == []


def test_a_new_purpose_is_material_for_no_other_and_one_left_out_is_told() -> None:
    before, after = body(), body()
    gone = before["purposes"].pop(0)
    after["purposes"].pop(1)
    change = difference(before, {p["code"]: p for p in before["purposes"]}, after)
    assert [(p.code, p.standing) for p in change.purposes] == [
        (gone["code"], Standing.NEW),
        ("precise_location", Standing.UNCHANGED),
        ("personalisation", Standing.LEFT_OUT),
    ]
    assert change.material == []


def test_a_body_of_a_release_before_is_compared_by_what_it_says() -> None:
    old = body()
    for name in ("disposal", "sensitive", "necessity", "impact", "attributes", "recipients", "assessment"):
        del old["purposes"][2][name]
    assert compared(old, body()) == {"necessity": False, "impact": False}


def test_who_was_shared_with_before_roles_were_told_was_a_controller_under_article_23_alone() -> None:
    unsaid, own = {name: value for name, value in HOME.items() if name != "role"}, HOME | {"role": "controller"}
    told = {"separate_consent": "23"}
    assert compared(body(recipients=[unsaid], **told), body(recipients=[own], **told)) == {}
    assert compared(body(recipients=[unsaid]), body(recipients=[HOME])) == {}
    assert compared(body(recipients=[unsaid]), body(recipients=[own])) == {"recipients/Overseas Ltd/role": True}


# Through the gate


def publish(program: Program, **told: Any) -> str:
    text = example_notice()
    text.purposes[0] = msgspec.structs.replace(text.purposes[0], **told)
    return publish_notice(
        program_id=program.id, text=text, effective_at=None, lead=AT_ONCE, by="test", now=now()
    ).sha256


def versions(owner: psycopg.Connection) -> list[tuple[int, bool]]:
    return owner.execute(
        "SELECT n.version, np.material FROM notice_purpose np JOIN notice n ON n.id = np.notice_id"
        " JOIN purpose p ON p.id = np.purpose_id WHERE p.code = 'analytics' ORDER BY 1"
    ).fetchall()


def test_one_purpose_broadened_ends_the_consents_to_it_alone(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    program.decide("alice", purpose="personalisation")
    publish(program, categories=["behaviour", "device", "network"])
    assert (status(program, "alice")["renewal_required"], code(program, "e1")) == (True, "renewal_required")
    assert status(program, "alice", "personalisation")["allowed"] is True
    assert versions(owner) == [(1, False), (2, True)]


def test_narrowed_and_reworded_the_consents_stand(program: Program) -> None:
    program.decide("alice")
    publish(program, categories=["behaviour"], description=OTHER, retention_days=30)
    assert (status(program, "alice")["renewal_required"], code(program, "e1")) == (False, None)


def test_narrowed_and_widened_again_ends_the_consents_to_both(program: Program, owner: psycopg.Connection) -> None:
    """The older would cover it, and is asked for once too often: a version is material for all before it or for none."""
    program.decide("alice")
    narrow = publish(program, retention_days=30)
    program.decide("bob", notice=narrow)
    publish(program, retention_days=365)
    assert [status(program, who)["renewal_required"] for who in ("alice", "bob")] == [True, True]
    assert program.send(event("bob", "e1"))["results"][0]["code"] == "renewal_required"
    assert versions(owner) == [(1, False), (2, False), (3, True)]


def test_a_purpose_left_out_and_told_of_again_is_compared_with_what_was_told_last(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    text = example_notice()
    text = msgspec.structs.replace(text, purposes=text.purposes[1:])
    publish_notice(program_id=program.id, text=text, effective_at=None, lead=AT_ONCE, by="test", now=now())
    publish(program)
    assert status(program, "alice")["allowed"] is True
    publish(program, retention_days=366)
    assert status(program, "alice")["renewal_required"] is True
    assert versions(owner) == [(1, False), (3, False), (4, True)]
