"""Restores a backup, with ids going on above all that were given out; the service then refuses calls until the journal is replayed."""

from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from consent.journal import dumps, epochs, plan, writers
from consent.management.base import OperatorCommand, first_line
from consent.management.journals import NOT_GIVEN, not_given, places_argument, read_places, unnamed
from consent.management.owning import owner_url


class Command(OperatorCommand):
    help = (
        "Restore a backup in pg_dump's custom format into the database of DATABASE_OWNER_URL, which has to be empty (or"
        " --replace), all or nothing. Roles are no part of a backup: run create_roles before on a new server. Calls are"
        " answered 503 from then on, and workers wait, until replay_journal has run. The journal is asked how far ids were"
        " given out, so that none is again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="the backup")
        places_argument(parser)
        parser.add_argument("--replace", action="store_true", help="delete what the database holds now")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        file: Path = options["file"]
        journals = read_places(options["places"])
        known = max((plan.epoch(kept.entries) for kept in journals.values()), default=0)
        try:
            dumps.restore(owner_url(), file.absolute(), replace=options["replace"], tools=settings.POSTGRES_TOOLS)
        except psycopg.errors.LockNotAvailable:
            raise CommandError("others use the database: stop web, worker and beat, then run this again") from None
        except (psycopg.Error, OSError) as error:
            raise CommandError(f"the backup was not restored: {first_line(error)}") from None
        with psycopg.connect(owner_url(), autocommit=True) as owner:
            # One that is missing may know of an epoch: the ids of this one would be given out twice.
            missing = writers.missing(owner, journals.values())
            unknown = bool(missing) or not_given(journals.values())
            epoch = None if unknown else epochs.begin(owner, known, as_worker=False)
        begin = ("  ZHIQING_ROLE=worker manage.py replay_journal --begin",) if epoch is None else ()
        self.answer(
            options,
            {"file": str(file), "replay_required": True, "epoch": epoch, "missing": sorted(missing)},
            f"restored {file}",
            then=(
                "calls are answered 503 until the journal is replayed. Now, in this order:",
                *([f"  {unnamed(missing)}"] if missing else []),
                *([f"  {NOT_GIVEN}"] if not_given(journals.values()) else []),
                "  ZHIQING_ROLE=owner manage.py migrate   (where the backup is of an earlier version)",
                *begin,
                "  manage.py keys list, and keys enable FAMILY:VERSION where the backup rests on a version that was retired since",
                "  enter again legal holds and notices made since the backup",
                "  ZHIQING_ROLE=worker manage.py replay_journal --dry-run, then without it",
            ),
        )
