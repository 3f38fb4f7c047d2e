"""Makes the compliance audit report of a period (PIPL 54)."""

from argparse import ArgumentTypeError
from collections.abc import Iterator
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.auditing.figures import Period
from consent.auditing.report import document, make
from consent.management.base import OperatorCommand, program_argument, program_named


class Command(OperatorCommand):
    help = (
        "Make the compliance audit report of a mini-program's local days, both included: requests, consents, notices, holds,"
        " disclosures, keys, what officers did; each figure with how it is computed. It changes nothing but that the audit log keeps that"
        " it was made. Figures of fewer than ZHIQING_K people are not told."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        program_argument(parser)
        parser.add_argument(
            "--from", type=_day, dest="first", required=True, metavar="DAY", help="first day, 2026-01-01"
        )
        parser.add_argument("--to", type=_day, dest="last", required=True, metavar="DAY", help="last day, 2026-12-31")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        if options["last"] < options["first"]:
            raise CommandError("a period begins before it ends")
        program = program_named(options)
        report = make(
            program=program,
            period=Period(options["first"], options["last"], ZoneInfo(program.zone)),
            now=edge.now(),
            within=settings.ZHIQING_WITHDRAWAL_ERASURE,
            k=1 if program.sandbox else settings.ZHIQING_K,
            keyring=edge.vault().keyring,
            by="operator",
        )
        written = document(report)
        told = (f"sha256 {written['sha256']}", f"fixed_sha256 {written['fixed_sha256']}")
        self.answer(options, written, *_lines(written), then=told)


def _lines(written: dict[str, Any]) -> Iterator[str]:
    for figures in written["sections"].values():
        for code, figure in figures.items():
            for row in figure["rows"] or [{}]:
                yield "\t".join([code, *(f"{name}={'–' if cell is None else cell}" for name, cell in row.items())])


def _day(text: str) -> date:
    """argparse type."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("write a day as 2026-01-01") from None
    if not 2000 <= day.year < 2200:
        raise ArgumentTypeError("give a day from 2000 to 2199")
    return day
