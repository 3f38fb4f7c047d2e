"""Who was active on which local day, for metrics over users."""

from datetime import date

from pyroaring import BitMap64

from reports.metrics.registry import Question
from reports.rollups.contribution import Days, everybody
from reports.rollups.read import standing


def users_by_day(question: Question, first: date, last: date) -> dict[date, BitMap64]:
    """Those with an event of any type, of each local date from `first` to `last` that has any."""
    found = standing(Days(question.program_id, question.zone, first, last))
    return {day: users for day, tallies in found.items() if (users := everybody(tallies))}
