"""How long every launch's first call takes: `POST /consents/status` over HTTP, about subjects drawn from many.

    python -m tests.benchmarks.status [--subjects N] [--rounds N] [--seconds S] [--var FOLDER]

Servers and clients share this machine. Each figure is the median of several rounds, which take turns.
"""

import argparse
import random
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.calls import Unexpected, address, call, expect, request, tell, until
from tests.benchmarks.clients import ROOT, Measured, median, side_by_side, spread
from tests.benchmarks.people import subject_name
from tests.benchmarks.server import web
from tests.benchmarks.world import world

CLIENTS = (1, 4)
READY = 5_000
"""Calls made ready before the clock starts."""


def requests(key: str, subjects: int, name: str) -> list[bytes]:
    """One in ten is about somebody nobody knows."""
    chance = random.Random(name)
    drawn = [subject_name(chance.randrange(subjects * 10 // 9)) for _ in range(READY)]
    return [request(key, "consents/status", {"subject": {"openid": openid}}) for openid in drawn]


def client(where: str, key: str, subjects: str, seconds: str, name: str) -> None:
    """One of the clients, as `side_by_side` runs it."""
    ready = requests(key, int(subjects), name)
    latencies: list[float] = []
    began = time.perf_counter()
    for due in until(float(seconds), rate=0):
        began = due if not latencies else began
        answer = call(address(where), ready[len(latencies) % READY])
        latencies.append(time.perf_counter() - due)
        expect(answer, 200)
        if b'"purpose":"analytics"' not in answer:
            raise Unexpected(answer[-300:].decode())
    count = len(latencies)
    told = {"events": count, "calls": count, "seconds": time.perf_counter() - began, "latencies": latencies}
    tell(told | {"cpu": time.process_time()})


def table(found: dict[int, list[Measured]]) -> str:
    """Markdown: a line for each number of clients."""
    lines = ["| clients | calls a second | spread | p50 | p99 |", "|---|---|---|---|---|"]
    for clients, runs in found.items():
        run = median(runs)
        p50, p99 = (f"{run.quantile(share) * 1000:.1f} ms" for share in (0.5, 0.99))
        lines.append(f"| {clients} | {run.calls:,.0f} | {spread(runs):.0%} | {p50} | {p99} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table on standard output, what goes on on standard error."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.status", description=__doc__)
    parser.add_argument("--subjects", type=int, default=200_000, help="who have consented (default: 200000)")
    parser.add_argument("--rounds", type=int, default=5, help="of each number of clients (default: 5)")
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement (default: 4)")
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "bench", help="folder (default: var/bench)")
    asked = parser.parse_args(arguments)
    found: dict[int, list[Measured]] = defaultdict(list)
    with world(asked.var, subjects=asked.subjects, days=1) as made:
        # What is measured is the call, not what a client may have.
        environment = {**made.environment, "ZHIQING_RATE_CALLS": "1000000"}
        with web(environment, asked.var / "log" / "status.log") as (host, port):
            about = (f"{host}:{port}", made.key, str(asked.subjects), str(asked.seconds))
            for turn in range(asked.rounds):
                for clients in CLIENTS:
                    commands = [
                        ("tests.benchmarks.status", "client", *about, f"{turn}.{number}") for number in range(clients)
                    ]
                    found[clients].append(side_by_side(commands, environment))
                    print(
                        f"round {turn + 1}: {clients}: {found[clients][-1].calls:,.0f} calls a second", file=sys.stderr
                    )
        print(table(found))
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["client"]:
        client(*sys.argv[2:])
    else:
        sys.exit(main())
