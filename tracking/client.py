"""A small client of the REST API, as a mini-program's backend would write one: it sends again what may be sent again.

Every call is safe to repeat: events by their event_id, consents and requests by an Idempotency-Key made once a call,
the rest because it only reads. So a lost connection, 429 and 503 are answered by waiting and sending the same again.
"""

import gzip
import random
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

MAX_EVENTS = 2000
MAX_BYTES = 4 * 1024 * 1024
ENVELOPE_BYTES = 100
COMPRESS_FROM = 8 * 1024
LONGEST_WAIT_S = 60.0
REPEATED = frozenset({429, 502, 503, 504})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Body = Mapping[str, Any]


class ClientError(Exception):
    """A call failed; the message says why, and holds nothing that was sent."""


class Unreachable(ClientError):
    """No answer after all attempts."""


class UnexpectedAnswer(ClientError):
    """An answer that the API does not give: something else listens there."""


class Refused(ClientError):
    """The service said no, or was busy for all attempts: the problem it answered (RFC 9457)."""

    def __init__(self, status: int, code: str, detail: str, errors: Sequence[Body] = ()) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status, self.code, self.detail, self.errors = status, code, detail, list(errors)


class Unsettled(ClientError):
    """Events were answered `retry` at every attempt; sending all of them again later is safe."""


@dataclass(frozen=True)
class Patience:
    """How often a call is made in all, and how the pause grows: doubled from `first_s` to `longest_s`, with jitter."""

    attempts: int = 8
    first_s: float = 0.2
    longest_s: float = 10.0

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the failed attempt (0 is the first)."""
        return min(self.longest_s, self.first_s * 2.0**attempt) * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class Sent:
    """What became of events: the API's result for each, in the order they were given."""

    results: list[dict[str, Any]] = field(default_factory=list)

    def count(self, result: str) -> int:
        """How many were `stored`, `duplicate` or `refused`."""
        return sum(each["result"] == result for each in self.results)

    def refused(self) -> Counter[str]:
        """Code -> how many."""
        return Counter(str(each.get("code")) for each in self.results if each["result"] == "refused")


