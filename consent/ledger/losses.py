"""What was published of logs and is not there any more: the first leaf of the log that goes on tells it."""

from collections.abc import Iterable
from dataclasses import dataclass

from consent.ledger import checkpoints, log
from consent.ledger.checkpoints import Head
from consent.ledger.leaves import LeafType
from consent.ledger.models import LogOrigin, LogStatement


@dataclass(frozen=True)
class Lost:
    """`note`: the largest checkpoint that was published of a log; `held`: how many leaves of that log there are."""

    note: str
    held: int

    @property
    def head(self) -> Head:
        return checkpoints.read(self.note)


def of(note: str) -> Lost:
    """Raises NotACheckpoint."""
    origin = LogOrigin.objects.filter(name=checkpoints.read(note).origin).first()
    return Lost(note, log.size_of(origin.number) if origin else 0)


def told(origin: LogOrigin) -> list[Head]:
    """The checkpoints that the log's first leaf goes on from, and has nothing more of."""
    said = LogStatement.objects.filter(origin=origin.number, index=0, type=LeafType.ORIGIN).first()
    if said is None:
        return []
    return [checkpoints.read(one["previous"]) for one in (said.content, *said.content.get("earlier", ()))]


def untold(notes: Iterable[str]) -> list[Lost]:
    """Of each log, by its name, of which other leaves were published than there are, and no log that is there tells it: as after a
    second loss, to a backup from before the first was told. Raises NotACheckpoint."""
    largest: dict[str, tuple[int, str]] = {}
    for note in notes:
        head = checkpoints.read(note)
        largest[head.origin] = max(largest.get(head.origin, (-1, "")), (head.size, note))
    known = {origin.name: origin for origin in LogOrigin.objects.all()}
    before = [head for origin in known.values() for head in told(origin)]
    return [
        of(note)
        for name, (size, note) in sorted(largest.items())
        if not (name in known and log.root_at(known[name].number, size) == checkpoints.read(note).root)
        and not any(head.origin == name and head.size >= size for head in before)
    ]
