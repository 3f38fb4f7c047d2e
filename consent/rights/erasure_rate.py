"""How many erasures one actor may file in an hour before an officer decides on the others.

The count is a row in PostgreSQL, raised in the transaction that files: two at once wait for each other, so none slips past
the limit, and a filing that fails counts nothing. Hours are the clock's; across two of them twice the limit may come. It is
raised after every other lock of a filing, so whoever waits for it holds up nobody whom its owner waits for.
"""

from datetime import UTC, datetime, timedelta

from django.db import connection

from consent.rights.models import ErasureCount

KEPT = timedelta(hours=2)

_COUNT = """
    INSERT INTO erasure_count (program_id, filed_by, hour, erasures) VALUES (%s, %s, %s, 1)
    ON CONFLICT (program_id, filed_by, hour) DO UPDATE SET erasures = erasure_count.erasures + 1
    RETURNING erasures
"""


def beyond(program_id: int, *, by: str, limit: int, now: datetime) -> bool:
    """Count one more, within a filing's transaction; whether it is more than `limit` in this hour."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [program_id, by, hour])
        counted: int = cursor.fetchone()[0]
    return counted > limit


def forget(program_id: int, *, before: datetime) -> int:
    """Counts of hours that are over; answers how many. Within the mini-program's tenant."""
    return ErasureCount.objects.filter(program_id=program_id, hour__lt=before - KEPT).delete()[0]