class Client:
    """Calls under one key; threads may share it. Raises Unreachable, Refused, Unsettled, UnexpectedAnswer."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout_s: float = 30.0,
        patience: Patience | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Raises ValueError for a base URL or a key that cannot be one."""
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("the base URL is where the service answers, as http://127.0.0.1:8000")
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            raise ValueError("the key is as create_client printed it: zq_<key id>_<secret>")
        self.repeats = 0
        self._patience, self._clock, self._sleep = patience or Patience(), clock, sleep
        self._counting = threading.Lock()
        near = parts.hostname in LOOPBACK
        self._compresses = not near  # there is no bandwidth to save
        self._http = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
            timeout=timeout_s,
            transport=transport,
            trust_env=not near,  # a proxy would look for its own 127.0.0.1
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def notice(self, program_id: int, *, audience: str = "general") -> Any:
        """The notice in force."""
        return self._call("GET", f"notices/current?program={program_id}&audience={audience}")

    def consent(self, body: Body) -> Any:
        """Record one act with its decisions."""
        return self._create("consents", body)

    def status(self, subject: Body, purposes: Sequence[str] | None = None) -> Any:
        """What is allowed, one item a purpose."""
        asked = {"subject": subject} | ({} if purposes is None else {"purposes": purposes})
        return self._call("POST", "consents/status", _encoded(asked))

    def profile(self, subject: Body, attributes: Body) -> Any:
        """Set declared attributes."""
        return self._call("PUT", "profile", _encoded({"subject": subject, "attributes": attributes}))

    def request(self, body: Body) -> Any:
        """File a data-subject request."""
        return self._create("requests", body)

    def request_state(self, request_id: str) -> Any:
        """Where a data-subject request stands."""
        return self._call("GET", f"requests/{request_id}")

    def report(self, metric: str, body: Body) -> Any:
        """A report's answer."""
        return self._call("POST", f"reports/{metric}", _encoded(body))

    def events(self, events: Sequence[Body], *, historical: bool = False) -> Sent:
        """Send events in batches the API takes (2,000, 4 MiB); those answered `retry` are sent again, and no others."""
        results: list[dict[str, Any]] = []
        for batch in batches([_encoded(event) for event in events]):
            results += self._settled(batch, historical)
        return Sent(results)

    def _settled(self, batch: list[bytes], historical: bool) -> list[dict[str, Any]]:
        settled: dict[int, dict[str, Any]] = {}
        waiting = list(range(len(batch)))
        for attempt in range(self._patience.attempts):
            if attempt:
                self._wait(self._patience.pause(attempt - 1))
            content = [batch[place] for place in waiting]
            answer = self._call("POST", "events", partial(self._envelope, content, historical))
            results = answer.get("results") if isinstance(answer, dict) else None
            if not isinstance(results, list) or len(results) != len(waiting):
                raise UnexpectedAnswer("the answer does not have one result for each event")
            settled |= {place: each for place, each in zip(waiting, results, strict=True) if each["result"] != "retry"}
            waiting = [place for place in waiting if place not in settled]
            if not waiting:
                return [settled[place] for place in range(len(batch))]
        raise Unsettled(f"{len(waiting)} events of a batch were answered retry {self._patience.attempts} times")

    def _envelope(self, events: list[bytes], historical: bool) -> bytes:
        """The sender's clock is read at each attempt, so that the service can correct it; the past needs none."""
        head = b'"historical":true' if historical else b'"sent_at":' + _encoded(self._clock())
        return b"{" + head + b',"events":[' + b",".join(events) + b"]}"

    def _create(self, path: str, body: Body) -> Any:
        return self._call("POST", path, _encoded(body), {"Idempotency-Key": str(uuid.uuid4())})

    def _call(
        self, method: str, path: str, content: bytes | Callable[[], bytes] | None = None, headers: Body | None = None
    ) -> Any:
        for attempt in range(self._patience.attempts):
            fresh = content() if callable(content) else content
            failure, asked_wait = self._failure_or_answer(method, path, fresh, dict(headers or {}))
            if not isinstance(failure, ClientError):
                return failure
            if asked_wait is None or attempt + 1 == self._patience.attempts:
                raise failure
            self._wait(max(asked_wait, self._patience.pause(attempt)))
        raise AssertionError("at least one attempt is made")

    def _failure_or_answer(
        self, method: str, path: str, content: bytes | None, headers: dict[str, str]
    ) -> tuple[Any, float | None]:
        """(the answer, None), or (what failed, the seconds to wait before sending again; None: do not)."""
        if content is not None:
            headers["Content-Type"] = "application/json"
            if self._compresses and len(content) >= COMPRESS_FROM:
                headers["Content-Encoding"], content = "gzip", gzip.compress(content, compresslevel=1)
        try:
            response = self._http.request(method, path, content=content, headers=headers)
        except httpx.TransportError as error:
            return Unreachable(f"{self._http.base_url.host}: {type(error).__name__}"), 0.0
        if response.is_success:
            try:
                return msgspec.json.decode(response.content), None
            except msgspec.DecodeError:
                return UnexpectedAnswer("the answer is not JSON"), None
        again = response.status_code in REPEATED or (response.status_code == 409 and "Retry-After" in response.headers)
        return _refused(response), self._asked_wait(response) if again else None

    def _asked_wait(self, response: httpx.Response) -> float:
        """Retry-After in seconds (a number or an HTTP date), a minute at most."""
        asked = response.headers.get("Retry-After", "0")
        try:
            seconds = (
                float(asked) if asked.isdecimal() else (parsedate_to_datetime(asked) - self._clock()).total_seconds()
            )
        except (ValueError, TypeError, OverflowError):
            seconds = 0.0
        return min(max(seconds, 0.0), LONGEST_WAIT_S)

    def _wait(self, seconds: float) -> None:
        with self._counting:
            self.repeats += 1
        self._sleep(seconds)


def batches(events: list[bytes]) -> Iterator[list[bytes]]:
    """Encoded events in their order, each list within what one call takes."""
    batch: list[bytes] = []
    size = ENVELOPE_BYTES
    for event in events:
        if batch and (len(batch) == MAX_EVENTS or size + len(event) + 1 > MAX_BYTES):
            yield batch
            batch, size = [], ENVELOPE_BYTES
        batch.append(event)
        size += len(event) + 1
    if batch:
        yield batch


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _refused(response: httpx.Response) -> ClientError:
    try:
        problem = msgspec.json.decode(response.content)
        return Refused(response.status_code, problem["code"], problem["detail"], problem.get("errors") or [])
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return Refused(response.status_code, "unknown", "the answer is not a problem document of this API")
