"""Runs clients side by side, each a process, and adds up what they tell."""

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Measured:
    """Events and calls a second over all clients; latencies in seconds, sorted; events in all, and WAL bytes of each."""

    events: float
    calls: float
    latencies: Sequence[float]
    total: int
    wal: float = 0.0

    def quantile(self, share: float) -> float:
        """The latency that `share` of the calls did not exceed."""
        return self.latencies[min(int(share * len(self.latencies)), len(self.latencies) - 1)]


def side_by_side(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> Measured:
    """Each command is a module and its arguments; it says `ready`, starts at a line, and tells its counts."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for command in commands
    ]  # fmt: skip
    try:
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [json.loads(process.communicate()[0]) for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    return Measured(
        events=sum(one["events"] / one["seconds"] for one in told),
        calls=sum(one["calls"] / one["seconds"] for one in told),
        total=sum(one["events"] for one in told),
        latencies=sorted(latency for one in told for latency in one["latencies"]),
    )


def median(runs: Sequence[Measured]) -> Measured:
    """The run whose rate is the median."""
    return sorted(runs, key=lambda run: run.events)[(len(runs) - 1) // 2]


def spread(runs: Sequence[Measured]) -> float:
    """How far the runs' rates lie apart, as a share of their median."""
    rates = [run.events for run in runs]
    return (max(rates) - min(rates)) / statistics.median(rates)
