"""funnel: how many got how far through some steps, and how fast.

Asked: `from`, `to`, and
- `steps`: 2 to 12 names of the catalogue, the same one twice too. `window_s`: seconds that an attempt has.
- `mode`: `ordered`, the steps in order, whatever lies between; `strict`, no event of the subject lies between two of them;
  `unordered`, in any order: step n is whichever comes n-th.
- `exclusions`: names that are no steps.
- a `breakdown` by scene, page or a field of the common context, and its `attribution`.
Times are `corrected_at`; whose events: reports.metrics.standing.

Every event of step 1 (unordered: of any step) in the local days of the range opens an *attempt*. Each next step is taken by
the first event left that may be it: at the same instant or later, none that the attempt took before (a repeated step needs
a second one), and at most `window_s` after the opening event, exactly that included. It may lie after the range.
- At one instant the steps are in their order, and an exclusion is before them: one at the instant of the opening event
  changes nothing, one after it ends the attempt, and so no step at its instant is taken.
- strict: an event lies between two steps where its instant does; one at the instant of either does not.
- An attempt whose window reaches as-of, or beyond, is open: it may still get further, so it is counted apart
  (`open_attempts`, and `open_subjects` who have one) and in no step, however far it is.
Of a subject's other attempts the furthest counts, the earliest on ties; of two that began at one instant the first by event id.
Worked out on columns: reports.metrics.attempts.

`data`, a row a `step` (and a value of the breakdown); `event`: its name, null in an unordered funnel.
- `subjects`: distinct, whose attempt got there. `conversion_from_first`, `conversion_from_previous`: over those of step 1, of
  the step before (null for step 1).
- `median_s`, `p90_s`: seconds from the opening event to this step, within the attempts that count (null for step 1).
Breakdown: a subject is in one value; that of the first (`first_touch`), the last (`last_touch`) step of the attempt that has
one; null where none has.

For the gate a step rests on its subjects, on those of step 1 who did not get there, and on those who got to the step before
and no further. Conversions: reports.privacy.steps. Quantiles: reports.privacy.bins. Values of the breakdown with fewer
than k subjects at step 1 are `value_other`.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
from pyroaring import BitMap64

from consent.errors import invalid
from reports.columns.events import Events, Numbers, micros, span
from reports.columns.groups import alike, bitmap
from reports.columns.read import Reading
from reports.metrics.attempts import EXCLUDED, OTHER, Chosen, Rules, chosen, joined
from reports.metrics.bands import TO_CONVERT_S
from reports.metrics.calendar import period
from reports.metrics.catalogue import type_ids
from reports.metrics.needed import EVERYBODY, needed
from reports.metrics.registry import Question, metric
from reports.metrics.trends import FIELDS, IN_COLUMNS
from reports.metrics.types import types_by_day
from reports.metrics.whole import whole
from reports.privacy.bins import quantiles
from reports.privacy.figures import Count, Dimension, Figure, Figures, OfType, Period, Steps, Value
from tracking.models import Page

TOUCHED = {name: said for name, said in FIELDS.items() if name != "event"}

DEFINITION = (
    "Every event of step 1 (unordered: of any step) in the range's local days, by corrected_at, opens an attempt; each next "
    "step is the first distinct event left at its instant or later, window_s after the opening event at most, exactly that "
    "included. ordered: other events may lie between; strict: none of the subject's; unordered: step n is the n-th that "
    "came. An exclusion after the opening event ends the attempt, before a step at its instant. The furthest attempt "
    "of a subject counts, the earliest on ties. open_attempts: their window has not ended at as_of; in no step. median_s, "
    "p90_s: from the opening event; the middle of a fixed bin that holds k subjects; *_bin are its edges, between which "
    "the true value lies (null: open, the lower one is told). value: of the first, or last, step of the attempt that has one. "
    "Steps are told where k subjects got there, k of the first did not, and k were lost since the one before. Only subjects "
    "whose consent and data stand at as_of are counted: who withdrew (withdrawn_subjects), was erased or is restricted "
    "is missing, so conversion reads too high. closed false: the figures may still change."
)

_EDGES = np.array(TO_CONVERT_S) * span(timedelta(seconds=1))

Mode = Literal["ordered", "strict", "unordered"]
Touch = Literal["first_touch", "last_touch"]


@dataclass(frozen=True, slots=True)
class Funnel:
    """What is asked beside dates: 2 to 12 steps, by name; `window` of whole seconds. `field`: of the breakdown."""

    steps: tuple[str, ...]
    window: timedelta
    mode: Mode = "ordered"
    exclusions: tuple[str, ...] = ()
    field: str | None = None
    touch: Touch = "first_touch"

    @property
    def kinds(self) -> list[str]:
        """The steps, each name once; the kinds of events are numbered from 0 in this order."""
        return list(dict.fromkeys(self.steps))


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts that count: for each step, the subjects who got there by the bin of the time it took."""

    steps: tuple[Mapping[int, BitMap64], ...]

    @property
    def subjects(self) -> BitMap64:
        return _whose(self.steps[0])

    def __add__(self, other: "Attempts") -> "Attempts":
        return Attempts(
            tuple(
                {place: own.get(place, BitMap64()) | theirs.get(place, BitMap64()) for place in {*own, *theirs}}
                for own, theirs in zip(self.steps, other.steps, strict=True)
            )
        )

    def figures(self) -> dict[str, Figure]:
        """By `column/step`, as reports.privacy.steps takes them."""
        got = [_whose(step) for step in self.steps]
        figures: dict[str, Figure] = {"subjects/1": Count(len(got[0]), subjects=got[0])}
        for n, step in enumerate(self.steps, start=1):
            here = got[n - 1]
            if n > 1:
                figures[f"subjects/{n}"] = Figure(len(here), here, got[0] - here, got[n - 2] - here)
            filled = {place: (len(some), some) for place, some in step.items()} if n > 1 else {}
            took = quantiles(TO_CONVERT_S, filled, {"median_s": 0.5, "p90_s": 0.9})
            figures |= {f"{name}/{n}": figure for name, figure in took.items()}
        return figures


