"""How the log stands, and a new one after a loss."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.ledger import log, losses, sequencer, tasks
from consent.ledger.checkpoints import ORIGIN, Head, NotACheckpoint, opened, verifier_key
from consent.ledger.losses import Lost
from consent.management.base import OperatorCommand, read_bytes


class Command(OperatorCommand):
    help = (
        "status: how far the log has come, what waits, whether it may go on, and the public keys in the form that tools for"
        " signed notes take. new-origin: begin another log, where a restored database has less than what was published; its"
        " first leaf names the old checkpoint and the gap. Run that with ZHIQING_ROLE=worker."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("status", "new-origin"))
        parser.add_argument(
            "name",
            nargs="?",
            help="of a new origin: what it is called in checkpoints, never used before, as consent.example.com/ledger-2",
        )
        parser.add_argument(
            "--checkpoint",
            action="append",
            default=[],
            metavar="FILE",
            help="with new-origin: the newest that was published of the log before (default: of ZHIQING_LEDGER_FOLDER); after"
            " several losses also, behind it, the newest of each log before that",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="with new-origin: say what it would name, and begin nothing"
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        if options["action"] == "status":
            self._status(options)
        else:
            self._begin(options)

    def _status(self, options: dict[str, Any]) -> None:
        origin, keys = log.current(), edge.vault().keyring.signing.keys
        newest = log.newest(origin.number) if origin else None
        name = origin.name if origin else edge.ledger_origin()
        result = {
            "origin": name,
            "leaves": log.size_of(origin.number) if origin else 0,
            "checkpoint": newest.note if newest else None,
            "waiting": log.waiting(limit=1_000_000),
            "in_order": tasks.in_order(),
            "published_to": [sink.name for sink in edge.ledger_sinks()],
            "keys": [verifier_key(name, key.public) for key in keys],
        }
        self.answer(options, result, *(f"{what}: {told}" for what, told in result.items()))
        if not result["in_order"]:
            raise CommandError("the log is not what was published of it: restore more, or begin another (new-origin)")

    def _begin(self, options: dict[str, Any]) -> None:
        if not ORIGIN.fullmatch(options["name"] or ""):
            raise CommandError("a name is a URL of yours without its scheme, as consent.example.com/ledger-2")
        if settings.ROLE != "worker" and not options["dry_run"]:
            raise CommandError("run this with ZHIQING_ROLE=worker: only the worker's login writes the log")
        lost, earlier = self._lost(options)
        if options["name"] in {one.head.origin for one in (lost, *earlier)} or log.known(options["name"]):
            raise CommandError("this name was used before: an origin is one log, for good")
        if self._in_order(lost.head):
            raise CommandError("the log is what was published of it, and goes on: there is no need for another")
        if not options["dry_run"]:
            sequencer.begin(name=options["name"], lost=lost, earlier=earlier)
        result = {
            "origin": options["name"],
            "previous": lost.note,
            "published": lost.head.size,
            "held": lost.held,
            "earlier": [{"origin": one.head.origin, "published": one.head.size, "held": one.held} for one in earlier],
            "begun": not options["dry_run"],
        }
        self.answer(
            options,
            result,
            options["name"],
            then=(
                *map(_missing, (lost, *earlier)),
                "next: keep the old checkpoints; the sequencer signs the new log's first in a few seconds",
            ),
        )

    def _in_order(self, head: Head) -> bool:
        """Also by a checkpoint that no place which can be read has, as where a webhook alone took it."""
        try:
            sequencer.refuse_behind(log.current(), [head])
        except sequencer.Behind:
            return False
        return tasks.in_order()

    def _lost(self, options: dict[str, Any]) -> tuple[Lost, list[Lost]]:
        """What is missing of the log to go on from, and of others of which nothing that is left tells. Raises CommandError."""
        given = [read_bytes(name).decode(errors="replace") for name in options["checkpoint"]]
        found = given or [note for sink in edge.ledger_sinks() if (note := sink.newest()) is not None]
        if not found:
            raise CommandError("name the newest checkpoint that was published: --checkpoint FILE")
        public = [key.public for key in edge.vault().keyring.signing.keys]
        try:
            lost = losses.of(found[0])
            others = losses.untold([*given, *(note for sink in edge.ledger_sinks() for note in sink.all())])
            earlier = [one for one in others if one.head.origin != lost.head.origin]
            for one in (lost, *earlier):
                opened(one.note, public)
        except NotACheckpoint as error:
            raise CommandError(f"a checkpoint cannot be gone on from: {error}") from None
        return lost, earlier


def _missing(lost: Lost) -> str:
    head = lost.head
    if lost.held < head.size:
        return f"of {head.size} leaves that were published of {head.origin} there are {lost.held}"
    return f"{head.origin} has {lost.held} leaves, and not those of the {head.size} that were published"
