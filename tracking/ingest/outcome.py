"""What became of each event of a batch."""

from collections import Counter
from dataclasses import dataclass, field

from tracking.codes import RETRY
from tracking.ingest.parse import Refusal


@dataclass
class Outcome:
    """Per place either a refusal or whether it was stored now (True) or before (False)."""

    event_ids: list[str | None]
    refused: dict[int, Refusal]
    stored: dict[int, bool] = field(default_factory=dict)

    def counts(self) -> Counter[str]:
        """API.md's four counters."""
        return Counter(self.result(place) for place in range(len(self.event_ids)))

    def result(self, place: int) -> str:
        if (refusal := self.refused.get(place)) is not None:
            return "retry" if refusal.code in RETRY else "refused"
        return "stored" if self.stored[place] else "duplicate"
