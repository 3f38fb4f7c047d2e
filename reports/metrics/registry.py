"""The metrics by name, and the one way to ask them: through the gate."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from consent.errors import Fault, Invalid, NotFound
from consent.programs.tenancy import tenant
from reports.metrics.calendar import Interval
from reports.metrics.withdrawals import withdrawn_subjects
from reports.privacy.figures import Figures
from reports.privacy.threshold import Released, release

MAX_DAYS = 400
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 1, 1)


@dataclass(frozen=True, slots=True)
class Question:
    """A mini-program, an IANA zone, two inclusive local dates, and the instant as of which the answer is given.

    `options`: what else a metric asks, of its own type. Raises Invalid `invalid_range`.
    """

    program_id: int
    zone: ZoneInfo
    first: date
    last: date
    as_of: datetime
    interval: Interval = "day"
    options: object = None

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


@dataclass(frozen=True, slots=True)
class Metric:
    """`run` answers figures that cannot be told; `definition` is told with every answer."""

    name: str
    definition: str
    run: Run


@dataclass(frozen=True, slots=True)
class Answer:
    definition: str
    released: Released


_METRICS: dict[str, Metric] = {}


def metric(name: str, *, definition: str) -> Callable[[Run], Run]:
    """Register a metric under API.md's name."""

    def register(run: Run) -> Run:
        if name in _METRICS:
            raise ValueError(f"{name} is registered already")
        _METRICS[name] = Metric(name, definition, run)
        return run

    return register


def names() -> list[str]:
    return sorted(_METRICS)


def known(name: str) -> Metric:
    """Raises NotFound `unknown_metric`."""
    if name not in _METRICS:
        raise NotFound("unknown_metric", f"metrics are {', '.join(names())}")
    return _METRICS[name]


def answer(name: str, question: Question, *, k: int) -> Answer:
    """Run a metric and pass it through the gate. Every answer tells how many subjects withdrew in the range."""
    found = known(name)
    with tenant(question.program_id):
        figures = found.run(question)
        withdrew = withdrawn_subjects(question.program_id, question.zone, question.first, question.last)
    figures = replace(figures, totals={**figures.totals, "withdrawn_subjects": withdrew})
    return Answer(found.definition, release(figures, k=k, as_of=question.as_of))
