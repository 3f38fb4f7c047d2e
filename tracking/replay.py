"""A clickstream file sent through the REST API: consents first, then events, safely as often as one likes."""

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from tracking.addresses import page_path
from tracking.client import Client, Refused, Sent
from tracking.parallel import each

COLUMNS = ["subject", "occurred_at", "page"]
EVENT = "page_view"
BEFORE = timedelta(seconds=1)
RECORDED, REFUSED, UNKNOWN = "recorded", "refused: ", "unknown"
GRANTED = frozenset({"given", "renewed"})
SURELY_PAST = timedelta(hours=26)
LONG_AGO = datetime.min.replace(tzinfo=UTC)

Progress = Callable[[str, int, int], None]
"""Told of the stage, how much of it is done, and how much there is."""


class Notice(NamedTuple):
    """What is needed of a published notice."""

    sha256: str
    effective_at: datetime


class ReplayError(Exception):
    """The replay cannot go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class View:
    """A line of the file. `line` is the line its record begins on, 1 being the header: it names the event."""

    line: int
    subject: str
    occurred_at: datetime
    page: str


@dataclass
class Survey:
    """What a file holds: views, each subject's first one, and the last of all."""

    events: int = 0
    first: dict[str, datetime] = field(default_factory=dict)
    last: datetime = LONG_AGO

    def add(self, view: View) -> None:
        self.events += 1
        self.first[view.subject] = min(view.occurred_at, self.first.get(view.subject, view.occurred_at))
        self.last = max(self.last, view.occurred_at)


@dataclass
class Totals:
    """What became of a replay. `kept`: subjects who had a grant; `left`: who had decided otherwise, so were not asked."""

    consents: int = 0
    kept: int = 0
    left: int = 0
    consents_refused: Counter[str] = field(default_factory=Counter)
    events: int = 0
    stored: int = 0
    duplicate: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, sent: Sent) -> None:
        self.events += len(sent.results)
        self.stored += sent.count("stored")
        self.duplicate += sent.count("duplicate")
        self.refused += sent.refused()


