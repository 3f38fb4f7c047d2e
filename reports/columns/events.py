"""Events as arrays of equal length, one for each thing that is asked of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]
Column = Numbers | Floats
Flags = NDArray[np.bool_]

DAY_ZERO = date(2000, 1, 1)
"""Days are numbered from it on."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since 2000-01-01 UTC, exactly: PostgreSQL's own count."""
    return (moment - _EPOCH) // _MICROSECOND


def span(length: timedelta) -> int:
    """The same of a distance."""
    return length // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Events:
    """In the order of `subject`, `at` (corrected_at, see `micros`) and event id, unless said otherwise; nobody's are in two.

    Further columns, where asked for: `type` and `page` (ids; 0: no page), `session` (a hash of 64 bits of the client's
    session_id, 0: none, which tells the sessions of one subject apart), `dwell` (ms, -1: none), `scroll` and `load` (numbers
    of the properties scroll_depth and load_ms, NaN: none), `element`, `scene`, `os`, `app_version` and `value` (Reading.texts; 0:
    none).
    """

    columns: Mapping[str, Column]

    @property
    def subject(self) -> Numbers:
        return self._ids("subject")

    @property
    def at(self) -> Numbers:
        return self._ids("at")

    def __getitem__(self, name: str) -> Any:
        """A column, as an array."""
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.columns["subject"])

    def take(self, which: Numbers | Flags) -> "Events":
        """Some of them, by their places in the order of these or by a flag for each."""
        return Events({name: column[which] for name, column in self.columns.items()})

    def _ids(self, name: str) -> Numbers:
        return self[name]  # type: ignore[no-any-return]
