"""Rotates the keys of the keyring."""

import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connection

from consent import edge
from consent.management.base import OperatorCommand
from consent.management.progress import progress
from consent.vault import reindexing, rewrapping, rotation
from consent.vault.keyring import FAMILIES, INDEX, KEY_ENCRYPTION
from consent.vault.rotation import Told
from consent.vault.store import KeyringError

BY = "operator"
BATCH = 200
_NAMED = ("promote", "retire", "enable")
_LOCK = "hashtextextended('rotate keys', 0)"
_BACK_UP = "back the keyring up again, and have it on every machine: processes take it up by themselves"
_NEXT = {KEY_ENCRYPTION: "keys rewrap", INDEX: "keys reindex"}


class Command(OperatorCommand):
    help = (
        "Rotate the keyring's keys. `list` says which versions there are and what they still open or find, and changes nothing."
        " `add` makes the next version, `promote` has new data use it; then `rewrap` (key_encryption) wraps the data keys anew and"
        " seals the service's own secrets again, `reindex` (index) writes the lookups by which subjects are found. Both work online and"
        " go on where an earlier run ended. `retire` disables a version that nothing needs, `enable` takes that back, and"
        " `retire --destroy` removes for good a key that has been disabled for ZHIQING_BACKUP_DAYS. A step that a running process or a row still stands against is refused, with how"
        " many. Run it as ZHIQING_ROLE=worker, which has no bound on statements. Exit codes: 0 done, 1 refused or something did not open."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("list", "add", "promote", "rewrap", "reindex", "retire", "enable"))
        parser.add_argument(
            "key",
            nargs="?",
            type=_key,
            metavar="FAMILY[:VERSION]",
            help=f"as {KEY_ENCRYPTION}:2, {INDEX}:2; to add, {INDEX}",
        )
        parser.add_argument("--destroy", action="store_true", help="with retire: remove the key itself, for good")
        parser.add_argument(
            "--now",
            action="store_true",
            help="with --destroy: before ZHIQING_BACKUP_DAYS are over, whatever backups need it",
        )
        parser.add_argument(
            "--batch", type=_number, default=BATCH, metavar="N", help=f"rows of a transaction (default: {BATCH})"
        )
        parser.add_argument("--rate", type=_number, metavar="N", help="subjects a second at most (default: no bound)")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        action, (family, version) = options["action"], options["key"] or (None, None)
        if (action in ("add", *_NAMED)) != (family is not None) or (action in _NAMED) != (version is not None):
            raise CommandError(
                "name a family to add (index), a version to promote, retire or enable (index:2), else nothing"
            )
        if options["now"] and not options["destroy"]:
            raise CommandError("--now goes with --destroy only")
        if options["destroy"] and action != "retire":
            raise CommandError("--destroy goes with retire only")
        try:
            with nullcontext() if action == "list" else _alone():
                getattr(self, f"_{action}")(options, family, version)
        except KeyringError as error:
            raise CommandError(str(error)) from None

    def _list(self, options: dict[str, Any], family: None, version: None) -> None:
        found = rotation.told(edge.key_store())
        self.answer(options, {"keys": [_shown(one) for one in found]}, *(_line(one) for one in found))

    def _add(self, options: dict[str, Any], family: str, version: None) -> None:
        added = rotation.add(edge.key_store(), family, by=BY, at=edge.now())
        self._done(options, "added", family, added, f"next: {_BACK_UP}; then manage.py keys promote {family}:{added}")

    def _promote(self, options: dict[str, Any], family: str, version: int) -> None:
        rotation.promote(edge.key_store(), family, version, by=BY)
        self._done(options, "promoted", family, version, f"next: {_BACK_UP}; then manage.py {_NEXT[family]}")

    def _retire(self, options: dict[str, Any], family: str, version: int) -> None:
        if options["destroy"]:
            removed = rotation.destroy(
                edge.key_store(),
                family,
                version,
                size=options["batch"],
                by=BY,
                disabled_before=None if options["now"] else edge.now() - settings.ZHIQING_BACKUP_DAYS,
            )
            then = f"next: {_BACK_UP}, and destroy its old backups"
            self._done(options, "destroyed", family, version, then, removed=removed)
            return
        rotation.disable(edge.key_store(), family, version, by=BY, at=edge.now())
        then = f"next: {_BACK_UP}; destroy it (--destroy) when the last backup of the database that needs it is over"
        self._done(options, "disabled", family, version, then)

    def _enable(self, options: dict[str, Any], family: str, version: int) -> None:
        rotation.enable(edge.key_store(), family, version, by=BY)
        self._done(options, "enabled", family, version, f"next: {_BACK_UP}")

    def _done(self, options: dict[str, Any], what: str, family: str, version: int, then: str, **more: int) -> None:
        result = {"family": family, "version": version, "done": what} | more
        counts = "".join(f", {count} lookups {name}" for name, count in more.items())
        self.answer(options, result, f"{family}:{version} {what}{counts}", then=(then,))

    def _rewrap(self, options: dict[str, Any], family: None, version: None) -> None:
        ring, scopes = edge.vault().keyring, [None, *rotation.programs()]
        total = sum(rewrapping.left(ring, scope) for scope in scopes)
        steps = (step for scope in scopes for step in rewrapping.rewrap(ring, scope, size=options["batch"]))
        done, failed = self._go(
            options, "keys wrapped", total, ((step.done, step.done + step.failed, step.failed) for step in steps)
        )
        left = sum(rewrapping.left(ring, scope) for scope in scopes)
        self._over(options, KEY_ENCRYPTION, ring.key_encryption.primary, "rewrapped", done, failed, left)

    def _reindex(self, options: dict[str, Any], family: None, version: None) -> None:
        vault, ids = edge.vault(), rotation.programs()
        rotation.check_reindexable(vault.keyring)
        total = reindexing.subjects(ids)
        steps = (step for program_id in ids for step in reindexing.reindex(vault, program_id, size=options["batch"]))
        done, failed = self._go(options, "subjects", total, ((step.done, step.subjects, step.failed) for step in steps))
        primary = vault.lookup.primary
        left = sum(reindexing.lacking(primary, program_id) for program_id in ids)
        self._over(options, INDEX, primary, "reindexed", done, failed, left)

    def _go(
        self, options: dict[str, Any], stage: str, total: int, steps: Iterator[tuple[int, int, int]]
    ) -> tuple[int, int]:
        """`steps`: what each wrote, looked at, and could not do."""
        pace = _pace(options["rate"])
        done = seen = failed = 0
        with progress(sys.stderr) as report:
            for wrote, looked_at, missed in steps:
                done, seen, failed = done + wrote, seen + looked_at, failed + missed
                report(stage, min(seen, total), total)
                pace(seen)
        return done, failed

    def _over(
        self, options: dict[str, Any], family: str, version: int, what: str, done: int, failed: int, left: int
    ) -> None:
        rotation.record(what, family, version, by=BY)
        result = {"family": family, "version": version, "done": done, "failed": failed, "left": left}
        self.answer(options, result, f"{done} {what} by {family}:{version}, {failed} failed, {left} left")
        if failed or left:
            raise CommandError(
                f"{failed} failed and {left} are left: run it again; what fails again does not open, or is found as somebody else's"
            )


