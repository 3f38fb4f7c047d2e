"""What a client process does: it waits for its start, calls the service and tells what it saw.

A connection a call, as backends behind a pool that closes them make.
"""

import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

Address = tuple[str, int]
TIMEOUT_S = 60


class Unexpected(Exception):
    """An answer that should not be; the message quotes its end."""


def address(where: str) -> Address:
    """Of HOST:PORT."""
    host, _, port = where.rpartition(":")
    return host, int(port)


def request(key: str, path: str, body: Mapping[str, Any]) -> bytes:
    """A whole HTTP request."""
    data = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST /api/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def call(where: Address, sent: bytes | bytearray) -> bytes:
    """The answer, head and body. Raises OSError."""
    with socket.create_connection(where, timeout=TIMEOUT_S) as connection:
        connection.sendall(sent)
        parts = []
        while part := connection.recv(262_144):
            parts.append(part)
    return b"".join(parts)


def expect(answer: bytes, status: int) -> None:
    """Raises Unexpected."""
    if not answer.startswith(b"HTTP/1.1 %d " % status):
        raise Unexpected(answer[-300:].decode(errors="replace"))


def events_answered(answer: bytes, batch: int, refusals: Collection[str] = ()) -> Counter[str]:
    """How many of a batch's events were `stored`, and how many were refused by code.

    Raises Unexpected for a duplicate and for every code that is not among `refusals`.
    """
    expect(answer, 200)
    if b'"stored":%d,' % batch in answer:
        return Counter(stored=batch)
    results = json.loads(answer.partition(b"\r\n\r\n")[2])["results"]
    counts = Counter(result.get("code", result["result"]) for result in results)
    if counts.total() != batch or counts.keys() - {"stored", *refusals}:
        raise Unexpected(f"{dict(counts)} of {batch} events")
    return counts


def wait_for_start() -> None:
    """Says that this process is ready, and waits for the line that whoever started it sends when all are."""
    print("ready", flush=True)
    sys.stdin.readline()


def until(seconds: float, rate: float, calls: int = 0) -> Iterator[float]:
    """Waits for the start, then for each call in turn; yields when each was due by time.perf_counter().

    `rate`: calls a second, 0 for as many as there can be: then a call is due at once. A client that is behind its rate
    does not wait, and what it is behind counts as latency. The first is due by chance within a call's time, so that clients do
    not go in step. Ends after `seconds`, or after `calls` where that is given.
    """
    wait_for_start()
    began = time.perf_counter()
    phase, number = random.random(), 0
    while number < calls if calls else time.perf_counter() < began + seconds:
        due = began + (number + phase) / rate if rate else time.perf_counter()
        if calls == 0 and due >= began + seconds:
            return
        if (wait := due - time.perf_counter()) > 0:
            time.sleep(wait)
        yield due
        number += 1


def tell(told: Mapping[str, Any]) -> None:
    """To whoever started this process, as JSON."""
    print(json.dumps(told), flush=True)


def counted_in_threads(work: Callable[..., None], given: tuple[Any, ...], threads: int) -> dict[str, float]:
    """{"calls", "seconds"} of so many threads, each of which adds to a list, its last argument, how many it made."""
    done: list[int] = []
    running = [threading.Thread(target=work, args=(*given, done)) for _ in range(threads)]
    began = time.monotonic()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if len(done) < threads:
        raise SystemExit("a writer has told why")
    return {"calls": sum(done), "seconds": time.monotonic() - began}
