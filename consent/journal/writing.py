"""What the domain tells the journal, each in the act's own transaction; and which sinks it goes to, set once a process."""

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from consent.errors import Unavailable
from consent.journal import given_out
from consent.journal.entries import Entry, Kind, handle_hash
from consent.journal.files import FileSink
from consent.journal.webhook import NotTaken, WebhookSink
from consent.vault.models import Subject

_NUMBER = f"""
    WITH given AS ({given_out.NEXT})
    SELECT number, clock_timestamp(), ARRAY(SELECT id FROM journal_writer ORDER BY id),
        EXISTS (SELECT FROM journal_writer WHERE id = %s AND at > clock_timestamp() - interval '1 day')
    FROM given
"""
_KNOWN = """
    INSERT INTO journal_writer (id, number) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET at = clock_timestamp()
"""

logger = logging.getLogger("zhiqing.journal")
_files: FileSink | None = None
_sinks: tuple[FileSink | WebhookSink, ...] = ()


class JournalAway(Unavailable):
    """503: nothing is acknowledged that the journal has not got."""


def configure(*, folder: Path | None, url: str | None, token: str | None) -> None:
    """Where entries go from now on; neither: nowhere."""
    global _files, _sinks
    _files = None if folder is None else FileSink(folder)
    hook = None if url is None else WebhookSink(url, token)
    # The file first: what it has got is found after a crash of this machine, whatever the receiver did.
    _sinks = tuple(sink for sink in (_files, hook) if sink is not None)


def confirmed() -> int:
    """The highest number that the database is known to have given out; 0 where no file tells. Raises OSError."""
    return 0 if _files is None else _files.confirmed()


def ended(subject: Subject, kind: Kind, purposes: Sequence[str] = ()) -> None:
    """Make it durable that the subject ended something, before the caller's transaction commits. The states' rows are held, so
    that of one subject the entries' order is that of the acts. Raises JournalAway, and the transaction with it."""
    _before_commit(kind, handle=_handle(subject), purposes=tuple(purposes))


def revoked(*, program_id: int, client_id: int) -> None:
    """The same of an API client, all of whose keys were ended."""
    _before_commit(Kind.CLIENT_REVOKED, program=program_id, client=client_id)


def narrowed(account: int, *, may: Sequence[str], ends: datetime | None) -> None:
    """The same of a staff account from which something was taken, and what it was left with. Its row is held."""
    _before_commit(Kind.ACCOUNT_NARROWED, account=account, may=tuple(may), ends=ends)


def opened(subject: Subject, kind: Kind) -> None:
    """Tell that something was opened again, once the caller's transaction has committed: not before, since a replay would
    open what is still closed. Raises JournalAway where this process has not met the journal's folder yet."""
    _after_commit(kind, handle=_handle(subject))


def widened(account: int, *, may: Sequence[str], ends: datetime | None) -> None:
    """The same of a staff account that was given something, and what it has now. Its row is held."""
    _after_commit(Kind.ACCOUNT_WIDENED, account=account, may=tuple(may), ends=ends)


def mark() -> None:
    """Tell how far the database is, so that a backup made after this is known to lie after it. Not within a transaction.
    Raises JournalAway."""
    if not _sinks:
        return
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        # A row with the number: a commit that changes none need not reach the disk, and the number could come again.
        cursor.execute("UPDATE service_state SET marked_at = clock_timestamp()")
        entry = _entry(Kind.MARK)
    _write(entry)


def restored(number: int, at: datetime, epoch: int) -> None:
    """Tell that ids go on in an epoch, before any but this number is given out in it. Raises JournalAway."""
    _write(Entry(number, at, Kind.RESTORED, epoch=epoch, writer=_writer()))


def _handle(subject: Subject) -> str:
    return handle_hash(bytes(subject.erasure_handle))


def _before_commit(kind: Kind, **told: Any) -> None:
    if not _sinks:
        return
    entry = _entry(kind, **told)
    _write(entry)
    transaction.on_commit(partial(_tell, Entry(entry.number, entry.at, Kind.COMMITTED), durable=False), robust=True)


def _after_commit(kind: Kind, **told: Any) -> None:
    if not _sinks:
        return
    transaction.on_commit(partial(_tell, _entry(kind, **told)), robust=True)


def _entry(kind: Kind, **told: Any) -> Entry:
    """With a number. Who writes it is known to the database before the act is, again each day, and the others that are go along. Raises
    JournalAway."""
    own = _writer()
    with connection.cursor() as cursor:
        cursor.execute(_NUMBER, [own])
        number, at, known, lately = cursor.fetchone()
        if own is not None and not lately:
            cursor.execute(_KNOWN, [own, number])
    return Entry(number, at, kind, writer=own, beside=tuple(one for one in known if one != own), **told)


def _writer() -> str | None:
    """None where no folder is written to. Raises JournalAway."""
    if _files is None:
        return None
    try:
        return _files.writer()
    except OSError as error:
        raise _away(_files, error) from None


def _write(entry: Entry, *, durable: bool = True) -> None:
    for sink in _sinks:
        try:
            sink.write(entry, durable=durable)
        except (OSError, NotTaken) as error:
            raise _away(sink, error) from None


def _away(sink: FileSink | WebhookSink, error: Exception) -> JournalAway:
    fields = {"sink": type(sink).__name__, "error": str(error) or type(error).__name__}
    logger.error("the journal did not take an entry", extra={"fields": fields})
    return JournalAway(
        "journal_unavailable",
        "the journal cannot be written, and nothing is acknowledged without it; send the same again later",
        retry_after=5,
    )


def _tell(entry: Entry, *, durable: bool = True) -> None:
    """After the commit. A failure is logged: what is not told leaves something closed, or a restore unnoticed for one entry."""
    try:
        _write(entry, durable=durable)
    except JournalAway:
        logger.warning("the journal lacks what came about", extra={"fields": {"kind": entry.kind.value}})
