"""What became of each event of a batch."""

from dataclasses import dataclass, field

from tracking.codes import RETRY
from tracking.ingest.parse import Refusal


@dataclass
class Outcome:
    """Per place either a refusal or whether it was stored now (True) or before (False)."""

    event_ids: list[str | None]
    refused: dict[int, Refusal]
    stored: dict[int, bool] = field(default_factory=dict)

    def results(self) -> list[str]:
        """By place: stored, duplicate, refused or retry."""
        return [self._result(place, self.refused.get(place)) for place in range(len(self.event_ids))]

    def _result(self, place: int, refusal: Refusal | None) -> str:
        if refusal is None:
            return "stored" if self.stored[place] else "duplicate"
        return "retry" if refusal.code in RETRY else "refused"
