"""Restores a backup; the service then refuses calls until the journal is replayed."""

from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from consent.journal import dumps
from consent.management.base import OperatorCommand, first_line
from consent.management.owning import owner_url


class Command(OperatorCommand):
    help = (
        "Restore a backup in pg_dump's custom format into the database of DATABASE_OWNER_URL, which has to be empty (or"
        " --replace), all or nothing. Roles are no part of a backup: run create_roles before on a new server. Calls are"
        " answered 503 from then on, and workers wait, until replay_journal has run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="the backup")
        parser.add_argument("--replace", action="store_true", help="delete what the database holds now")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        file: Path = options["file"]
        try:
            dumps.restore(owner_url(), file.absolute(), replace=options["replace"], tools=settings.POSTGRES_TOOLS)
        except psycopg.errors.LockNotAvailable:
            raise CommandError("others use the database: stop web, worker and beat, then run this again") from None
        except (psycopg.Error, OSError) as error:
            raise CommandError(f"the backup was not restored: {first_line(error)}") from None
        self.answer(
            options,
            {"file": str(file), "replay_required": True},
            f"restored {file}",
            then=(
                "calls are answered 503 until the journal is replayed. Now, in this order:",
                "  ZHIQING_ROLE=owner manage.py migrate   (where the backup is of an earlier version)",
                "  enter again legal holds and notices made since the backup",
                "  ZHIQING_ROLE=worker manage.py replay_journal --dry-run, then without it",
            ),
        )
