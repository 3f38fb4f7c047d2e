"""Who was there in the months about a range, for the gate of reports that are told of a range as a whole."""

from datetime import date

from reports.metrics.calendar import month, period
from reports.metrics.registry import Question
from reports.metrics.users import users_by_day
from reports.privacy.figures import Month, Whole


def whole(question: Question, *ranges: tuple[date, date]) -> Whole:
    """Of these ranges, or the one asked. The months are read under the tenant's transaction, when the gate wants them."""

    def people(first: date) -> Month:
        days = month(first)
        return Month(period(*days, question.zone), users_by_day(question, *days))

    asked = ranges or ((question.first, question.last),)
    return Whole([(first, last, period(first, last, question.zone)) for first, last in asked], people)
