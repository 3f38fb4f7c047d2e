"""How many subjects withdrew in a range: told with every answer, because who left is missing from its figures.

Subjects whose latest consent record of state `withdrawn`, of any purpose, was received in the range's local days. So each counts
on one day, and ranges add up: the number rests on each of its days, or one range less another would tell of a day with few.
Of any purpose: were it of those that have event types, one that gets its first would make the same days count others, and a range
asked before less its days asked after would be the few who had ended that purpose alone. Who consented again since counts for the
same reason: a figure that they leave one by one tells of each.
Subjects restricted or being erased are left out here as everywhere; erased ones have left no record. So it is a lower bound, like
every figure of those who went.
"""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from reports.metrics.calendar import DAY, dates, day_start, period
from reports.metrics.standing import SUBJECT_STANDS
from reports.privacy.cells import closed
from reports.privacy.figures import Period, Sum

_WITHDRAWN = f"""
    SELECT width_bucket(latest, %(edges)s::timestamptz[]), count(*)
    FROM (
        SELECT max(r.received_at) AS latest
        FROM consent_record r JOIN subject s ON s.subject_id = r.subject_id AND {SUBJECT_STANDS}
        WHERE r.program_id = %(program)s AND r.state = 'withdrawn' AND r.received_at >= %(begins)s
        GROUP BY r.subject_id
    ) AS withdrew
    WHERE latest < %(ends)s GROUP BY 1
"""


def withdrawn_subjects(
    program_id: int, zone: ZoneInfo, first: date, last: date, *, as_of: datetime
) -> tuple[Period, Sum]:
    """Under the tenant's transaction."""
    asked = period(first, last, zone)
    edges = [day_start(day, zone) for day in dates(first, last + DAY)]
    parameters: dict[str, Any] = {"program": program_id, "edges": edges, "begins": asked.begins, "ends": asked.ends}
    with connection.cursor() as cursor:
        cursor.execute(_WITHDRAWN, parameters)
        found = dict(cursor.fetchall())
    days = [found.get(place, 0) for place in range(1, len(edges))]
    # Nobody will have withdrawn on a closed day with nobody, whatever the others are.
    open_or_some = [
        number
        for number, day in zip(days, dates(first, last), strict=True)
        if number or not closed(period(day, day, zone), as_of)
    ]
    return asked, Sum(sum(days), *(open_or_some or [0]))
