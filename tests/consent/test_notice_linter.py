"""L7: every missing or wrong piece of a notice is named at once, with its place, whatever the shape of the file."""

import copy
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.errors import Invalid
from consent.notices.actions import publish_notice
from consent.notices.linter import lint, parse
from consent.yaml_text import read
from tests.cast import AT_ONCE, EXAMPLES, Program, example_notice, now

TEXT = {"zh-Hans": "字", "en": "text"}
ABROAD = {
    "name": "Overseas Ltd",
    "role": "processor",
    "contact": "dpo@overseas.example",
    "purpose": TEXT,
    "method": TEXT,
    "categories": ["location"],
    "country": "SG",
    "rights": TEXT,
    "mechanism": {"kind": "standard_contract", "reference": "SC-1"},
}


def said() -> Any:
    """The example as YAML reads it."""
    return read((EXAMPLES / "notice.yaml").read_text())


def faults(value: Any) -> dict[str, str]:
    """Pointer -> code."""
    return {fault.pointer: fault.code for fault in lint(value)}


def changed(pointer: str, value: Any) -> Any:
    """The example with one value set; `...` leaves it out."""
    notice = said()
    *path, last = pointer.strip("/").split("/")
    place = notice
    for step in path:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return notice


def abroad(**more: Any) -> Any:
    """The example with a purpose that goes abroad."""
    notice = said()
    notice["purposes"][2] |= {"separate_consent": "39", "recipients": [ABROAD | more]}
    return notice


def test_the_example_has_no_fault_and_neither_has_one_that_goes_abroad() -> None:
    assert faults(said()) == {}
    assert faults(abroad()) == {}


def test_an_empty_notice_is_told_of_all_that_is_missing_at_once() -> None:
    assert faults({}) == dict.fromkeys(
        ("/controller", "/contact", "/title", "/introduction", "/rights", "/withdrawal", "/purposes"), "missing"
    )
    assert list(faults({"purposes": [{}]})) == [
        *("/controller", "/contact", "/title", "/introduction", "/rights", "/withdrawal"),
        *(f"/purposes/0/{name}" for name in ("code", "title", "description", "methods", "categories")),
        *(f"/purposes/0/{name}" for name in ("retention_days", "after_retention", "recipients")),
    ]


@pytest.mark.parametrize("pointer", [
    "/controller", "/contact", "/title", "/introduction", "/rights", "/withdrawal", "/purposes",
    "/purposes/0/code", "/purposes/0/title", "/purposes/0/description", "/purposes/0/methods", "/purposes/0/categories",
    "/purposes/0/retention_days", "/purposes/0/after_retention", "/purposes/0/recipients",
    "/purposes/2/necessity", "/purposes/2/impact",
])  # fmt: skip
@pytest.mark.parametrize("value", [..., None, "", [], {}, 0])
def test_what_the_law_asks_for_cannot_be_left_out_or_empty(pointer: str, value: Any) -> None:
    if pointer == "/purposes/0/recipients" and value == []:
        assert faults(changed(pointer, value)) == {}, "nobody, and it is said"
        return
    assert list(faults(changed(pointer, value))) == [pointer]