def read(path: Path) -> Iterator[View]:
    """The views of a .csv or .csv.gz file in its order. Raises ReplayError, naming the line."""
    line = 0
    try:
        with _opened(path) as file:
            records = csv.reader(file, strict=True)
            if next(records, None) != COLUMNS:
                raise ReplayError(f"the first line must name the columns {','.join(COLUMNS)}")
            line = records.line_num
            for record in records:
                line += 1  # a quoted page may span lines: the record is named by its first
                if record:
                    yield _view(line, record)
                line = records.line_num
    except (csv.Error, UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ReplayError(f"after line {line}: the file cannot be read further ({type(error).__name__})") from None
    except OSError as error:
        raise ReplayError(f"the file cannot be read: {error.strerror or type(error).__name__}") from None


def _opened(path: Path) -> Any:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    if compressed:
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _view(line: int, record: list[str]) -> View:
    try:
        subject, occurred_at, page = record
        moment = datetime.fromisoformat(occurred_at)
    except ValueError:
        raise ReplayError(f"line {line}: give {', '.join(COLUMNS)}, the time as RFC 3339") from None
    if moment.tzinfo is None or not subject:
        raise ReplayError(f"line {line}: the time needs an offset (Z), and the subject a name")
    return View(line, subject, moment, page)


def survey(path: Path) -> Survey:
    """Reads the file through once. Raises ReplayError for one without views."""
    found = Survey()
    for view in read(path):
        found.add(view)
    if not found.events:
        raise ReplayError("the file holds no views")
    return found


def days_to_yesterday(last: datetime, today: date) -> int:
    """By how many whole days to shift, so that the last view's UTC date is the day before `today` (UTC)."""
    return (today - timedelta(days=1) - last.astimezone(UTC).date()).days


@dataclass
class Replay:
    """A file on its way into one mini-program. `purpose` is the one page_view is catalogued under."""

    client: Client
    path: Path
    program_id: int
    shift: timedelta
    purpose: str
    batch: int
    threads: int
    now: datetime
    progress: Progress
    _known: bool = False

    def consents(self, first: dict[str, datetime], totals: Totals) -> None:
        """Ask on behalf of those about whom nothing was decided; nobody's decision is touched. Raises ReplayError."""

        def ask(subject: str) -> str:
            return self._ask(subject, first[subject] + self.shift - BEFORE)

        for done, (_, outcome) in enumerate(each(ask, first, threads=self.threads), start=1):
            self.progress("asking for consents", done, len(first))
            if outcome == RECORDED:
                totals.consents += 1
            elif outcome in GRANTED:
                totals.kept += 1
            elif outcome.startswith(REFUSED):
                totals.consents_refused[outcome.removeprefix(REFUSED)] += 1
            else:
                totals.left += 1

    def events(self, count: int, totals: Totals) -> None:
        """Send every view as a page_view, in the file's order."""
        views = read(self.path)
        while batch := list(islice(views, self.batch)):
            totals.add(self.client.events([self._event(view) for view in batch], historical=True))
            self.progress("sending events", totals.events, count)

    def _event(self, view: View) -> dict[str, Any]:
        return {
            "event_id": str(view.line),
            "name": EVENT,
            "subject": {"external_id": view.subject},
            "occurred_at": view.occurred_at + self.shift,
            "page": page_path(view.page),
        }

    def _ask(self, subject: str, at: datetime) -> str:
        """RECORDED, the state the subject is in already, or REFUSED with the code.

        The service takes a consent of more than a day ago for subjects without records only. So where the subject
        before was new this one's is sent at once, and where it was known this one's state is asked for first: either
        way is right, and the guess only spares calls.
        """
        if self._known or at > self.now - SURELY_PAST:
            state = self._state(subject)
            self._known = state != UNKNOWN
            if self._known:
                return state
        refused = self._record(subject, at)
        if refused != "too_old":
            return RECORDED if refused is None else REFUSED + refused
        self._known = True
        state = self._state(subject)
        if state == UNKNOWN:
            raise ReplayError("the service takes no consents of the past from this key: it needs the scope import")
        return state

    def _state(self, subject: str) -> str:
        """As `/consents/status` tells it, or REFUSED with the code; a grant that is over is the subject's to renew, not
        ours: `lapsed`."""
        try:
            (found,) = self.client.status({"external_id": subject}, [self.purpose]) or [{"state": UNKNOWN}]
        except Refused as error:
            if error.status != 422 or error.code == "unknown_purpose":
                raise  # the key, the service or the purpose is at fault, not this subject
            return REFUSED + error.code
        return "lapsed" if found["state"] in GRANTED and found.get("renewal_required") else str(found["state"])

    @cached_property
    def _notice(self) -> Notice:
        """The notice in force, under which consents are recorded."""
        told = self.client.notice(self.program_id)
        if self.purpose not in [purpose["code"] for purpose in told["purposes"]]:
            raise ReplayError(f"the notice in force does not tell of the purpose {self.purpose}; name another")
        return Notice(str(told["sha256"]), datetime.fromisoformat(told["effective_at"]))

    def _record(self, subject: str, at: datetime) -> str | None:
        """None when recorded; otherwise why this subject's consent was refused. Raises ReplayError."""
        if self._notice.effective_at > at:
            raise ReplayError(
                f"the notice in force takes effect after some of the file's views: date a first notice back to"
                f" {at.isoformat()} or earlier (publish_notice --effective-at), or shift the file"
            )
        body = {
            "subject": {"external_id": subject},
            "notice": self._notice.sha256,
            "locale": "zh-Hans",
            "occurred_at": at,
            "method": "import",
            "act": "single",
            "decisions": [{"purpose": self.purpose, "decision": "given"}],
        }
        try:
            self.client.consent(body)
        except Refused as error:
            if error.status not in (409, 422):
                raise  # the key or the service is at fault, not this subject
            return error.code
        return None
