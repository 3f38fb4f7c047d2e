"""How long a withdrawal takes beside full load, with the load's web processes, with some of their own (docs/operations.md), and
with some that the system prefers to the load's; and where one subject is asked for by many clients at once.

The worker runs, as it does in production: it erases what the withdrawn consents had collected. Afterwards subjects are
without consent, so that what insists on storing every event is to be measured before.
"""

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.clients import Command, Measured, added, run
from tests.benchmarks.ingest import http_commands
from tests.benchmarks.server import web, worker
from tests.benchmarks.table import answers
from tests.benchmarks.world import World

BATCH = 100
A_SECOND, WITHDRAWERS = 10, 5
"""Several, so that a withdrawal does not wait for the one before it."""
OWN_PROCESSES, NICENESS = 2, 10
HOT_CLIENTS, HOT_BATCH = 8, 10
ENDED = ("consent_withdrawn", "consent_changing", "busy")
"""How an event may be refused where subjects withdraw; `busy` tells that a lock was held for long."""
ENDED_AND_BEGUN = (*ENDED, "outside_consent")
"""And where it consents anew: what came while there was no consent is refused once there is one again."""

Beside = tuple[list[float], Measured]
"""How long the withdrawals took, in seconds, sorted; and the load meanwhile."""


def withdrawals(made: World, log: Path, seconds: float) -> str:
    """Markdown. `seconds` for each of the four."""
    with worker(made.environment, log / "worker.log"):
        with (
            web(made.environment, log / "web.log", niceness=NICENESS) as address,
            web(made.environment, log / "consents.log", workers=OWN_PROCESSES) as own,
        ):
            ahead = _beside_full_load(made, "N", seconds, address, own)
        with web(made.environment, log / "web.log") as address:
            full = _beside_full_load(made, "W", seconds, address, address)
            with web(made.environment, log / "consents.log", workers=OWN_PROCESSES) as own:
                apart = _beside_full_load(made, "O", seconds, address, own)
            hot = _hot(made, address, seconds)
    lines = [
        "| withdrawals | calls | p50 | p99 | longest | events a second stored meanwhile | clients |",
        "|---|---|---|---|---|---|---|",
        _line(f"{A_SECOND} a second beside full load, {BATCH} events a call", full),
        _line(f"the same, answered by {OWN_PROCESSES} processes of their own", apart),
        _line(f"the same, the load's processes at a niceness of {NICENESS}", ahead),
        _line(f"of one subject, {HOT_CLIENTS} clients, {HOT_BATCH} events a call", hot),
        "",
        f"- beside full load: {answers(full[1].answers)}",
        f"- with processes of their own: {answers(apart[1].answers)}",
        f"- ahead of the load: {answers(ahead[1].answers)}",
        f"- one subject: {answers(hot[1].answers)}",
    ]
    return "\n".join(lines)


def _beside_full_load(
    made: World, name: str, seconds: float, address: tuple[str, int], decided: tuple[str, int]
) -> Beside:
    """`decided`: where the withdrawals go. Another name draws other subjects, and names other events."""
    more = ("--seconds", str(seconds), "--refusals", *ENDED)
    loads = http_commands(made, address, BATCH, name, *more)
    drawn = ("--subjects", str(len(made.subjects)), "--rate", str(A_SECOND / WITHDRAWERS), "--seconds", str(seconds))
    decisions = [(*_decisions(made, decided), "many", f"{name}{client}", *drawn) for client in range(WITHDRAWERS)]
    return _run(made, loads, decisions)


def _hot(made: World, address: tuple[str, int], seconds: float) -> Beside:
    """The subject consents and withdraws over and over, and events occur as they are sent."""
    more = ("--seconds", str(seconds), "--fresh", "--refusals", *ENDED_AND_BEGUN)
    loads = http_commands(made, address, HOT_BATCH, "H", *more, clients=HOT_CLIENTS, subjects=1)
    again = ("one", "--notice", made.notice, "--seconds", str(seconds))
    return _run(made, loads, [(*_decisions(made, address), *again)])


def _decisions(made: World, address: tuple[str, int]) -> Command:
    host, port = address
    return ("tests.benchmarks.decisions", f"{host}:{port}", made.key)


def _run(made: World, loads: Sequence[Command], decisions: Sequence[Command]) -> Beside:
    told = run([*loads, *decisions], made.environment)
    loaded, decided = told[: len(loads)], told[len(loads) :]
    return sorted(latency for one in decided for latency in one["latencies"]), added(loaded)


def _line(what: str, beside: Beside) -> str:
    took, load = beside
    p50, p99 = (took[min(int(share * len(took)), len(took) - 1)] for share in (0.5, 0.99))
    times = " | ".join(f"{seconds * 1000:.0f} ms" for seconds in (p50, p99, took[-1]))
    return f"| {what} | {len(took)} | {times} | {load.events:,.0f} | {load.cpu:.1%} |"
