"""How many subjects withdrew in a range: told with every answer, because who left is missing from its figures.

Distinct subjects with a consent record of state `withdrawn`, of any purpose, that the service received in the range's
local days. Subjects restricted or being erased are left out here as everywhere; erased ones have left no record. So it
is a lower bound, like every figure of those who went.
"""

from datetime import date
from zoneinfo import ZoneInfo

from django.db import connection

from reports.metrics.calendar import period
from reports.metrics.standing import SUBJECT_STANDS
from reports.privacy.figures import Count, Period

_WITHDRAWN = f"""
    SELECT count(DISTINCT r.subject_id)
    FROM consent_record r JOIN subject s ON s.subject_id = r.subject_id AND {SUBJECT_STANDS}
    WHERE r.program_id = %s AND r.state = 'withdrawn' AND r.received_at >= %s AND r.received_at < %s
"""


def withdrawn_subjects(program_id: int, zone: ZoneInfo, first: date, last: date) -> tuple[Period, Count]:
    """Under the tenant's transaction."""
    asked = period(first, last, zone)
    with connection.cursor() as cursor:
        cursor.execute(_WITHDRAWN, [program_id, asked.begins, asked.ends])
        return asked, Count(int(cursor.fetchone()[0]))
