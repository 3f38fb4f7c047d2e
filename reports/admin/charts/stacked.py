"""Stacked bars over time: who came, by what brought them, above the line, and who stayed away below it."""

from collections.abc import Sequence

from reports.admin import words
from reports.admin.charts.shared import (
    Asked,
    Figure,
    colour,
    gaps,
    layout,
    of_numbers,
    over_time,
    place_of,
    standing,
    told,
)
from reports.admin.tables import Answered, rows_of


def figure(
    answered: Answered, _asked: Asked, *, columns: Sequence[str], below: Sequence[str] = (), table: str = "data"
) -> Figure:
    """`below`: columns whose bars hang down."""
    rows = rows_of(answered, table)
    key = place_of(rows[0]) if rows else None
    if key is None:
        return {"data": [], "layout": layout()}
    places = [str(row[key]) for row in rows]
    shown = [*columns, *below]
    traces = []
    for n, name in enumerate(shown):
        numbers = [told(row, name) for row in rows]
        sign = -1 if name in below else 1
        traces.append(
            {
                "type": "bar",
                "name": words.column(name),
                "x": places,
                "y": [None if number is None else sign * number for number in numbers],
                "customdata": numbers,
                "hovertemplate": "%{customdata}",
                "marker": {"color": colour(n)},
            }
        )
    shapes, legend = gaps([[standing(row, name) for name in shown] for row in rows])
    axes = {"xaxis": over_time(places), "yaxis": of_numbers()}
    return {"data": traces + legend, "layout": layout(**axes, shapes=shapes, barmode="relative")}
