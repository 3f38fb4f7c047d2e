"""The rule of one cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reports.privacy.figures import Figure, Period, Subjects, Sum, opened
from tracking.ingest.counting import CLOSES_AFTER


class Status(StrEnum):
    OK = "ok"
    SUPPRESSED = "suppressed"
    NOT_OBSERVABLE = "not_observable"


@dataclass(frozen=True, slots=True)
class Cell:
    """What is told of a figure; the value is None unless the status is ok."""

    value: float | None
    status: Status


def cell_of(figure: Figure, period: Period, k: int, as_of: datetime) -> Cell:
    """A figure on its own."""
    if period.begins > as_of:
        return Cell(None, Status.NOT_OBSERVABLE)
    number, blocks = opened(figure)
    if not rests(figure, blocks, k, all_closed=closed(period, as_of)):
        return Cell(None, Status.SUPPRESSED)
    return Cell(number, Status.OK if number is not None else Status.NOT_OBSERVABLE)


def rests(figure: Figure, blocks: Sequence[Subjects], k: int, *, all_closed: bool) -> bool:
    """Whether a figure may be told of these blocks: a sum by each of them alone."""
    together = [[block] for block in blocks] if isinstance(figure, Sum) else [blocks]
    return all(tellable(some, k, all_closed=all_closed) for some in together)


def tellable(blocks: Sequence[Subjects], k: int, *, all_closed: bool) -> bool:
    """Whether each block has k subjects, or nobody is in any and nobody will be."""
    sizes = [size(block) for block in blocks]
    return k == 1 or min(sizes) >= k or (not any(sizes) and all_closed)


def size(block: Subjects) -> int:
    return block if isinstance(block, int) else len(block)


def closed(period: Period, as_of: datetime) -> bool:
    return period.ends + CLOSES_AFTER <= as_of
