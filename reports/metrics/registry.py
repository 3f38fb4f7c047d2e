"""The metrics by name, and the one way to ask them: through the gate."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from consent.errors import Fault, Invalid, NotFound
from consent.programs.tenancy import snapshot
from reports import frozen
from reports.metrics.calendar import DAY, MOMENT, Interval
from reports.metrics.withdrawals import withdrawn_subjects
from reports.models import Counting
from reports.privacy.figures import Dimension, Figures, Row
from reports.privacy.threshold import Released, release

MAX_DAYS = 400
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 1, 1)


@dataclass(frozen=True, slots=True)
class Question:
    """A mini-program, an IANA zone, two inclusive local dates, and the instant as of which the answer is given.

    `accepted`: how long after its day an event may still come. `options`: what else a metric asks, of its own type. Raises
    Invalid `invalid_range`.
    """

    program_id: int
    zone: ZoneInfo
    first: date
    last: date
    as_of: datetime
    interval: Interval = "day"
    options: object = None
    accepted: timedelta = field(kw_only=True)

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise _invalid("from may not be after to", "/from")
        if self.first < EARLIEST or self.last > LATEST:
            raise _invalid("dates lie between 2000-01-01 and 2100-01-01", "/from" if self.first < EARLIEST else "/to")
        if (self.last - self.first).days >= MAX_DAYS:
            raise _invalid(f"a range has {MAX_DAYS} days at most", "/to")


def _invalid(detail: str, pointer: str) -> Invalid:
    return Invalid("invalid_range", detail, [Fault("invalid_range", detail, pointer)])


Run = Callable[[Question], Figures]
Derive = Callable[[Question, Released], Released]


@dataclass(frozen=True, slots=True)
class Metric:
    """`run` answers figures that cannot be told; `definition` is told with every answer.

    `derive` works the answer out of what the gate has let through, and of nothing else: so it discloses nothing that these
    figures would not. It holds no transaction.
    """

    name: str
    definition: str
    run: Run
    derive: Derive | None = None
    anew: int = 0
    """How often what was told until then became no answer any more: the gate holds more of it, or its definition means something
    else. Other words for the same leave it: worked out anew, figures would differ from those told by who left in between."""


@dataclass(frozen=True, slots=True)
class Answer:
    definition: str
    released: Released
    revision: int


STANDS = (
    "closed true: the figure stands as it was first told, also when subjects go or come later, until k of them have; then "
    "revision rises. One type of events is told where all other events rest on k subjects, too. A table of the whole range is "
    "told where the range ends at days between any two of which k subjects were there: whole months with k are. Events that "
    "retention has deleted are counted no more: of days before the shortest retention what was not told by then reads too low. "
    "withdrawn_subjects: whose latest withdrawal was in the range, of any purpose: also of one without events, and of who has "
    "consented again since, and so is not missing."
)
"""Told after every definition."""

_METRICS: dict[str, Metric] = {}


def metric(name: str, *, definition: str, derive: Derive | None = None, anew: int = 0) -> Callable[[Run], Run]:
    """Register a metric under the API's name."""

    def register(run: Run) -> Run:
        if name in _METRICS:
            raise ValueError(f"{name} is registered already")
        _METRICS[name] = Metric(name, definition, run, derive, anew)
        return run

    return register


def names() -> list[str]:
    return sorted(_METRICS)


def known(name: str) -> Metric:
    """Raises NotFound `unknown_metric`."""
    if name not in _METRICS:
        raise NotFound("unknown_metric", f"metrics are {', '.join(names())}")
    return _METRICS[name]


Reached = Callable[[Counting], object]
"""Told what comes next; whatever it raises ends the answering, and nothing is told or kept of it."""


def unwatched(counting: Counting) -> None:
    """For who does not ask how far it is."""


def answer(name: str, question: Question, *, k: int, reached: Reached = unwatched) -> Answer:
    """Run a metric and pass it through the gate; of what was told before, tell that. With how many subjects withdrew."""
    found = known(name)
    about = frozen.about(name, found.anew, question.interval, options=question.options)
    asked = frozen.Asked(question.program_id, question.zone.key, k, about)
    with snapshot(question.program_id):
        with connection.cursor() as cursor:
            # Whole days are joined: a planner whom nobody has told of a day's events yet would loop through all for each.
            cursor.execute("SET LOCAL enable_nestloop = off")
        reached(Counting.FIGURES)
        figures = found.run(question)
        withdrew = withdrawn_subjects(
            question.program_id, question.zone, question.first, question.last, as_of=question.as_of
        )
        figures = replace(figures, totals={**figures.totals, "withdrawn_subjects": withdrew})
        reached(Counting.BY_DAY)
        by_day = _by_day(found, question, figures) if k > 1 else []
        reached(Counting.GATE)
        fresh = release(figures, k=k, as_of=question.as_of, by_day=by_day)
        seen = frozen.seen(asked, fresh, as_of=question.as_of)
    released, revision = frozen.settled(seen)
    if found.derive is not None:
        released = found.derive(question, released)
    return Answer(f"{found.definition} {STANDS}" if k > 1 else found.definition, released, revision)


def _by_day(found: Metric, question: Question, figures: Figures) -> list[Figures]:
    """The days of all longer intervals that are asked; so many at once as a question may have."""
    periods = [line.period for lines in figures.tables.values() for line in lines if isinstance(line, Row | Dimension)]
    if question.interval == "day" or not periods:
        return []
    first = max(min(period.begins for period in periods).astimezone(question.zone).date(), EARLIEST)
    last = min((max(period.ends for period in periods) - MOMENT).astimezone(question.zone).date(), LATEST)
    begins = [first + n * MAX_DAYS * DAY for n in range((last - first).days // MAX_DAYS + 1)]
    return [
        found.run(replace(question, first=day, last=min(day + (MAX_DAYS - 1) * DAY, last), interval="day"))
        for day in begins
    ]
