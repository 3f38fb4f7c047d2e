"""Deletes what may be kept no longer, or says what that is."""

from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connection

from consent.journal import tasks as tasks_of_the_journal
from consent.management.base import OperatorCommand, program_named
from consent.programs.models import MiniProgram
from consent.programs.tenancy import without_tenant
from consent.rights import collected, retention, tasks
from consent.rights.holders import Over, Reason

ERASING_SECONDS = 24 * 3600.0
WHY = {
    Reason.RETENTION: "retention over",
    Reason.WHOLE_DAY: "retention over, dropped with its whole day",
    Reason.WITHDRAWN: "consent ended",
    Reason.PURPOSE_ENDED: "purpose ended",
    Reason.EXPIRED: "expired",
}


class Command(OperatorCommand):
    help = (
        "Delete what may be kept no longer, as the worker does every hour, but everywhere and at once; run it as the"
        " worker (ZHIQING_ROLE=worker). --simulate deletes nothing and prints, for each table, how many rows would go"
        " and why."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--simulate", action="store_true", help="say what would be deleted, and delete nothing")
        parser.add_argument("--program", type=int, metavar="ID", help="this mini-program only, instead of all")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        if options["program"] is None:
            with without_tenant():
                programs = list(MiniProgram.objects.order_by("id"))
        else:
            programs = [program_named(options)]
        (self._simulate if options["simulate"] else self._purge)(programs, options)

    def _simulate(self, programs: list[MiniProgram], options: dict[str, Any]) -> None:
        keeping = tasks.keeping(lag=timedelta(0))
        rows, lines = [], []
        for program in programs:
            found = retention.over(program_id=program.pk, keeping=keeping)
            rows += [{"program": program.pk, **asdict(over)} for over in found]
            lines += [_line(program.pk, over) for over in found]
        journal = tasks_of_the_journal.over()
        lines += [f"journal  {path.name}: older than any backup" for path in journal]
        total, overdue = sum(row["rows"] for row in rows), sum(row["overdue"] for row in rows)
        self.answer(
            options,
            {
                "simulated": True,
                "rows": total,
                "overdue": overdue,
                "tables": rows,
                "journal": [path.name for path in journal],
            },
            *lines,
            then=(f"{total} rows would be deleted, {overdue} of them are overdue; nothing was deleted",),
        )

    def _purge(self, programs: list[MiniProgram], options: dict[str, Any]) -> None:
        if not _may_erase():
            raise CommandError("only the worker's login may erase: run this with ZHIQING_ROLE=worker, or --simulate")
        keeping = tasks.keeping(lag=timedelta(0))
        deleted: dict[str, dict[str, int]] = {}
        for program in programs:
            if not options["json"]:
                self.stderr.write(f"purging mini-program {program.pk}", lambda text: text)
            _, erased = collected.erase_due(seconds=ERASING_SECONDS, find=partial(collected.owed_by_now, program.pk))
            try:
                by_holder = retention.purge(program_id=program.pk, keeping=keeping, full=True)
            except retention.Busy:
                raise CommandError(f"a worker purges mini-program {program.pk} just now: run this again") from None
            deleted[str(program.pk)] = {"consents that ended": erased, **by_holder}
        tasks.housekeep()
        dropped = tasks_of_the_journal.drop()
        left = sum(len(collected.owed_by_now(program.pk)) for program in programs)
        lines = [
            f"{program}  {rows:>9}  {where}" for program, counts in deleted.items() for where, rows in counts.items()
        ]
        self.answer(options, {"simulated": False, "deleted": deleted, "left": left, "journal": dropped}, *lines)
        if left:
            raise CommandError(f"{left} erasures could not be done now: the worker goes on trying", returncode=1)


def _may_erase() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_has_role(current_user, 'zq_erase', 'MEMBER')")
        return bool(cursor.fetchone()[0])


def _line(program_id: int, over: Over) -> str:
    about = ", ".join([over.purpose or "", f"{over.kept_days} days" if over.kept_days is not None else ""]).strip(", ")
    late = f"  OVERDUE: {over.overdue}" if over.overdue else ""
    return f"{program_id}  {over.rows:>9}  {over.table}: {WHY[over.reason]}{f' ({about})' if about else ''}{late}"
