"""Where checkpoints are published, outside the database and best outside the host: a file that only grows, and a webhook."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import httpx
from django.db import connection

from consent.ledger import checkpoints, log, sequencer
from consent.ledger.checkpoints import Head, NotACheckpoint
from consent.ledger.models import LogCheckpoint, LogOrigin, LogPublication
from consent.programs.tenancy import as_ledger

FILE = "checkpoints.jsonl"
AT_ONCE = 200
WEBHOOK_TIMEOUT_S = 5.0
TAIL_BYTES = 4 * checkpoints.MAX_NOTE_BYTES
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('ledger publication', 0))"


class Refused(Exception):
    """The place holds a larger log, or another: publishing to it is over until somebody has looked."""


class Unreachable(Exception):
    """Nothing came of it this time; the next run tries again."""


class Sink(Protocol):
    """A place to publish. `every`: it is to hold every checkpoint, and not the newest alone; `readable`: it tells what it holds."""

    @property
    def name(self) -> str: ...

    @property
    def every(self) -> bool: ...

    @property
    def readable(self) -> bool: ...

    def publish(self, notes: Sequence[str]) -> None:
        """Durable when it returns. Raises Refused, Unreachable."""

    def newest(self) -> str | None:
        """The note that was published last; None where there is none, or where it cannot be read there. Raises Unreachable."""

    def all(self) -> Iterator[str]:
        """The notes that were published there, the oldest first; none where they cannot be read. Raises Unreachable."""


@dataclass(frozen=True)
class FileSink:
    """A line of JSON a checkpoint, in a file that is only added to; it may be append-only for the file system, too."""

    folder: Path
    name: str = "file"
    every: bool = True
    readable: bool = True

    @property
    def path(self) -> Path:
        return self.folder / FILE

    def publish(self, notes: Sequence[str]) -> None:
        """A line that a loss of power tore is ended first, and left. Only the folder itself is made, never what it lies in: where
        that is not there, nothing is mounted."""
        lines = [json.dumps({"checkpoint": note}, ensure_ascii=False) + "\n" for note in notes]
        try:
            self.folder.mkdir(mode=0o750, exist_ok=True)
            with self.path.open("ab") as file:
                whole = not file.tell() or self._tail(1) == b"\n"
                file.write(("" if whole else "\n").encode() + "".join(lines).encode())
                file.flush()
                os.fsync(file.fileno())
            _keep_names(self.folder)
        except OSError as error:
            raise Unreachable(error.strerror or "the file cannot be written") from None

    def newest(self) -> str | None:
        try:
            lines = self._tail(TAIL_BYTES).split(b"\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unreachable(error.strerror or "the file cannot be read") from None
        return next(iter(notes_in(reversed(lines))), None)

    def all(self) -> Iterator[str]:
        try:
            with self.path.open("rb") as file:
                yield from notes_in(file)
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unreachable(error.strerror or "the file cannot be read") from None

    def _tail(self, size: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - size))
            return file.read()


@dataclass(frozen=True)
class WebhookSink:
    """POSTs the newest checkpoint as text. 2xx: held; 409: it holds a larger log, or another."""

    url: str
    name: str = "webhook"
    every: bool = False
    readable: bool = False

    def publish(self, notes: Sequence[str]) -> None:
        try:
            for note in notes:
                headers = {"Content-Type": "text/plain; charset=utf-8"}
                answer = httpx.post(self.url, content=note.encode(), headers=headers, timeout=WEBHOOK_TIMEOUT_S)
                if answer.status_code == httpx.codes.CONFLICT:
                    raise Refused("it answered 409")
                if not answer.is_success:
                    raise Unreachable(f"it answered {answer.status_code}")
        except httpx.HTTPError as error:
            raise Unreachable(type(error).__name__) from None

    def newest(self) -> str | None:
        return None

    def all(self) -> Iterator[str]:
        return iter(())


def notes_in(lines: Iterable[bytes]) -> Iterator[str]:
    """The checkpoints of a file's lines; torn lines are passed over."""
    for line in lines:
        try:
            note = json.loads(line)["checkpoint"]
            checkpoints.read(note)
        except (ValueError, KeyError, TypeError, AttributeError, NotACheckpoint):
            continue
        yield note


def heads(sinks: Sequence[Sink]) -> list[Head]:
    """The newest checkpoint of each place that can be read. Raises Unreachable."""
    return [checkpoints.read(note) for sink in sinks if (note := _newest(sink)) is not None]


def _newest(sink: Sink) -> str | None:
    """Raises Unreachable, also where what was published there is gone: a folder that is not mounted looks like an empty one, and
    the log would go on beside what it was."""
    note = sink.newest()
    if note is None and sink.readable and LogPublication.objects.filter(sink=sink.name, accepted=True).exists():
        raise Unreachable("nothing of what was published there is left: it is not mounted, or another")
    return note


def publish(sinks: Sequence[Sink], *, now: datetime) -> dict[str, str]:
    """Bring each place what it does not have yet; what went wrong, by the place's name. One run at a time."""
    wrong: dict[str, str] = {}
    origin = log.current()
    if origin is None:
        return wrong
    for sink in sinks:
        with as_ledger():
            with connection.cursor() as cursor:
                cursor.execute(_LOCK)
                if not cursor.fetchone()[0]:
                    return wrong
            try:
                _publish(sink, origin, now)
            except Refused as error:
                _note(sink, origin, [log.size_of(origin.number)], now, accepted=False)
                wrong[sink.name] = f"refused: {error}"
            except Unreachable as error:
                wrong[sink.name] = str(error)
    return wrong


def _publish(sink: Sink, origin: LogOrigin, now: datetime) -> None:
    """Raises Refused, Unreachable."""
    _newest(sink)
    done = LogPublication.objects.filter(origin=origin.number, sink=sink.name).order_by("-size").first()
    rows = LogCheckpoint.objects.filter(origin=origin.number, size__gt=done.size if done else 0)
    due = list(rows.order_by("size")[:AT_ONCE]) if sink.every else list(rows.order_by("-size")[:1])
    if due:
        sink.publish([row.note for row in due])
        _note(sink, origin, [row.size for row in due], now, accepted=True)


def _note(sink: Sink, origin: LogOrigin, sizes: Sequence[int], now: datetime, *, accepted: bool) -> None:
    LogPublication.objects.bulk_create(
        [LogPublication(origin=origin.number, sink=sink.name, size=size, at=now, accepted=accepted) for size in sizes],
        ignore_conflicts=True,
    )


def refused(origin: int) -> bool:
    """Whether a place said that it holds a larger log, or another."""
    return LogPublication.objects.filter(origin=origin, accepted=False).exists()


def in_order(sinks: Sequence[Sink]) -> bool:
    """Whether the log may go on. True where what was published cannot be read, which the run says."""
    origin = log.current()
    try:
        sequencer.refuse_behind(origin, heads(sinks))
    except sequencer.Behind:
        return False
    except Unreachable:
        return True
    return origin is None or not refused(origin.number)


def unpublished(sinks: Sequence[Sink], *, before: datetime, limit: int) -> int:
    """How many checkpoints from before then no place has accepted, `limit` at most; none where there is no place."""
    origin = log.current()
    if origin is None or not sinks:
        return 0
    accepted = LogPublication.objects.filter(origin=origin.number, accepted=True).order_by("-size")
    newest = [accepted.filter(sink=sink.name).values_list("size", flat=True).first() for sink in sinks]
    size = max(size or 0 for size in newest)
    return LogCheckpoint.objects.filter(origin=origin.number, size__gt=size, at__lt=before)[:limit].count()


def _keep_names(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
