"""Verifies the log, and what rests on it, from its rows and from checkpoints that were published outside."""

from argparse import ArgumentTypeError
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.ledger import beside, openings, sinks
from consent.ledger.beside import Theirs
from consent.ledger.checkpoints import MAX_NOTE_BYTES, Head, NotACheckpoint, opened, read
from consent.ledger.findings import Fault, Findings
from consent.ledger.models import LogOrigin
from consent.ledger.openings import Opened
from consent.ledger.verify import Log, gaps, rows_gone, verified
from consent.management.base import OperatorCommand, read_bytes, read_lines
from consent.programs.tenancy import of_no_program, snapshot_of_all, tenant
from consent.records.explained import unexplained
from consent.vault import jws
from consent.vault.keyring import KeyringError
from tracking.evidence import uncovered

NOT_VERIFIED = 2
MOST_PROCESSES = 64


class Command(OperatorCommand):
    help = (
        "Verify the log: its rows and tree against its checkpoints, each leaf against the consent record, the entry of the"
        " audit log or of the log of accounts that it commits to, the consent states against their records, and each event against the record it names. Name the checkpoints"
        " that you keep outside the database: without them a log that was rebuilt as a whole passes. It changes nothing. Exit"
        " code 0: all of it holds; 1: something does not; 2: it could not be verified: a file cannot be"
        " read, the database does not answer, a process was ended."
    )

    UNANSWERED = NOT_VERIFIED

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--published",
            action="append",
            default=[],
            metavar="FILE",
            help="checkpoints kept outside: a checkpoint, or a file of them as ZHIQING_LEDGER_FOLDER has it; may be repeated",
        )
        parser.add_argument(
            "--jwks",
            metavar="FILE",
            help="the public keys, kept outside (default: those of the keyring, which is this server's own)",
        )
        parser.add_argument("--no-events", action="store_true", help="leave the events out, which may be many")
        parser.add_argument(
            "--processes",
            type=_processes,
            metavar="NUMBER",
            default=beside.PROCESSES,
            help=f"how many processes open leaves at once, each some {beside.AT_LEAST:,} at least (default: %(default)s)",
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        keys = _keys(options["jwks"])
        findings, counted = Findings(), Opened()
        heads = [head for name in options["published"] for head in _heads(name, keys, findings)]
        with snapshot_of_all(lasting=True):
            origins = LogOrigin.objects.order_by("number")
            logs = {one.number: verified(one, keys=keys, published=heads, findings=findings) for one in list(origins)}
            rows_gone(logs.values(), findings)
            states, events, kept = _rows(logs, counted, findings, options)
            openings.without_leaf(logs, counted, findings)
        lost, known = gaps(logs.values()), {log.origin.name for log in logs.values()}
        unknown = set[str]()
        for head in heads:
            gap = lost.get(head.origin)
            if head.origin not in known and not (gap and gap.explains(head.size, head.root, left=0)):
                unknown.add(head.origin)
        for name in sorted(unknown):
            told = "a checkpoint is of this log, and the database has none of its name"
            findings.add(Fault.ROWS_GONE, f"log_origin {name}", told)
        result = _result(logs, counted, findings, states, events, kept)
        self.answer(options, result, *_lines(result))
        if findings.count:
            raise CommandError(f"{findings.count} findings: the log does not hold")


def _processes(text: str) -> int:
    """argparse type."""
    if not text.isdecimal() or not 0 < int(text) <= MOST_PROCESSES:
        raise ArgumentTypeError(f"give a number of processes, 1 to {MOST_PROCESSES}")
    return int(text)


def _rows(logs: dict[int, Log], counted: Opened, findings: Findings, options: dict[str, Any]) -> tuple[int, int, int]:
    """All mini-programs, one after another, and what belongs to none; answers how many states and events there are, and of how many events
    a law keeps them and not their record. Raises CommandError."""
    states = events = kept = 0
    try:
        with beside.openers(options["processes"], logs) as openers:
            for program_id in list(openings.programs()):
                with tenant(program_id):
                    others, theirs = Findings(), openers.open(program_id)
                    openings.leafless(program_id, logs, others)
                    states += unexplained(program_id, others)
                    if not options["no_events"]:
                        gone_through, without = uncovered(program_id, others)
                        events, kept = events + gone_through, kept + without
                    _taken(theirs, counted, findings)
                    findings += others
            with of_no_program():
                _taken(openers.open(None), counted, findings)
                openings.leafless(None, logs, findings)
    except BrokenProcessPool:
        told = "a process that opened leaves was ended, or did not start: is there memory for fewer --processes?"
        raise CommandError(told, returncode=NOT_VERIFIED) from None
    return states, events, kept


def _taken(theirs: Iterable[Theirs], counted: Opened, findings: Findings) -> None:
    for one in theirs:
        opened, found = one()
        counted += opened
        findings += found


def _keys(name: str | None) -> dict[str, Ed25519PublicKey]:
    """Raises CommandError."""
    if name is None:
        try:
            public = [key.public for key in edge.vault().keyring.signing.keys]
        except (KeyringError, OSError) as error:
            told = f"the keyring cannot be read: {error}; or name the published keys by --jwks"
            raise CommandError(told, returncode=NOT_VERIFIED) from None
        return {jws.thumbprint(key): Ed25519PublicKey.from_public_bytes(key) for key in public}
    try:
        return jws.key_set(read_bytes(name, returncode=NOT_VERIFIED))
    except jws.NotAKeySet as error:
        raise CommandError(f"{name}: {error}", returncode=NOT_VERIFIED) from None


def _heads(name: str, keys: dict[str, Ed25519PublicKey], findings: Findings) -> Iterator[Head]:
    """What was published, as far as one of the keys signed it. Raises CommandError."""
    public = [key.public_bytes_raw() for key in keys.values()]
    for line, note in _notes(name):
        try:
            yield opened(note, public)
        except NotACheckpoint as error:
            findings.add(Fault.CHECKPOINT_NOT_SIGNED, f"{name}:{line}", str(error))


def _notes(name: str) -> Iterator[tuple[int, str]]:
    """The checkpoints of a file of any size, each with its line: one a line, or one by itself. Raises CommandError."""
    beginning, found = b"", False
    for line, text in enumerate(read_lines(name, most=sinks.TAIL_BYTES, returncode=NOT_VERIFIED), 1):
        beginning += text if len(beginning) <= MAX_NOTE_BYTES else b""
        for note in sinks.notes_in([text]):
            found = True
            yield line, note
    if not found:
        note = beginning.decode(errors="replace")
        try:
            read(note)
        except NotACheckpoint as error:
            raise CommandError(f"{name}: {error}", returncode=NOT_VERIFIED) from None
        yield 1, note


def _result(
    logs: dict[int, Log], counted: Opened, findings: Findings, states: int, events: int, kept: int
) -> dict[str, Any]:
    """What was gone through, what nobody outside can vouch for yet, and what is wrong."""
    return {
        "holds": not findings.count,
        "logs": [
            {
                "origin": log.origin.name,
                "leaves": log.size,
                "checkpoints": log.checkpoints,
                "published": log.published,
                "not_published": log.size - min(log.published, log.size),
                "not_in_a_checkpoint": max(0, log.size - max([0, *log.sizes])),
            }
            for log in logs.values()
        ],
        "gaps": [
            {"origin": gap.before.origin, "published": gap.before.size, "held": gap.held, "told_by": log.origin.name}
            for log in logs.values()
            for gap in log.gaps
        ],
        "without_a_place": counted.waiting,
        "opened": counted.opened,
        "redacted": counted.redacted,
        "redacted_not_listed": counted.unlisted,
        "states": states,
        "events": events,
        "events_kept_by_law": kept,
        "findings": [asdict(finding) for finding in findings.kept],
        "findings_count": findings.count,
    }


def _lines(result: dict[str, Any]) -> Iterator[str]:
    for log in result["logs"]:
        yield (
            f"{log['origin']}: {log['leaves']} leaves, {log['checkpoints']} checkpoints; the last {log['not_published']} leaves"
            f" are in no checkpoint that was given, {log['not_in_a_checkpoint']} in none at all"
        )
    for gap in result["gaps"]:
        yield (
            f"{gap['origin']}: of {gap['published']} leaves that were published there are {gap['held']}, by the word of the first leaf"
            f" of {gap['told_by']}, which goes on from it"
        )
    yield f"{result['without_a_place']} leaves have no place yet"
    yield (
        f"{result['opened']} leaves opened, {result['redacted']} redacted, {result['redacted_not_listed']} redacted and not"
        f" listed yet; {result['states']} states, {result['events']} events, {result['events_kept_by_law']} of"
        " them kept by a law beyond the erasure of their records"
    )
    yield from _told(result["findings"])


def _told(findings: Sequence[dict[str, Any]]) -> Iterator[str]:
    for one in findings:
        since = "" if one["since"] is None else f" (since the checkpoint of size {one['since']})"
        yield f"{one['fault']}\t{one['row']}\t{one['told']}{since}"
