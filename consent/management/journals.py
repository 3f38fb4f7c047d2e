"""The journals that a command is told of, or this machine's own."""

from collections.abc import Collection
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from consent.journal import files
from consent.journal.files import Kept


def places_argument(parser: CommandParser) -> None:
    parser.add_argument(
        "--from",
        dest="places",
        action="append",
        type=Path,
        metavar="PATH",
        help="a folder of journal files, or a file of lines that a webhook's receiver kept; may be given for each machine (default:"
        " ZHIQING_JOURNAL_DIR)",
    )


def unnamed(missing: Collection[str]) -> str:
    """What to do where journals are not among those that were given."""
    return (
        f"the journal of {', '.join(sorted(missing))} is not given: each folder has its name in the file `writer`; name every"
        " machine's by --from. Where one has nothing since the backup, as that of a machine that was gone by then, say"
        " --without and its name to replay_journal"
    )


NOT_GIVEN = "a receiver keeps the journal, and nothing of it is given: how far ids were before is in it alone. Name the file of its lines by --from"


def not_given(journals: Collection[Kept]) -> bool:
    """Whether the journal that tells of earlier epochs is a receiver's, and none of it was read: ids would be given out twice."""
    return settings.ZHIQING_JOURNAL_URL is not None and not any(kept.entries for kept in journals)


def read_places(places: list[Path] | None) -> dict[Path, Kept]:
    """Each place has a chain of its own. Raises CommandError."""
    if places is None:
        own: Path | None = settings.ZHIQING_JOURNAL_DIR
        places = [own] if own is not None and own.is_dir() else []
    found = {}
    for place in places:
        try:
            found[place] = files.read(place)
        except OSError as error:
            raise CommandError(f"{place}: {error.strerror or 'cannot be read'}") from None
    return found
