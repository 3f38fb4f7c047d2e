"""Carries out again what was acknowledged since the backup that was restored, and opens the service."""

import operator
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connection, transaction

from consent import edge
from consent.journal import epochs, plan, service, writers
from consent.journal.files import Kept
from consent.journal.service import Standing
from consent.ledger.tasks import in_order
from consent.management.base import OperatorCommand
from consent.management.journals import NOT_GIVEN, not_given, places_argument, read_places, unnamed
from consent.officers import replay as access
from consent.officers.replay import Taken
from consent.programs.models import MiniProgram
from consent.programs.tenancy import without_tenant
from consent.rights import replay
from consent.rights.replay import Replayed
from consent.vault import rewrapping, writing
from consent.vault.keyring import KEY_ENCRYPTION, Keyring

_BEHIND = "the ledger's log has less than was published of it, and /readyz stays 503: run ZHIQING_ROLE=worker manage.py ledger new-origin NAME"
_LOST = "Where it is lost, run this with --incomplete, by which every consent has to be asked for anew"
_UNTOLD = (
    "API keys and staff accounts are as the backup has them where the journal does not tell: look at all of them before others"
    " reach the service"
)
_UNFOUND = (
    "nobody of the backup would be found with this keyring: run manage.py `keys enable index:…` of the version that `keys list` says the"
    " database asks for, or put the keyring in place that has it"
)
_IN_SERVICE = (
    "nothing was restored, so nothing was changed: these were refused when they were asked, or --open-anyway left them; --again carries"
    " them out"
)
CLIENTS, ACCOUNTS = "API clients revoked", "accounts narrowed"


@dataclass(frozen=True)
class _Read:
    """`missing`: the writers whose journals were not given; `complete`: none is, and nothing is missing since the backup."""

    kept: Kept
    complete: bool
    missing: set[str]


