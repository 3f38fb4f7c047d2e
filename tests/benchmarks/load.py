"""The load generator: clients that send ready-made batches, each a process of its own.

Bodies are made before the clock starts and differ in the ids of their events only, so that a client costs little beside
the server it shares a machine with; how much, it tells.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tests.benchmarks.calls import address, call, events_answered, request, tell, until
from tests.benchmarks.people import subject_name
from tests.benchmarks.stamped import Stamped, token_of

TOKEN = b"@" * 14
EVENTS_READY = 20_000
PAGES = 300
AGE_S = 300


def events(subjects: int, count: int, chance: random.Random, at: datetime) -> list[dict[str, object]]:
    """Views of the last AGE_S seconds with everything an event may carry, by subjects drawn uniformly.

    All as long as each other in JSON.
    """
    return [
        {
            "event_id": f"{TOKEN.decode()}-{number:04d}",
            "name": "page_view",
            "subject": {"openid": subject_name(chance.randrange(subjects))},
            "occurred_at": told(at - timedelta(seconds=chance.random() * AGE_S)),
            "session_id": f"{chance.getrandbits(128):032x}",
            "page": f"pages/list/{chance.randrange(PAGES):03d}",
            "dwell_ms": chance.randrange(10_000, 60_000),
            "scene": 1001,
            "context": {"os": "ios", "app_version": "8.0.49", "network": "wifi"},
            "properties": {"referrer_page": f"pages/home/{chance.randrange(PAGES):03d}"},
        }
        for number in range(count)
    ]


def told(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def requests(key: str, subjects: int, batch: int, name: str, *, fresh: bool = False) -> Iterator[bytearray]:
    """Whole HTTP requests without end, no event id twice. Each is to be sent before the next is asked for.

    The service corrects times by `sent_at`, so that events do not age however long this goes on. `fresh`: they occur
    just now instead, by a clock that need not be corrected.
    """
    chance, now = random.Random(name), datetime.now(UTC)
    ready = []
    for _ in range(max(1, EVENTS_READY // batch)):
        made = events(subjects, batch, chance, now)
        body = {"events": [event | {"occurred_at": told(now)} for event in made] if fresh else made}
        data = bytearray(request(key, "events", body if fresh else body | {"sent_at": now.isoformat()}))
        ready.append((Stamped(data, TOKEN), Stamped(data, told(now).encode()) if fresh else None))
    number = 0
    while True:
        for ids, moments in ready:
            number += 1
            if moments is not None:
                moments.stamp(told(datetime.now(UTC)).encode())
            yield ids.stamp(token_of(name, number))


def main() -> None:
    """Starts at a line on standard input; tells {"events" stored, "calls", "seconds", "latencies", "cpu", "answers"}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("where", type=address)
    parser.add_argument("key")
    parser.add_argument("name", help="6 letters at most, in no other run on this database")
    parser.add_argument("--subjects", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--calls", type=int, default=0, help="so many instead of so many seconds")
    parser.add_argument("--rate", type=float, default=0.0, help="calls a second; 0: as many as it can")
    parser.add_argument("--fresh", action="store_true", help="events occur when they are sent")
    parser.add_argument("--refusals", nargs="*", default=[], help="codes that an event may be refused with")
    asked = parser.parse_args()
    stream = requests(asked.key, asked.subjects, asked.batch, asked.name, fresh=asked.fresh)
    following = next(stream)
    latencies: list[float] = []
    answers: Counter[str] = Counter()
    cpu = began = 0.0
    for due in until(asked.seconds, asked.rate, asked.calls):
        cpu, began = cpu or time.process_time(), began or due
        answer = call(asked.where, following)
        latencies.append(time.perf_counter() - due)
        answers += events_answered(answer, asked.batch, asked.refusals)
        following = next(stream)
    told = {"events": answers["stored"], "calls": len(latencies), "latencies": latencies, "answers": answers}
    tell(told | {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu})


if __name__ == "__main__":
    main()
