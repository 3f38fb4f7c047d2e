"""Bars side by side in length, a line each: the rows of a table, or figures beside the tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports.admin import words
from reports.admin.charts.shared import BAR, Asked, Figure, colour, layout, marked, of_numbers, plain, told
from reports.admin.tables import Answered, key_text, rows_of

MOST = 20


def figure(
    answered: Answered,
    _asked: Asked,
    *,
    label: Sequence[str],
    column: str,
    table: str = "data",
    where: Mapping[str, str] | None = None,
) -> Figure:
    """A bar for a row, named by its keys `label`, as long as `column`; of the rows that have the values `where`."""
    rows = [
        row for row in rows_of(answered, table) if all(row.get(name) == value for name, value in (where or {}).items())
    ][:MOST]
    titles = [marked(plain(" · ".join(key_text(row, name) for name in label)), row, column) for row in rows]
    return _bars(titles, [told(row, column) for row in rows], words.column(column), column)


def totals(answered: Answered, _asked: Asked, *, names: Sequence[str]) -> Figure:
    """A bar for each of the answer's own figures."""
    row = {"status": answered["status"], **{name: answered[name] for name in names}}
    titles = [marked(words.column(name), row, name) for name in names]
    return _bars(titles, [told(row, name) for name in names], "", *names[:1])


def _bars(titles: Sequence[str], numbers: Sequence[Any], title: str, *columns: str) -> Figure:
    """By place rather than by title: two titles may be cut to the same."""
    trace = {
        "type": "bar",
        "orientation": "h",
        "name": title,
        "x": list(numbers),
        "y": list(range(len(titles))),
        "text": [None if number is None else f"{number:,}" for number in numbers],
        "textposition": "auto",
        "hoverinfo": "x",
        "marker": {"color": colour(0)},
    }
    places = {"tickmode": "array", "tickvals": trace["y"], "ticktext": list(titles), "autorange": "reversed"}
    return {
        "data": [trace],
        "layout": layout(
            height=64 + BAR * max(len(titles), 2),
            xaxis=of_numbers(*columns),
            yaxis=places | {"automargin": True},
            showlegend=False,
            hovermode="closest",
        ),
    }
