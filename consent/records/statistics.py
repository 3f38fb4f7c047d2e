"""How many people decided what, by day, purpose and notice version: what a controller shows when it is asked how consent
is obtained. Figures below the threshold are not told, so that no day singles anybody out; nor is a month's that would tell, less
the days that are told, what a day withheld.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from consent.notices.models import Notice, Purpose
from consent.records.models import AUTHORISING, State

MAX_DAYS = 400


class Step(StrEnum):
    """What a row is of, as PostgreSQL names it."""

    DAY = "day"
    MONTH = "month"


COLUMNS: Mapping[str, tuple[State, ...]] = {
    "given": (State.GIVEN, State.RENEWED),
    "refused": (State.REFUSED,),
    "deferred": (State.REQUESTED,),
    "withdrawn": (State.WITHDRAWN,),
    "expired": (State.EXPIRED, State.INVALIDATED),
}
_SHOWN = [(state.value, name) for name, states in COLUMNS.items() for state in states]

# A withdrawal stands under the notice of the consent that it ended, which is the decision before it: looked up for
# withdrawals only, by the version's index. A join for it would be made for every record.
# Somebody who decides the same twice on one day (or in one month) is one person. Who is restricted or being erased is read by nobody.
_DECIDED = """
    SELECT day, purpose_id, notice_id, shown, count(*) FROM (
        SELECT DISTINCT date_trunc(%(step)s, r.corrected_at AT TIME ZONE %(zone)s)::date AS day,
               r.purpose_id, counted.shown, r.subject_id,
               CASE r.state WHEN %(withdrawn)s THEN COALESCE((
                   SELECT CASE WHEN b.state = ANY(%(authorising)s) THEN b.notice_id END FROM consent_record b
                   WHERE b.subject_id = r.subject_id AND b.purpose_id = r.purpose_id
                       AND b.version < r.version AND b.state <> %(requested)s
                   ORDER BY b.version DESC LIMIT 1
               ), r.notice_id) ELSE r.notice_id END AS notice_id
        FROM consent_record r
        JOIN unnest(%(states)s::text[], %(shown)s::text[]) AS counted (state, shown) ON counted.state = r.state
        JOIN subject s ON s.subject_id = r.subject_id AND NOT s.restricted AND NOT s.erasure_pending
        WHERE r.program_id = %(program)s AND r.corrected_at >= %(begins)s AND r.corrected_at < %(ends)s
    ) AS decided
    GROUP BY day, purpose_id, notice_id, shown
"""


_Counted = tuple[date, int, int | None, str, int]


@dataclass(frozen=True)
class Row:
    """What was decided on one local day, or in the month that begins on it, about one purpose under one notice.

    A withdrawal counts under the notice of the consent it ended; where it ended none under its own, if it named one (else None).

    `people`: by COLUMNS' names, distinct subjects; None where they are fewer than k, and not nobody, and of a month where it is
    not `tellable` beside its days.
    """

    day: date
    purpose: Purpose
    notice: Notice | None
    people: Mapping[str, int | None]


@dataclass(frozen=True)
class Sums:
    """By COLUMNS' names, `people`: the sum of the figures that rows tell, which counts somebody once a day, purpose and notice;
    `withheld`: how many figures they do not tell, which are in no sum."""

    people: Mapping[str, int]
    withheld: Mapping[str, int]


def decided(
    *, program_id: int, zone: ZoneInfo, first: date, last: date, k: int, step: Step = Step.DAY
) -> Sequence[Row]:
    """The rows of an inclusive range of local days in which anybody decided, newest day first. Under the tenant.

    A day is that of the act by its corrected time, so that an import counts when it was decided. No row is a sum of
    others but a month's of its days, and that one is told only where it leaves each day's figure as hidden as it was.
    Months are asked for whole.
    """
    asked: dict[str, Any] = {
        "program": program_id,
        "zone": zone.key,
        "step": step.value,
        "begins": datetime.combine(first, time.min, zone),
        "ends": datetime.combine(last + timedelta(days=1), time.min, zone),
        "states": [state for state, _ in _SHOWN],
        "shown": [name for _, name in _SHOWN],
        "withdrawn": State.WITHDRAWN,
        "requested": State.REQUESTED,
        "authorising": list(AUTHORISING),
    }
    counts: dict[tuple[date, int, int | None], dict[str, int]] = {}
    for day, purpose_id, notice_id, shown, people in _found(asked):
        counts.setdefault((day, purpose_id, notice_id), dict.fromkeys(COLUMNS, 0))[shown] = people
    hidden = _hidden(asked, k) if step == Step.MONTH and k > 1 else {}
    purposes = {purpose.pk: purpose for purpose in Purpose.objects.filter(program_id=program_id)}
    notices = {notice.pk: notice for notice in Notice.objects.filter(program_id=program_id).defer("body")}
    rows = [
        Row(
            day,
            purposes[purpose_id],
            notices[notice_id] if notice_id is not None else None,
            {
                name: _told(n, k) if tellable(hidden.get((day, purpose_id, notice_id, name), ()), k) else None
                for name, n in people.items()
            },
        )
        for (day, purpose_id, notice_id), people in counts.items()
    ]
    return sorted(rows, key=_order)


def summed(rows: Sequence[Row]) -> Sums:
    people = {name: sum(row.people[name] or 0 for row in rows) for name in COLUMNS}
    return Sums(people, {name: sum(row.people[name] is None for row in rows) for name in COLUMNS})


def tellable(hidden: Sequence[int], k: int) -> bool:
    """Whether what hidden figures of 1 to k-1 add up to may be told: if for all that is known then, each of them may still be
    anything from 1 to k-1.

    Of n figures with the sum s one is v where the others come to s - v, which is anything from n-1 to (n-1)(k-1); so for the
    least and the greatest v to be left, s is from (n-1) + (k-1) to 1 + (n-1)(k-1). A month's distinct people less those of its
    told days are no more than s, and tell less.
    """
    others = len(hidden) - 1
    return not hidden or others + k - 1 <= sum(hidden) <= 1 + others * (k - 1)


def _found(asked: dict[str, Any]) -> list[_Counted]:
    with connection.cursor() as cursor:
        cursor.execute(_DECIDED, asked)
        found: list[_Counted] = cursor.fetchall()
    return found


def _hidden(asked: dict[str, Any], k: int) -> Mapping[tuple[date, int, int | None, str], list[int]]:
    """By month, purpose, notice and column: the figures of its days that are not told."""
    hidden = defaultdict(list)
    for day, purpose_id, notice_id, shown, people in _found({**asked, "step": Step.DAY.value}):
        if _told(people, k) is None:
            hidden[day.replace(day=1), purpose_id, notice_id, shown].append(people)
    return hidden


def _told(people: int, k: int) -> int | None:
    return people if people >= k or not people else None


def _order(row: Row) -> tuple[int, str, float]:
    return -row.day.toordinal(), row.purpose.code, -(row.notice.effective_at.timestamp() if row.notice else 0.0)
