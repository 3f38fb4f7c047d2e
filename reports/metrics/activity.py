"""activity: how many subjects were there, how often, and how much they did.

Asked: a mini-program, its zone, `from` and `to` (inclusive local dates), as-of. A local day runs from midnight to
midnight of that zone (reports.metrics.calendar), and an event lies in the day of its `corrected_at`: the sender's
clock error is taken out, and an event that came late counts on the day it happened. Whose events count:
reports.metrics.standing. Every stored event type counts, and every event once (a duplicate was never stored). Closed days are
answered from their rollups (docs/adr/0019-rollups.md), all others from the events, to the same figures.

`data`, a row a local date:
- `dau`: distinct subjects with an event on the date.
- `wau_rolling`, `mau_rolling`: distinct subjects with an event on one of the 7, or 30, local days that end with the
  date; the days before `from` are read for them.
- `events`: events on the date.
- `sessions`: sessions whose first event lies on the date (reports.metrics.session). So it may be below `dau`: who
  stays over midnight is active on both days and has begun one session.
`weeks`, `months`: `wau`, `mau`, distinct subjects with an event in the natural week (named by its Monday) or month
(named by its first day). Every week and month that the range touches is there, and counted whole, also where it begins
before `from` or ends after `to`. Users are never summed over days.
A day, week or month without events is 0. One that has begun and is not over is the total so far.

What each figure rests on, for the gate: users on themselves; `events` on the day's subjects; `sessions` on the subjects
who began one, or, where nobody did, on the day's subjects.
"""

from dataclasses import dataclass
from datetime import date

from pyroaring import BitMap64

from reports.metrics.calendar import DAY, dates, months, period, weeks
from reports.metrics.registry import Question, metric
from reports.privacy.figures import Count, Figures, Period, Row
from reports.rollups.contribution import NOBODY, SESSIONS, Days, Tallies, active
from reports.rollups.read import standing

WEEK_DAYS, MONTH_DAYS = 7, 30

DEFINITION = (
    "Local days of the zone, midnight to midnight, by corrected_at. dau: distinct subjects with an event on the date; "
    "wau_rolling, mau_rolling: in the 7, 30 days ending with the date; wau, mau: in the whole natural week (from "
    "Monday), month. events: all event types. sessions: by client session_id, otherwise cut at pauses over 30:00, 24 h "
    "at most, on the day of the first event. Only subjects whose consent and data stand at as_of are counted: who "
    "withdrew (withdrawn_subjects), was erased or is restricted is missing from all dates, so figures of the past fall "
    "and retention reads too high. closed false: the figure may still change."
)


@dataclass(frozen=True, slots=True)
class Day:
    """What a local day holds. `sessions` are right from `from` on; `starters` are the subjects who began one."""

    subjects: BitMap64
    events: int = 0
    sessions: int = 0
    starters: int = 0

    def counts(self) -> dict[str, Count]:
        active = len(self.subjects)
        return {
            "dau": Count(active),
            "events": Count(self.events, subjects=active),
            "sessions": Count(self.sessions, subjects=self.starters or active),
        }


NO_DAY = Day(BitMap64())


@metric("activity", definition=DEFINITION)
def activity(question: Question) -> Figures:
    """Under the tenant's transaction."""
    days, zone = _days(question), question.zone
    return Figures(
        {
            "data": [_row(days, day, period(day, day, zone)) for day in dates(question.first, question.last)],
            "weeks": [
                Row(period(first, last, zone), {"week": first.isoformat()}, {"wau": _users(days, first, last)})
                for first, last in weeks(question.first, question.last)
            ],
            "months": [
                Row(period(first, last, zone), {"month": first.isoformat()}, {"mau": _users(days, first, last)})
                for first, last in months(question.first, question.last)
            ],
        }
    )


def _row(days: dict[date, Day], day: date, of: Period) -> Row:
    own = days.get(day, NO_DAY).counts()
    counts = {
        "dau": own["dau"],
        "wau_rolling": _users(days, day - (WEEK_DAYS - 1) * DAY, day),
        "mau_rolling": _users(days, day - (MONTH_DAYS - 1) * DAY, day),
        "events": own["events"],
        "sessions": own["sessions"],
    }
    return Row(of, {"date": day.isoformat()}, counts)


def _users(days: dict[date, Day], first: date, last: date) -> Count:
    """Distinct subjects over days."""
    return Count(len(BitMap64().union(*(days[day].subjects for day in dates(first, last) if day in days))))


def scanned(question: Question) -> tuple[date, date]:
    """The local dates that the figures need: the trailing 30 days, and the first and last week and month whole."""
    touched = weeks(question.first, question.last) + months(question.first, question.last)
    first = min(question.first - (MONTH_DAYS - 1) * DAY, *(begins for begins, _ in touched))
    return first, max(ends for _, ends in touched)


def _days(question: Question) -> dict[date, Day]:
    """The local days with events."""
    first, last = scanned(question)
    asked = Days(question.program_id, question.zone, first, last, (question.first, question.last))
    return {day: day_of(tallies) for day, tallies in standing(asked).items()}


def day_of(tallies: Tallies) -> Day:
    came, began = active(tallies), tallies.get(SESSIONS, NOBODY)
    return Day(came.subjects, came.number, began.number, len(began.subjects))
