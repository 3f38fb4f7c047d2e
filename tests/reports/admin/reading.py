"""What a report's page says: its tables with the status and the figure of each cell, and its charts' data."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

Cells = list[tuple[str, str]]


@dataclass
class Read(HTMLParser):
    """`figures`: table -> row -> (status, figure as REST tells it, or the sign in its place); `heads`: table -> titles."""

    figures: dict[str, list[Cells]] = field(default_factory=dict)
    heads: dict[str, list[str]] = field(default_factory=dict)
    charts: list[Any] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    """By id, of elements that have text alone."""

    def __post_init__(self) -> None:
        super().__init__()
        self._table = self._status = self._value = self._text = self._id = ""
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        told = dict(attrs)
        if tag == "table" and str(told.get("id")).startswith("table-"):
            self._table = told["id"].removeprefix("table-")
            self.figures[self._table], self.heads[self._table] = [], []
        elif tag == "tr" and self._table:
            self.figures[self._table].append([])
        elif tag == "data":
            self._value = told["value"]
        if tag in ("td", "th", "script"):
            self._inside, self._status, self._text, self._value = tag, told.get("data-status", ""), "", ""
        if told.get("id"):
            self._id = told["id"]
            self.texts[self._id] = ""

    def handle_data(self, data: str) -> None:
        self._text += data
        if self._id:
            self.texts[self._id] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "th" and self._table:
            self.heads[self._table].append(self._text.strip())
        elif tag == "td" and self._table and self._status:
            self.figures[self._table][-1].append((self._status, self._value or self._text.strip()))
        elif tag == "table":
            self._table = ""
        elif tag == "script" and self._id.startswith("chart-"):
            self.charts.append(json.loads(self._text))
        self._id = ""


def read(page: str) -> Read:
    found = Read()
    found.feed(page)
    found.figures = {table: [row for row in rows if row] for table, rows in found.figures.items()}
    return found


SIGNS = {"suppressed": "✱", "not_observable": "–"}


def told(answer: dict[str, Any]) -> dict[str, list[Cells]]:
    """The same of REST's answer."""
    data = answer["data"]
    parts = data if isinstance(data, dict) else {name: rows for name, rows in answer.items() if _is_table(rows)}
    return {name: [_row(row) for row in rows] for name, rows in parts.items() if rows}


def _is_table(rows: Any) -> bool:
    return isinstance(rows, list) and bool(rows) and isinstance(rows[0], dict) and "closed" in rows[0]


def _row(row: dict[str, Any]) -> Cells:
    if "values" in row:
        pairs = [(row["size_status"], row["size"]), *zip(row["status"], row["values"], strict=True)]
    else:
        pairs = [(status, row[name]) for name, status in row["status"].items() if not name.endswith("_bin")]
    return [(status, str(value) if status == "ok" else SIGNS[status]) for status, value in pairs]
