"""funnel equals the slow count on any history, in any zone, at any as-of."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.columns import read
from reports.metrics.funnel import Funnel
from tests.consent.rights import Working
from tests.reports import oracle_funnel
from tests.reports.events import History, Seen
from tests.reports.rolled import roll
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories
from tests.reports.test_funnel import Histories, told

NAMES = ("launch", "add_to_cart", "order", "search")
PAUSES = (0, 0, 0.000001, 1, 60, 1799, 1800, 1800.000001, 3600, 43_200)

SAID: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": st.sampled_from([*NAMES, "launch", "add_to_cart"])},
    optional={"scene": st.sampled_from(["1001", "1007"]), "context": st.just({"os": "ios"})},
)


@st.composite
def asked_funnels(draw: st.DrawFn, *, plain: bool = False) -> Funnel:
    """`plain`: in order and without a breakdown."""
    steps = draw(st.lists(st.sampled_from(NAMES[:3]), min_size=2, max_size=5))
    left = [name for name in NAMES if name not in steps]
    return Funnel(
        tuple(steps),
        timedelta(seconds=draw(st.sampled_from([1, 60, 1800, 3600, 86_400]))),
        "ordered" if plain else draw(st.sampled_from(["ordered", "ordered", "strict", "unordered"])),
        tuple(draw(st.lists(st.sampled_from(left), max_size=1))),
        None if plain else draw(st.sampled_from([None, "scene", "os"])),
        draw(st.sampled_from(["first_touch", "last_touch"])),
    )


@st.composite
def dense(draw: st.DrawFn, around: datetime) -> list[Seen]:
    """Few subjects with many events at, and just beside, the instants that decide."""
    found = []
    for subject in draw(st.lists(st.sampled_from(["ann", "bob"]), min_size=1, max_size=3)):
        at = around + timedelta(minutes=draw(st.integers(-1440, 1440)))
        for pause in draw(st.lists(st.sampled_from(PAUSES), min_size=2, max_size=14)):
            at += timedelta(seconds=pause)
            found.append(Seen(subject, at))
    return found


def saying(data: st.DataObject, bare: list[Seen], kinds: st.SearchStrategy[dict[str, Any]]) -> list[Seen]:
    """The same events with names and more, in an order of ids that is not that of time."""
    said = data.draw(st.lists(kinds, min_size=5, max_size=11))
    return [
        Seen(one.subject, one.at, one.session, one.skew, event_id=f"{n * 7919 % 10007:05}", **said[n % len(said)])
        for n, one in enumerate(bare)
    ]


@pytest.mark.long
@drawing(120)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Histories, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        happened = saying(data, data.draw(st.one_of(dense(around), dense(around), histories(around))), SAID)
        there.clear()
        there.add_all(happened)
        check(there, happened, around, data)

    compared()


@pytest.mark.long
@drawing(60)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history_whose_days_are_packed_or_not(
    history: Histories, as_worker: Working, zone: str, around: datetime, examples: int
) -> None:
    """Who took no second step is told by the rollups, and only others' events are read."""
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        happened = saying(data, data.draw(st.one_of(dense(around), histories(around))), SAID)
        there.clear()
        for forgotten in ("rollup", "rollup_day", "rollup_events"):
            there.owner.execute(f"DELETE FROM {forgotten}".encode())
        there.owner.execute("UPDATE subject SET restricted = false")
        there.add_all(happened)
        days = [around.date() + timedelta(days=n) for n in range(-4, 8)]
        left_out = data.draw(st.sets(st.sampled_from(days), max_size=3))
        with as_worker():
            roll(there.program, [day for day in days if day not in left_out])
        gone = data.draw(st.sampled_from([None, "ann"]))
        if gone in there.ids:
            there.flag(gone, "restricted")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(read, "FEW", data.draw(st.sampled_from([-1, 1000, 1000])))
            plain = data.draw(st.sampled_from([True, True, True, False]))
            check(there, [one for one in happened if one.subject != gone], around, data, plain=plain)

    compared()


def check(there: History, happened: list[Seen], around: datetime, data: st.DataObject, *, plain: bool = False) -> None:
    first = around.date() + timedelta(days=data.draw(st.integers(-3, 1)))
    last = first + timedelta(days=data.draw(st.integers(0, 4)))
    asked = data.draw(asked_funnels(plain=plain))
    as_of = around + timedelta(days=data.draw(st.sampled_from([1, 2, 30])), seconds=data.draw(st.integers(0, 7200)))
    at_an_edge: bool = data.draw(st.booleans())
    if happened and at_an_edge:
        as_of = data.draw(st.sampled_from(happened)).at + asked.window
    compare(there, happened, first, last, as_of, asked)


def compare(there: History, happened: list[Seen], first: date, last: date, as_of: datetime, asked: Funnel) -> None:
    slow = oracle_funnel.funnel(happened, there.program.zone, first, last, as_of, asked)
    released = told(there, asked, first.isoformat(), last.isoformat(), as_of=as_of)
    if released.totals["open_attempts"].value is None:
        return  # the range has not begun
    assert released.totals["open_attempts"].value == slow.open.total()
    assert released.totals["open_subjects"].value == len(slow.open)
    rows = {(row.keys.get("value"), row.keys["step"]): row.cells for row in released.tables["data"]}
    values = {value for value, _ in slow.steps} if asked.field else {None}
    assert rows.keys() == {(value, n) for value in values for n in range(1, len(asked.steps) + 1)}
    for (value, n), cells in rows.items():
        took, of = sorted(slow.steps[value, n]), len(slow.steps[value, 1])
        before = len(slow.steps[value, n - 1]) if n > 1 else 0
        assert cells["subjects"].value == len(took)
        assert cells["conversion_from_first"].value == (round(len(took) / of, 4) if of else None)
        assert cells["conversion_from_previous"].value == (round(len(took) / before, 4) if before else None)
        for name, q in (("median_s", 5), ("p90_s", 9)):
            edges = cells[f"{name}_bin"].value
            if n == 1 or not took:
                assert edges is None
            else:
                assert edges[0] <= took[-(-len(took) * q // 10) - 1] < edges[1]
