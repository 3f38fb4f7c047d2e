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


def pages(rows: QuerySet[Any], *, size: int = PAGE) -> Iterator[list[Any]]:
    """All of it in ORDER, each page a query that begins behind the last one: no page takes longer for being late."""
    ordered, page = rows.order_by(*ORDER), list(rows.order_by(*ORDER)[:size])
    while page:
        yield page
        last = page[-1]
        # The first condition alone bounds the scan of the index.
        page = list(ordered.filter(Q(at__lte=last.at) & (Q(at__lt=last.at) | Q(id__lt=last.id)))[:size])
