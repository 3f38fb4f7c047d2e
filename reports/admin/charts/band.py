"""A line in bands: an estimate with its intervals, and the figures that came; or a median among its quantiles."""

from collections.abc import Sequence
from typing import Any

from reports.admin import words
from reports.admin.charts.shared import (
    Asked,
    Figure,
    Trace,
    colour,
    gaps,
    layout,
    line,
    of_numbers,
    over_time,
    place_of,
    segments,
    standing,
    told,
)
from reports.admin.tables import Answered, Row, rows_of

FILL = "rgba(79, 70, 229, 0.16)"
FLAG = "#b91c1c"


def figure(
    answered: Answered,
    _asked: Asked,
    *,
    middle: str,
    bands: Sequence[tuple[str, str]],
    actual: str | None = None,
    flagged: str | None = None,
    table: str = "data",
) -> Figure:
    """`bands`: the columns of their lower and upper edges, the widest first. `flagged`: a column that is true where the actual
    figure is to be pointed out."""
    rows = rows_of(answered, table)
    key = place_of(rows[0]) if rows else None
    if key is None:
        return {"data": [], "layout": layout()}
    places = [str(row[key]) for row in rows]
    traces = [trace for edges in bands for trace in _band(rows, places, *edges)]
    traces.append(line(rows, places, middle, colour(0)))
    if actual is not None:
        traces.append(line(rows, places, actual, colour(1)))
    if actual is not None and flagged is not None:
        traces += _flags(rows, places, actual, flagged)
    shown = [middle, *([actual] if actual else []), *(edge for edges in bands for edge in edges)]
    shapes, legend = gaps([[standing(row, name) for name in shown] for row in rows])
    axes = {"xaxis": over_time(places), "yaxis": of_numbers(middle)}
    return {"data": traces + legend, "layout": layout(**axes, shapes=shapes)}


def _flags(rows: Sequence[Row], places: Sequence[str], actual: str, flagged: str) -> list[Trace]:
    """By shape and colour, around the points of the line; nothing where no row is flagged."""
    found = [(place, told(row, actual)) for row, place in zip(rows, places, strict=True) if told(row, flagged)]
    if not found:
        return []
    marker = {"symbol": "diamond-open", "size": 14, "color": FLAG, "line": {"width": 3, "color": FLAG}}
    return [
        {
            "type": "scatter", "mode": "markers", "name": words.figure(flagged), "marker": marker,
            "x": [place for place, _ in found], "y": [number for _, number in found],
        }
    ]  # fmt: skip


def _band(rows: Sequence[Row], places: Sequence[str], low: str, high: str) -> list[Trace]:
    """A pair of lines for each run of places at which both edges are told: a fill would bridge what is not."""
    edges = [(told(row, low), told(row, high)) for row in rows]
    traces = []
    for n, (first, last) in enumerate(segments(edges)):
        of = slice(first, last + 1)
        group: dict[str, Any] = {
            "type": "scatter", "mode": "lines", "x": list(places[of]), "line": {"width": 0}, "legendgroup": low,
        }  # fmt: skip
        lower = group | {"y": [edge for edge, _ in edges[of]], "showlegend": False, "name": words.column(low)}
        upper = group | {"y": [edge for _, edge in edges[of]], "name": f"{words.column(low)} – {words.column(high)}"}
        traces += [lower, upper | {"fill": "tonexty", "fillcolor": FILL, "showlegend": n == 0}]
    return traces
