"""Lines over time: columns beside each other, one column by the values of a breakdown, or beside the range before."""

from collections.abc import Sequence
from typing import Any

from reports.admin import words
from reports.admin.charts.shared import (
    MOST_TRACES,
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
    plain,
    standing,
    told,
)
from reports.admin.tables import Answered, Row, key_of, key_text, rows_of


def figure(
    answered: Answered,
    _asked: Asked,
    *,
    columns: Sequence[str],
    table: str = "data",
    before: str | None = None,
    split: str | None = None,
) -> Figure:
    """`before`: the table of the range before, whose rows stand at the same places, dashed. `split`: the key by whose
    values the first column is drawn, where the rows have it: the largest ones, as many as can be told apart."""
    rows = rows_of(answered, table)
    key = place_of(rows[0]) if rows else None
    if key is None:
        return {"data": [], "layout": layout()}
    places = list(dict.fromkeys(str(row[key]) for row in rows))
    if split is not None and split in rows[0]:
        columns = columns[:1]
        traces = _split(rows, key, split, columns[0], places)
    else:
        traces = [line(rows, places, name, colour(n)) for n, name in enumerate(columns)]
        if before is not None and (earlier := rows_of(answered, before)):
            traces += _before(earlier, places, columns, words.table(before))
    shapes, legend = gaps([_statuses(rows, key, place, columns) for place in places])
    axes = {"xaxis": over_time(places), "yaxis": of_numbers(*columns)}
    if all(number is None for trace in traces for number in trace["y"]):
        # plotly.js would choose 0 to 4 for no number at all, and call that 400 %.
        axes["yaxis"]["range"] = [0, 1]
    return {"data": traces + legend, "layout": layout(**axes, shapes=shapes, showlegend=len(traces + legend) > 1)}


def _before(rows: Sequence[Row], places: Sequence[str], columns: Sequence[str], title: str) -> list[Trace]:
    return [
        line(rows[: len(places)], places, name, colour(n), name=f"{words.column(name)} · {title}", opacity=0.6)
        | {"line": {"color": colour(n), "width": 2, "dash": "dot"}}
        for n, name in enumerate(columns)
    ]


def _split(rows: Sequence[Row], key: str, split: str, column: str, places: Sequence[str]) -> list[Trace]:
    by_value: dict[tuple[Any, bool], dict[str, Any]] = {}
    titles = {key_of(row, split): key_text(row, split) for row in rows}
    for row in rows:
        by_value.setdefault(key_of(row, split), {})[str(row[key])] = told(row, column)
    sizes = {value: sum(number or 0 for number in some.values()) for value, some in by_value.items()}
    largest = sorted(by_value, key=lambda value: -sizes[value])[:MOST_TRACES]
    return [
        line([], places, column, colour(n), name=plain(titles[value]))
        | {"y": [by_value[value].get(place) for place in places]}
        for n, value in enumerate(largest)
    ]


def _statuses(rows: Sequence[Row], key: str, place: str, columns: Sequence[str]) -> list[str]:
    return [standing(row, column) for row in rows if str(row[key]) == place for column in columns]
