"""A funnel: a bar a step, as wide as the subjects who got there; beside each other by the values of a breakdown."""

from typing import Any

from reports.admin import words
from reports.admin.charts.shared import MOST_TRACES, Asked, Figure, colour, layout, marked, plain, told
from reports.admin.tables import Answered, Row, key_of, key_text, percent, rows_of


def figure(answered: Answered, _asked: Asked, *, table: str = "data") -> Figure:
    by_value: dict[tuple[Any, bool], list[Row]] = {}
    for row in rows_of(answered, table):
        by_value.setdefault(key_of(row, "value"), []).append(row)
    largest = sorted(by_value, key=lambda value: -max(told(row, "subjects") or 0 for row in by_value[value]))[
        :MOST_TRACES
    ]
    several = len(by_value) > 1
    steps = max((len(some) for some in by_value.values()), default=0)
    traces = [
        {
            "type": "funnel",
            "name": plain(key_text(by_value[value][0], "value")) if several else words.column("subjects"),
            "y": [_step(row) if several else marked(_step(row), row, "subjects") for row in by_value[value]],
            "x": [told(row, "subjects") for row in by_value[value]],
            "text": [_text(row) for row in by_value[value]],
            "textinfo": "text",
            "textposition": "auto",
            "hoverinfo": "y+name+text",
            "marker": {"color": colour(n)},
            "connector": {"visible": not several},
        }
        for n, value in enumerate(largest)
    ]
    return {
        "data": traces,
        "layout": layout(
            height=100 + (40 + 20 * len(traces)) * max(steps, 2),
            funnelmode="group",
            hovermode="closest",
            showlegend=several,
            yaxis={"type": "category", "automargin": True},
        ),
    }


def _step(row: Row) -> str:
    return f"{row['step']}. {plain(key_text(row, 'event'))}"


def _text(row: Row) -> str:
    """The subjects, and their part of the first step's."""
    subjects, part = told(row, "subjects"), told(row, "conversion_from_first")
    if subjects is None:
        return ""
    return f"{subjects:,}" if part is None else f"{subjects:,} · {percent(part)}"
