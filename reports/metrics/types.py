"""The events of each type, by day, as `trends` by event has them: what the gate holds other reports' figures of a type to."""

from collections.abc import Mapping
from datetime import date

from reports.metrics.calendar import period
from reports.metrics.catalogue import by_name
from reports.metrics.registry import Question
from reports.metrics.tallies import Tallied
from reports.privacy.figures import Dimension, OfType, Value
from reports.privacy.types import NAME
from reports.rollups.contribution import Days
from reports.rollups.read import standing

VIEWS = OfType("page_view")
SHARES = OfType("share")


def types_by_day(question: Question, first: date, last: date) -> list[Dimension]:
    """Of the days with events; mostly from rollups. Under the tenant's transaction."""
    found = standing(Days(question.program_id, question.zone, first, last, types=None))
    return types_of(question, by_name(question.program_id, found))


def types_of(question: Question, days: Mapping[date, Mapping[Value, Tallied]]) -> list[Dimension]:
    """The same of what is known to stand, by day and by the events' name."""
    return [
        Dimension(period(day, day, question.zone), NAME, named, keys={"date": day.isoformat()})
        for day, named in sorted(days.items())
        if named
    ]
