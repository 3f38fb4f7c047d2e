"""A waterfall: from one figure to another, and what each row adds to it or takes away."""

import math
from collections.abc import Sequence

from django.utils.translation import gettext

from reports.admin import words
from reports.admin.charts.shared import Asked, Figure, layout, marked, of_numbers, plain, told
from reports.admin.tables import Answered, Row, key_text, rows_of, shown_number

MORE, LESS, WHOLE = "#0d9488", "#b91c1c", "#6b7280"
MOST = 20


def figure(
    answered: Answered,
    _asked: Asked,
    *,
    label: str,
    column: str,
    first: str | None = None,
    last: str | None = None,
    residual: str | None = None,
    table: str = "data",
) -> Figure:
    """`first`, `last`: the answer's own figures from which and to which the rows' changes lead; told, not summed here:
    a row may be suppressed. `residual`: the one that is left between the rows and them. Of many rows the first are drawn, the
    largest, and the others as one, if all of them are told."""
    rows = rows_of(answered, table)
    ends = {"status": answered["status"], **answered}
    begins = [(marked(words.column(first), ends, first), told(ends, first), "absolute")] if first else []
    steps = [(marked(plain(key_text(row, label)), row, column), told(row, column), "relative") for row in rows[:MOST]]
    steps += _further(rows[MOST:], column)
    if residual is not None and told(ends, residual):
        steps.append((words.column(residual), told(ends, residual), "relative"))
    over = [(marked(words.column(last), ends, last), told(ends, last), "absolute")] if last else []
    drawn = [*begins, *steps, *over]
    trace = {
        "type": "waterfall",
        "x": list(range(len(drawn))),
        "y": [number for _title, number, _measure in drawn],
        "measure": [measure for _title, _number, measure in drawn],
        "text": ["" if number is None else shown_number(column, number) for _title, number, _measure in drawn],
        "textposition": "outside",
        "hoverinfo": "text",
        "increasing": {"marker": {"color": MORE}},
        "decreasing": {"marker": {"color": LESS}},
        "totals": {"marker": {"color": WHOLE}},
    }
    titles = {"tickmode": "array", "tickvals": trace["x"], "ticktext": [title for title, *_rest in drawn]}
    axes = {"xaxis": titles | {"automargin": True}, "yaxis": of_numbers(column) | {"rangemode": "normal"}}
    return {"data": [trace], "layout": layout(**axes, showlegend=False, hovermode="closest")}


def _further(rows: Sequence[Row], column: str) -> list[tuple[str, float | None, str]]:
    if not rows:
        return []
    numbers = [told(row, column) for row in rows]
    title = gettext("%(number)d more") % {"number": len(rows)}
    return [(title, None if None in numbers else math.fsum(numbers), "relative")]
