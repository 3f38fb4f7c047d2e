"""The gate of a funnel: a table whose rows are steps, each among the subjects of the one before.

A funnel, or each value of its breakdown, is judged as a row of a dimension whose columns are the steps
(reports.privacy.dimensions): small values merge before anything is counted, and a step that is hidden in one value hides
it in others until together they rest on k. A step's own blocks (who got there, who of the first did not, who was lost
since the one before) come from the metric.

What is told beside the number of a step adds nothing to it: its times only where it is told, and a conversion, made here of
two told numbers, only where both are.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from reports.privacy.cells import Cell, Status, cell_of, closed
from reports.privacy.dimensions import SUPPRESSED, ReleasedRow, judged
from reports.privacy.figures import Steps, parted_by


def released_steps(steps: Steps, k: int, as_of: datetime) -> Iterator[ReleasedRow]:
    """By value, by step."""
    dimension = steps.dimension
    over = closed(dimension.period, as_of)
    for keys, cells in _lines(steps, k, as_of):
        for n, of_step in enumerate(steps.keys, start=1):
            yield ReleasedRow({**dimension.keys, **keys, **of_step}, _step(cells, n), over)


def _lines(steps: Steps, k: int, as_of: datetime) -> Iterator[tuple[Mapping[str, object], Mapping[str, Cell]]]:
    rows = judged(steps.dimension, k, as_of)
    for row in rows:
        yield (row.part.keys(steps.dimension.name) if steps.split else {}), row.cells
    if not rows and not steps.split:
        figures = parted_by(steps).figures()
        yield {}, {name: cell_of(figure, steps.dimension.period, k, as_of) for name, figure in figures.items()}


def _step(cells: Mapping[str, Cell], n: int) -> dict[str, Cell]:
    own = {name.removesuffix(f"/{n}"): cell for name, cell in cells.items() if name.endswith(f"/{n}")}
    subjects = own.pop("subjects")
    if subjects.status is not Status.OK:
        own = dict.fromkeys(own, subjects)
    return {
        "subjects": subjects,
        "conversion_from_first": _ratio(subjects, cells["subjects/1"]),
        "conversion_from_previous": _ratio(subjects, cells[f"subjects/{n - 1}"]) if n > 1 else NONE,
        **own,
    }


NONE = Cell(None, Status.NOT_OBSERVABLE)


def _ratio(part: Cell, whole: Cell) -> Cell:
    """Of two told numbers, to four places; not defined over nobody."""
    if Status.SUPPRESSED in (part.status, whole.status):
        return SUPPRESSED
    if part.value is None or not whole.value:
        return NONE
    return Cell(round(part.value / whole.value, 4), Status.OK, part.rests + whole.rests)
