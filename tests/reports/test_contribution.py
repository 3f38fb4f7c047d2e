"""The report `contribution`, worked out by hand; and what the gate makes of it, attacked with what trends tells."""

import csv
import io
import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import Invalid
from reports.api.answers.derived import ContributionAnswered
from reports.metrics.contribution import Contribution
from reports.metrics.trends import Trends
from reports.privacy.dimensions import ReleasedRow
from reports.privacy.threshold import Released
from tests.reports.events import History, Seen, local
from tests.reports.test_activity_oracle import SHAPES, drawing

Histories = Callable[..., History]
BEFORE, AFTER = local("2025-10-04 12:00:00"), local("2025-10-05 12:00:00")
DAY = "2025-10-05"


def seen(at: datetime, scene: str | None, *subjects: str, name: str = "page_view", times: int = 1) -> list[Seen]:
    return [Seen(subject, at, name=name, scene=scene) for subject in subjects for _ in range(times)]


def people(number: int, first: int = 0) -> list[str]:
    return [f"s{n}" for n in range(first, first + number)]


def told(
    history: History, first: str = DAY, last: str = DAY, *, k: int = 1, as_of: Any = None, **asked: Any
) -> Released:
    options = Contribution(**{"field": "scene"} | asked)
    return history.ask(first, last, k=k, as_of=as_of, metric="contribution", options=options)


def rows(released: Released, *names: str) -> dict[Any, list[Any]]:
    """By value, in the order told."""
    return {key_of(row): [row.cells[name].value for name in names] for row in released.tables["data"]}


def key_of(row: ReleasedRow) -> Any:
    return "other" if row.keys["value_other"] else row.keys["value"]


def beside(released: Released) -> list[Any]:
    return [released.totals[name].value for name in ("value_before", "value_after", "change", "residual")]


SIDES = ("value_before", "value_after", "contribution", "share_of_change")


def test_events_add_up_and_values_appear_and_vanish(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen(BEFORE, "a", "ann", times=5) + seen(BEFORE, "b", "bob", times=2) + seen(BEFORE, "old", "cem"))
    shanghai.add_all(seen(AFTER, "a", "ann", times=3) + seen(AFTER, "b", "bob", times=9) + seen(AFTER, None, "dee"))
    released = told(shanghai)
    assert rows(released, *SIDES) == {
        "b": [2, 9, 7, 1.4],
        "a": [5, 3, -2, -0.4],
        None: [0, 1, 1, 0.2],
        "old": [1, 0, -1, -0.2],
    }
    assert list(rows(released)) == ["b", "a", None, "old"], "the largest first"
    assert beside(released) == [8, 13, 5, 0]
    assert [released.totals[name].value for name in ("compare_from", "compare_to")] == ["2025-10-04", "2025-10-04"]


def test_distinct_subjects_overlap_and_the_overlap_is_the_residual(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen(BEFORE, "a", "ann", "bob") + seen(BEFORE, "b", "cem"))
    shanghai.add_all(seen(AFTER, "a", "ann", "bob", "cem") + seen(AFTER, "b", "ann", "bob", "dee"))
    released = told(shanghai, measure="subjects")
    assert rows(released, *SIDES) == {"b": [1, 3, 2, 2], "a": [2, 3, 1, 1]}
    assert beside(released) == [3, 4, 1, -2], "ann and bob are in both"


RATIO = (
    "numerator_before", "denominator_before", "numerator_after", "denominator_after", "rate_effect", "mix_effect", "contribution",
)  # fmt: skip


def test_a_ratio_by_rate_and_mix(history: Histories) -> None:
    """R goes from 4/16 to 5/20: nothing changed over all, and everything within.

    a: r 1/4 → 1/2, w 3/4 → 2/5; b: r 1/4 → 1/12, w 1/4 → 3/5; R̄ 1/4.
    """
    shanghai = history()
    for at, scene, views, taps in [(BEFORE, "a", 12, 3), (BEFORE, "b", 4, 1), (AFTER, "a", 8, 4), (AFTER, "b", 12, 1)]:
        shanghai.add_all(seen(at, scene, "ann", times=views) + seen(at, scene, "ann", name="tap", times=taps))
    released = told(shanghai, measure="ratio", event="tap", per="page_view")
    found = rows(released, *RATIO)
    assert found["a"][:4] == [3, 12, 4, 8]
    assert found["a"][4:] == pytest.approx([0.575 * 0.25, -0.35 * 0.125, 0.1])
    assert found["b"][:4] == [1, 4, 1, 12]
    assert found["b"][4:] == pytest.approx([0.425 * -1 / 6, 0.35 * (1 / 6 - 0.25), -0.1])
    assert beside(released) == pytest.approx([0.25, 0.25, 0, 0])
    assert {row.cells["share_of_change"].value for row in released.tables["data"]} == {None}, "of no change"