@pytest.mark.parametrize(
    ("pointer", "value", "where", "code"),
    [
        ("/purposes/0/title/en", ..., "/purposes/0/title/en", "missing_locale"),
        ("/title/zh-Hans", " \n", "/title/zh-Hans", "missing_locale"),
        ("/title/fr", "titre", "/title", "unknown_locale"),
        ("/purposes/0/necessary", True, "/purposes/0/justification", "missing_justification"),
        ("/purposes/0/sensitive", True, "/purposes/0/necessity", "missing_necessity"),
        ("/purposes/0/sensitive", True, "/purposes/0/separate_consent", "missing_separate_consent"),
        ("/purposes/1/code", "analytics", "/purposes/1/code", "duplicate_purpose"),
        ("/purposes/0/material", True, "/purposes/0/material", "unknown_field"),
        ("/purposes/0/a name", True, "/purposes/0/?", "unknown_field"),
        ("/purposes/0/separate_consent", 29, "/purposes/0/separate_consent", "invalid"),
        ("/purposes/0/separate_consent", "23", "/purposes/0/recipients", "missing_recipient"),
        ("/purposes/0/separate_consent", "39", "/purposes/0/recipients", "missing_recipient"),
        ("/purposes/0/methods", ["spying"], "/purposes/0/methods/0", "invalid"),
        ("/purposes/0/methods", ["provision"], "/purposes/0/recipients", "missing_recipient"),
        ("/purposes/0/methods", ["disclosure"], "/purposes/0/separate_consent", "missing_separate_consent"),
        ("/purposes/0/retention_days", True, "/purposes/0/retention_days", "invalid"),
        ("/purposes/0/retention_days", 36501, "/purposes/0/retention_days", "invalid"),
        ("/purposes/0/validity_days", 0, "/purposes/0/validity_days", "invalid"),
        ("/purposes/0/categories", ["Behaviour"], "/purposes/0/categories/0", "invalid"),
        ("/purposes/2/assessment/assessed_on", "soon", "/purposes/2/assessment/assessed_on", "invalid"),
        ("/purposes/2/assessment/reference", ..., "/purposes/2/assessment/reference", "missing"),
        ("/purposes/0/storage", [], "/purposes/0/storage", "missing"),
        ("/purposes/0/storage", [{"place": TEXT}], "/purposes/0/storage/0/country", "missing"),
        ("/purposes/0/storage", [{"country": "China"}], "/purposes/0/storage/0/country", "invalid"),
        ("/purposes/0/storage", [{"country": "CN", "place": "x"}], "/purposes/0/storage/0/place", "invalid"),
        ("/purposes/0/storage", [{"country": "SG"}], "/purposes/0/storage/0/country", "missing_recipient"),
        ("/audience", "minor", "/purposes/0/impact", "missing_impact"),
        ("/controller", "a\0b", "/controller", "invalid"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(pointer: str, value: Any, where: str, code: str) -> None:
    assert faults(changed(pointer, value))[where] == code


@pytest.mark.parametrize(
    ("recipient", "fault"),
    [
        ({"rights": None}, ("rights", "missing_rights")),
        ({"mechanism": None}, ("mechanism", "missing_mechanism")),
        ({"mechanism": {"kind": "exemption"}}, ("mechanism/ground", "missing_ground")),
        ({"mechanism": {"kind": "certification"}}, ("mechanism/reference", "missing_reference")),
        ({"mechanism": {"kind": "hope", "reference": "x"}}, ("mechanism/kind", "invalid")),
        ({"contact": ""}, ("contact", "invalid")),
        ({"purpose": None}, ("purpose", "missing")),
        ({"categories": ["location", "behaviour"]}, ("categories", "undeclared_category")),
        ({"country": "Singapore"}, ("country", "invalid")),
        ({"role": None}, ("role", "missing")),
        ({"role": "partner"}, ("role", "invalid")),
    ],
)
def test_a_recipient_abroad_is_told_of_in_full(recipient: dict[str, Any], fault: tuple[str, str]) -> None:
    """L8, L20: whom, how to reach them, for what and how, how to exercise rights there, and what lets it go there."""
    assert faults(abroad(**recipient)) == {f"/purposes/2/recipients/0/{fault[0]}": fault[1]}


@pytest.mark.parametrize(
    ("role", "country", "article", "fits"),
    [
        ("controller", "CN", None, False),
        ("controller", "CN", "25", False),
        ("controller", "CN", "29", False),
        ("controller", "CN", "23", True),
        ("controller", "SG", "23", False),
        ("controller", "SG", "39", True),
        ("processor", "CN", None, True),
        ("processor", "CN", "23", True),
    ],
)
def test_another_controller_needs_a_consent_of_its_own(
    role: str, country: str, article: str | None, fits: bool
) -> None:
    """L8: a processor at home needs none; `sensitive` says itself what is sensitive beside 23 and 39."""
    notice = abroad(role=role, country=country)
    notice["purposes"][2] |= {"separate_consent": article, "sensitive": False}
    place = "/purposes/2/separate_consent"
    assert faults(notice) == ({} if fits else {place: "missing_separate_consent"})


def test_what_is_kept_abroad_is_kept_by_a_recipient_there() -> None:
    notice = abroad()
    notice["purposes"][2]["storage"] = [{"country": "CN"}, {"country": "SG"}]
    assert faults(notice) == {}
    notice["purposes"][2]["storage"].append({"country": "US"})
    assert faults(notice) == {"/purposes/2/storage/2/country": "missing_recipient"}


def test_going_abroad_needs_its_own_article_and_each_recipient_is_named_once() -> None:
    notice = abroad()
    notice["purposes"][2]["separate_consent"] = "29"
    notice["purposes"][2]["recipients"].append(copy.deepcopy(ABROAD) | {"country": "CN"})
    assert faults(notice) == {
        "/purposes/2/separate_consent": "missing_separate_consent",
        "/purposes/2/recipients/1/name": "duplicate_recipient",
    }


@pytest.mark.parametrize("text", ["", "[]", "x", "- 1", "purposes: 5", "purposes: [5, [], {}]", "2: {3: 4}"])
def test_any_other_shape_is_told_too(text: str) -> None:
    with pytest.raises(Invalid, match="invalid_notice") as refused:
        parse(text)
    assert refused.value.errors


@pytest.mark.parametrize(
    "text", ["purposes: [", "a: 2026-13-45", "a: 1\na: 2", "[" * 5000, "\x01", "? [1]\n: 2", "a: &a [*a]"]
)
def test_what_is_no_yaml_is_told(text: str) -> None:
    with pytest.raises(Invalid, match="not YAML"):
        parse(text)


def test_aliases_may_be_used_but_not_to_multiply_a_file() -> None:
    assert read("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}") == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}
    lines = ["a0: &a0 [" + ", ".join(["x" * 100] * 10) + "]"]
    lines += [f"a{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * 10) + "]" for level in range(1, 9)]
    with pytest.raises(Invalid, match="line 4: aliases repeat more than 200000 characters"):
        parse("\n".join(lines))
    merges = ["a0: &a0 {" + ", ".join(f"x{number}: 1" for number in range(9)) + "}"]
    merges += [f"a{level}: &a{level} {{<<: [*a{level - 1}, *a{level - 1}]}}" for level in range(1, 30)]
    with pytest.raises(Invalid, match="aliases repeat more"):
        parse("\n".join(merges))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["en", "zh-Hans", "code", "recipients", "name"]) | st.integers(), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(
    top=st.dictionaries(st.sampled_from(sorted(said())), anything),
    purpose=st.dictionaries(
        st.sampled_from(["code", "methods", "recipients", "separate_consent", "sensitive", "assessment", "storage"]),
        anything,
    ),
)
def test_what_the_linter_passes_is_a_notice_whatever_it_is_given(top: dict[str, Any], purpose: dict[str, Any]) -> None:
    notice = said()
    notice["purposes"][0] |= purpose
    notice |= top
    if not lint(notice):
        parse_again = msgspec.convert(notice, type(example_notice()))
        assert lint(msgspec.to_builtins(parse_again)) == []


@pytest.mark.long
def test_no_notice_with_a_fault_is_published_whoever_asks(program: Program) -> None:
    text = example_notice()
    text.purposes[0].description = {"en": "only"}
    text.purposes[2].impact = None
    with pytest.raises(Invalid) as refused:
        publish_notice(
            program_id=program.id, text=text, effective_at=now() + timedelta(days=1), lead=AT_ONCE, by="t", now=now()
        )
    assert [fault.pointer for fault in refused.value.errors] == [
        "/purposes/0/description/zh-Hans",
        "/purposes/2/impact",
    ]
