"""contribution: where the change of a figure from one period to another comes from, value by value, adding up exactly.

Asked: `from`, `to`, the later period; `compare_from`, the first day of the earlier one, of as many days (left out: those right
before); a `breakdown` by one of the fields of `trends`; and what changed, the `measure`:
- `events`: of `event`, or of any. `sum`: of its numeric `property`. They add up over values.
- `mean`: of the property over the events that have it. `ratio`: events of `event` / events of `per` (left out: any event) with
  the same value. Both are a numerator / a denominator, which add up.
- `subjects`: distinct ones with the event, who may lie in several values.
Events lie in a period by their `corrected_at`, in local days of the zone; whose count: reports.metrics.standing.

`data`, a row a value (null: the events say none), the largest contribution first:
- `contribution`: of the change; all together are `change`, less the `residual`. `share_of_change`: contribution / change.
- of what adds up: `value_before`, `value_after`; the contribution is their difference. The residual is 0.
- of a ratio R = N / D: `numerator`, `denominator`, `rate` r = n / d and `weight` w = d / D, of either period. With means
  of the two periods ( ¯ ): `rate_effect` w̄ Δr, `mix_effect` Δw (r̄ - R̄), contribution their sum. A value that has no
  denominator in one of the periods (it vanished or appeared) has no rate there: all is mix, Δ(n/D) - R̄ Δw. The
  residual is 0 but for the last digits of a float. With a denominator of 0 over all, nothing is defined.
- of distinct subjects as of what adds up; the residual is by how much the change in subjects is less, or more, than the
  sum over values: the change of their overlap.
Beside: `value_before`, `value_after`, `change`, `residual`, and the earlier period's `compare_from`, `compare_to`.

For the gate: reports.privacy.changes. Values that may not be told in one of the periods are `value_other` in both, before anything
is summed. A mean's parts rest on the subjects who have the property and apart on those with events that do not; a ratio's on
who has the numerator, and on who has the denominator alone. The totals are the sums of the rows told; that of distinct subjects is told where
each row leaves out k of them. Of one type of events nothing is told where `trends` hides it in a period
(reports.privacy.types). All else is worked out of told figures.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from pyroaring import BitMap64

from consent.errors import invalid
from reports.metrics.calendar import DAY, period
from reports.metrics.registry import EARLIEST, Question, metric
from reports.metrics.tallies import whose
from reports.metrics.trends import FIELDS, Happened, Trends, counted, type_of
from reports.metrics.types import types_by_day
from reports.metrics.whole import whole
from reports.privacy.cells import Cell, Status
from reports.privacy.dimensions import ReleasedRow
from reports.privacy.figures import (
    Change,
    Count,
    Dimension,
    Distinct,
    Figure,
    Figures,
    OfType,
    PartCount,
    Period,
    Tally,
    Value,
)
from reports.privacy.threshold import Released

Measure = Literal["events", "subjects", "sum", "mean", "ratio"]
OF_PROPERTY = ("sum", "mean")

DEFINITION = (
    "The change of a measure from the earlier period (compare_from to compare_to) to the later, of as many local days, by "
    "corrected_at, over the values of the breakdown. Of events, and of the sum of a property, a value's contribution is its own "
    "difference. Of a ratio or mean R = N / D, with rate r = n / d and weight w = d / D of a value and means (') over both "
    "periods: rate_effect = w' (r_after - r_before), mix_effect = (w_after - w_before) (r' - R'), contribution = their sum; of a "
    "value with no denominator in one of the periods all is mix. They add up to change, residual 0. Of distinct subjects, who may "
    "lie in several values, residual is what the values' differences leave: the change of their overlap. Values that may not be "
    "told in one of the periods are one row, value_other, in both. Only subjects whose consent and data stand at as_of are counted: who "
    "withdrew (withdrawn_subjects), was erased or is restricted is missing from both periods. closed false: a period is not over for 48 "
    "h, all values are one row, and figures may still change."
)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What is asked beside the later period."""

    field: str
    measure: Measure = "events"
    event: str | None = None
    property: str | None = None
    per: str | None = None
    compare_from: date | None = None

    def kept_as(self) -> "Contribution":
        """reports.frozen.about: a line knows both its periods."""
        return replace(self, compare_from=None)


@dataclass(frozen=True, slots=True)
class Part:
    """What a measure that adds up comes to over some values; a mean as its two sums."""

    happened: Happened
    measure: Measure

    @property
    def subjects(self) -> BitMap64:
        return self.happened.subjects

    def __add__(self, other: "Part") -> "Part":
        return Part(self.happened + other.happened, self.measure)

    def figures(self) -> dict[str, Figure]:
        found = self.happened.figures()
        if self.measure == "mean":
            return {"numerator": found["sum"], "denominator": found["known"]}
        return {"value": found[self.measure]}


