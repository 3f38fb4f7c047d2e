"""The report `conversion`, worked out by hand and compared with the slow count; and what the gate makes of it."""

import csv
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import Invalid
from reports.api.answers.events import ConversionAnswered
from reports.metrics.conversion import Conversion
from reports.privacy.threshold import Released
from tests.reports import oracle_conversion
from tests.reports.events import History, Seen, local
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories
from tests.reports.test_trends import key_of, rows

Histories = Callable[..., History]
DAY = "2025-10-05"
NOON = local("2025-10-05 12:00:00")
MOMENT = timedelta(microseconds=1)
CLICKS = Conversion("tap", "expose", "element")


def did(subject: str, *events: tuple[float, str], element: str | None = None, **more: Any) -> list[Seen]:
    """(seconds after noon, name)"""
    said = {"element": element} if element else None
    return [Seen(subject, NOON + timedelta(seconds=at), name=name, properties=said, **more) for at, name in events]


def told(history: History, asked: Conversion, first: str = DAY, last: str = DAY, **more: Any) -> Released:
    return history.ask(first, last, metric="conversion", options=asked, **more)


def shown(history: History, asked: Conversion, *dates: str, **more: Any) -> dict[Any, list[Any]]:
    """Interval (and value) -> exposed, converted, conversion, exposures, goals, goals per exposure."""
    return rows(told(history, asked, *dates, **more).tables["data"])


def test_click_through_of_elements(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, "expose"), (1, "expose"), (2, "tap"), (3, "tap"), (4, "tap"), element="buy"))
    shanghai.add_all(did("ann", (5, "expose"), element="ad") + did("bob", (0, "expose"), element="buy"))
    shanghai.add_all(did("bob", (1, "tap"), element="ad"))  # another element than was shown
    shanghai.add_all(did("cem", (0, "tap"), element="buy"))  # never shown
    assert shown(shanghai, CLICKS) == {(DAY, "ad"): [1, 0, 0, 1, 0, 0], (DAY, "buy"): [2, 1, 0.5, 3, 3, 1]}
    assert shown(shanghai, Conversion("tap", "expose")) == {DAY: [2, 2, 1, 4, 4, 1]}
    only = Conversion("tap", "expose", "element", frozenset({"buy"}))
    assert shown(shanghai, only) == {DAY: [2, 1, 0.5, 3, 3, 1]}


def test_registrations_of_all_who_came(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(
        did("ann", (0, "launch"), (9, "register")) + did("bob", (0, "launch")) + did("cem", (0, "register"))
    )
    assert shown(shanghai, Conversion("register"), DAY, "2025-10-06") == {
        DAY: [3, 2, 0.6667, 4, 2, 0.5],
        "2025-10-06": [0, 0, None, 0, 0, None],
    }


def test_a_goal_at_the_instant_of_the_exposure_counts_and_one_before_does_not(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (5, "expose"), (5, "tap"), element="buy"))
    shanghai.add_all(did("bob", (5, "expose"), (4.999999, "tap"), element="buy"))
    assert shown(shanghai, CLICKS) == {(DAY, "buy"): [2, 1, 0.5, 2, 1, 0.5]}


@pytest.mark.parametrize(
    ("zone", "day", "midnight", "next_midnight"),
    [
        ("Asia/Shanghai", DAY, "2025-10-04 16:00:00", "2025-10-05 16:00:00"),
        ("Asia/Tehran", DAY, "2025-10-04 20:30:00", "2025-10-05 20:30:00"),
        ("America/New_York", "2025-03-09", "2025-03-09 05:00:00", "2025-03-10 04:00:00"),  # 23 hours
        ("America/New_York", "2025-11-02", "2025-11-02 04:00:00", "2025-11-03 05:00:00"),  # 25 hours
    ],
)
def test_exposure_and_goal_lie_in_the_same_local_day(
    history: Histories, zone: str, day: str, midnight: str, next_midnight: str
) -> None:
    there = history(zone)
    begins, ends = local(midnight, "UTC"), local(next_midnight, "UTC")
    for subject, shown_at, tapped_at in [
        ("ann", begins, ends - MOMENT),
        ("bob", begins - MOMENT, begins),
        ("cem", ends - MOMENT, ends),
    ]:
        there.add(Seen(subject, shown_at, name="expose"), Seen(subject, tapped_at, name="tap"))
    assert shown(there, Conversion("tap", "expose"), day, day) == {day: [2, 1, 0.5, 2, 1, 0.5]}


