"""The attempts of a funnel, on arrays, equal the slow count on any line of events, to the microsecond."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.columns.events import Events, Numbers, micros, span
from reports.metrics.attempts import EXCLUDED, OTHER, Chosen, Rules, chosen
from reports.metrics.funnel import Funnel
from tests.reports import oracle_funnel
from tests.reports.events import Seen

A, B, C, X, Y = NAMES = ("a", "b", "c", "x", "y")
DAY = date(2025, 10, 5)
BEGINS = datetime(2025, 10, 5, tzinfo=UTC)
LATE = BEGINS + timedelta(days=90)
PAUSES = (0, 0, 0.000001, 1, 2, 3, 3.000001)
SCENES = (None, "1001", "1007")


def asks(asked: Funnel, as_of: datetime = LATE) -> Rules:
    return Rules(
        [asked.kinds.index(name) for name in asked.steps],
        span(asked.window),
        micros(BEGINS + timedelta(days=1)),
        micros(as_of),
        strict=asked.mode == "strict",
        unordered=asked.mode == "unordered",
        last=asked.touch == "last_touch",
    )


def got(seen: list[Seen], asked: Funnel, as_of: datetime = LATE) -> Chosen:
    """Of events that are not in order."""
    ordered = sorted(seen, key=lambda one: (one.subject, one.at, one.event_id))
    kinds = {name: n for n, name in enumerate(asked.kinds)} | dict.fromkeys(asked.exclusions, EXCLUDED)
    events = Events(
        {
            "subject": numbers([int(one.subject) for one in ordered]),
            "at": numbers([micros(one.at) for one in ordered]),
        }
    )
    kind = numbers([kinds.get(one.name or "", OTHER) for one in ordered])
    value = numbers([SCENES.index(one.scene) if asked.field else 0 for one in ordered])
    return chosen(events, kind, value, asks(asked, as_of))


def numbers(some: list[int]) -> Numbers:
    return np.array(some, np.int64)


def line(*events: tuple[int, float, str], scene: str | None = None) -> list[Seen]:
    """(subject, seconds, name)"""
    return [
        Seen(str(subject), BEGINS + timedelta(seconds=at), name=name, scene=scene, event_id=f"{n:05}")
        for n, (subject, at, name) in enumerate(events)
    ]


@st.composite
def lines(draw: st.DrawFn) -> list[Seen]:
    """Few subjects with many events at, and just beside, the instants that decide; ids are not in the order of time."""
    found: list[Seen] = []
    for subject in draw(st.lists(st.integers(1, 9), max_size=4, unique=True)):
        at = BEGINS + timedelta(seconds=draw(st.sampled_from([0, 0, 0, 3600, 86_398])))
        for pause in draw(st.lists(st.sampled_from(PAUSES), min_size=1, max_size=14)):
            at += timedelta(seconds=pause)
            name, scene = draw(st.sampled_from([*NAMES, A, B])), draw(st.sampled_from(SCENES))
            found.append(Seen(str(subject), at, name=name, scene=scene, event_id=f"{len(found) * 7919 % 10007:05}"))
    return found


@st.composite
def asked_funnels(draw: st.DrawFn) -> Funnel:
    return Funnel(
        tuple(draw(st.lists(st.sampled_from([A, B, C]), min_size=2, max_size=6))),
        timedelta(seconds=draw(st.sampled_from([1, 3, 6, 60]))),
        draw(st.sampled_from(["ordered", "strict", "unordered"])),
        tuple(draw(st.sampled_from([(), (), (X,), (X, Y)]))),
        draw(st.sampled_from([None, "scene"])),
        draw(st.sampled_from(["first_touch", "last_touch"])),
    )


@settings(max_examples=600, deadline=None)
@given(lines(), asked_funnels(), st.data())
def test_any_line(seen: list[Seen], asked: Funnel, data: st.DataObject) -> None:
    near = st.sampled_from(seen).map(lambda one: one.at + asked.window) if seen else st.nothing()
    as_of = data.draw(st.one_of(st.just(LATE), near))
    slow = oracle_funnel.funnel(seen, "UTC", DAY, DAY, as_of, asked)
    fast = got(seen, asked, as_of)
    assert Counter(fast.open.tolist()) == {int(subject): attempts for subject, attempts in slow.open.items()}
    assert len(set(fast.subject.tolist())) == len(fast.subject)
    steps: dict[tuple[Any, int], list[float]] = {}
    for value, took in zip(fast.value, fast.took.T, strict=True):
        for n, each in enumerate(took[took >= 0].tolist(), start=1):
            steps.setdefault((SCENES[value], n), []).append(each / 1_000_000)
    assert {key: sorted(of) for key, of in steps.items()} == {key: sorted(of) for key, of in slow.steps.items()}


@pytest.mark.parametrize("mode", ["ordered", "strict", "unordered"])
def test_nobody_and_nothing(mode: Any) -> None:
    for seen in ([], line((1, 0, Y)), line((1, 86_400, A))):
        found = got(seen, Funnel((A, B), timedelta(seconds=9), mode))
        assert (len(found.subject), found.took.shape, len(found.open)) == (0, (2, 0), 0)


def test_the_next_subject_s_events_are_nobody_else_s() -> None:
    for mode in ("ordered", "strict", "unordered"):
        found = got(line((1, 0, A), (2, 0, B), (2, 1, A), (3, 1, X)), Funnel((A, B), timedelta(days=1), mode, (X,)))
        began = {int(subject): took.tolist() for subject, took in zip(found.subject, found.took.T, strict=True)}
        assert began[1] == [0, -1]
        assert began[2] == ([0, 1_000_000] if mode == "unordered" else [0, -1])


def test_of_attempts_as_far_the_earliest_by_event_id_tells_its_value() -> None:
    seen = line((1, 0, A), scene="1001") + line((1, 0, A), (1, 5, B), scene="1007")
    for n, one in enumerate(seen):
        object.__setattr__(one, "event_id", str(n))
    asked = Funnel((A, B), timedelta(seconds=9), field="scene")
    assert [SCENES[code] for code in got(seen, asked).value] == ["1001"]
    assert [SCENES[code] for code in got([*seen[1:], seen[0]], asked).value] == ["1001"]


def test_a_value_that_no_step_of_the_attempt_has_is_none() -> None:
    seen = line((1, 0, A), (1, 1, B)) + line((1, 9000, B), scene="1001")
    for touch in ("first_touch", "last_touch"):
        assert got(seen, Funnel((A, B), timedelta(seconds=9), field="scene", touch=touch)).value.tolist() == [0]
