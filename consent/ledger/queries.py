"""Reads of the audit log and of the log of accounts: what is looked for, and all of it page by page."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

PAGE = 1000
ORDER = ("-at", "-id")
"""Newest first. By the time it tells: the number of an entry that tells its day only would tell more."""


@dataclass(frozen=True)
class Sought:
    """What entries are looked for; None: any. `since` is part of the window, `until` is not."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def narrowed(rows: QuerySet[Any], sought: Sought, *, target: str = "target") -> QuerySet[Any]:
    """`target`: the column that says what an entry is about."""
    columns = {
        "actor": sought.actor,
        "action": sought.action,
        target: sought.target,
        "at__gte": sought.since,
        "at__lt": sought.until,
    }
    return rows.filter(**{column: value for column, value in columns.items() if value is not None})


def behind(rows: QuerySet[Any], entry: Any) -> QuerySet[Any]:
    """Those that come after it in ORDER. The first condition alone bounds the scan of the index."""
    return rows.filter(Q(at__lte=entry.at) & (Q(at__lt=entry.at) | Q(id__lt=entry.id)))


def cut_at(rows: QuerySet[Any], *, most: int) -> Any:
    """The last entry of so many, in ORDER, where there are more; None where there are not."""
    ends = list(rows.order_by(*ORDER).only("id", "at")[most - 1 : most + 1])
    return ends[0] if len(ends) > 1 else None


def pages(rows: QuerySet[Any], *, most: int, size: int = PAGE) -> Iterator[list[Any]]:
    """So many of it in ORDER, each page a query that begins behind the last one: no page takes longer for being late."""
    left, page = most, list(rows.order_by(*ORDER)[: min(size, most)])
    while page:
        yield page
        left -= len(page)
        page = list(behind(rows, page[-1]).order_by(*ORDER)[: min(size, left)]) if left else []
