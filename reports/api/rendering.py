"""Released figures as JSON and CSV. It takes `Released` only: what did not pass the gate has no way out."""

import csv
import io
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from rest_framework.renderers import BaseRenderer

from consent.rights.table import FORMULA
from reports.metrics.registry import Answer
from reports.privacy.cells import Cell
from reports.privacy.cohorts import ReleasedCohort
from reports.privacy.dimensions import ReleasedRow
from reports.privacy.threshold import MODE

TABLES = (
    "data", "weeks", "months", "elements", "load_bands", "previous", "active_days", "day_before", "week_before", "month_before",
    "history", "backtest",
)  # fmt: skip

LINKS = "links"
"""Where there is this table, `data` are all tables together, and it is the one that CSV has."""


def rendered(answer: Answer, *, zone: str, as_of: datetime) -> dict[str, Any]:
    """The API's answer: plain names in each row, `null` where a cell is not told, and `status` saying why per name."""
    released = answer.released
    tables: dict[str, Any] = {name: [_row(row) for row in rows] for name, rows in released.tables.items()}
    if LINKS in tables:
        tables = {"data": tables}
    return {
        "definition": answer.definition,
        "zone": zone,
        "as_of": as_of,
        "revision": answer.revision,
        "privacy": {
            "mode": MODE,
            "k": released.k,
            "suppressed_cells": released.suppressed_cells,
            "range_withheld": released.range_withheld,
        },
        **tables,
        **{name: [_cohort(one) for one in some] for name, some in released.cohorts.items()},
        **_cells(released.totals),
    }


def _row(row: ReleasedRow) -> dict[str, Any]:
    return {**row.keys, "closed": row.closed, **_cells(row.cells)}


def _cohort(cohort: ReleasedCohort) -> dict[str, Any]:
    """The values from period 0 on, and the status of each."""
    return {
        **cohort.keys,
        "size": cohort.size.value,
        "size_status": str(cohort.size.status),
        "values": [cell.value for cell in cohort.values],
        "status": [str(cell.status) for cell in cohort.values],
        "closed": cohort.closed,
    }


def _cells(cells: Mapping[str, Cell]) -> dict[str, Any]:
    told: dict[str, Any] = {name: cell.value for name, cell in cells.items()}
    told["status"] = {name: cell.status for name, cell in cells.items()}
    return told


def about(answered: Mapping[str, Any]) -> str:
    """All but the tables, as one line of ASCII: what a CSV answer carries in the header `Zhiqing-Report`."""
    told = {name: value for name, value in answered.items() if name not in TABLES}
    return json.dumps(msgspec.to_builtins(told))


class CSVRenderer(BaseRenderer):
    """The rows of `data` (RFC 4180): each cell, empty where it is not told, and its status in `<name>_status`.

    A text that a spreadsheet would take for a formula (a sender may name a page `=…`) begins with an apostrophe.
    """

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, context: Any = None) -> str:
        told = data["data"]
        rows = [_flat(row) for row in (told[LINKS] if isinstance(told, dict) else told)]
        written = io.StringIO()
        writer = csv.DictWriter(written, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
        return written.getvalue()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in row.items() if name not in ("status", "values", "closed")}
    statuses = row["status"]
    if "values" in row:
        plain |= {f"period_{n}": value for n, value in enumerate(row["values"])}
        statuses = {f"period_{n}": status for n, status in enumerate(row["status"])}
    statuses = {f"{name}_status": status for name, status in statuses.items()}
    return {**{name: _text(value) for name, value in plain.items()}, "closed": _text(row["closed"]), **statuses}


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return "-".join("" if edge is None else str(edge) for edge in value)
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value
