"""Whether a figure that was told may be told anew: where at least k distinct subjects have joined or left it since.

Who joined or left is known to nobody: what is kept of a line is what was told and, beside each figure, how large its blocks
were. Where a block's size differs by n, n subjects at least have joined or left it; that many may have and more, and where
sizes are equal nothing is sure. So a line is revised as a whole, and only if
- each block of each of its figures is as large as before or differs by k at least, and
- each figure that reads differently has a block that does.
Nothing of a hidden figure is kept, not even how small it was; so a line with a hidden one before or after stays, and so does one
whose rows are others. A line without a row rests on nobody. To stay is always safe.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from reports.privacy.cells import Cell, Status
from reports.privacy.dimensions import ReleasedRow
from reports.privacy.released import Line

Figure = tuple[Any, Status | None, tuple[int, ...]]
"""Value, status, and the sizes of the blocks; without a status it is in no row."""


class Kept(msgspec.Struct, array_like=True, frozen=True):
    """A row as it is kept. `table`: empty where it is the line's own; `keys`: beside the line's own."""

    table: str
    keys: Mapping[str, Any]
    figures: Mapping[str, Figure]


_decoder = msgspec.json.Decoder(list[Kept])


def kept(line: Line) -> str:
    """As JSON."""
    rows = []
    for table, row in line.rows:
        keys = {name: value for name, value in row.keys.items() if name not in line.keys} if line.keys else row.keys
        figures = {name: (cell.value, cell.status, cell.rests) for name, cell in row.cells.items()}
        rows.append(Kept("" if table == line.table else table, keys, figures))
    return msgspec.json.encode(rows).decode()


def told(line: Line, text: str) -> Line:
    """The line with the rows that are kept of it."""
    closed = line.rows[0][1].closed if line.rows else True
    rows = []
    for row in _decoder.decode(text):
        cells = {
            name: Cell(_plain(value), status, rests) for name, (value, status, rests) in row.figures.items() if status
        }
        rows.append((row.table or line.table, ReleasedRow({**line.keys, **row.keys}, cells, closed)))
    return replace(line, rows=rows, withheld=False)


def may_be_revised(before: str, after: str, k: int) -> bool:
    """Whether a line reads differently now, and by k subjects wherever it does."""
    old, new = _figures(before), _figures(after)
    if old and new and old.keys() != new.keys():
        return False
    pairs = [_pair(old.get(name), new.get(name)) for name in {**old, **new}]
    return all(_by_enough(*pair, k) for pair in pairs) and any(one[:2] != other[:2] for one, other in pairs)


def _by_enough(one: Figure, other: Figure, k: int) -> bool:
    if Status.SUPPRESSED in (one[1], other[1]) or len(one[2]) != len(other[2]):
        return False
    differences = [abs(before - after) for before, after in zip(one[2], other[2], strict=True)]
    if any(0 < difference < k for difference in differences):
        return False
    return one[:2] == other[:2] or any(differences)


def _figures(text: str) -> dict[tuple[str, str, str], Figure]:
    """By table, row and name."""
    return {
        (row.table, msgspec.json.encode(row.keys).decode(), name): figure
        for row in _decoder.decode(text)
        for name, figure in row.figures.items()
    }


def _pair(one: Figure | None, other: Figure | None) -> tuple[Figure, Figure]:
    """A figure that is in no row has blocks of nobody."""
    return one or _nobody(other), other or _nobody(one)


def _nobody(like: Figure | None) -> Figure:
    return None, None, (0,) * len(like[2] if like else ())


def _plain(value: Any) -> Any:
    """JSON has no tuples, as which the edges of a bin are told."""
    return tuple(value) if isinstance(value, list) else value
