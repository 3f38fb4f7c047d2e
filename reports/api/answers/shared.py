"""What every report answers beside its tables."""

import datetime
from typing import Literal

import msgspec

StatusOfCell = Literal["ok", "suppressed", "not_observable"]
Edges = tuple[float, float | None]
"""Of the bin that a quantile lies in; null: open."""


class Privacy(msgspec.Struct):
    """How the figures were made safe: no cell rests on fewer than `k` subjects.

    `range_withheld`: the tables of the whole range are not told, since it and another would leave few people between their
    ends; ranges of whole months with k subjects are told.
    """

    mode: str
    k: int
    suppressed_cells: int
    range_withheld: bool


class Answered(msgspec.Struct, kw_only=True):
    """What every answer tells beside its tables. `revision` grows when a figure told before changes."""

    definition: str
    zone: str
    as_of: datetime.datetime
    revision: int
    privacy: Privacy
    withdrawn_subjects: int | None
    status: dict[str, StatusOfCell]
