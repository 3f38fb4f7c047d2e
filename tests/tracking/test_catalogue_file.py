"""The file of the event catalogue: what it may say, what is refused with its place, and that it goes there and back."""

import re
import time
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.errors import Invalid
from consent.programs.tenancy import tenant
from consent.rights.classification import Kind, classified
from tests.cast import EXAMPLES, Program, make_program, now
from tracking.catalogue import (
    Catalogue,
    Classification,
    Declaration,
    Property,
    compare_catalogue,
    export_catalogue,
    import_catalogue,
    parse,
)
from tracking.catalogue_text import dump
from tracking.differences import DEFAULTS
from tracking.models import Event
from tracking.patterns import fault
from tracking.personal_data import STARTER


def file(prop: str = "", **fields: str) -> str:
    """A file of one event `seen`, with a property `p` if one is given."""
    said = {"purpose": "analytics", "categories": "[behaviour]"} | fields
    lines = [f"    {name}: {value}" for name, value in said.items()]
    return "\n".join(["events:", "  seen:", *lines, *([f"    properties: {{p: {prop}}}"] if prop else [])])


def refused(text: str) -> str:
    """What the author is told."""
    with pytest.raises(Invalid) as found:
        parse(text)
    assert found.value.code == "invalid_catalogue"
    return "\n".join([found.value.detail, *(f"{fault.pointer}: {fault.detail}" for fault in found.value.errors)])


def test_every_field_of_a_property_is_read() -> None:
    said = parse(
        file(
            "{type: string, required: true, max_length: 9, pattern: '[a-z]+', enum: [a, b], classification: profile,"
            " grade: 4, description: What it is}"
        )
    )
    assert said.events["seen"].properties["p"] == Property(
        "string", True, ["a", "b"], 9, "[a-z]+", "profile", 4, "What it is"
    )


def test_what_is_left_out_is_classified_as_the_column_it_is_stored_in() -> None:
    declared = parse(file("{type: integer}")).events["seen"].properties["p"]
    column = classified(Event)["properties"]
    assert (declared.classification, declared.grade) == (column.kind.value, column.grade) == ("behaviour", 3)


def test_differences_know_the_defaults() -> None:
    left_out = {
        field.name: field.default
        for field in msgspec.structs.fields(Property)
        if field.default not in (msgspec.NODEFAULT, None)
    }
    assert left_out == DEFAULTS


def test_classifications_are_those_of_personal_data_that_an_event_may_hold() -> None:
    kinds = {kind.value for kind in Kind}
    assert set(get_args(Classification)) == kinds - {"identifier", "key", "consent_evidence", "request"}


@pytest.mark.parametrize(
    ("prop", "told"),
    [
        ("{type: string}", "enum, a pattern or a max_length"),
        ("{type: opaque_id}", "needs a pattern"),
        ("{type: opaque_id, max_length: 9}", "needs a pattern"),
        ("{type: integer, max_length: 9}", "for strings and opaque ids"),
        ("{type: boolean, enum: ['yes']}", "for strings and opaque ids"),
        ("{type: string, enum: []}", "1 to 500 values"),
        ("{type: string, enum: [a, b, a]}", "each value once"),
        ("{type: string, enum: [yes]}", "Expected `str`"),
        ("{type: string, enum: [" + ",".join(f"v{n}" for n in range(501)) + "]}", "1 to 500 values"),
        (f"{{type: string, enum: [{'v' * 1001}]}}", "1000 characters at most"),
        ("{type: string, max_length: 0}", "Expected `int` >= 1"),
        ("{type: string, max_length: 1001}", "Expected `int` <= 1000"),
        ("{type: string, pattern: '('}", "not a regular expression"),
        (f"{{type: string, pattern: '{'a' * 201}'}}", "200 characters at most"),
        ("{type: string, pattern: '([a-z]+)*'}", "too many ways"),
        ("{type: string, pattern: '.*a.*b.*'}", "too many ways"),
        ('{type: string, pattern: "a\\0"}', "cannot be stored"),
        ('{type: string, enum: ["\\ud800"]}', "cannot be stored"),
        ("{type: integer, classification: identifier}", "classification"),
        ("{type: integer, classification: key}", "classification"),
        ("{type: integer, grade: 0}", "grade"),
        ("{type: integer, grade: 5}", "grade"),
        ("{type: integer, grade: high}", "grade"),
        (f"{{type: integer, description: {'d' * 1001}}}", "1000 characters at most"),
        ("{type: text}", "type"),
        ("{type: integer, colour: red}", "colour"),
        ("{type: integer, type: number}", "line 5: a name stands twice"),
    ],
)
def test_a_bad_property_is_told(prop: str, told: str) -> None:
    said = refused(file(prop))
    assert told in said
    assert "events.seen.properties.p: " in said or "line 5: " in said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (file(purpose="Analytics"), "purpose"),
        (file(categories="[]"), "categories"),
        (file(status="off"), "status"),
        (file(description='"\\0"'), "cannot be stored"),
        (file(description="d" * 1001), "1000 characters at most"),
        (file(categories=str([f"c{n}" for n in range(51)])), "50 categories at most"),
        (file(properties=str({f"p{n}": {"type": "integer"} for n in range(101)})), "100 properties at most"),
        ("events: {A: {purpose: analytics, categories: [behaviour]}}", "events.A: Expected `str` matching"),
        (
            "events: " + str({f"e{n}": {"purpose": "a", "categories": ["b"]} for n in range(1001)}),
            "1000 events at most",
        ),
        (file() + "\n" + file().partition("\n")[2], "line 5: a name stands twice"),
        ("events: [", "not YAML"),
        ("events: 2026-13-45", "not YAML"),
        ("[" * 100_000, "not YAML"),
        ("events: {seen: {purpose: analytics}}", "events.seen: Object missing required field `categories`"),
        ("events: {seen: 1}", "events.seen: Expected `object`, got `int`"),
        ("events: {yes: {purpose: analytics, categories: [behaviour]}}", "events.True: "),
        ("events: [seen]", "events: Expected `object`, got `array`"),
        ("x: 1", "events: Object contains unknown field `x`"),
        ("", "Expected `object`"),
    ],
)
def test_a_bad_file_is_told(text: str, told: str) -> None:
    assert told in refused(text)


