"""Runs clients side by side, each a process, and adds up what they tell."""

import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CORES = len(os.sched_getaffinity(0))

Command = Sequence[str]
"""A module and its arguments."""


class ClientFailed(Exception):
    """A client ended with an error, which it has told on standard error."""


@dataclass(frozen=True)
class Measured:
    """Events stored and calls a second over all clients; latencies in seconds, sorted; events in all, and WAL bytes of each.

    `cpu`: the clients' own share of the machine, 0 to 1, and `cpu_s` in seconds. `answers`: events stored, and refused by code.
    """

    events: float
    calls: float
    latencies: Sequence[float]
    total: int
    wal: float = 0.0
    cpu: float = 0.0
    cpu_s: float = 0.0
    answers: Mapping[str, int] = field(default_factory=dict)

    def quantile(self, share: float) -> float:
        """The latency that `share` of the calls did not exceed."""
        return self.latencies[min(int(share * len(self.latencies)), len(self.latencies) - 1)]


def run(commands: Sequence[Command], environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """What each tells. A command says `ready`, starts at a line, when all are ready, and tells its counts as JSON."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for command in commands
    ]  # fmt: skip
    named = [(command[0], process) for command, process in zip(commands, running, strict=True)]
    try:
        for module, process in named:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise ClientFailed(f"{module} has told why")
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = []
        for module, process in named:
            printed, _ = process.communicate()
            if process.returncode:
                raise ClientFailed(f"{module} has told why")
            told.append(json.loads(printed))
        return told
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()


def added(told: Sequence[Mapping[str, Any]]) -> Measured:
    answers: Counter[str] = Counter()
    for one in told:
        answers += Counter(one.get("answers", {}))
    return Measured(
        events=sum(one["events"] / one["seconds"] for one in told),
        calls=sum(one["calls"] / one["seconds"] for one in told),
        total=sum(one["events"] for one in told),
        latencies=sorted(latency for one in told for latency in one["latencies"]),
        cpu=sum(one["cpu"] / one["seconds"] for one in told) / CORES,
        cpu_s=sum(one["cpu"] for one in told),
        answers=answers,
    )


def side_by_side(commands: Sequence[Command], environment: Mapping[str, str]) -> Measured:
    return added(run(commands, environment))


def median(runs: Sequence[Measured]) -> Measured:
    """The run whose rate is the median."""
    return sorted(runs, key=lambda run: run.events)[(len(runs) - 1) // 2]


def spread(runs: Sequence[Measured]) -> float:
    """How far the runs' rates lie apart, as a share of their median."""
    rates = [run.events for run in runs]
    return (max(rates) - min(rates)) / statistics.median(rates)
