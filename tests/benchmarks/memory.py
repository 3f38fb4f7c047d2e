"""The memory of web processes over many events.

Only the web processes are looked at, so the owner empties the table of events from time to time, while nobody calls,
lest ten million of them fill the disk.
"""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.clients import Command, added, run
from tests.benchmarks.ingest import HTTP_CLIENTS, http_commands
from tests.benchmarks.server import Web, served
from tests.benchmarks.stamped import letters
from tests.benchmarks.world import World

BATCH = 1000
LOOKS, ROUND = 20, 100_000
"""At least so many looks, and one after so many events."""
WARM_CALLS = 10
"""Of each client, before the first look."""
HELD = 2_000_000
"""Events that the table may hold before it is emptied: a gigabyte, and as much WAL."""
MIB = 2**20


@dataclass(frozen=True)
class Held:
    """What each process holds, in bytes: resident, and with every shared page divided by its users."""

    resident: Sequence[int]
    proportional: Sequence[int]


def look(server: Web) -> Held:
    """At a moment without calls. Pages shared with the master count as resident in each."""
    held = [_held(pid) for pid in server.workers()]
    return Held([rss for rss, _ in held], [pss for _, pss in held])


def _held(pid: int) -> tuple[int, int]:
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    sizes = {line[0]: int(line[1]) * 1024 for line in lines}
    return sizes["Rss:"], sizes["Pss:"]


def growth_between(before: Held, after: Held) -> str:
    """In words, of what is resident."""
    worst = max(late - early for early, late in zip(before.resident, after.resident, strict=True))
    return (
        f"{len(after.resident)} web processes: {sum(before.resident) / MIB:.1f} MiB before, {sum(after.resident) / MIB:.1f} after;"
        f" {worst / MIB:+.1f} in the one that grew most"
    )


def memory(made: World, log: Path, events: int) -> str:
    """Markdown: the first look, one each tenth of the events, and how much the processes grew from the first to the last."""
    rounds = max(LOOKS, events // ROUND)
    calls = max(1, events // (rounds * HTTP_CLIENTS * BATCH))
    looks: dict[int, Held] = {}
    rates = []
    with served(made.environment, log / "web.log") as server:
        pids = server.workers()
        sent = held = busy = 0
        for turn in range(rounds + 1):
            if held >= HELD:
                with made.owner() as owner:
                    owner.execute("TRUNCATE event")
                held = 0
            each = calls if turn else WARM_CALLS
            told = run(_clients(made, server, each, f"M{letters(turn, 3)}"), made.environment)
            done = added(told)
            rates.append(done.events)
            busy += done.answers.get("busy", 0)
            sent, held = sent + done.total, held + done.total
            looks[sent] = look(server)
            print(f"memory: {_line(sent, looks[sent])}", file=sys.stderr)
        if server.workers() != pids:
            raise RuntimeError(f"a web process has ended: see {log / 'web.log'}")
    marks = list(looks)
    first, last = marks[rounds // 10], marks[-1]
    lines = [
        "| events | resident, MiB a process | sum | proportional, sum |",
        "|---|---|---|---|",
        *(_line(mark, looks[mark]) for mark in (marks[0], *marks[rounds // 10 :: rounds // 10])),
        "",
        f"- from {first:,} to {last:,} events, {growth_between(looks[first], looks[last])}",
        f"- {statistics.median(rates):,.0f} events a second; {busy:,} answered busy besides",
    ]
    return "\n".join(lines)


def _clients(made: World, server: Web, calls: int, name: str) -> Sequence[Command]:
    more = ("--refusals", "busy")  # on a machine that is starved a lock may be held for long
    return http_commands(made, server.address, BATCH, name, "--calls", str(calls), *more)


def _line(events: int, held: Held) -> str:
    each = ", ".join(f"{size / MIB:.1f}" for size in held.resident)
    return f"| {events:,} | {each} | {sum(held.resident) / MIB:.1f} | {sum(held.proportional) / MIB:.1f} |"
