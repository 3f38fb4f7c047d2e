"""Carries out again what was acknowledged since the backup that was restored, and opens the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import ProgrammingError, connection, transaction

from consent import edge
from consent.journal import files, plan, service, writing
from consent.journal.files import Kept
from consent.management.base import OperatorCommand
from consent.programs.models import MiniProgram
from consent.programs.tenancy import without_tenant
from consent.rights import replay
from consent.rights.replay import Replayed


@dataclass(frozen=True)
class _Read:
    kept: Kept
    complete: bool


class Command(OperatorCommand):
    help = (
        "After a restore: withdraw, restrict, object and erase what was acknowledged since the backup, have no id given out"
        " twice, and answer calls again. Run it as the worker (ZHIQING_ROLE=worker), which then goes on with the erasures."
        " It may be killed and run again; where nothing was restored it changes nothing. It exits 1, and calls stay"
        " refused, where the journal is not complete or something could not be carried out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
        parser.add_argument(
            "--from",
            dest="places",
            action="append",
            type=Path,
            metavar="PATH",
            help="a folder of journal files, or a file of lines that a webhook's receiver kept; may be given for each"
            " machine (default: ZHIQING_JOURNAL_DIR)",
        )
        parser.add_argument(
            "--incomplete",
            action="store_true",
            help="go on without a complete journal: every consent then has to be asked for anew",
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        if settings.ROLE != "worker":
            raise CommandError("run this with ZHIQING_ROLE=worker: only the worker may put the database in service")
        required = service.looked()
        found = _read(options["places"])
        if required and not found.complete and not options["incomplete"]:
            raise CommandError(_missing(found.kept))
        incomplete = required and not found.complete
        with without_tenant():
            programs = list(MiniProgram.objects.order_by("id").values_list("id", flat=True))
        renewed = 0
        if incomplete and not options["dry_run"]:
            # Before the numbers move on: whoever goes on after this was killed is told again that the journal lacks something.
            renewed = sum(map(replay.require_renewal, programs))
        if required and not options["dry_run"]:
            _begin(found.kept)
        replayed = replay.replay(
            vault=edge.vault(),
            program_ids=programs,
            wanted=plan.wanted(found.kept.entries),
            terms=edge.terms(limited=False),
            dry_run=options["dry_run"],
        )
        if incomplete:
            replayed.done["consents to be asked for anew"] = renewed
        if not replayed.failed and not options["dry_run"]:
            with transaction.atomic():
                service.open_again()
        self._tell(options, found, replayed, required)

    def _tell(self, options: dict[str, Any], found: _Read, replayed: Replayed, required: bool) -> None:
        result = {
            "dry_run": options["dry_run"],
            "replay_required": required,
            "complete": found.complete,
            "entries": len(found.kept.entries),
            "torn": found.kept.torn,
            "done": dict(replayed.done),
            "unknown": replayed.unknown,
            "failed": dict(replayed.failed),
        }
        lines = [f"{number:>9}  {what}" for what, number in sorted(replayed.done.items())]
        opened = "nothing was changed" if options["dry_run"] else "calls are answered"
        self.answer(
            options,
            result,
            *lines,
            then=(
                f"{len(found.kept.entries)} entries read; {replayed.unknown} people of theirs are not in this database",
                opened if not replayed.failed else "calls stay refused",
            ),
        )
        if replayed.failed:
            told = ", ".join(f"{code} ({number})" for code, number in sorted(replayed.failed.items()))
            raise CommandError(f"not everything could be carried out: {told}; put that right and run this again")


def _begin(kept: Kept) -> None:
    with transaction.atomic():
        service.close()
        epoch = service.begin_epoch(plan.epoch(kept.entries))
    writing.restored(epoch)


def _read(places: list[Path] | None) -> _Read:
    """Each place has a chain of its own. Raises CommandError."""
    if places is None:
        own: Path | None = settings.ZHIQING_JOURNAL_DIR
        places = [own] if own is not None and own.is_dir() else []
    with _migrated(), connection.cursor() as cursor:
        cursor.execute("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM journal_number")
        (given_out,) = cursor.fetchone()
    kept, complete = Kept(), bool(places)
    for place in places:
        try:
            found = files.read(place)
        except OSError as error:
            raise CommandError(f"{place}: {error.strerror or 'cannot be read'}") from None
        complete = complete and found.reaches_back_to(given_out)
        kept.entries += found.entries
        kept.broken += found.broken
        kept.torn += found.torn
    return _Read(kept, complete)


@contextmanager
def _migrated() -> Iterator[None]:
    try:
        yield
    except ProgrammingError:
        raise CommandError("the backup is of an earlier version: run migrate first, as the owner") from None


def _missing(kept: Kept) -> str:
    if kept.broken:
        why = f"lines are missing or were changed before {', '.join(kept.broken)}"
    elif kept.entries:
        why = "it does not reach back to the backup"
    else:
        why = "there is none"
    return (
        f"the journal is not complete: {why}. Find the files that are missing and name them by --from; where they are lost,"
        " run this with --incomplete, by which every consent has to be asked for anew"
    )