def test_a_value_that_vanished_or_appeared_is_all_mix(history: Histories) -> None:
    """R 6/20 → 5/20, R̄ 11/40. old: r 1/2 over w 1/2, then nothing; new: nothing, then r 3/10 over w 1/2."""
    shanghai = history()
    for at, scene, views, taps in [
        (BEFORE, "old", 10, 5),
        (BEFORE, "a", 10, 1),
        (AFTER, "a", 10, 2),
        (AFTER, "new", 10, 3),
    ]:
        shanghai.add_all(seen(at, scene, "ann", times=views) + seen(at, scene, "ann", name="tap", times=taps))
    released = told(shanghai, measure="ratio", event="tap", per="page_view")
    found = rows(released, "rate_before", "rate_after", "rate_effect", "mix_effect", "contribution")
    assert found["old"] == pytest.approx([0.5, None, 0, -0.5 * (0.5 - 0.275), -0.1125])
    assert found["new"] == pytest.approx([None, 0.3, 0, 0.5 * (0.3 - 0.275), 0.0125])
    assert found["a"] == pytest.approx([0.1, 0.2, 0.05, 0, 0.05])
    assert beside(released) == pytest.approx([0.3, 0.25, -0.05, 0])


def test_a_numerator_without_a_denominator_is_all_mix(history: Histories) -> None:
    """The element was tapped where it was never seen: Δ(n/D), since its weight is 0 in both."""
    shanghai = history()
    shanghai.add_all(seen(BEFORE, "a", "ann", times=10) + seen(AFTER, "a", "ann", times=10))
    shanghai.add_all(seen(AFTER, "b", "ann", name="tap", times=2))
    released = told(shanghai, measure="ratio", event="tap", per="page_view")
    assert rows(released, "rate_effect", "mix_effect") == {"b": [0, 0.2], "a": [0, 0]}
    assert beside(released) == pytest.approx([0, 0.2, 0.2, 0])


def test_without_a_denominator_nothing_is_defined(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen(AFTER, "a", "ann", times=10) + seen(AFTER, "a", "ann", name="tap"))
    released = told(shanghai, measure="ratio", event="tap", per="page_view")
    assert rows(released, "numerator_after", "contribution") == {"a": [1, None]}
    assert beside(released) == [None] * 4
    assert {str(released.totals[name].status) for name in ("change", "residual")} == {"not_observable"}


def paid(at: datetime, scene: str, *amounts: Any, subject: str = "ann") -> list[Seen]:
    return [Seen(subject, at, name="payment", scene=scene, properties={"amount": amount}) for amount in amounts]