@dataclass(frozen=True, slots=True)
class Pair:
    """The numerator and the denominator of a ratio over some values."""

    numerator: Happened
    denominator: Happened

    @property
    def subjects(self) -> BitMap64:
        return self.numerator.subjects | self.denominator.subjects

    def __add__(self, other: "Pair") -> "Pair":
        return Pair(self.numerator + other.numerator, self.denominator + other.denominator)

    def figures(self) -> dict[str, Figure]:
        inside, whole = self.numerator.subjects, self.denominator.subjects
        events = [sum(alike.events for alike in one.alike) for one in (self.numerator, self.denominator)]
        return {
            "numerator": PartCount(events[0], inside=inside, outside=whole - inside),
            "denominator": Count(events[1], subjects=whole),
        }


def derive(question: Question, released: Released) -> Released:
    rows = released.tables["data"]
    ratio = "numerator_before" in rows[0].cells
    if any(cell.status is not Status.OK for row in rows for cell in row.cells.values()):
        cells, told = _untold(rows[0], ratio=ratio)
        rows = [replace(row, cells={**row.cells, **cells}) for row in rows]
    elif ratio:
        rows, told = _of_ratio(rows)
    else:
        rows, told = _of_sum(rows, released.totals)
    first, last = _before(question)
    compared = {"compare_from": _ok(first.isoformat()), "compare_to": _ok(last.isoformat())}
    totals = {**released.totals, **told, **compared}
    return Released.derived(released.k, {"data": rows}, totals, withheld=released.range_withheld)


@metric("contribution", definition=DEFINITION, derive=derive)
def contribution(question: Question) -> Figures:
    """Under the tenant's transaction. Raises Invalid `invalid_range`, `invalid_ratio`, `property_needed`, `unknown_event`, …"""
    asked = _asked(question)
    _check(asked)
    before, anybody_before = _dimensions(question, asked, _before(question))
    after, anybody_after = _dimensions(question, asked, (question.first, question.last))
    nothing = Happened((), asked.measure in OF_PROPERTY)
    nobody = Pair(nothing, nothing) if asked.measure == "ratio" else Part(nothing, asked.measure)
    totals: dict[str, tuple[Period, Figure]] = {}
    if asked.measure == "subjects":
        totals["value_before"] = before[0].period, Distinct(anybody_before)
        totals["value_after"] = after[0].period, Distinct(anybody_after)
    change = Change(before, after, nobody)
    of_type = {event: OfType(event, _column(asked)) for event in (asked.event, asked.per) if event is not None}
    types = [*types_by_day(question, *_before(question)), *types_by_day(question, question.first, question.last)]
    return Figures(
        {"data": [change]},
        totals,
        summed="data",
        of_type=of_type,
        types=types if of_type else (),
        whole=whole(question, _before(question), (question.first, question.last)),
    )


def _column(asked: Contribution) -> str:
    return "subjects" if asked.measure == "subjects" else "events"


def _asked(question: Question) -> Contribution:
    if not isinstance(question.options, Contribution):
        raise TypeError("a contribution needs its breakdown")
    return question.options


def _check(asked: Contribution) -> None:
    if (asked.measure in OF_PROPERTY) != (asked.property is not None):
        raise invalid("property_needed", "name a property for sum and mean, and for no other measure", "/property")
    if asked.measure != "ratio":
        if asked.per is not None:
            raise invalid("invalid_ratio", "per is the denominator of a ratio; leave it out", "/per")
        return
    if asked.event is None or asked.event == asked.per:
        raise invalid("invalid_ratio", "a ratio has the events of event over those of per, or over any", "/event")
    if asked.field not in FIELDS or asked.field == "event":
        fields = ", ".join(sorted(FIELDS.keys() - {"event"}))
        raise invalid("unknown_field", f"fields of a ratio are {fields}", "/breakdown")


def _before(question: Question) -> tuple[date, date]:
    """The earlier period. Raises Invalid `invalid_range`."""
    days = question.last - question.first
    asked = _asked(question).compare_from
    first = asked or question.first - days - DAY
    if first < EARLIEST or first >= question.first - days:
        detail = "the earlier period has as many days and ends before from; dates lie in 2000-01-01 or later"
        raise invalid("invalid_range", detail, "/from" if asked is None else "/compare_from")
    return first, first + days


def _dimensions(question: Question, asked: Contribution, part: tuple[date, date]) -> tuple[list[Dimension], BitMap64]:
    """Of a period: the table that is told, those that trends would tell of it, and everybody in it."""
    of = period(*part, question.zone)

    def happened(event: str | None) -> Mapping[Value, Happened]:
        trends = Trends(event, asked.property, asked.field)
        found = counted(question, trends, [part], type_of(question.program_id, trends)).get(1, {})
        return {value: Happened(tuple(some), asked.property is not None) for value, some in found.items()}

    def table(tallies: Mapping[Value, Tally]) -> Dimension:
        return Dimension(of, "value", tallies)

    above = happened(asked.event)
    measure: Measure = "events" if asked.measure == "ratio" else asked.measure
    told = table({value: Part(one, measure) for value, one in above.items()})
    if asked.measure != "ratio":
        return [told], whose(above.values())
    below = happened(asked.per)
    nothing = Happened((), False)
    pairs = {value: Pair(above.get(value, nothing), below.get(value, nothing)) for value in {*above, *below}}
    under = table({value: Part(one, measure) for value, one in below.items()})
    return [table(pairs), told, under], BitMap64()


