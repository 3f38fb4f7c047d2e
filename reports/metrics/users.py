"""Who was active on which local day, for metrics over users."""

from datetime import date
from typing import Any

from django.db import connection
from pyroaring import BitMap64

from reports.metrics.calendar import DAY, dates, day_start, period, utc_days
from reports.metrics.registry import Question
from reports.metrics.standing import EVENTS
from tracking.ingest.parse import MAX_SKEW

USERS = f"""
    SELECT place, array_agg(subject_id)
    FROM (
        SELECT DISTINCT e.subject_id, width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place
        FROM {EVENTS} AND e.corrected_at >= %(begins)s AND e.corrected_at < %(ends)s
    ) AS active
    GROUP BY place
"""


def users_by_day(question: Question, first: date, last: date) -> dict[date, BitMap64]:
    """Those with an event of any type, of each local date from `first` to `last` that has any."""
    whole = period(first, last, question.zone)
    parameters: dict[str, Any] = {
        "program": question.program_id,
        "edges": [day_start(day, question.zone) for day in dates(first, last + DAY)],
        "begins": whole.begins,
        "ends": whole.ends,
        "days": utc_days(whole, skew=MAX_SKEW),
    }
    with connection.cursor() as cursor:
        cursor.execute(USERS, parameters)
        return {first + (place - 1) * DAY: BitMap64(subjects) for place, subjects in cursor.fetchall()}
