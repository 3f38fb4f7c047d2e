"""A released answer as tables to read: the figures as REST tells them, and in their place why one is not told."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext

from reports.admin import words
from reports.api.rendering import LINKS, TABLES

OK, SUPPRESSED, NOT_OBSERVABLE = "ok", "suppressed", "not_observable"
MARKS = {SUPPRESSED: "✱", NOT_OBSERVABLE: "–"}
"""What stands where a figure is not told; a page's legend says what they mean."""

RATES = {
    "bounce_rate",
    "coverage",
    "conversion",
    "conversion_from_first",
    "conversion_from_previous",
    "exit_rate",
    "share",
    "share_of_change",
    "skill",
    "stickiness",
    "weight_after",
    "weight_before",
}
"""Parts of one, shown as percentages."""

_SAID = {"calendar", "dimension", "reason"}
"""Keys whose values are words of ours."""
_UNSAID = {"holiday", "reason"}
"""Keys that most rows do not have."""
_ASIDE = {"status", "values", "closed", "size_status"}
HEATS = 5
LONG = 24

Answered = Mapping[str, Any]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """`status` is empty for what is no figure; `value`: the figure as REST tells it; `between`: the edges of its bin, where both are."""

    text: str
    status: str = ""
    value: str = ""
    between: str = ""
    heat: int | None = None


@dataclass(frozen=True)
class Line:
    cells: Sequence[Cell]
    closed: bool


@dataclass(frozen=True)
class Column:
    name: str
    title: str
    figure: bool


@dataclass(frozen=True)
class Table:
    name: str
    title: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    more: int
    """How many lines are left out."""
    folded: bool = False


@dataclass(frozen=True)
class Total:
    title: str
    cell: Cell


def rows_of(answered: Answered, table: str) -> Sequence[Row]:
    """The rows of a table; empty where the answer has none of that name."""
    data = answered.get("data")
    found = data.get(table) if isinstance(data, Mapping) else answered.get(table)
    return found or ()


def names(answered: Answered) -> list[str]:
    """The answer's tables, in the order of their telling."""
    data = answered.get("data")
    return (
        [LINKS, *(name for name in data if name != LINKS)]
        if isinstance(data, Mapping)
        else [name for name in TABLES if name in answered]
    )


def tables(answered: Answered, *, shown: int, heat: Sequence[str] = ()) -> list[Table]:
    """`shown`: lines a table has at most; `heat`: columns whose cells are shaded by how large they are in the column.

    A long table is folded, unless it is the first.
    """
    first, *others = [_table(name, rows_of(answered, name), shown, heat) for name in names(answered)]
    return [first, *(replace(one, folded=len(one.lines) > LONG) for one in others)]


def totals(answered: Answered, among: Collection[str] | None = None) -> list[Total]:
    """The figures beside the tables, of the whole range; only those named where some are."""
    return [
        Total(words.column(name), _figure(name, answered[name], status, None))
        for name, status in answered["status"].items()
        if not name.endswith("_bin") and name != "withdrawn_subjects" and (among is None or name in among)
    ]


def withdrawn(answered: Answered) -> Cell:
    """How many subjects withdrew in the range, and so are missing."""
    return _figure("", answered["withdrawn_subjects"], answered["status"]["withdrawn_subjects"], None)


def statuses(row: Row) -> Mapping[str, str]:
    """By column, of figures only."""
    if "values" not in row:
        return dict(row["status"])
    periods = {f"period_{n}": status for n, status in enumerate(row["status"])}
    return {"size": row["size_status"], **periods}


def figure_of(row: Row, name: str) -> Any:
    """The number of a cell of the row; None where it is not told."""
    if "values" in row and name.startswith("period_"):
        return row["values"][int(name.removeprefix("period_"))]
    return row.get(name)


def key_text(row: Row, name: str) -> str:
    """What a row is about, as it is shown: a value, all others together, or that it was not given."""
    if row.get(f"{name}_other"):
        return gettext("(others)")
    found = row.get(name)
    if found is None:
        return "" if name in _UNSAID else gettext("(none)")
    if isinstance(found, bool):
        return _yes_or_no(found)
    return words.value(str(found)) if name in _SAID else str(found)


def key_of(row: Row, name: str) -> tuple[Any, bool]:
    """What tells one value from another: the text of a real one may be that of all others together."""
    return row.get(name), bool(row.get(f"{name}_other"))


def _yes_or_no(said: bool) -> str:
    return gettext("yes") if said else gettext("no")


def keys_of(row: Row) -> list[str]:
    told = statuses(row)
    return [name for name in row if name not in _ASIDE and name not in told and not name.endswith(("_other", "_bin"))]


def _figures_of(row: Row) -> list[str]:
    return [name for name in statuses(row) if not name.endswith("_bin")]


def _table(name: str, rows: Sequence[Row], shown: int, heat: Sequence[str]) -> Table:
    keys, figures = (keys_of(rows[0]), _widest(rows)) if rows else ([], [])
    columns = [Column(key, words.column(key), figure=False) for key in keys]
    columns += [Column(figure, words.figure(figure), figure=True) for figure in figures]
    most = {figure: _most(rows, figure) for figure in figures if figure in heat}
    lines = [Line([*_keys(row, keys), *_cells(row, figures, most)], row["closed"]) for row in rows[:shown]]
    return Table(name, words.table(name), columns, lines, max(0, len(rows) - shown))


def _widest(rows: Sequence[Row]) -> list[str]:
    """Cohorts may differ in their number of periods."""
    return max((_figures_of(row) for row in rows), key=len)


def _most(rows: Sequence[Row], name: str) -> float:
    return max((figure_of(row, name) or 0 for row in rows), default=0)


def _keys(row: Row, keys: Sequence[str]) -> Iterator[Cell]:
    for name in keys:
        yield Cell(key_text(row, name))


def _cells(row: Row, names: Sequence[str], most: Mapping[str, float]) -> Iterator[Cell]:
    told = statuses(row)
    for name in names:
        if name in told:
            yield _figure(name, figure_of(row, name), told[name], row.get(f"{name}_bin"), most.get(name))
        else:
            yield Cell("")


def _figure(name: str, number: Any, status: str, edges: Any, most: float | None = None) -> Cell:
    if status != OK:
        return Cell(MARKS[status], status)
    heat = round((HEATS - 1) * number / most) if most else None
    if edges and edges[1] is None:
        return Cell(f"≥ {shown_number(name, number)}", status, str(number), heat=heat)
    between = f"({edges[0]:g}–{edges[1]:g})" if edges else ""
    return Cell(shown_number(name, number), status, str(number), between, heat)


def shown_number(name: str, number: float | str) -> str:
    """Thousands apart, parts of one as percentages; the same in every language. What is no number is said in words."""
    if isinstance(number, bool):
        return _yes_or_no(number)
    if isinstance(number, str):
        return words.value(number)
    if name in RATES:
        return percent(number)
    return f"{int(number):,}" if number == int(number) else f"{number:,}"


def percent(number: float) -> str:
    return f"{round(100 * number, 2):g}%"