def test_weeks_count_whole_and_a_page_is_of_both(history: Histories) -> None:
    shanghai = history()
    for at, name, page in [("09-29", "expose", "home"), ("10-05", "tap", "home"), ("10-05", "tap", "item")]:
        shanghai.add(Seen("ann", local(f"2025-{at} 23:59:59"), name=name, page=page))
    weekly = shown(shanghai, Conversion("tap", "expose", "page"), "2025-10-01", "2025-10-01", interval="week")
    assert weekly == {("2025-09-29", "home"): [1, 1, 1, 1, 1, 1]}


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Conversion("nothing"), "unknown_event"),
        (Conversion("tap", "nothing"), "unknown_event"),
        (Conversion("tap", "tap"), "invalid_goal"),
        (Conversion("tap", "expose", "subject_id"), "unknown_field"),
        (Conversion("register", "expose", "element"), "unknown_field"),
        (Conversion("tap", None, "element"), "unknown_field"),
    ],
)
def test_what_the_catalogue_does_not_declare_is_refused(history: Histories, asked: Conversion, code: str) -> None:
    with pytest.raises(Invalid, match=code):
        told(history(), asked)


# --- the gate ---


def crowd(first: int, last: int, *names: str, element: str = "buy") -> list[Seen]:
    return [one for n in range(first, last) for one in did(f"s{n}", *((0, name) for name in names), element=element)]


@pytest.mark.parametrize(("tapped", "value"), [(0, None), (10, 10), (20, 20), (21, None), (30, None)])
def test_a_conversion_needs_k_who_did_and_k_who_did_not(history: Histories, tapped: int, value: int | None) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, tapped, "expose", "tap") + crowd(tapped, 30, "expose"))
    rate = None if value is None else round(value / 30, 4)
    found = shown(shanghai, Conversion("tap", "expose"), k=10)
    assert found == {DAY: [30, value, rate, 30, value, rate]}, "the denominator is always there"


def test_exposures_beside_the_goals_of_few_are_not_told(history: Histories) -> None:
    """All events less the 30 exposures would be the taps of nine."""
    shanghai = history()
    shanghai.add_all(crowd(0, 9, "expose", "tap") + crowd(9, 30, "expose"))
    assert shown(shanghai, Conversion("tap", "expose"), k=10) == {DAY: [30, None, None, None, None, None]}
    shanghai.add_all(crowd(29, 30, "tap"))
    assert shown(shanghai, Conversion("tap", "expose"), k=10) == {DAY: [30, 10, 0.3333, 30, 10, 0.3333]}


def test_few_exposed_are_one_row_and_hide_others(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 15, "expose", "tap") + crowd(15, 40, "expose"))
    shanghai.add_all(crowd(40, 52, "expose", "tap", element="ad") + crowd(52, 70, "expose", element="ad"))
    shanghai.add_all(crowd(80, 85, "expose", "tap", element="x") + crowd(85, 92, "expose", element="y"))
    found = shown(shanghai, CLICKS, k=10)
    assert found == {
        (DAY, "ad"): [30, None, None, 30, None, None],
        (DAY, "buy"): [40, 15, 0.375, 40, 15, 0.375],
        (DAY, "other"): [12, None, None, 12, None, None],
    }
    few = Conversion("tap", "expose", "element", frozenset({"x"}))
    assert shown(shanghai, few, k=10) == {DAY: [None] * 6}


