"""The load generator: clients that send ready-made batches, each a process of its own.

Bodies are made before the clock starts and differ in the ids of their events only, so that a client costs little beside
the server it shares a machine with. A connection a call, as backends behind a pool that closes them make.

    python -m tests.benchmarks.load HOST:PORT KEY SUBJECTS BATCH SECONDS RATE NAME

RATE: calls a second of this client, 0 for as many as it can.
"""

import json
import random
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tests.benchmarks.world import subject_name

TOKEN = b"@" * 14
# Digits in a row may look like a telephone number.
LETTERS = str.maketrans("0123456789", "ghijklmnop")
EVENTS_READY = 20_000
PAGES = 300


def events(subjects: int, count: int, chance: random.Random, at: datetime) -> list[dict[str, object]]:
    """Views of the last minutes with everything an event may carry, by subjects drawn uniformly."""
    return [
        {
            "event_id": f"{TOKEN.decode()}-{number}",
            "name": "page_view",
            "subject": {"openid": subject_name(chance.randrange(subjects))},
            "occurred_at": (at - timedelta(seconds=chance.random() * 300)).isoformat(timespec="milliseconds"),
            "session_id": f"{chance.getrandbits(128):032x}",
            "page": f"pages/list/{chance.randrange(PAGES)}",
            "dwell_ms": chance.randrange(60_000),
            "scene": 1001,
            "context": {"os": "ios", "app_version": "8.0.49", "network": "wifi"},
            "properties": {"referrer_page": f"pages/home/{chance.randrange(PAGES)}"},
        }
        for number in range(count)
    ]


def requests(key: str, subjects: int, batch: int, name: str) -> Iterator[bytes]:
    """Whole HTTP requests without end, no event id twice."""
    chance, now = random.Random(name), datetime.now(UTC)
    ready = []
    for _ in range(max(1, EVENTS_READY // batch)):
        sent = {"sent_at": now.isoformat(), "events": events(subjects, batch, chance, now)}
        body = json.dumps(sent, separators=(",", ":")).encode()
        head = (
            "POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        ready.append(head.encode() + body)
    number = 0
    while True:
        for request in ready:
            number += 1
            yield request.replace(
                TOKEN, b"%b%b" % (name.encode().rjust(6, b"-"), f"{number:08x}".translate(LETTERS).encode())
            )


def call(address: tuple[str, int], request: bytes) -> bytes:
    """The answer, head and body. Raises OSError."""
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(262_144):
            parts.append(part)
    return b"".join(parts)


def main(where: str, key: str, subjects: str, batch: str, seconds: str, rate: str, name: str) -> None:
    """Prints {"events", "calls", "seconds", "latencies"} as JSON; starts at a line on standard input."""
    host, _, port = where.rpartition(":")
    stream = requests(key, int(subjects), int(batch), name)
    next(stream)
    print("ready", flush=True)
    sys.stdin.readline()
    latencies: list[float] = []
    pause = 1 / float(rate) if float(rate) else 0.0
    began = due = time.perf_counter()
    while (now := time.perf_counter()) < began + float(seconds):
        if due > now:
            time.sleep(due - now)
        sent = max(due, time.perf_counter()) if not pause else due
        answer = call((host, int(port)), next(stream))
        # Behind its rate a client's wait counts as latency too.
        latencies.append(time.perf_counter() - sent)
        due += pause
        if b" 200 OK\r\n" not in answer[:20] or b'"stored":%s,' % batch.encode() not in answer:
            sys.exit(f"an answer was not what it should be: {answer[-300:].decode()}")
    took = time.perf_counter() - began
    told = {"events": len(latencies) * int(batch), "calls": len(latencies), "seconds": took, "latencies": latencies}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
