"""The journal as files: one a day, only appended to, by any number of processes of one machine. The folder has a name of its own.

A line is written under a lock, which orders the chain; the lock is let go before the line is made durable, so that writers
who come together share the disk's flush.
"""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from consent.journal.entries import BEGINNING, CONFIRMING, Entry, Torn, body_of, chained, line_of, parsed

_PATTERN = "journal-????-??-??.jsonl"
_NAME = "writer"
_TAIL = 4096
"""More than two of most lines: an act names a few purposes."""


class FileSink:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: tuple[Path | None, int] = (None, 0)
        self._confirmed = 0
        self._writer: str | None = None

    def writer(self) -> str:
        """The folder's name, 64 random bits in hexadecimal, which is made where there is none yet. Raises OSError."""
        if self._writer is None:
            with _locked(self.folder):
                self._writer = writer_of(self.folder) or _named(self.folder)
        return self._writer

    def write(self, entry: Entry, *, durable: bool) -> None:
        """Raises OSError; what was half written then is passed over by the next line and by readers."""
        with _locked(self.folder):
            if self._writer is not None and writer_of(self.folder) != self._writer:
                # What is written to the place that a disk is mounted on is hidden when it is mounted again.
                raise OSError(errno.ESTALE, "the folder is not the one that was written to: is its disk mounted?")
            newest = next(reversed(files(self.folder)), None)
            path = self.folder / f"journal-{entry.at.astimezone(UTC):%Y-%m-%d}.jsonl"
            if newest is not None and newest.name > path.name:
                path = newest  # another was just past midnight
            before, whole = self._last(newest)
            body = body_of(entry)
            line = line_of(body, chained(before, body))
            made = not path.exists()
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                _append(descriptor, line if whole or path != newest else b"\n" + line)
                if made:
                    # Before anybody else writes: their line is durable only where its file's name is.
                    _sync_folder(self.folder)
            except BaseException:
                os.close(descriptor)
                raise
        try:
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _last(self, newest: Path | None) -> tuple[str, bool]:
        """The chain so far, and whether the newest file ends with a whole line."""
        whole = True
        for path in reversed(files(self.folder)):
            with path.open("rb") as file:
                length = file.seek(0, os.SEEK_END)
                # All of it where its end is a longer line, whole or torn.
                for start in (max(0, length - _TAIL), 0):
                    file.seek(start)
                    content = file.read()
                    chain = _last_chain(content)
                    if chain is not None:
                        break
            if path == newest:
                whole = not content or content.endswith(b"\n")
            if chain is not None:
                return chain, whole
        return BEGINNING, whole

    def confirmed(self) -> int:
        """The highest number that the database is known to have given out. Reads what was written since the last time."""
        known = files(self.folder)
        newest = known[-1] if known else None
        path, offset = self._read
        if newest != path:
            for older in known[-2:]:
                offset = self._read_on(older, offset if older == path else 0)
        elif newest is not None:
            offset = self._read_on(newest, offset)
        self._read = newest, offset
        return self._confirmed

    def _read_on(self, path: Path, offset: int) -> int:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read()
        for line in content.splitlines():
            with contextlib.suppress(Torn):
                entry, _, _ = parsed(line)
                if entry.kind in CONFIRMING:
                    self._confirmed = max(self._confirmed, entry.number)
        # A line that another is writing is read with the next.
        return offset + content.rfind(b"\n") + 1


@dataclass
class Kept:
    """What was read. `torn`: lines that are not whole, and were never acknowledged; `broken`: places where lines are missing
    or were changed; `begins`: with the first line that was ever written there; `writers`: whose entries these are."""

    entries: list[Entry] = field(default_factory=list)
    torn: int = 0
    broken: list[str] = field(default_factory=list)
    begins: bool = False
    writers: set[str] = field(default_factory=set)

    def reaches_back_to(self, number: int) -> bool:
        """Whether nothing is missing since the database had given out this number."""
        return not self.broken and any(entry.number <= number for entry in self.entries)


def read(place: Path) -> Kept:
    """A folder of journal files, or a file of lines that a webhook's receiver kept. Raises OSError."""
    kept = Kept()
    chain: str | None = None
    for path in files(place) if place.is_dir() else [place]:
        chain = _read_file(path, chain, kept)
    kept.writers = {entry.writer for entry in kept.entries if entry.writer is not None}
    if place.is_dir() and (own := writer_of(place)):
        kept.writers.add(own)
    return kept


def _read_file(path: Path, chain: str | None, kept: Kept) -> str | None:
    for place, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            entry, body, said = parsed(line)
        except Torn:
            # The next line goes on from the one before; where it does not, this one was damaged later.
            kept.torn += bool(line)
            continue
        if said is not None and chain is not None and said != chained(chain, body):
            kept.broken.append(f"{path.name}:{place}")
        kept.begins = kept.begins or (not kept.entries and said == chained(BEGINNING, body))
        kept.entries.append(entry)
        chain = said
    return chain


def writer_of(folder: Path) -> str | None:
    """The folder's name; None where nothing was written there yet, or before folders had one. Raises OSError."""
    try:
        return (folder / _NAME).read_text().strip() or None
    except FileNotFoundError:
        return None


def _named(folder: Path) -> str:
    name = secrets.token_hex(8)
    descriptor = os.open(folder / _NAME, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _append(descriptor, f"{name}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _sync_folder(folder)
    return name


def files(folder: Path) -> list[Path]:
    """By day."""
    return sorted(folder.glob(_PATTERN))


def over(folder: Path, *, kept: timedelta, today: date) -> list[Path]:
    """Files of days that no backup reaches back to; never the newest, which the chain goes on from."""
    first = today - kept
    return [path for path in files(folder)[:-1] if day_of(path) < first]


def drop(folder: Path, *, kept: timedelta, today: date) -> int:
    """Raises OSError."""
    with _locked(folder):
        gone = over(folder, kept=kept, today=today)
        for path in gone:
            path.unlink()
    return len(gone)


def day_of(path: Path) -> date:
    return datetime.strptime(path.name, "journal-%Y-%m-%d.jsonl").replace(tzinfo=UTC).date()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _append(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last_chain(content: bytes) -> str | None:
    for line in reversed(content.splitlines()):
        with contextlib.suppress(Torn):
            chain = parsed(line)[2]
            if chain is not None:
                return chain
    return None