def test_every_fault_is_told_at_once() -> None:
    said = refused(file("{type: string}", description="d" * 1001))
    assert "2 faults" in said
    assert "events.seen: " in said and "events.seen.properties.p: " in said


def test_the_starter_is_translated() -> None:
    starter = parse((EXAMPLES / "catalogue.yaml").read_text()).events.values()
    told = {event.description for event in starter}
    told |= {declared.description for event in starter for declared in event.properties.values()}
    assert told == set(STARTER)


# --- Patterns that no value keeps busy -------------------------------------------------------------------------------

TAKEN = [
    r"L[0-9]{8}",
    r".+",
    r"[A-Z]{2}[0-9]{1,10}",
    r"[a-z]+(-[a-z]+)*",
    r"(?:[a-z]+;){1,5}[a-z]",
    r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*",
    r"[^,]*(,[^,]*)*",
    r"(-\w+)*",
    r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}",
    r"(ios|android)(-[0-9]{1,3})?",
    r"(foo|bar){1,3}",
    r"(?i:[a-z]*)[a-z]*!",
    r"(a?){15}!",
    r"(?:a|aa){14}[a-z]{900}!",
]
REFUSED = [
    r"([a-z]+)*",
    r"(a*)*!",
    r"(a|aa)+!",
    r"(a|a)*!",
    r"(.*)(.*)(.*)!",
    r"([a-z]+,?)*",
    r"(?:-[a-z]*[a-z]*)*!",
    r"(-[a-z-]+)*!",
    r"(_\w+)*!",
    r"(-[^,]+)*!",
    r"(-.+)*!",
    r"((a?){5}){5}!",
    r"(a?){17}!",
    r"(?i:(?:k[a-j]+)*)",
    r"(a)\1",
    r"(?=a)a",
    r"(?<!a)b",
    r"(a)?(?(1)b|c)",
]


@pytest.mark.parametrize("pattern", TAKEN)
def test_a_pattern_that_is_taken_keeps_nobody_waiting(pattern: str) -> None:
    assert fault(pattern, 1000) is None
    began = time.perf_counter()
    for value in ("a" * 1000, "a" * 30, "-a" * 500, "a-" * 500, "," * 1000, "_a" * 500, "foobar" * 100):
        re.fullmatch(pattern, value)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("pattern", REFUSED)
def test_a_pattern_with_too_many_ways_is_refused(pattern: str) -> None:
    assert fault(pattern, 1000) is not None


def test_a_smaller_max_length_allows_for_more() -> None:
    assert "too many ways" in refused(file("{type: string, pattern: '.*a.*b.*'}"))
    assert parse(file("{type: string, pattern: '.*a.*b.*', max_length: 90}"))


# --- There and back --------------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
SAID = st.fixed_dictionaries(
    {
        "required": st.booleans(),
        "classification": st.sampled_from(get_args(Classification)),
        "grade": st.integers(1, 4),
        "description": TEXTS,
    }
)
BOUNDS = st.one_of(
    st.fixed_dictionaries({"enum": st.lists(TEXTS, min_size=1, max_size=5, unique=True)}),
    st.fixed_dictionaries({"max_length": st.integers(1, 1000)}),
    st.fixed_dictionaries({"pattern": st.sampled_from(TAKEN)}, optional={"max_length": st.integers(1, 1000)}),
)


@st.composite
def properties(draw: st.DrawFn) -> Property:
    kind: Any = draw(st.sampled_from(["string", "integer", "number", "boolean", "date", "opaque_id"]))
    bound: dict[str, Any] = {}
    if kind == "string":
        bound = draw(BOUNDS)
    if kind == "opaque_id":
        bound = {"pattern": draw(st.sampled_from(TAKEN))}
    return Property(type=kind, **draw(SAID), **bound)


DECLARATIONS = st.builds(
    Declaration,
    purpose=st.sampled_from(["analytics", "personalisation", "precise_location"]),
    categories=st.lists(NAMES, min_size=1, max_size=3, unique=True).map(sorted),
    description=TEXTS,
    status=st.sampled_from(["draft", "active", "retired"]),
    properties=st.dictionaries(NAMES, properties(), max_size=4),
)
CATALOGUES = st.builds(Catalogue, events=st.dictionaries(NAMES, DECLARATIONS, max_size=4))


@given(CATALOGUES)
@settings(deadline=None)
def test_what_is_written_is_read_back(catalogue: Catalogue) -> None:
    assert parse(dump(catalogue)) == catalogue


@given(CATALOGUES)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_an_export_imports_to_no_change(database: None, catalogue: Catalogue) -> None:
    """Whatever the catalogue: each in a mini-program of its own, beside the starter."""
    program: Program = make_program()
    starter = parse((EXAMPLES / "catalogue.yaml").read_text())
    fresh = Catalogue({f"x_{name}": declared for name, declared in catalogue.events.items()})
    import_catalogue(program_id=program.id, catalogue=parse(dump(fresh)), by="test", now=now())
    with tenant(program.id):
        exported = export_catalogue(program.id)
    assert exported.events == starter.events | fresh.events
    again = compare_catalogue(program_id=program.id, catalogue=parse(dump(exported)))
    assert not again
    assert sorted(again.unchanged) == sorted(exported.events)