def test_a_sum_and_a_mean_of_a_property(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(
        paid(BEFORE, "a", 10, 20) + paid(BEFORE, "b", 0.5, "much") + paid(AFTER, "a", 40) + paid(AFTER, "b", 8.5)
    )
    asked: dict[str, Any] = {"event": "payment", "property": "amount"}
    released = told(shanghai, measure="sum", **asked)
    assert rows(released, *SIDES[:3]) == {"a": [30, 40, 10], "b": [0.5, 8.5, 8]}
    assert beside(released) == [30.5, 48.5, 18, 0]
    released = told(shanghai, measure="mean", **asked)
    assert rows(released, *RATIO[:4]) == {"a": [30, 2, 40, 1], "b": [0.5, 1, 8.5, 1]}
    assert beside(released) == pytest.approx([30.5 / 3, 24.25, 24.25 - 30.5 / 3, 0])


def test_any_earlier_period_of_as_many_days(history: Histories) -> None:
    shanghai = history()
    for n in range(12):
        shanghai.add_all(seen(BEFORE - timedelta(days=n), "a", "ann", times=n + 1))
    before = told(shanghai, "2025-10-03", "2025-10-04")
    assert beside(before)[:2] == [3 + 4, 1 + 2]
    week = told(shanghai, "2025-10-03", "2025-10-04", compare_from=date(2025, 9, 26))
    assert beside(week)[:2] == [9 + 8, 1 + 2]
    assert [week.totals[name].value for name in ("compare_from", "compare_to")] == ["2025-09-26", "2025-09-27"]


@pytest.mark.parametrize(
    ("zone", "before", "after", "ends"),
    [
        ("Asia/Tehran", "2025-10-03 20:30:00", "2025-10-04 20:30:00", "2025-10-05 20:30:00"),
        ("America/New_York", "2025-03-08 05:00:00", "2025-03-09 05:00:00", "2025-03-10 04:00:00"),  # 23 hours
    ],
)
def test_local_days(history: Histories, zone: str, before: str, after: str, ends: str) -> None:
    there, moment = history(zone), timedelta(microseconds=1)
    for n, edge in enumerate((before, after, ends)):
        at = local(edge, "UTC")
        there.add_all(seen(at - moment, f"{n}-", "ann") + seen(at, f"{n}+", "ann"))
    day = local(after, "UTC").astimezone(local(after, zone).tzinfo).date().isoformat()
    assert rows(told(there, day, day), "value_before", "value_after") == {
        "0+": [1, 0], "1-": [1, 0], "1+": [0, 1], "2-": [0, 1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"event": "nothing"}, "unknown_event"),
        ({"field": "subject_id"}, "unknown_field"),
        ({"measure": "sum", "event": "payment"}, "property_needed"),
        ({"measure": "events", "event": "payment", "property": "amount"}, "property_needed"),
        ({"measure": "sum", "event": "payment", "property": "nothing"}, "unknown_property"),
        ({"measure": "ratio"}, "invalid_ratio"),
        ({"measure": "ratio", "event": "tap", "per": "tap"}, "invalid_ratio"),
        ({"measure": "events", "event": "tap", "per": "page_view"}, "invalid_ratio"),
        ({"measure": "ratio", "event": "tap", "per": "nothing"}, "unknown_event"),
        ({"measure": "ratio", "event": "tap", "field": "event"}, "unknown_field"),
        ({"measure": "ratio", "event": "share", "field": "properties.channel"}, "unknown_field"),
        ({"compare_from": date(2025, 10, 5)}, "invalid_range"),
        ({"compare_from": date(1999, 12, 31)}, "invalid_range"),
    ],
)
def test_what_cannot_be_asked(history: Histories, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid, match=code):
        told(history(), **asked)


# --- the gate ---


