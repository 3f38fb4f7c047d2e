"""contribution once more, slowly: event by event in exact fractions, by the words of its definition."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from reports.metrics.contribution import Contribution
from tests.reports.events import Seen
from tests.reports.oracle_trends import said

Side = dict[str | None, Any]
"""Value -> (numerator, denominator), a number, or the set of subjects."""


def contributions(
    seen: Sequence[Seen], zone: str, periods: Sequence[tuple[date, date]], asked: Contribution
) -> tuple[dict[str | None, Fraction], Fraction, Fraction] | None:
    """(value -> contribution, change, residual); None where a ratio has nothing below it."""
    before, after = (
        [one for one in seen if first <= one.at.astimezone(ZoneInfo(zone)).date() <= last] for first, last in periods
    )
    if asked.measure in ("mean", "ratio"):
        return _of_ratio(_ratio(before, asked), _ratio(after, asked))
    sides = [_counted(before, asked), _counted(after, asked)]
    values = sides[0].keys() | sides[1].keys()
    if asked.measure == "subjects":
        own = {one: Fraction(len(sides[1].get(one, ())) - len(sides[0].get(one, ()))) for one in values}
        everybody = [{one.subject for one in some if asked.event in (None, one.name)} for some in (before, after)]
        change = Fraction(len(everybody[1]) - len(everybody[0]))
    else:
        own = {one: sides[1].get(one, Fraction()) - sides[0].get(one, Fraction()) for one in values}
        change = sum(own.values(), Fraction())
    return own, change, change - sum(own.values(), Fraction())


def _counted(some: Sequence[Seen], asked: Contribution) -> Side:
    found: Side = {}
    for one in some:
        if asked.event not in (None, one.name):
            continue
        value = said(one, asked.field)
        if asked.measure == "subjects":
            found.setdefault(value, set()).add(one.subject)
        else:
            more = Fraction(1) if asked.measure == "events" else _number(one, asked) or Fraction()
            found[value] = found.get(value, Fraction()) + more
    return found


def _number(one: Seen, asked: Contribution) -> Fraction | None:
    number = (one.properties or {}).get(asked.property or "")
    return Fraction(str(number)) if type(number) in (int, float) else None


def _ratio(some: Sequence[Seen], asked: Contribution) -> Side:
    found: dict[str | None, list[Fraction]] = defaultdict(lambda: [Fraction(), Fraction()])
    for one in some:
        value = said(one, asked.field)
        if asked.measure == "mean":
            number = _number(one, asked)
            if one.name == asked.event:
                found[value][0] += number or 0
                found[value][1] += number is not None
            continue
        if one.name == asked.event:
            found[value][0] += 1
        if asked.per in (None, one.name):
            found[value][1] += 1
    return dict(found)


def _of_ratio(before: Side, after: Side) -> tuple[dict[str | None, Fraction], Fraction, Fraction] | None:
    whole = [sum((of[1] for of in side.values()), Fraction()) for side in (before, after)]
    if not all(whole):
        return None
    ratios = [sum(of[0] for of in side.values()) / below for side, below in zip((before, after), whole, strict=True)]
    mean = sum(ratios) / 2
    own = {}
    for value in before.keys() | after.keys():
        (n0, d0), (n1, d1) = before.get(value, (Fraction(), Fraction())), after.get(value, (Fraction(), Fraction()))
        w0, w1 = d0 / whole[0], d1 / whole[1]
        if d0 and d1:
            r0, r1 = n0 / d0, n1 / d1
            own[value] = (w0 + w1) / 2 * (r1 - r0) + (w1 - w0) * ((r0 + r1) / 2 - mean)
        else:
            own[value] = n1 / whole[1] - n0 / whole[0] - mean * (w1 - w0)
    change = ratios[1] - ratios[0]
    return own, change, change - sum(own.values(), Fraction())
