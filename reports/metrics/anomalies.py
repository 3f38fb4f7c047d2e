"""anomalies: days of a series that lie beside what the days before them led to expect.

Asked: `from`, `to` (92 days at most), `measure` and `event` (reports.metrics.series), `scale`: `sqrt` (the usual one, for counts)
or `log` (for what grows and swings in proportion). `data`, a row a local date of the zone:
- `value`: as other reports tell it. `expected`, and `expected_low` to `expected_high` around it, from the days before alone:
  182 at most, 35 at least. On the scale: the trend of the day before and the season of a week before, by STL with a weekly
  season, robust to odd days (reports.metrics.seasons).
- `score`: how many standard deviations the value lies above (below: negative) what was expected, on the scale. The deviation
  is a robust one of the days before, and no less than that of a count, the root of what is expected.
- `anomalous`: the value lies outside `expected_low` to `expected_high`, 3.5 deviations on either side. Of days on which nothing
  happened about one in a hundred is.
- `calendar`, `holiday`: reports.metrics.holidays. They are marked, not modelled: a holiday's figures are anomalous where they
  are, and a reader sees why.
- `filled_days`: how many of the days before were not told and filled with the value of a week before them.
- `reason`: why a day is not judged; null where it is. `suppressed`: its own figure is not told. `not_over`: the day, today
  included, goes on. `short_history`: fewer than 35 days before it, from the first one that was not 0. `gaps`: more than a
  tenth of them are not told. `no_fit`: no numbers came out.
A day that is over and not closed is judged by what has come so far. A day's judgement does not depend on the range asked.

For the gate only `value`, of the days asked and of those before, is a figure: it rests on what it rests on in `activity` and
`trends`. All else is worked out of the values that the gate has told, so whoever asks those two could do it too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from consent.errors import invalid
from reports.metrics.calendar import DAY, period
from reports.metrics.holidays import marked
from reports.metrics.registry import Question, metric
from reports.metrics.seasons import Ahead, Scale, next_day, scaled, unscaled
from reports.metrics.series import LEAST, Past, Series, daily, past
from reports.privacy.cells import Cell, Status
from reports.privacy.dimensions import ReleasedRow
from reports.privacy.figures import Figures
from reports.privacy.threshold import Released

MAX_JUDGED = 92
WINDOW = 182
"""Days before a day that its fit is made of, at most."""
LIMIT = 3.5

DEFINITION = (
    "Local days of the zone by corrected_at. value: subjects, events or sessions, as activity and trends tell them. expected: "
    "from the 35 to 182 days before alone, trend of the day before and season of a week before by STL (weekly season, robust), "
    "on the square root's or logarithm's scale. score: (value - expected) / deviation on the scale; the deviation is a robust "
    "one, of a count's root at least. anomalous: outside expected_low to expected_high, 3.5 deviations on either side; about "
    "one quiet day in a hundred is. calendar, holiday: the PRC's, marked and not modelled; unpublished: its year has no "
    "calendar yet. Days that are not told are not judged (reason), and filled in later days' histories with the value of a "
    "week before (filled_days). closed false: the figure, and so its judgement, may still change."
)


@dataclass(frozen=True, slots=True)
class Anomalies:
    """What is asked beside dates."""

    series: Series = field(default_factory=Series)
    scale: Scale = "sqrt"

    def kept_as(self) -> Series:
        """reports.frozen.about"""
        return self.series


def derive(question: Question, released: Released) -> Released:
    asked = _asked(question)
    rows = released.tables["data"]
    judged = [_judged(rows, n, question, asked.scale) for n in range(len(rows)) if _date(rows[n]) >= question.first]
    return Released.derived(released.k, {"data": judged}, released.totals)


@metric("anomalies", definition=DEFINITION, derive=derive)
def anomalies(question: Question) -> Figures:
    """Under the tenant's transaction. Raises Invalid `invalid_range`, `unknown_event`, `event_unavailable`."""
    if (question.last - question.first).days >= MAX_JUDGED:
        raise invalid("invalid_range", f"anomalies judges {MAX_JUDGED} days at most; ask for fewer", "/to")
    return Figures({"data": daily(question, _asked(question).series, question.first - WINDOW * DAY, question.last)})


def _asked(question: Question) -> Anomalies:
    return question.options if isinstance(question.options, Anomalies) else Anomalies()


def _date(row: ReleasedRow) -> date:
    return date.fromisoformat(row.keys["date"])


def _judged(rows: Sequence[ReleasedRow], n: int, question: Question, scale: Scale) -> ReleasedRow:
    row, before = rows[n], past([one.cells["value"] for one in rows[n - WINDOW : n]])
    day, value = _date(row), row.cells["value"]
    reason = _reason(day, value, before, question)
    ahead = None
    if reason is None:
        ahead = next_day([scaled(one, scale) for one in before.values], before.told, scale)
        reason = "no_fit" if ahead is None else None
    status = Status.SUPPRESSED if reason == "suppressed" else Status.NOT_OBSERVABLE
    cells = dict.fromkeys(JUDGED, Cell(None, status)) if ahead is None else _cells(value.value, ahead, scale)
    keys = {**row.keys, **marked(day)._asdict(), "filled_days": before.filled, "reason": reason}
    return ReleasedRow(keys, {"value": value, **cells}, row.closed)


def _reason(day: date, value: Cell, before: Past, question: Question) -> str | None:
    if period(day, day, question.zone).ends > question.as_of:
        return "not_over"
    if value.status is not Status.OK:
        return "suppressed"
    if len(before.values) < LEAST:
        return "short_history"
    return "gaps" if before.full_of_gaps else None


JUDGED = ("expected", "expected_low", "expected_high", "score", "anomalous")


def _cells(value: float, ahead: Ahead, scale: Scale) -> dict[str, Cell]:
    score = (scaled(value, scale) - ahead.mean) / ahead.deviation
    margin = LIMIT * ahead.deviation
    told: list[Any] = [round(unscaled(ahead.mean + by, scale), 3) for by in (0, -margin, margin)]
    told += [round(score, 3), abs(score) > LIMIT]
    return {name: Cell(one, Status.OK) for name, one in zip(JUDGED, told, strict=True)}