def test_a_value_that_is_small_in_one_period_is_other_in_both(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(
        seen(BEFORE, "a", *people(30)) + seen(BEFORE, "b", *people(20)) + seen(BEFORE, "c", *people(12, 40))
    )
    shanghai.add_all(seen(AFTER, "a", *people(25)) + seen(AFTER, "b", *people(9)) + seen(AFTER, "c", *people(15, 40)))
    shanghai.add_all(seen(AFTER, "d", *people(14, 60)))
    released = told(shanghai, k=10)
    assert rows(released, *SIDES[:3]) == {"a": [30, 25, -5], "c": [12, 15, 3], "other": [20, 23, 3]}
    assert list(rows(released)) == ["a", "c", "other"], "the largest first, other last"
    assert beside(released) == [62, 63, 1, 0]
    trends = shanghai.ask("2025-10-05", DAY, k=10, metric="trends", options=Trends(field="scene"))
    assert {key_of(row) for row in trends.tables["data"]} == {"a", "c", "other"}, "b takes d in there, and so here"


def test_below_k_nothing_is_told(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen(BEFORE, "a", *people(30)) + seen(AFTER, "a", *people(9)))
    released = told(shanghai, k=10)
    assert rows(released, *SIDES) == {"other": [None] * 4}, "nor of the days before these, where a range may not end"
    assert beside(released) == [None] * 4
    assert {str(released.totals[name].status) for name in ("value_before", "change")} == {"suppressed"}


def test_nobody_at_all_is_a_change_of_nothing(history: Histories) -> None:
    there = history()
    assert rows(told(there, k=10), *SIDES) == {"other": [0, 0, 0, None]}
    assert beside(told(there, k=10)) == [0, 0, 0, 0]
    (row,) = told(there, k=10, as_of=local("2025-10-05 20:00:00")).tables["data"]
    assert str(row.cells["value_after"].status) == "suppressed", "nobody yet"


def test_a_period_that_is_not_closed_is_one_row(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen(BEFORE, "a", *people(30)) + seen(AFTER, "a", *people(30)) + seen(AFTER, "b", *people(12)))
    (row,) = told(shanghai, k=10, as_of=local("2025-10-07 23:59:59")).tables["data"]
    assert (key_of(row), row.cells["contribution"].value, row.closed) == ("other", 12, False)
    assert len(told(shanghai, k=10, as_of=local("2025-10-08 00:00:00")).tables["data"]) == 2


def test_a_value_that_nobody_has_yet_has_no_row_before_its_period_is_closed(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen(BEFORE, "a", *people(30)) + seen(BEFORE, "b", *people(12)) + seen(AFTER, "a", *people(30)))
    open_yet = local("2025-10-07 23:59:59")
    before = rows(told(shanghai, k=10, as_of=open_yet), *SIDES)
    assert before == {"other": [42, 30, -12, 1]}
    shanghai.add_all(seen(AFTER, "b", *people(1, 50)))
    after = rows(told(shanghai, k=10, as_of=open_yet), *SIDES)
    assert after.keys() == before.keys(), "the first one who came is not told by a row that goes"
    assert set(rows(told(shanghai, k=1, as_of=open_yet))) == {"a", "b"}


def test_a_rate_of_nobody_or_everybody_is_not_told(history: Histories) -> None:
    shanghai = history()
    for at in (BEFORE, AFTER):
        shanghai.add_all(seen(at, "a", *people(40)) + seen(at, "a", *people(20), name="tap"))
        shanghai.add_all(seen(at, "b", *people(40, 40)) + seen(at, "b", *people(20, 40), name="tap"))
    ratio = {"measure": "ratio", "event": "tap", "per": "page_view"}
    assert set(rows(told(shanghai, k=10, **ratio))) == {"a", "b"}
    shanghai.add_all(seen(AFTER, "c", *people(20, 90)))
    assert set(rows(told(shanghai, k=10, **ratio))) == {"a", "other"}, "c had no taps, and takes b in"
    assert rows(told(shanghai, k=21, **ratio), "contribution") == {"other": [pytest.approx(-0.1)]}
    assert beside(told(shanghai, k=41, **ratio)) == [None] * 4, "forty tapped"


def test_a_total_of_distinct_subjects_leaves_out_k(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen(BEFORE, "a", *people(30)) + seen(BEFORE, "b", *people(20, 15)))
    shanghai.add_all(seen(AFTER, "a", *people(30)) + seen(AFTER, "b", *people(20, 15)))
    assert beside(told(shanghai, k=5, measure="subjects")) == [35, 35, 0, 0]
    released = told(shanghai, k=10, measure="subjects")
    assert beside(released) == [None] * 4, "five are in b and not in a"
    assert rows(released, *SIDES) == {"a": [30, 30, 0, None], "b": [20, 20, 0, None]}


def test_a_sum_that_few_do_not_have(history: Histories) -> None:
    shanghai = history()
    for at in (BEFORE, AFTER):
        for scene, first in (("a", 0), ("b", 30), ("c", 60)):
            shanghai.add_all(one for who in people(20, first) for one in paid(at, scene, 5, subject=who))
    asked = {"measure": "sum", "event": "payment", "property": "amount"}
    assert set(rows(told(shanghai, k=10, **asked))) == {"a", "b", "c"}
    shanghai.add_all(one for who in people(3, 90) for one in paid(AFTER, "b", "much", subject=who))
    released = told(shanghai, k=10, **asked)
    assert set(rows(released)) == {"other"}, "three without an amount are in no other value: none may be told apart"


# --- an attack: the same of a period, told by trends, subtracted ---


SCENES = st.sampled_from(["a", "b", "c", "d", "e"])
CROWDS = st.lists(st.tuples(SCENES, st.integers(0, 30), st.integers(1, 12)), min_size=1, max_size=8)


def others(released: Released) -> set[Any]:
    """The values that have a row of their own."""
    return {key_of(row) for row in released.tables["data"] if not row.keys["value_other"]}


@drawing(60)
def test_no_row_cuts_through_one_that_trends_tells(history: Histories, examples: int) -> None:
    """Whatever is `other` in a period's own table is in the `other` of the change: their difference is of told rows."""
    shanghai = history()

    @settings(SHAPES, max_examples=examples)
    @given(before=CROWDS, after=CROWDS, k=st.integers(2, 8), measure=st.sampled_from(["events", "subjects", "ratio"]))
    def compared(before: Any, after: Any, k: int, measure: Any) -> None:
        shanghai.clear()
        said: dict[Any, dict[str, set[str]]] = {BEFORE: {}, AFTER: {}}
        for at, crowds in ((BEFORE, before), (AFTER, after)):
            for n, (scene, first, number) in enumerate(crowds):
                shanghai.add_all(seen(at, scene, *people(number, first), name=("page_view", "tap")[n % 2]))
                said[at].setdefault(scene, set()).update(people(number, first))
        named = {"event": "tap", "per": "page_view"} if measure == "ratio" else {}
        change = told(shanghai, k=k, measure=measure, **named)
        for at, side in ((BEFORE, "before"), (AFTER, "after")):
            day = at.date().isoformat()
            for event in ("tap", "page_view") if measure == "ratio" else (None,):
                trends = shanghai.ask(day, day, k=k, metric="trends", options=Trends(event, field="scene"))
                told_there = {key_of(row) for row in trends.tables["data"] if row.cells["events"].value is not None}
                assert others(change) & said[at].keys() <= told_there | nobody(at, event, before, after)
            if measure != "ratio":
                check_people(change, said[at], side, k)

    compared()


def nobody(at: datetime, event: str | None, before: Any, after: Any) -> set[str]:
    """The scenes that have none of such events in a period."""
    crowds = before if at == BEFORE else after
    there = {scene for n, (scene, _, _) in enumerate(crowds) if event in (None, ("page_view", "tap")[n % 2])}
    return {"a", "b", "c", "d", "e"} - there


def check_people(change: Released, said: dict[str, set[str]], side: str, k: int) -> None:
    """Each row that is told in a period rests on k of its people, or on nobody."""
    own = others(change)
    rest: set[str] = set().union(*(whose for scene, whose in said.items() if scene not in own))
    for row in change.tables["data"]:
        whose = rest if row.keys["value_other"] else said.get(row.keys["value"], set())
        if row.cells[f"value_{side}"].value is not None:
            assert len(whose) >= k or not whose


# --- over HTTP ---


def test_the_answer_over_http(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(seen(BEFORE, "a", *people(12)) + seen(AFTER, "a", *people(25)) + seen(AFTER, "=b", *people(12)))
    body = {"from": DAY, "to": DAY, "breakdown": "scene"}
    response = shanghai.program.post("reports/contribution", body)
    assert response.status_code == 200, response.content
    msgspec.json.decode(response.content, type=ContributionAnswered, strict=True)
    answer = response.json()
    assert answer["data"][0] == {
        "value": "a",
        "value_other": False,
        "value_before": 12,
        "value_after": 25,
        "contribution": 13,
        "share_of_change": 0.52,
        "closed": True,
        "status": dict.fromkeys(["value_before", "value_after", "contribution", "share_of_change"], "ok"),
    }
    assert [answer[name] for name in ("value_before", "value_after", "change", "residual")] == [12, 37, 25, 0]
    assert (answer["compare_from"], answer["compare_to"]) == ("2025-10-04", "2025-10-04")
    written = shanghai.program.post("reports/contribution", body, Accept="text/csv")
    told = list(csv.DictReader(io.StringIO(written.content.decode(), newline="")))
    assert [(row["value"], row["contribution"]) for row in told] == [("a", "13"), ("'=b", "12")]
    assert json.loads(written["Zhiqing-Report"])["change"] == 25
    ratio = body | {"measure": "ratio", "event": "tap"}
    response = shanghai.program.post("reports/contribution", ratio)
    msgspec.json.decode(response.content, type=ContributionAnswered, strict=True)


def test_a_sandbox_and_another_program(history: Histories) -> None:
    synthetic, other = history(sandbox=True), history()
    synthetic.add_all(seen(BEFORE, "a", "ann") + seen(AFTER, "a", "ann", "bob"))
    body = {"from": DAY, "to": DAY, "breakdown": "scene"}
    assert synthetic.program.post("reports/contribution", body).json()["change"] == 1
    answer = other.program.post("reports/contribution", body).json()
    assert [(row["value"], row["value_other"], row["value_after"]) for row in answer["data"]] == [(None, True, 0)]


@pytest.mark.parametrize(
    ("more", "code", "pointer"),
    [
        ({"breakdown": None}, "breakdown_needed", "/breakdown"),
        ({"breakdown": "subject_id"}, "unknown_field", "/breakdown"),
        ({"measure": "sessions"}, "invalid", "/measure"),
        ({"measure": "ratio"}, "invalid_ratio", "/event"),
        ({"measure": "mean", "event": "payment"}, "property_needed", "/property"),
        ({"compare_from": "2025-10-05"}, "invalid_range", "/compare_from"),
        ({"compare_from": "9999-12-31", "to": "2025-10-09"}, "invalid_range", "/compare_from"),
        ({"compare_from": "yesterday"}, "invalid", "/compare_from"),
        ({"from": "2000-01-01", "to": "2000-01-05"}, "invalid_range", "/from"),
        ({"interval": "day"}, "interval_unavailable", "/interval"),
        ({"filters": [{"field": "os", "op": "eq", "value": "x"}]}, "filters_unavailable", "/filters"),
        ({"privacy": "dp"}, "privacy_unavailable", "/privacy"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, more: dict[str, Any], code: str, pointer: str) -> None:
    response = history().program.post("reports/contribution", {"from": DAY, "to": DAY, "breakdown": "scene"} | more)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["errors"][0]["pointer"]) == (422, code, pointer)
