"""What `statistics` tells of the last thirty finished days, added up: counted by a worker once a day, so that the officers' first
page need not wait for it where there are millions of records.

count_days(program_id=…, zone=…, k=…, now=…)     # each hour: what was not counted for a day
newest(program_id)                               # what they come to, and of which days
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from consent.programs.tenancy import tenant
from consent.records.models import DecidedDay
from consent.records.statistics import COLUMNS, Sums, decided, summed

DAYS = 30
AGAIN = timedelta(hours=23)
"""Once a day, at an hour that moves but little."""


@dataclass(frozen=True)
class Counted:
    """The sums of an inclusive range of local days."""

    first: date
    last: date
    sums: Sums


def count_days(*, program_id: int, zone: ZoneInfo, k: int, now: datetime) -> int:
    """Count the last DAYS finished days, the newest first, but those counted within AGAIN, and forget earlier ones. How many it counted.

    Each is counted anew every day: what is imported late comes in, and who is erased or restricted falls out.
    """
    last = now.astimezone(zone).date() - timedelta(days=1)
    days = [last - timedelta(days=ago) for ago in range(DAYS)]
    with tenant(program_id):
        own = DecidedDay.objects.filter(program_id=program_id)
        fresh = set(own.filter(counted_at__gt=now - AGAIN).values_list("day", flat=True))
    due = [day for day in days if day not in fresh]
    for day in due:
        with tenant(program_id):
            sums = summed(decided(program_id=program_id, zone=zone, first=day, last=day, k=k))
            told = {"people": sums.people, "withheld": sums.withheld, "counted_at": now}
            DecidedDay.objects.update_or_create(program_id=program_id, day=day, defaults=told)
    with tenant(program_id):
        own.filter(day__lt=days[-1]).delete()
    return len(due)


def newest(program_id: int) -> Counted | None:
    """Of the newest DAYS that were counted; None where so many are not there without a gap. Under the tenant."""
    rows = list(DecidedDay.objects.filter(program_id=program_id).order_by("-day")[:DAYS])
    if len(rows) < DAYS or rows[0].day - rows[-1].day >= timedelta(days=DAYS):
        return None
    people = {name: sum(row.people[name] for row in rows) for name in COLUMNS}
    withheld = {name: sum(row.withheld[name] for row in rows) for name in COLUMNS}
    return Counted(rows[-1].day, rows[0].day, Sums(people, withheld))
