"""The rule of one cell."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pyroaring import BitMap64

from reports.privacy.figures import AtLeast, Figure, Period, Subjects, opened
from tracking.ingest.counting import CLOSES_AFTER


class Status(StrEnum):
    OK = "ok"
    SUPPRESSED = "suppressed"
    NOT_OBSERVABLE = "not_observable"


@dataclass(frozen=True, slots=True)
class Cell:
    """What is told of a figure: a number, or the two edges of a bin; None unless the status is ok.

    `rests`: the sizes of its blocks, which are not told; none where it is hidden, or where they are lower bounds.
    """

    value: Any
    status: Status
    rests: tuple[int, ...] = field(default=(), compare=False)


def cell_of(figure: Figure, period: Period, k: int, as_of: datetime) -> Cell:
    """A figure on its own."""
    if (period.ends if figure.final else period.begins) > as_of:
        return Cell(None, Status.NOT_OBSERVABLE)
    number, blocks = opened(figure, k)
    if not tellable(blocks, k, all_closed=closed(period, as_of), apart=figure.apart):
        return Cell(None, Status.SUPPRESSED)
    sure = not any(isinstance(block, AtLeast) for block in blocks)
    rests = tuple(size(block) for block in blocks) if sure else ()
    return Cell(number, Status.OK if number is not None else Status.NOT_OBSERVABLE, rests)


def tellable(blocks: Sequence[Subjects], k: int, *, all_closed: bool, apart: bool = False) -> bool:
    """Whether each block has k subjects, or nobody is in any and nobody will be. `apart`: judged one by one."""
    if apart:
        return all(tellable([block], k, all_closed=all_closed) for block in blocks)
    sizes = [size(block) for block in blocks]
    return k == 1 or min(sizes) >= k or (not any(sizes) and all_closed)


def size(block: Subjects) -> int:
    return block if isinstance(block, int) else len(block)


def closed(period: Period, as_of: datetime) -> bool:
    return period.ends + CLOSES_AFTER <= as_of


def joined(sets: Sequence[Subjects]) -> BitMap64:
    """Raises TypeError where a figure of a summed table has numbers for blocks: nobody could tell their overlap."""
    whole = BitMap64()
    for one in sets:
        if isinstance(one, int):
            raise TypeError("the blocks of a summed table are sets of subjects")
        whole |= one
    return whole


def united(sets: Sequence[Subjects]) -> Subjects:
    """All of them, or of lower bounds the largest: nothing more is sure."""
    bounds = [one for one in sets if isinstance(one, AtLeast)]
    return max(bounds) if len(bounds) == len(sets) else joined(sets)
