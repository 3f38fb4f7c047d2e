"""Replays a clickstream through the REST API."""

import sys
import time
from argparse import ArgumentTypeError
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.management.base import OperatorCommand
from consent.management.progress import progress
from tracking.client import MAX_EVENTS, Client, ClientError
from tracking.replay import Replay, ReplayError, Survey, Totals, days_to_yesterday, survey

BATCH = 1000
THREADS = 4


def _batch(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:9]) <= MAX_EVENTS:
        raise ArgumentTypeError(f"give a number of events, 1 to {MAX_EVENTS}")
    return int(text)


class Command(OperatorCommand):
    help = (
        "Send a clickstream file (columns subject, occurred_at, page; sorted or not) through the REST API, as a"
        " mini-program's backend would: an imported consent for each subject about whom nothing was decided, then each"
        " view as a historical page_view whose event_id is its line number. Stopped or failed replays are simply run"
        " again with the same shift: what is stored is answered as duplicate, and nobody with a grant is asked twice."
        " Exits 1 when anything was refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.csv.gz", help="the clickstream, gzipped or plain")
        parser.add_argument("--program", type=int, required=True, metavar="ID", help="the mini-program the key is of")
        parser.add_argument("--base-url", required=True, metavar="URL", help="the service: http://127.0.0.1:8000")
        parser.add_argument(
            "--key",
            required=True,
            help="an API key with the scopes consents, events, import; - reads it from standard input, so that no"
            " process list shows it",
        )
        shifts = parser.add_mutually_exclusive_group()
        shifts.add_argument("--shift-days", type=int, metavar="N", help="move every time by N days")
        shifts.add_argument(
            "--shift-to-yesterday",
            action="store_true",
            help="move every time by whole days, so that the last view's date (UTC) is yesterday's",
        )
        parser.add_argument(
            "--batch",
            type=_batch,
            default=BATCH,
            metavar="N",
            help=f"events a call, {MAX_EVENTS} at most (default: {BATCH})",
        )
        parser.add_argument(
            "--purpose", default="analytics", help="the purpose that page_view is catalogued under (default: analytics)"
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        key = sys.stdin.readline().strip() if options["key"] == "-" else options["key"]
        try:
            found = survey(options["file"])
            shift = _shift(found, options)
            with Client(options["base_url"], key, clock=edge.now) as client:
                totals, seconds = self._replay(client, found, shift, options)
                repeats = client.repeats
        except (ReplayError, ClientError, ValueError) as error:
            raise CommandError(f"{error}") from None
        except KeyboardInterrupt:
            raise CommandError("stopped; run the same again to go on where it ended", returncode=130) from None
        result = _result(found, shift, totals, seconds, repeats)
        self.answer(options, result, *_lines(result), then=_next(result))
        if refused := totals.refused.total() + totals.consents_refused.total():
            raise CommandError(f"{refused:,} refused; the codes are in docs/formats.md and in the API's description")

    def _replay(
        self, client: Client, found: Survey, shift: timedelta, options: dict[str, Any]
    ) -> tuple[Totals, dict[str, float]]:
        totals = Totals()
        with progress(sys.stderr) as report:
            replay = Replay(
                client=client,
                path=options["file"],
                program_id=options["program"],
                shift=shift,
                purpose=options["purpose"],
                batch=options["batch"],
                threads=THREADS,
                now=edge.now(),
                progress=report,
            )
            began = time.monotonic()
            replay.consents(found.first, totals)
            asked = time.monotonic()
            replay.events(found.events, totals)
            ended = time.monotonic()
        return totals, {"consents": asked - began, "events": ended - asked}


def _shift(found: Survey, options: dict[str, Any]) -> timedelta:
    days = options["shift_days"] or 0
    if options["shift_to_yesterday"]:
        days = days_to_yesterday(found.last, edge.now().date())
    try:
        earliest, last = min(found.first.values()) + timedelta(days=days), found.last + timedelta(days=days)
    except OverflowError:
        raise ReplayError("--shift-days moves the file's times out of the calendar") from None
    if earliest.year < 2 or last > edge.now():
        raise ReplayError("some views would lie in the future or too far back; choose another --shift-days")
    return timedelta(days=days)


def _result(found: Survey, shift: timedelta, totals: Totals, seconds: dict[str, float], repeats: int) -> dict[str, Any]:
    return {
        "shift_days": shift.days,
        "from": min(found.first.values()) + shift,
        "to": found.last + shift,
        "subjects": len(found.first),
        "consents": totals.consents,
        "consents_kept": totals.kept,
        "consents_left": totals.left,
        "consents_refused": dict(totals.consents_refused),
        "events": totals.events,
        "stored": totals.stored,
        "duplicate": totals.duplicate,
        "refused": dict(totals.refused),
        "retried": repeats,
        "seconds": round(sum(seconds.values()), 2),
        "seconds_consents": round(seconds["consents"], 2),
        "seconds_events": round(seconds["events"], 2),
        "events_per_second": round(totals.events / max(seconds["events"], 1e-6)),
    }


def _lines(result: dict[str, Any]) -> list[str]:
    subjects = (
        f"{result['subjects']:,} subjects: {result['consents']:,} consents recorded,"
        f" {result['consents_kept']:,} had a grant"
    )
    if result["consents_left"]:
        subjects += f", {result['consents_left']:,} had decided otherwise and were not asked"
    lines = [
        f"{result['events']:,} events: {result['stored']:,} stored, {result['duplicate']:,} duplicate,"
        f" {sum(result['refused'].values()):,} refused",
        *(f"  consent refused  {count:>9,}  {code}" for code, count in sorted(result["consents_refused"].items())),
        *(f"  event refused    {count:>9,}  {code}" for code, count in sorted(result["refused"].items())),
        f"{result['retried']:,} calls sent again; {result['seconds_consents']:.1f} s for consents,"
        f" {result['seconds_events']:.1f} s for events: {result['events_per_second']:,} events/s",
    ]
    return [subjects, *lines]


def _next(result: dict[str, Any]) -> tuple[str, ...]:
    period = f"{result['from']:%Y-%m-%d} to {result['to']:%Y-%m-%d} (UTC)"
    return (
        f"the file's times were moved by {result['shift_days']} days: {period}",
        f"next: POST /api/v1/reports/activity for these days; to send the file again: --shift-days {result['shift_days']}",
    )
