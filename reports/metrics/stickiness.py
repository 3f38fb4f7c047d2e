"""stickiness: how much of a month's users a day has, and on how many days they came.

Asked: `from`, `to`. Local days and users as in the report `activity`.
- `data`, a row a date: `dau`, `mau_rolling` (the 30 local days that end with the date) and `stickiness`, dau / mau_rolling.
- `active_days`: distinct `subjects` by the number of local days of the range (`days`, 1 and more) on which they have an
  event; whoever has none in the range is in no row. `subjects`, beside: all of them.

For the gate a date's figures rest on its subjects and on those of the 30 days who are not; numbers of days that fewer than
k subjects have are one row, `days_other`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from pyroaring import BitMap64

from reports.metrics.activity import MONTH_DAYS
from reports.metrics.calendar import DAY, dates, period
from reports.metrics.registry import Question, metric
from reports.metrics.users import users_by_day
from reports.metrics.whole import whole
from reports.privacy.figures import Count, Dimension, Figure, Figures, PartCount, Row, Share, Value

DEFINITION = (
    "Local days of the zone by corrected_at. dau: distinct subjects with an event on the date; mau_rolling: in the 30 days "
    "ending with it; stickiness: dau / mau_rolling. active_days: subjects by the number of days of the range with an "
    "event. Numbers of days of fewer than k subjects are one row, days_other. Only subjects whose consent and data stand "
    "at as_of are counted: who withdrew (withdrawn_subjects), was erased or is restricted is missing from all dates. "
    "closed false: the figures may still change, and active_days are one row."
)


@dataclass(frozen=True, slots=True)
class Users:
    """Subjects who came on so many days."""

    subjects: BitMap64

    def __add__(self, other: "Users") -> "Users":
        return Users(self.subjects | other.subjects)

    def figures(self) -> Mapping[str, Figure]:
        return {"subjects": Count(len(self.subjects), subjects=self.subjects)}


@metric("stickiness", definition=DEFINITION)
def stickiness(question: Question) -> Figures:
    """Under the tenant's transaction."""
    first = question.first - (MONTH_DAYS - 1) * DAY
    found = users_by_day(question, first, question.last)
    rows = []
    for day in dates(question.first, question.last):
        here = found.get(day, BitMap64())
        month = BitMap64().union(*(found[one] for one in dates(day - (MONTH_DAYS - 1) * DAY, day) if one in found))
        figures = _figures(here, month)
        rows.append(Row(period(day, day, question.zone), {"date": day.isoformat()}, figures))
    asked = period(question.first, question.last, question.zone)
    numbers = by_number(some for day, some in found.items() if day >= question.first)
    everybody = BitMap64().union(*(users.subjects for users in numbers.values()))
    return Figures(
        {"data": rows, "active_days": [Dimension(asked, "days", numbers)]},
        {"subjects": (asked, Count(len(everybody), subjects=everybody))},
        summed="active_days",
        whole=whole(question),
    )


def _figures(here: BitMap64, month: BitMap64) -> dict[str, Figure]:
    rest = month - here
    return {
        "dau": PartCount(len(here), inside=here, outside=rest),
        "mau_rolling": Count(len(month), subjects=month),
        "stickiness": Share(len(here), len(month), inside=here, outside=rest),
    }


def by_number(found: Iterable[BitMap64]) -> Mapping[Value, Users]:
    """Who came on how many days, of those who came on each; nobody's numbers are not there."""
    # Who came on n days or more: with one more day, who came on n - 1 before it and on it.
    at_least: list[BitMap64] = []
    for day in found:
        came = day
        for n, before in enumerate(at_least):
            at_least[n], came = before | came, before & came
        at_least.append(came)
    exactly = [some - more for some, more in pairwise([*at_least, BitMap64()])]
    return {str(n): Users(some) for n, some in enumerate(exactly, start=1) if some}
