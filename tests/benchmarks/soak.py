"""Mixed load for minutes or hours at a share of what the machine takes; anything but the expected answers ends it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.clients import CORES, run
from tests.benchmarks.memory import growth_between, look
from tests.benchmarks.mixed import MINUTE_S
from tests.benchmarks.server import Web, served, worker
from tests.benchmarks.table import answers
from tests.benchmarks.world import World

CLIENTS = 4
SHARE = 0.7
TRIAL_S = 10.0


def soak(made: World, log: Path, seconds: float) -> str:
    """Markdown: a line a minute. How much the machine takes is tried out first, and warms the processes up."""
    with served(made.environment, log / "web.log") as server, worker(made.environment, log / "worker.log"):
        tried = _run(made, server, "T", min(TRIAL_S, seconds), 0)
        full = sum(one["calls"] / one["seconds"] for one in tried)
        print(f"soak: {full:,.0f} calls a second at most; now {SHARE:.0%} of it", file=sys.stderr)
        before = look(server)
        told = _run(made, server, "S", seconds, SHARE * full / CLIENTS)
        after = look(server)
    answered: dict[str, int] = {}
    for one in told:
        for what, count in one["answers"].items():
            answered[what] = answered.get(what, 0) + count
    share = sum(one["cpu"] / one["seconds"] for one in told) / CORES
    lines = [
        *_minutes([one["minutes"] for one in told], seconds),
        "",
        f"- {SHARE:.0%} of {full:,.0f} calls a second; clients {share:.1%}",
        f"- {growth_between(before, after)}",
        f"- no answers but these: {answers(answered)}",
    ]
    return "\n".join(lines)


def _run(made: World, server: Web, name: str, seconds: float, rate: float) -> list[dict[str, Any]]:
    host, port = server.address
    more = ("--subjects", str(len(made.subjects)), "--seconds", str(seconds), "--rate", str(rate))
    commands = [
        ("tests.benchmarks.mixed", f"{host}:{port}", made.key, f"{name}{client}", *more) for client in range(CLIENTS)
    ]
    return run(commands, made.environment)


def _minutes(clients: Sequence[Sequence[Mapping[str, Any]]], seconds: float) -> list[str]:
    lines = ["| minute | calls a second | events a second | p50 | p99 | longest |", "|---|---|---|---|---|---|"]
    for minute in range(max(map(len, clients))):
        parts = [of[minute] for of in clients if minute < len(of)]
        lasted = min(MINUTE_S, seconds - minute * MINUTE_S)
        latencies = sorted(latency for part in parts for latency in part["latencies"])
        events = sum(part["events"] for part in parts) / lasted
        p50, p99 = (latencies[int(share * (len(latencies) - 1))] * 1000 for share in (0.5, 0.99))
        lines.append(
            f"| {minute + 1} | {len(latencies) / lasted:,.0f} | {events:,.0f} | {p50:.1f} ms | {p99:.1f} ms |"
            f" {latencies[-1] * 1000:.0f} ms |"
        )
    return lines
