"""What a verification finds, and streams of rows to find it in."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db import connection
from psycopg.types.datetime import TimestamptzLoader

PAGE = 10_000
MOST = 1_000
"""Findings of each fault that are kept in words; the others are counted."""


class Fault(StrEnum):
    """What is wrong."""

    ROWS_GONE = "rows_gone"
    ROW_CHANGED = "row_changed"
    TREE_CHANGED = "tree_changed"
    CHECKPOINT_CONTRADICTED = "checkpoint_contradicted"
    CHECKPOINT_NOT_SIGNED = "checkpoint_not_signed"
    CHECKPOINT_GONE = "checkpoint_gone"
    LEAF_GONE = "leaf_gone"
    LEAF_CHANGED = "leaf_changed"
    LEAF_WITHOUT_PLACE = "leaf_without_place"
    RECORD_GONE = "record_gone"
    RECORD_CHANGED = "record_changed"
    RECORD_WITHOUT_LEAF = "record_without_leaf"
    RECORD_NOT_ERASED = "record_not_erased"
    LATE = "late"
    STATEMENT_CHANGED = "statement_changed"
    KEY_NOT_TOLD = "key_not_told"
    STATE_NOT_EXPLAINED = "state_not_explained"
    EVENT_NOT_COVERED = "event_not_covered"


@dataclass(frozen=True)
class Finding:
    """`row` names it, as `log_leaf 1/17`; `told` says what is wrong; `since`: the size of the last checkpoint that held."""

    fault: Fault
    row: str
    told: str
    since: int | None = None


@dataclass
class Findings:
    """In the order they were found."""

    kept: list[Finding] = field(default_factory=list)
    count: int = 0
    _in_words: Counter[Fault] = field(default_factory=Counter)

    def add(self, fault: Fault, row: str, told: str, *, since: int | None = None) -> None:
        self.count += 1
        self._keep(Finding(fault, row, told, since))

    def __iadd__(self, later: "Findings") -> "Findings":
        self.count += later.count
        for finding in later.kept:
            self._keep(finding)
        return self

    def _keep(self, finding: Finding) -> None:
        if self._in_words[finding.fault] < MOST:
            self._in_words[finding.fault] += 1
            self.kept.append(finding)


def readable(column: str) -> str:
    """A column of dates or times, in SQL: one that Python has not (infinity, before year 1, after 9999) is read as the first that it has.
    None of the service's is either."""
    return f"CASE WHEN {column} NOT BETWEEN '0001-01-01' AND '9998-12-31' THEN '0001-01-01' ELSE {column} END"


def streamed(statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Iterator[tuple[Any, ...]]:
    """The rows one after another, two pages of them in memory: the next is fetched while one is used. A transaction must be open."""
    with connection.chunked_cursor() as cursor, ThreadPoolExecutor(1) as thread:
        rows = cursor.cursor
        # Times are most of what is read, and psycopg's own loader reads them several times as fast as Django's.
        rows.adapters.register_loader("timestamptz", TimestamptzLoader)
        cursor.execute(statement, parameters)
        coming = thread.submit(rows.fetchmany, PAGE)
        while page := coming.result():
            coming = thread.submit(rows.fetchmany, PAGE)
            yield from page