@metric("funnel", definition=DEFINITION, anew=1)
def funnel(question: Question) -> Figures:
    """Under the tenant's transaction. Raises Invalid `unknown_event`, `unknown_field`, `invalid_exclusion`."""
    asked = question.options
    if not isinstance(asked, Funnel):
        raise TypeError("a funnel needs its steps")
    found, waiting = _counted(question, asked)
    subjects = bitmap(waiting)
    asked_days = period(question.first, question.last, question.zone)
    lived = Period(asked_days.begins, asked_days.ends + asked.window)
    nobody = Attempts(tuple({} for _ in asked.steps))
    keys = [
        {"step": n, "event": None if asked.mode == "unordered" else name} for n, name in enumerate(asked.steps, start=1)
    ]
    steps = Steps(keys, Dimension(lived, "value", found), nobody, split=asked.field is not None)
    counts = {
        "open_attempts": Count(len(waiting), subjects=subjects),
        "open_subjects": Count(len(subjects), subjects=subjects),
    }
    # An attempt that is open when the range is over is open no more when its window is.
    totals = {name: (lived, count) for name, count in counts.items()}
    # Where the window is open for all of them they are all events of the type.
    first, *others = asked.steps
    opening = OfType(first, others=tuple(others) if asked.mode == "unordered" else (), begun=asked_days)
    types = types_by_day(question, question.first, question.last) if len(waiting) else []
    return Figures({"data": [steps]}, totals, of_type={"open_attempts": opening}, types=types, whole=whole(question))


