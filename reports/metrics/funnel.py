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
from typing import Any, Literal

from django.db import connection
from pyroaring import BitMap64

from consent.errors import invalid
from reports.metrics.bands import TO_CONVERT_S, bin_of
from reports.metrics.calendar import MOMENT, period, utc_days
from reports.metrics.catalogue import type_ids
from reports.metrics.registry import Question, metric
from reports.metrics.standing import EVENTS
from reports.metrics.trends import FIELDS
from reports.privacy.bins import quantiles
from reports.privacy.figures import Count, Dimension, Figure, Figures, Period, Steps, Value
from tracking.ingest.parse import MAX_SKEW

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

# A subject's events meet in arrays, in the order of time: `width_bucket` finds by bisection how many elements lie at an
# instant or before. Each step is a LATERAL of its own with OFFSET 0: flattened, its expression would double at every step.
FUNNEL = """
    WITH seen AS (
        SELECT e.subject_id, e.corrected_at AS at, e.event_id, {value} AS value,
               array_position(%(types)s::bigint[], e.type_id) AS kind, e.type_id = ANY(%(excluded)s::bigint[]) AS excluded
        FROM {events} AND e.corrected_at >= %(begins)s AND e.corrected_at <= %(until)s {wanted}
    ),
    gathered AS (
        SELECT subject_id, {arrays}, array_agg(at ORDER BY at) FILTER (WHERE excluded) AS ended {moments}
        FROM seen GROUP BY subject_id
    ),
    attempts AS (
        {attempts}
    ),
    chosen AS (
        SELECT DISTINCT ON (subject_id) subject_id, times, value FROM attempts
        WHERE began < %(ends)s AND began + %(window)s < %(as_of)s
        ORDER BY subject_id, cardinality(times) DESC, began, nth
    ),
    reached AS (
        SELECT c.subject_id, c.value, t.step, extract(epoch FROM t.at - c.times[1]) AS took
        FROM chosen c CROSS JOIN LATERAL unnest(c.times) WITH ORDINALITY AS t(at, step)
    )
    SELECT {shown} AS said, step, {bin} AS bin, array_agg(r.subject_id) FROM reached r {named} GROUP BY 1, 2, 3
    UNION ALL
    SELECT NULL, 0, count(*), array_agg(DISTINCT subject_id) FROM seen
    WHERE {opens} AND at < %(ends)s AND at + %(window)s >= %(as_of)s
"""
_UNTIL = """
    CROSS JOIN LATERAL (
        SELECT least({began} + %(window)s, g.ended[width_bucket({began}, g.ended) + 1] - interval '1 microsecond') AS until
        OFFSET 0
    ) AS u
"""
_FIRST = "width_bucket({at} - interval '1 microsecond', g.times_{kind}) + 1"
"""The place of a kind's first event at an instant or after it."""
_NEXT = """
    CROSS JOIN LATERAL (
        SELECT nth, CASE WHEN {taken} <= u.until {strictly} THEN {taken} END AS at
        FROM (SELECT CASE WHEN s{before}.at IS NOT NULL THEN {nth} END AS nth OFFSET 0) AS n
        OFFSET 0
    ) AS s{step}
"""
_STRICTLY = "AND {taken} <= coalesce(g.moments[width_bucket(s{before}.at, g.moments) + 1], 'infinity')"

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
        """The steps, each name once; the kinds of events are numbered from 1 in this order."""
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


@metric("funnel", definition=DEFINITION)
def funnel(question: Question) -> Figures:
    """Under the tenant's transaction. Raises Invalid `unknown_event`, `unknown_field`, `invalid_exclusion`."""
    asked = question.options
    if not isinstance(asked, Funnel):
        raise TypeError("a funnel needs its steps")
    found, attempts, subjects = _counted(question, asked)
    asked_days = period(question.first, question.last, question.zone)
    lived = Period(asked_days.begins, asked_days.ends + asked.window)
    nobody = Attempts(tuple({} for _ in asked.steps))
    keys = [
        {"step": n, "event": None if asked.mode == "unordered" else name} for n, name in enumerate(asked.steps, start=1)
    ]
    steps = Steps(keys, Dimension(lived, "value", found), nobody, split=asked.field is not None)
    counts = {
        "open_attempts": Count(attempts, subjects=subjects),
        "open_subjects": Count(len(subjects), subjects=subjects),
    }
    return Figures({"data": [steps]}, {name: (asked_days, count) for name, count in counts.items()})


def _counted(question: Question, asked: Funnel) -> tuple[Mapping[Value, Attempts], int, BitMap64]:
    """By value of the breakdown (None without one); how many attempts are open, and whose."""
    steps: dict[Value, list[dict[int, BitMap64]]] = defaultdict(lambda: [{} for _ in asked.steps])
    attempts, waiting = 0, BitMap64()
    with connection.cursor() as cursor:
        parameters = _parameters(question, asked)
        cursor.execute(statement(asked), parameters)
        for value, step, place, subjects in cursor.fetchall():
            if step == 0:
                attempts, waiting = place, BitMap64(subjects or ())
            else:
                steps[value][step - 1][place] = BitMap64(subjects)
    return {value: Attempts(tuple(some)) for value, some in steps.items()}, attempts, waiting