@contextmanager
def _alone() -> Iterator[None]:
    """Raises CommandError while another one changes something."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock({_LOCK})")
        (taken,) = cursor.fetchone()
        if not taken:
            raise CommandError("another `keys` command is running")
        try:
            yield
        finally:
            cursor.execute(f"SELECT pg_advisory_unlock({_LOCK})")


def _pace(rate: int | None) -> Callable[[int], None]:
    """Told how many are done, sleeps until so many may be."""
    begun = time.monotonic()

    def wait(done: int) -> None:
        if rate is not None:
            time.sleep(max(0.0, begun + done / rate - time.monotonic()))

    return wait


def _key(text: str) -> tuple[str, int | None]:
    family, colon, version = text.partition(":")
    if family not in FAMILIES or (colon and not (version.isascii() and version.isdigit() and len(version) < 10)):
        raise ArgumentTypeError(f"write a family ({', '.join(FAMILIES)}), or with a version as {FAMILIES[1]}:2")
    return family, int(version) if colon else None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise ArgumentTypeError("give a number from 1 to 1000000")
    return int(text)


def _shown(one: Told) -> dict[str, Any]:
    key = one.version
    return {
        "family": key.family,
        "version": key.version,
        "status": key.status,
        "primary": key.primary,
        "made": key.made,
        "writes": one.writes,
        "uses": one.uses,
    }


def _line(one: Told) -> str:
    key = one.version
    made = key.made.date().isoformat() if key.made else "unknown"
    uses = ", ".join(f"{name} {count}" for name, count in sorted(one.uses.items()) if count) or "no use"
    return f"{key.family}:{key.version}  {key.status}{', primary' if key.primary else ''}  made {made}  {uses}"
