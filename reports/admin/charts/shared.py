"""What the kinds of charts have in common: colours, axes, texts that are only texts, and how a gap is shown."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from django.utils.translation import gettext

from reports.admin import words
from reports.admin.tables import MARKS, NOT_OBSERVABLE, OK, RATES, SUPPRESSED, Row, figure_of, statuses

Figure = dict[str, Any]
Trace = dict[str, Any]
Asked = Mapping[str, Any]

COLOURS = ("#4f46e5", "#0d9488", "#d97706", "#db2777", "#0284c7", "#65a30d", "#7c3aed", "#b91c1c")
GREY, PALE = "#9ca3af", "#e5e7eb"
OPEN = "open"
"""Beside a cell's statuses: of a quantile only a lower bound is told, which is no point to draw."""
GAPS = {
    SUPPRESSED: "rgba(156, 163, 175, 0.35)",
    NOT_OBSERVABLE: "rgba(156, 163, 175, 0.12)",
    OPEN: "rgba(217, 119, 6, 0.12)",
}
HEIGHT, BAR = 360, 30
LABEL = 32
MOST_TRACES = 8


def colour(n: int) -> str:
    return COLOURS[n % len(COLOURS)]


def layout(**more: Any) -> dict[str, Any]:
    """The same for every chart; its colours and letters come from the page (reports/charts.js)."""
    return {
        "height": HEIGHT,
        "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "separators": ".,",
        "legend": {"orientation": "h", "x": 0, "y": -0.18, "yanchor": "top"},
        "hovermode": "x unified",
    } | more


def over_time(places: Sequence[str]) -> dict[str, Any]:
    """An axis of dates, weeks or months; as categories, which read the same in every language."""
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": list(places),
        "nticks": 6,
        "tickangle": 0,
        "automargin": True,
    }


def of_numbers(*columns: str) -> dict[str, Any]:
    """An axis from 0 on; in per cent where all columns are parts of one."""
    rates = bool(columns) and set(columns) <= RATES
    return {"rangemode": "tozero", "automargin": True, "separatethousands": True} | (
        {"tickformat": ".1~%"} if rates else {}
    )


def plain(text: str) -> str:
    """A text as one: a sender may name a page `<a href=…>`, and plotly.js draws such as links."""
    short = text if len(text) <= LABEL else f"{text[: LABEL // 2 - 1]}…{text[-LABEL // 2 :]}"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def told(row: Row, column: str) -> Any:
    """The number, or None for a gap."""
    return figure_of(row, column) if standing(row, column) == OK else None


def line(rows: Sequence[Row], places: Sequence[str], column: str, drawn: str, **more: Any) -> Trace:
    """A column over time, in a colour."""
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": words.figure(column),
        "x": list(places),
        "y": [told(row, column) for row in rows],
        "line": {"color": drawn, "width": 2},
        "marker": {"size": 5},
    } | more


def standing(row: Row, column: str) -> str:
    """The status of a cell, or OPEN; not observable where the row has no such cell."""
    status = statuses(row).get(column, NOT_OBSERVABLE)
    edges = row.get(f"{column}_bin")
    return OPEN if status == OK and edges and edges[1] is None else status


def marked(text: str, row: Row, column: str) -> str:
    """A label with the sign of its figure's status, where the figure is not told."""
    sign = MARKS.get(statuses(row).get(column, ""), "")
    return f"{text} {sign}".rstrip()


def place_of(row: Row) -> str | None:
    """The name of what a row is one of in time: date, week or month."""
    return next((name for name in ("date", "week", "month") if row.get(name) is not None), None)


def named(status: str) -> str:
    if status == OPEN:
        return f"≥ {gettext('a lower bound only')}"
    return f"{MARKS[status]} {gettext('suppressed') if status == SUPPRESSED else gettext('not observable')}"


def gaps(by_place: Sequence[Sequence[str]]) -> tuple[list[dict[str, Any]], list[Trace]]:
    """Bands of shade where a figure is a gap, and their entries in the legend; `by_place`: what stands there."""
    shapes, legend = [], []
    for status, fill in GAPS.items():
        found = list(_runs([status in statuses for statuses in by_place]))
        shapes += [
            {
                "type": "rect", "xref": "x", "yref": "paper", "layer": "below", "line": {"width": 0}, "fillcolor": fill,
                "x0": first - 0.5, "x1": last + 0.5, "y0": 0, "y1": 1,
            }
            for first, last in found
        ]  # fmt: skip
        if found:
            legend.append(sign(status))
    return shapes, legend


def sign(status: str) -> Trace:
    """An entry of the legend that draws nothing."""
    marker = {"symbol": "square", "size": 12, "color": GAPS[status], "line": {"width": 1, "color": GREY}}
    return {"type": "scatter", "mode": "markers", "x": [None], "y": [None], "name": named(status), "marker": marker}


def _runs(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """(first, last) of each run of set flags."""
    for flag, run in groupby(enumerate(flags), key=lambda one: one[1]):
        if flag:
            found = [place for place, _ in run]
            yield found[0], found[-1]


def segments(numbers: Sequence[tuple[float | None, ...]]) -> Iterator[tuple[int, int]]:
    """(first, last) of each run of places at which all numbers are told."""
    return _runs([None not in some for some in numbers])
