"""The triangle of a retention: a line a cohort, a cell a period, shaded by the part of the cohort that came back."""

from typing import Any

from reports.admin import words
from reports.admin.charts.shared import BAR, GAPS, Asked, Figure, layout, sign, told
from reports.admin.tables import NOT_OBSERVABLE, OK, SUPPRESSED, Answered, percent, rows_of, statuses

SCALE = [[0, "#eef2ff"], [0.5, "#818cf8"], [1, "#3730a3"]]


def figure(answered: Answered, _asked: Asked, *, table: str = "data") -> Figure:
    rows = rows_of(answered, table)
    periods = [f"period_{n}" for n in range(max((len(row["values"]) for row in rows), default=0))]
    places = {"x": [name.removeprefix("period_") for name in periods], "y": [str(row["cohort"]) for row in rows]}
    parts = [[_part(told(row, "size"), told(row, name)) for name in periods] for row in rows]
    counts = [[told(row, name) for name in periods] for row in rows]
    later = [part for line in parts for part in line[1:] if part is not None]
    shades = {
        "type": "heatmap", **places, "z": parts, "customdata": counts, "xgap": 1, "ygap": 1,
        "text": [["" if part is None else percent(round(part, 3)) for part in line] for line in parts],
        "texttemplate": "%{text}", "hovertemplate": "%{y} · %{x}: %{text} (%{customdata})<extra></extra>",
        "colorscale": SCALE, "zmin": 0, "zmax": max(later, default=1) or 1, "colorbar": {"tickformat": ".0%", "thickness": 12},
    }  # fmt: skip
    return {
        "data": [*_gaps(rows, periods, parts, places), shades],
        "layout": layout(
            height=110 + BAR * max(len(rows), 3),
            hovermode="closest",
            showlegend=True,
            xaxis={"type": "category", "side": "top", "title": {"text": words.option("periods")}, "automargin": True},
            yaxis={"type": "category", "autorange": "reversed", "automargin": True},
            legend={"orientation": "h", "x": 0, "y": 0, "yanchor": "top"},
            margin={"l": 80, "r": 16, "t": 48, "b": 32},
        ),
    }


def _part(size: Any, number: Any) -> float | None:
    return number / size if size and number is not None else None


def _gaps(
    rows: Any, periods: list[str], parts: list[list[float | None]], places: dict[str, Any]
) -> list[dict[str, Any]]:
    """Below the shades: what is suppressed, and what is not observable (where the size is suppressed, so are its parts)."""
    found = []
    for status in (SUPPRESSED, NOT_OBSERVABLE):
        flags = [
            [
                1 if part is None and _status(row, name) == status else None
                for name, part in zip(periods, line, strict=True)
            ]
            for row, line in zip(rows, parts, strict=True)
        ]
        if any(1 in line for line in flags):
            fill = [[0, GAPS[status]], [1, GAPS[status]]]
            drawn = {"type": "heatmap", **places, "z": flags, "colorscale": fill, "showscale": False}
            found += [drawn | {"hoverinfo": "skip", "xgap": 1, "ygap": 1}, sign(status)]
    return found


def _status(row: Any, name: str) -> str:
    status = statuses(row).get(name, NOT_OBSERVABLE)
    return SUPPRESSED if status == OK else status