def _counted(question: Question, asked: Funnel) -> tuple[Mapping[Value, Attempts], Numbers]:
    """By value of the breakdown (None without one); and whose each open attempt is."""
    of = period(question.first, question.last, question.zone)
    types = _types(question.program_id, asked)
    kinds = {types[name]: kind for kind, name in enumerate(asked.kinds)}
    kinds |= {types[name]: EXCLUDED for name in asked.exclusions}
    rules = Rules(
        steps=[asked.kinds.index(name) for name in asked.steps],
        window=span(asked.window),
        ends=micros(of.ends),
        as_of=micros(question.as_of),
        strict=asked.mode == "strict",
        unordered=asked.mode == "unordered",
        last=asked.touch == "last_touch",
    )
    reading = Reading(
        question.program_id,
        Period(of.begins, of.ends + asked.window),
        ["type", *([asked.field] if asked.field in IN_COLUMNS else [])],
        types=None if rules.strict else kinds,
        value=None if asked.field is None or asked.field in IN_COLUMNS else TOUCHED[asked.field],
    )
    needs = EVERYBODY
    if asked.mode == "ordered" and asked.field is None:
        first, second = (types[name] for name in asked.steps[:2])
        needs = needed(question, reading.held, asked.window, first, second, kinds)
    found = joined(
        reading.each(
            lambda events: chosen(events, _kinds(events, kinds), _values(events, asked), rules), whom=needs.whom
        ),
        len(asked.steps),
    )
    by_value = _by_value(found, _names(question.program_id, asked, reading, found.value))
    if needs.first:
        took_first = Attempts(({1: needs.first}, *({} for _ in asked.steps[1:])))
        by_value[None] = by_value[None] + took_first if None in by_value else took_first
    return by_value, found.open


def _kinds(events: Events, kinds: Mapping[int, int]) -> Numbers:
    """Of each event, as reports.metrics.attempts has them; `kinds`: by type."""
    found = np.full(len(events), OTHER)
    for type_id, kind in kinds.items():
        found[events["type"] == type_id] = kind
    return found


def _values(events: Events, asked: Funnel) -> Numbers:
    """What each event says in the field of the breakdown, as a number."""
    if asked.field is None:
        return np.zeros(len(events), np.int64)
    said: Numbers = events[_column(asked.field)]
    return said


def _names(program_id: int, asked: Funnel, reading: Reading, said: Numbers) -> Mapping[int, Value]:
    """Of these numbers; 0 has none."""
    if asked.field == "page":
        pages = Page.objects.filter(program_id=program_id, id__in=np.unique(said).tolist())
        return dict(pages.values_list("id", "path"))
    return {} if asked.field is None else dict(enumerate(reading.texts(_column(asked.field))))


def _column(field: str) -> str:
    return field if field in IN_COLUMNS else "value"


def _by_value(found: Chosen, names: Mapping[int, Value]) -> dict[Value, Attempts]:
    steps: dict[Value, list[dict[int, BitMap64]]] = defaultdict(lambda: [{} for _ in found.took])
    for n, took in enumerate(found.took):
        got = took >= 0
        bins = np.clip(np.searchsorted(_EDGES, took[got], side="right"), 1, len(_EDGES) - 1)
        numbers, subjects = found.value[got] * len(_EDGES) + bins, found.subject[got]
        order = np.argsort(numbers, kind="stable")
        for number, where in alike(numbers[order]):
            said, place = divmod(number, len(_EDGES))
            here = steps[names.get(said)][n]
            here[place] = here.get(place, BitMap64()) | bitmap(subjects[order[where]])
    return {value: Attempts(tuple(some)) for value, some in steps.items()}


def _types(program_id: int, asked: Funnel) -> Mapping[str, int]:
    for n, name in enumerate(asked.exclusions):
        if name in asked.steps:
            raise invalid("invalid_exclusion", "a step cannot be an exclusion", f"/exclusions/{n}/event")
    if asked.field is not None and asked.field not in TOUCHED:
        raise invalid("unknown_field", f"fields are {', '.join(sorted(TOUCHED))}", "/breakdown")
    named = {f"/steps/{n}/event": name for n, name in enumerate(asked.steps)}
    return type_ids(program_id, named | {f"/exclusions/{n}/event": name for n, name in enumerate(asked.exclusions)})


def _whose(step: Mapping[int, BitMap64]) -> BitMap64:
    return BitMap64().union(*step.values())
