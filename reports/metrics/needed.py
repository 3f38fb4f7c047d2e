"""Whose events a funnel needs: who may have taken its second step. Of all others the rollups tell who took the first.

A day's rollup says who had an event of a type on it (reports.rollups). Of an attempt that opens on a day, all steps are on the
days until its window has ended; so whoever has no event of the second step on these took the first one only. Days that have
no packed events are looked at in full, and their neighbours as if everybody had everything there.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from pyroaring import BitMap64

from reports.metrics.calendar import MOMENT, dates, period
from reports.metrics.registry import Question
from reports.rollups.days import by_type
from reports.rollups.read import Held


@dataclass(frozen=True, slots=True)
class Needed:
    """`whom`: those whose events are, by day; None for everybody. `first`: who took the first step in the range, in an attempt whose window is over:
    all who did on days that are packed."""

    whom: Mapping[date, BitMap64] | None
    first: BitMap64


EVERYBODY = Needed(None, BitMap64())


def needed(
    question: Question, held: Held, window: timedelta, first: int, second: int, types: Collection[int]
) -> Needed:
    """Of steps in their order. `first`, `second`: types of the first two; `types`: of all steps and exclusions."""
    packed = set(held.days)
    had = {of: some - held.excepted for of, some in by_type(question.program_id, packed, types).items()}
    any_of = {day: BitMap64().union(*(had.get((day, one), BitMap64()) for one in types)) for day in packed}
    whom = {day: BitMap64() for day in packed}
    took_first = BitMap64()
    for day in dates(question.first, question.last):
        ends = period(day, day, question.zone).ends + window
        until = [*dates(day, (ends - MOMENT).astimezone(question.zone).date())]
        began = had.get((day, first), BitMap64())
        over = ends <= question.as_of
        if day not in packed:
            going = BitMap64().union(*(any_of[one] for one in until if one in packed))
        elif over and packed.issuperset(until):
            going = began & BitMap64().union(*(had.get((one, second), BitMap64()) for one in until))
        else:
            going = began
        if over:
            took_first |= began
        for one in packed.intersection(until):
            whom[one] |= any_of[one] & going
    return Needed(whom, took_first)
