"""A burst for the barrier test: clients that have hundreds of calls in flight at once, each client a process of its own."""

import json
import os
import random
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

from tests.tracking.barrier_load import ROOT

TIMEOUT_S = 60.0
FAST = timedelta(minutes=10)


@dataclass(frozen=True)
class Call:
    """One POST /events: its events' ids begin with `name`; sent and answered by the clock of `time.monotonic`."""

    name: str
    sent: float
    answered: float
    status: int
    code: str | None
    stored: int = 0
    refused: int = 0
    retry: int = 0


@dataclass
class Burst:
    """What came of calls that were in flight together."""

    calls: list[Call] = field(default_factory=list)

    def carried_out(self) -> list[Call]:
        return [call for call in self.calls if call.status == 200]

    def in_flight(self, moment: float) -> int:
        """How many had been sent and were not answered."""
        return sum(call.sent <= moment < call.answered for call in self.calls)

    def at_once(self) -> int:
        """The most that were in flight together."""
        return max(self.in_flight(call.sent) for call in self.calls)

    def answers(self) -> Counter[str]:
        """How many calls were answered so."""
        return Counter(call.code or str(call.status) for call in self.calls)

    def events(self) -> Counter[str]:
        """How many events were answered so."""
        told: Counter[str] = Counter()
        for call in self.calls:
            told.update(stored=call.stored, refused=call.refused, retry=call.retry)
        return told


class Clients:
    """Two processes that send `calls` between them, of `batch` events each, and wait for all the answers."""

    def __init__(self, port: int, key: str, name: str, subjects: Sequence[str], calls: int, batch: int) -> None:
        self._running = [
            subprocess.Popen(
                [
                    sys.executable, "-m", "tests.tracking.barrier_burst",
                    str(port), f"{name}-c{number}", str(calls // 2), str(batch), *subjects,
                ],
                env={**os.environ, "BARRIER_KEY": key},
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(2)
        ]  # fmt: skip
        self._await("ready")

    def send(self) -> None:
        """Until every call lies with the server, whole."""
        for process in self._running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        self._await("sent")

    def burst(self) -> Burst:
        """When every call is answered."""
        burst = Burst()
        for process in self._running:
            told, _ = process.communicate(timeout=TIMEOUT_S)
            assert process.returncode == 0
            burst.calls += [Call(**call) for call in json.loads(told)]
        return burst

    def end(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _await(self, word: str) -> None:
        for process in self._running:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{word}\n"


@contextmanager
def clients(
    server: tuple[int, str], name: str, subjects: Sequence[str], *, calls: int, batch: int
) -> Iterator[Clients]:
    """Ready to send; `server`: its port and a key."""
    started = Clients(*server, name, subjects, calls, batch)
    try:
        yield started
    finally:
        started.end()


def requests(key: str, name: str, subjects: Sequence[str], calls: int, batch: int) -> Iterator[tuple[str, bytes]]:
    """The calls as they go over the wire, each with its name.

    The sender's clock is fast and tells so by `sent_at`: an event is of the time it arrives, and later by its own account,
    so that a consent given anew after the calls were prepared covers it.
    """
    chance, moment = random.Random(name), (datetime.now(UTC) + FAST).isoformat()
    for number in range(calls):
        events = [
            {
                "event_id": f"{name}-{number}-{place}",
                "name": "page_view",
                "subject": {"openid": chance.choice(subjects)},
                "occurred_at": moment,
            }
            for place in range(batch)
        ]
        body = json.dumps({"events": events, "sent_at": moment}).encode()
        head = (
            f"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        yield f"{name}-{number}", head.encode() + body


@dataclass
class Waiting:
    """A call that was sent, and what of its answer has come."""

    name: str
    sent: float
    answer: bytes = b""

    def ended(self) -> Call:
        head, _, body = self.answer.partition(b"\r\n\r\n")
        told, status = json.loads(body), int(head.split(maxsplit=2)[1])
        counts = {result: told[result] for result in ("stored", "refused", "retry") if status == 200}
        return Call(self.name, self.sent, time.monotonic(), status, told.get("code"), **counts)


def send(port: int, calls: Iterable[tuple[str, bytes]]) -> selectors.BaseSelector:
    """Every call on a connection of its own, whole; the connections, to be read."""
    selector = selectors.DefaultSelector()
    for name, request in calls:
        connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        connection.sendall(request)
        selector.register(connection, selectors.EVENT_READ, Waiting(name, time.monotonic()))
    return selector


def answers(selector: selectors.BaseSelector) -> Iterator[Call]:
    """As they come, until all have."""
    while selector.get_map():
        ready = selector.select(TIMEOUT_S)
        assert ready, f"{len(selector.get_map())} calls were never answered"
        for key, _ in ready:
            connection: socket.socket = key.fileobj  # type: ignore[assignment]  # what `send` registered
            waiting: Waiting = key.data
            told = connection.recv(65536)
            waiting.answer += told
            if not told:
                selector.unregister(connection)
                connection.close()
                yield waiting.ended()


if __name__ == "__main__":
    _, port, client_name, count, size, *openids = sys.argv
    prepared = list(requests(os.environ["BARRIER_KEY"], client_name, openids, int(count), int(size)))
    print("ready", flush=True)  # noqa: T201  read by the test, as what follows
    sys.stdin.readline()
    sent = send(int(port), prepared)
    print("sent", flush=True)  # noqa: T201
    print(json.dumps([asdict(call) for call in answers(sent)]))  # noqa: T201