# --- over HTTP ---


def test_the_answer_over_http(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 15, "expose", "tap") + crowd(15, 40, "expose"))
    body = {"from": DAY, "to": DAY, "goal": "tap", "exposure": "expose", "breakdown": "element"}
    response = shanghai.program.post("reports/conversion", body)
    assert response.status_code == 200, response.content
    names = ("exposed", "converted", "conversion", "exposures", "goals", "goals_per_exposure")
    assert response.json()["data"] == [
        {
            "date": DAY,
            "value": "buy",
            "value_other": False,
            "exposed": 40,
            "converted": 15,
            "conversion": 0.375,
            "exposures": 40,
            "goals": 15,
            "goals_per_exposure": 0.375,
            "closed": True,
            "status": dict.fromkeys(names, "ok"),
        }
    ]
    msgspec.json.decode(response.content, type=ConversionAnswered, strict=True)
    written = shanghai.program.post("reports/conversion", body, Accept="text/csv").content.decode()
    (row,) = csv.DictReader(io.StringIO(written, newline=""))
    assert [row[name] for name in ("value", "exposed", "converted", "conversion")] == ["buy", "40", "15", "0.375"]


ELEMENT = {"field": "element", "op": "eq", "value": "buy"}


@pytest.mark.parametrize(
    ("more", "code", "pointer"),
    [
        ({"goal": "nothing"}, "unknown_event", "/goal"),
        ({"exposure": "nothing"}, "unknown_event", "/exposure"),
        ({"exposure": "tap"}, "invalid_goal", "/goal"),
        ({"breakdown": "openid"}, "unknown_field", "/breakdown"),
        ({"filters": [ELEMENT | {"field": "openid"}]}, "unknown_field", "/filters/0/field"),
        ({"filters": [ELEMENT], "breakdown": "page"}, "too_many_dimensions", "/breakdown"),
        ({"filters": [ELEMENT | {"op": "ne"}]}, "operator_unavailable", "/filters/0/op"),
        ({"privacy": "dp"}, "privacy_unavailable", "/privacy"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, more: dict[str, Any], code: str, pointer: str) -> None:
    body = {"from": DAY, "to": DAY, "goal": "tap", "exposure": "expose"}
    response = history().program.post("reports/conversion", body | more)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["errors"][0]["pointer"]) == (422, code, pointer)


# --- the slow count ---

SAID: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": st.sampled_from(["expose", "expose", "tap", "tap", "register", "launch"])},
    optional={
        "page": st.sampled_from(["home", "item"]),
        "properties": st.fixed_dictionaries({}, optional={"element": st.sampled_from(["buy", "ad"])}),
    },
)
ASKED = st.one_of(
    st.builds(Conversion, st.just("register"), st.sampled_from([None, "launch"]), st.sampled_from([None, "page"])),
    st.builds(Conversion, st.just("tap"), st.just("expose"), st.sampled_from([None, "element", "page"])),
)


@drawing(60)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Histories, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        said = data.draw(st.lists(SAID, min_size=5, max_size=9))
        happened = [
            Seen(one.subject, one.at, one.session, one.skew, **said[n % len(said)])
            for n, one in enumerate(data.draw(histories(around)))
        ]
        first = around.date() + timedelta(days=data.draw(st.integers(-5, 3)))
        last = first + timedelta(days=data.draw(st.integers(0, 9)))
        by, asked = data.draw(st.sampled_from(["day", "day", "week", "month"])), data.draw(ASKED)
        there.clear()
        there.add_all(happened)
        released = told(there, asked, first.isoformat(), last.isoformat(), interval=by)
        found = {}
        for row in released.tables["data"]:
            key = key_of(row)
            found[key if isinstance(key, tuple) else (key, None)] = [cell.value for cell in row.cells.values()]
        assert found == oracle_conversion.conversion(happened, zone, first, last, by, asked)

    compared()