# --- of what was told ---


def _ok(value: Any) -> Cell:
    return Cell(value, Status.OK if value is not None else Status.NOT_OBSERVABLE)


TOTALS = ("value_before", "value_after", "change", "residual")
OF_VALUE = ("contribution", "share_of_change")
OF_RATIO = ("rate_before", "rate_after", "weight_before", "weight_after", "rate_effect", "mix_effect")


def _untold(row: ReleasedRow, *, ratio: bool) -> tuple[dict[str, Cell], dict[str, Cell]]:
    """Of rows one of whose cells is not told: they are one row then."""
    status = next(cell.status for cell in row.cells.values() if cell.status is not Status.OK)
    names = OF_RATIO + OF_VALUE if ratio else OF_VALUE
    return dict.fromkeys(names, Cell(None, status)), dict.fromkeys(TOTALS, Cell(None, status))


def _of_sum(rows: Sequence[ReleasedRow], totals: Mapping[str, Cell]) -> tuple[list[ReleasedRow], dict[str, Cell]]:
    """Totals that were told are of distinct subjects; others are the sums of the rows."""
    told = {
        name: totals.get(name) or _ok(math.fsum(row.cells[name].value for row in rows))
        for name in ("value_before", "value_after")
    }
    untold = next((cell.status for cell in told.values() if cell.status is not Status.OK), None)
    parts = [row.cells["value_after"].value - row.cells["value_before"].value for row in rows]
    change = None if untold else told["value_after"].value - told["value_before"].value
    if change is None:
        told |= dict.fromkeys(("change", "residual"), Cell(None, untold or Status.SUPPRESSED))
    else:
        told |= {"change": _ok(change), "residual": _ok(change - math.fsum(parts))}
    return _sorted(rows, [{} for _ in rows], parts, change, untold), told


def _of_ratio(rows: Sequence[ReleasedRow]) -> tuple[list[ReleasedRow], dict[str, Cell]]:
    (n, n_after), (d, d_after) = (
        [math.fsum(row.cells[f"{name}_{side}"].value for row in rows) for side in ("before", "after")]
        for name in ("numerator", "denominator")
    )
    if not d or not d_after:
        nothing = dict.fromkeys(OF_RATIO + OF_VALUE, _ok(None))
        return [replace(row, cells={**row.cells, **nothing}) for row in rows], dict.fromkeys(TOTALS, _ok(None))
    whole = Whole(n / d, n_after / d_after, d, d_after)
    effects = [_effects(row, whole) for row in rows]
    parts = [one["rate_effect"] + one["mix_effect"] for one in effects]
    change = whole.after - whole.before
    told = [whole.before, whole.after, change, change - math.fsum(parts)]
    return _sorted(rows, effects, parts, change, None), {name: _ok(one) for name, one in zip(TOTALS, told, strict=True)}


@dataclass(frozen=True, slots=True)
class Whole:
    """A ratio over all values, and its denominators."""

    before: float
    after: float
    below_before: float
    below_after: float


def _effects(row: ReleasedRow, whole: Whole) -> dict[str, Any]:
    """By OF_RATIO's names."""
    n, n_after, d, d_after = (
        row.cells[f"{name}_{side}"].value for name in ("numerator", "denominator") for side in ("before", "after")
    )
    rate, rate_after = n / d if d else None, n_after / d_after if d_after else None
    weight, weight_after = d / whole.below_before, d_after / whole.below_after
    mean = (whole.before + whole.after) / 2
    if rate is None or rate_after is None:
        own = 0.0
        mix = n_after / whole.below_after - n / whole.below_before - mean * (weight_after - weight)
    else:
        own = (weight + weight_after) / 2 * (rate_after - rate)
        mix = (weight_after - weight) * ((rate + rate_after) / 2 - mean)
    return dict(zip(OF_RATIO, (rate, rate_after, weight, weight_after, own, mix), strict=True))


def _sorted(
    rows: Sequence[ReleasedRow],
    effects: Sequence[Mapping[str, Any]],
    parts: Sequence[float],
    change: float | None,
    untold: Status | None,
) -> list[ReleasedRow]:
    """The largest contribution first, `other` last."""
    told = []
    for row, effect, part in zip(rows, effects, parts, strict=True):
        share = Cell(None, untold) if untold else _ok(part / change if change else None)
        cells = {name: _ok(one) for name, one in effect.items()}
        told.append(replace(row, cells={**row.cells, **cells, "contribution": _ok(part), "share_of_change": share}))
    return sorted(told, key=lambda row: (row.keys["value_other"], -abs(row.cells["contribution"].value)))
