"""Builds, builds anew and checks the rollups of closed days."""

import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import CommandError, CommandParser
from django.db import ProgrammingError

from consent import edge
from consent.management.base import OperatorCommand, first_line, program_argument, program_named
from consent.management.progress import progress
from reports.rollups.build import Span, build, buildable, differs, to_build


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("write a date: 2026-10-01") from None


@contextmanager
def _stoppable() -> Iterator[None]:
    """Raises CommandError where it is stopped, and for a login that may not."""
    try:
        yield
    except KeyboardInterrupt:
        raise CommandError("stopped; run the same again", returncode=130) from None
    except ProgrammingError as error:
        raise CommandError(f"{first_line(error)}\nrun it as the worker: ZHIQING_ROLE=worker") from None


class Command(OperatorCommand):
    help = (
        "Rollups of a mini-program's closed local days, which reports read in the place of their events; run it as the"
        " worker (ZHIQING_ROLE=worker). build: those that have none or one that is out of date, as the worker does every"
        " minute; rebuild: all of them; check: compute each that is in use again and compare, changing nothing; exits 1"
        " where one differs. Every day is a transaction of its own: stopped, build goes on where it ended."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("do", choices=["build", "rebuild", "check"])
        program_argument(parser)
        parser.add_argument("--from", type=_day, dest="first", metavar="DAY", help="the first local day (default: all)")
        parser.add_argument("--to", type=_day, dest="last", metavar="DAY", help="the last local day (default: all)")
        parser.add_argument("--dry-run", action="store_true", help="only tell which days would be built")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        program = program_named(options)
        zone, now = ZoneInfo(program.zone), edge.now()
        span = buildable(program.pk, zone, now).within(options["first"], options["last"])
        if options["do"] == "check":
            self._check(program.pk, zone, span, options)
            return
        anew = options["do"] == "rebuild"
        days = list(span) if anew else to_build(program.pk, zone, span)
        done = 0
        if not options["dry_run"]:
            with progress(sys.stderr) as report, _stoppable():
                for place, day in enumerate(days, start=1):
                    done += build(program.pk, zone, day, now=now, anew=anew)
                    report("days", place, len(days))
        result = {"days": len(days), "built": done, "first": min(days, default=None), "last": max(days, default=None)}
        told = {name: value.isoformat() if isinstance(value, date) else value for name, value in result.items()}
        verb = "would be built" if options["dry_run"] else "looked at"
        self.answer(options, told, f"{len(days):,} days {verb}, {done:,} built")

    def _check(self, program_id: int, zone: ZoneInfo, span: Span, options: dict[str, Any]) -> None:
        days, wrong = list(span), []
        with progress(sys.stderr) as report, _stoppable():
            for place, day in enumerate(days, start=1):
                if differs(program_id, zone, day):
                    wrong.append(day.isoformat())
                report("days", place, len(days))
        self.answer(options, {"days": len(days), "differ": wrong}, f"{len(days):,} days checked, {len(wrong):,} differ")
        if wrong:
            again = f"ZHIQING_ROLE=worker manage.py rollups rebuild --program {program_id} --from {wrong[0]} --to {wrong[-1]}"
            raise CommandError(f"rollups differ from their events: {', '.join(wrong)}; run: {again}")
