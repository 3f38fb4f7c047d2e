"""What retention leaves to be counted: a period that begins before it cannot be told of events that are deleted."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from django.db.models import Max, Min

from consent.programs.models import MiniProgram
from reports.privacy.cells import Cell, Status
from reports.privacy.ranges import OF_ANY_REPORT
from reports.privacy.released import Line, Released

NOT_OBSERVABLE = Cell(None, Status.NOT_OBSERVABLE)


def events_left_since(program_id: int, as_of: datetime) -> datetime | None:
    """Before this instant the mini-program had events, or may have, and all are deleted; None where none can be. Under the tenant.

    The longest retention that was told counts from the end of an event's own UTC day (tracking.retention).
    """
    told = MiniProgram.objects.filter(pk=program_id).aggregate(
        began=Min("created_at"), days=Max("noticepurpose__retention_days")
    )
    since = datetime.combine(as_of.astimezone(UTC).date() - timedelta(days=told["days"] or 0), time.min, tzinfo=UTC)
    return since if told["days"] and told["began"] < since else None


def observable(released: Released, since: datetime | None) -> Released:
    """With nothing told of what begins before but that it cannot be: 0 would be a value. What was told of it earlier stands
    (reports.frozen). Withdrawals are counted from consent records, which are kept longer."""
    if since is None:
        return released
    return replace(released, lines=list(_told(released.lines, since)), of_totals=list(_told(released.of_totals, since)))


def _told(lines: Iterable[Line], since: datetime) -> Iterable[Line]:
    for line in lines:
        if line.cell in OF_ANY_REPORT or all(period.begins >= since for period in line.periods):
            yield line
        else:
            rows = [(table, replace(row, cells=dict.fromkeys(row.cells, NOT_OBSERVABLE))) for table, row in line.rows]
            yield replace(line, rows=rows, withheld=False, gone=True)