class Command(OperatorCommand):
    help = (
        "After a restore: withdraw, restrict, object and erase what was acknowledged since the backup, end API keys and take from"
        " staff accounts what was ended and taken since, have no id given out twice, and answer calls again. Run it as the worker (ZHIQING_ROLE=worker), which then goes on with the erasures."
        " It may be killed and run again; where nothing was restored it changes nothing, and says what it would. It exits 1, and calls stay"
        " refused, where the journal is not complete or something could not be carried out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
        parser.add_argument(
            "--begin",
            action="store_true",
            help="after a restore by other means: refuse calls and have no id given out twice, and nothing else; then keys may be"
            " enabled, notices published and holds made, which a replay needs",
        )
        places_argument(parser)
        parser.add_argument(
            "--without",
            action="append",
            default=[],
            metavar="WRITER",
            help="go on without the journal of this name, which has nothing since the backup; may be given for each",
        )
        parser.add_argument(
            "--open-anyway",
            action="store_true",
            help="answer calls again although something could not be carried out; it exits 1 all the same",
        )
        parser.add_argument(
            "--again",
            action="store_true",
            help="carry out also where the database is in service: what --open-anyway left, once its cause is put right",
        )
        parser.add_argument(
            "--incomplete",
            action="store_true",
            help="go on without a complete journal: every consent then has to be asked for anew",
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        if settings.ROLE != "worker":
            raise CommandError("run this with ZHIQING_ROLE=worker: only the worker may put the database in service")
        if options["begin"] and options["dry_run"]:
            raise CommandError("--begin has no dry run: what it does is refuse calls, at once")
        standing = service.standing()
        if standing == Standing.UNMIGRATED:
            raise CommandError("the backup is of an earlier version: run migrate first, as the owner")
        required = standing != Standing.IN_SERVICE
        found = _read(options["places"], options["without"])
        if (required or options["begin"]) and not options["incomplete"]:
            _refuse(found, begins=options["begin"])
        if options["begin"]:
            epoch = _begin(found.kept)
            self.answer(
                options, {"epoch": epoch}, f"ids go on in epoch {epoch}", then=("calls are refused until the replay",)
            )
            return
        incomplete = required and not found.complete
        with without_tenant():
            programs = list(MiniProgram.objects.order_by("id").values_list("id", flat=True))
        vault = edge.vault()
        _refuse_keyring(vault.keyring, programs)
        carries_out = (required or options["again"]) and not options["dry_run"]
        renewed: dict[int, int] | None = {} if incomplete else None
        if renewed is not None and not options["dry_run"]:
            renewed.update((program_id, replay.require_renewal(program_id)) for program_id in programs)
        if required and not options["dry_run"]:
            _begin(found.kept)
        taken = access.replay(found.kept.entries, dry_run=options["dry_run"]) if required else Taken([], [])
        replayed = replay.replay(
            vault=vault,
            program_ids=programs,
            wanted=plan.wanted(found.kept.entries),
            terms=edge.terms(limited=False),
            dry_run=not carries_out,
            restored=required,
            renewed=renewed,
        )
        opens = not options["dry_run"] and (not replayed.failed or options["open_anyway"])
        if opens:
            with transaction.atomic():
                service.open_again()
        self._tell(options, found, replayed, taken, required=required, opens=opens, carried_out=carries_out)

    def _tell(
        self,
        options: dict[str, Any],
        found: _Read,
        replayed: Replayed,
        taken: Taken,
        *,
        required: bool,
        opens: bool,
        carried_out: bool,
    ) -> None:
        done = replayed.done + Counter({CLIENTS: len(taken.clients), ACCOUNTS: len(taken.accounts)})
        result = {
            "dry_run": options["dry_run"],
            "replay_required": required,
            "carried_out": carried_out,
            "complete": found.complete,
            "missing": sorted(found.missing),
            "entries": len(found.kept.entries),
            "torn": found.kept.torn,
            "done": dict(done),
            "clients": taken.clients,
            "accounts": taken.accounts,
            "unknown": replayed.unknown,
            "failed": dict(replayed.failed),
            "ledger": in_order(),
        }
        lines = [f"{number:>9}  {what}" for what, number in sorted(done.items())]
        behind = () if result["ledger"] else (_BEHIND,)
        closed = "nothing was changed" if options["dry_run"] else "calls stay refused"
        self.answer(
            options,
            result,
            *lines,
            then=(
                f"{len(found.kept.entries)} entries read; {replayed.unknown} people of theirs are not in this database",
                "calls are answered" if opens else closed,
                *((_IN_SERVICE,) if done and not required and not carried_out else ()),
                *((_UNTOLD,) if required and not found.complete else ()),
                *behind,
            ),
        )
        if replayed.failed:
            told = ", ".join(f"{code} ({number})" for code, number in sorted(replayed.failed.items()))
            raise CommandError(
                f"not everything could be carried out: {told}; put that right and run this again, or open the service without"
                " it by --open-anyway"
            )


def _refuse_keyring(keyring: Keyring, programs: list[int]) -> None:
    """Raises CommandError where data keys of the backup do not open with it, or its people are not found."""
    if missing := rewrapping.missing(keyring, programs):
        raise CommandError(_unopened(missing))
    if not writing.fits(keyring):
        raise CommandError(_UNFOUND)


def _unopened(missing: list[int]) -> str:
    named = " and ".join(f"`keys enable {KEY_ENCRYPTION}:{version}`" for version in missing)
    return (
        f"the backup's data keys do not open with this keyring: run manage.py {named}, or put the keyring in place that has"
        " what was destroyed since"
    )


def _begin(kept: Kept) -> int:
    connection.ensure_connection()
    epoch = epochs.begin(connection.connection, plan.epoch(kept.entries), as_worker=True)
    assert epoch is not None, "the database is of this version"
    return epoch


def _read(places: list[Path] | None, without: list[str]) -> _Read:
    """Raises CommandError."""
    connection.ensure_connection()
    since = epochs.needed_from(connection.connection)
    by_place = read_places(places)
    missing = writers.missing(connection.connection, by_place.values()).difference(without)
    # Of a machine that was added since there is no more than all of it; one that the backup knows has to reach back.
    before = writers.known(connection.connection)
    reach = [found.reaches_back_to(since) for found in by_place.values()]
    added = [found.begins and not found.broken and not found.writers & before for found in by_place.values()]
    complete = any(reach) and all(map(operator.or_, reach, added)) and not missing
    kept = Kept()
    for found in by_place.values():
        kept.entries += found.entries
        kept.broken += found.broken
        kept.torn += found.torn
    return _Read(kept, complete, missing)


def _refuse(found: _Read, *, begins: bool) -> None:
    """An epoch is begun by every journal, however far they reach back. Raises CommandError."""
    if found.missing:
        raise CommandError(f"{unnamed(found.missing)}. {_LOST}")
    if not_given([found.kept]):
        raise CommandError(f"{NOT_GIVEN}. {_LOST}")
    if not found.complete and not begins:
        raise CommandError(_missing(found.kept))


def _missing(kept: Kept) -> str:
    if kept.broken:
        why = f"lines are missing or were changed before {', '.join(kept.broken)}"
    elif kept.entries:
        why = "it does not reach back to the backup"
    else:
        why = "there is none"
    return f"the journal is not complete: {why}. Find the files that are missing and name them by --from. {_LOST}"
