"""Bodies of the reports call: what is asked, and what is answered."""

import datetime
from typing import Annotated, Any, Literal

import msgspec

from consent.errors import Fault, Invalid

Field = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
StatusOfCell = Literal["ok", "suppressed", "not_observable"]


class Filter(msgspec.Struct, forbid_unknown_fields=True):
    field: Field
    op: Literal["eq", "ne", "in", "gt", "gte", "lt", "lte", "exists"]
    value: Any = None


class ReportAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Inclusive local dates of the mini-program's zone, 400 days at most. Filters, breakdowns and `dp` are to come."""

    from_: datetime.date = msgspec.field(name="from")
    to: datetime.date
    interval: Literal["day", "week", "month"] | None = None
    filters: Annotated[list[Filter], msgspec.Meta(max_length=20)] | None = None
    breakdown: Field | None = None
    privacy: Literal["threshold", "dp"] = "threshold"

    def refuse_unavailable(self) -> None:
        """Raises Invalid: nothing that was asked for is left out in silence."""
        asked = {
            "interval": self.interval not in (None, "day"),
            "filters": bool(self.filters),
            "breakdown": self.breakdown is not None,
            "privacy": self.privacy == "dp",
        }
        faults = [
            Fault(f"{name}_unavailable", _UNAVAILABLE[name], f"/{name}") for name, wanted in asked.items() if wanted
        ]
        if faults:
            raise Invalid(faults[0].code, faults[0].detail, faults)


_UNAVAILABLE = {
    "interval": "this metric answers by day; weeks and months come beside it",
    "filters": "this metric takes no filters yet; leave them out",
    "breakdown": "this metric takes no breakdown yet; leave it out",
    "privacy": "this metric has no dp mode yet; ask for threshold",
}


class Privacy(msgspec.Struct):
    """How the figures were made safe: no cell rests on fewer than `k` subjects."""

    mode: str
    k: int
    suppressed_cells: int


class Date(msgspec.Struct):
    """A cell that is not `ok` in `status` is null. `closed`: 48 h have passed since; otherwise it may still change."""

    date: datetime.date
    dau: int | None
    wau_rolling: int | None
    mau_rolling: int | None
    events: int | None
    sessions: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class Week(msgspec.Struct):
    """Named by its Monday."""

    week: datetime.date
    wau: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class Month(msgspec.Struct):
    """Named by its first day."""

    month: datetime.date
    mau: int | None
    closed: bool
    status: dict[str, StatusOfCell]


class ActivityAnswered(msgspec.Struct):
    """Activity by day, and of the whole weeks and months touched. `revision` grows when a figure told before changes."""

    definition: str
    zone: str
    as_of: datetime.datetime
    revision: int
    privacy: Privacy
    data: list[Date]
    weeks: list[Week]
    months: list[Month]
    withdrawn_subjects: int | None
    status: dict[str, StatusOfCell]
