"""Backs the database up, so that the journal knows from where on it is needed."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.journal import dumps, writing
from consent.management.base import OperatorCommand
from consent.management.owning import owner_url


class Command(OperatorCommand):
    help = (
        "Write a backup of the database with pg_dump, as its owner (DATABASE_OWNER_URL). It holds no key: the keyring is"
        " backed up apart, and without it nothing in a backup opens. Backups that are older than ZHIQING_BACKUP_DAYS"
        " have to be deleted: they hold people who were erased since."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--to", type=Path, metavar="FILE", help="the file to write (default: VAR/backups/zhiqing-TIME.dump)"
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        named = f"zhiqing-{edge.now():%Y%m%dT%H%M%SZ}.dump"
        file: Path = options["to"] or settings.VAR / "backups" / named
        # Before the dump: whatever it lacks is then in the journal after this.
        writing.mark()
        try:
            size = dumps.dump(owner_url(), file.absolute(), tools=settings.POSTGRES_TOOLS)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror or 'cannot be written'}") from None
        self.answer(
            options,
            {"file": str(file), "bytes": size},
            str(file),
            then=(
                f"{size} bytes written; move the file to another machine, and delete it in"
                f" {settings.ZHIQING_BACKUP_DAYS.days} days",
                "the keyring is not in it: back that up apart, and never beside a backup",
            ),
        )