def _parameters(question: Question, asked: Funnel) -> dict[str, Any]:
    types = _types(question.program_id, asked)
    of = period(question.first, question.last, question.zone)
    return {
        "program": question.program_id,
        "types": [types[name] for name in asked.kinds],
        "excluded": [types[name] for name in asked.exclusions],
        "begins": of.begins,
        "ends": of.ends,
        "until": of.ends + asked.window,
        "window": asked.window,
        "as_of": question.as_of,
        "days": utc_days(Period(of.begins, of.ends + asked.window + MOMENT), skew=MAX_SKEW),
        "edges": list(TO_CONVERT_S),
    }


def _types(program_id: int, asked: Funnel) -> Mapping[str, int]:
    for n, name in enumerate(asked.exclusions):
        if name in asked.steps:
            raise invalid("invalid_exclusion", "a step cannot be an exclusion", f"/exclusions/{n}/event")
    if asked.field is not None and asked.field not in TOUCHED:
        raise invalid("unknown_field", f"fields are {', '.join(sorted(TOUCHED))}", "/breakdown")
    named = {f"/steps/{n}/event": name for n, name in enumerate(asked.steps)}
    return type_ids(program_id, named | {f"/exclusions/{n}/event": name for n, name in enumerate(asked.exclusions)})


def statement(asked: Funnel) -> str:
    """FUNNEL for these steps."""
    strict, pages = asked.mode == "strict", asked.field == "page"
    return FUNNEL.format(
        events=EVENTS,
        value=TOUCHED[asked.field] if asked.field else "NULL::text",
        wanted="" if strict else "AND e.type_id = ANY(%(types)s::bigint[] || %(excluded)s::bigint[])",
        arrays=", ".join(
            f"array_agg(at ORDER BY at, event_id) FILTER (WHERE kind = {kind}) AS times_{kind},"
            f" array_agg(value ORDER BY at, event_id) FILTER (WHERE kind = {kind}) AS values_{kind}"
            for kind in range(1, len(asked.kinds) + 1)
        ),
        moments=", array_agg(at ORDER BY at) AS moments" if strict else "",
        attempts=_unordered(asked) if asked.mode == "unordered" else _ordered(asked),
        opens="kind IS NOT NULL" if asked.mode == "unordered" else "kind = 1",
        shown="p.path" if pages else "r.value",
        bin=bin_of("took", "edges"),
        named="LEFT JOIN page p ON p.id = r.value::bigint" if pages else "",
    )


def _ordered(asked: Funnel) -> str:
    """Attempts whose every step is looked up in the array of its kind, behind the place that the kind was taken at last."""
    kinds = [asked.kinds.index(name) + 1 for name in asked.steps]
    laterals = [
        "CROSS JOIN LATERAL (SELECT at, nth::int FROM unnest(g.times_1) WITH ORDINALITY AS o(at, nth)) AS s1",
        _UNTIL.format(began="s1.at"),
    ]
    for n, kind in enumerate(kinds[1:], start=2):
        taken = [place for place in range(1, n) if kinds[place - 1] == kind]
        nth = _FIRST.format(at=f"s{n - 1}.at", kind=kind)
        value = f"g.times_{kind}[nth]"
        strictly = _STRICTLY.format(taken=value, before=n - 1) if asked.mode == "strict" else ""
        nth = f"greatest({nth}, s{taken[-1]}.nth + 1)" if taken else nth
        laterals.append(_NEXT.format(step=n, before=n - 1, nth=nth, taken=value, strictly=strictly))
    times = ", ".join(f"s{n}.at" for n in range(1, len(kinds) + 1))
    values = [
        f"CASE WHEN s{n}.at IS NOT NULL THEN g.values_{kind}[s{n}.nth] END" for n, kind in enumerate(kinds, start=1)
    ]
    touched = values if asked.touch == "first_touch" else values[::-1]
    return (
        f"SELECT g.subject_id, s1.at AS began, s1.nth, array_remove(ARRAY[{times}], NULL) AS times,"
        f" coalesce({', '.join(touched)}) AS value FROM gathered g {' '.join(laterals)}"
    )


def _unordered(asked: Funnel) -> str:
    """Attempts that take of each kind the first events there are, as many as it has steps."""
    began = " || ".join(f"g.times_{kind}" for kind in range(1, len(asked.kinds) + 1))
    taken = []
    for kind, name in enumerate(asked.kinds, start=1):
        first = _FIRST.format(at="o.at", kind=kind)
        taken += [
            f"(g.times_{kind}[{first} + {n}], g.values_{kind}[{first} + {n}], {kind}, {n})"
            for n in range(asked.steps.count(name))
        ]
    order = "" if asked.touch == "first_touch" else "DESC"
    return f"""
        SELECT g.subject_id, o.at AS began, 1 AS nth, t.times, t.value
        FROM gathered g CROSS JOIN LATERAL (SELECT DISTINCT unnest({began}) AS at) AS o {_UNTIL.format(began="o.at")}
        CROSS JOIN LATERAL (
            SELECT array_agg(at ORDER BY at) AS times,
                   (array_agg(value ORDER BY at {order}, kind {order}, place {order}) FILTER (WHERE value IS NOT NULL))[1] AS value
            FROM (VALUES {", ".join(taken)}) AS v(at, value, kind, place) WHERE at <= u.until
        ) AS t
    """


def _whose(step: Mapping[int, BitMap64]) -> BitMap64:
    return BitMap64().union(*step.values())
