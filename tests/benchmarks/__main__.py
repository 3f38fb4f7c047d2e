"""`make bench`: how many events a second, and how that compares with PostgreSQL alone and with what teams commonly write.

Everything runs on this machine at once, servers and clients alike, so take figures as ratios within one run. Each is the
median of several rounds, whose order goes through all kinds before any is repeated.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.benchmarks.clients import ROOT, Measured, median, side_by_side, spread
from tests.benchmarks.server import web
from tests.benchmarks.world import World, world

HTTP_CLIENTS, SQL_CLIENTS = 4, 2
HALF_LOADED = 100
"""Events a call where the service is asked half as often as it could answer."""
COMMON = "tests.benchmarks.yardstick:application"
Kind = tuple[str, int]
"""(what, events a call)"""


def http(
    made: World, address: tuple[str, int], batch: int, seconds: float, name: str, *, calls: float = 0.0
) -> Measured:
    """`calls` a second of all clients together; 0 for as many as they can."""
    host, port = address
    rate = str(calls / HTTP_CLIENTS)
    arguments = (f"{host}:{port}", made.key, str(len(made.subjects)), str(batch), str(seconds), rate)
    commands = [("tests.benchmarks.load", *arguments, f"{name}{client}") for client in range(HTTP_CLIENTS)]
    return side_by_side(commands, made.environment)


def sql(made: World, what: str, batch: int, seconds: float, name: str) -> Measured:
    about = (what, str(made.program_id), str(made.subjects[0]), str(len(made.subjects)), str(batch), str(seconds))
    commands = [("tests.benchmarks.sql", *about, f"{name}{client}") for client in range(SQL_CLIENTS)]
    return side_by_side(commands, made.environment)


def measured(made: World, folder: Path, rounds: int, seconds: float) -> dict[Kind, list[Measured]]:
    with ExitStack() as stack:
        ours = stack.enter_context(web(made.environment, folder / "web.log"))
        common = stack.enter_context(web(made.environment, folder / "yardstick.log", application=COMMON))
        kinds: dict[Kind, Callable[[str], Measured]] = {}
        for batch in (100, 1000):
            kinds["COPY alone", batch] = partial(sql, made, "copy", batch, seconds)
            kinds["the gate and COPY, SQL alone", batch] = partial(sql, made, "gate", batch, seconds)
        for batch in (1, 10, 100, 1000):
            kinds["POST /events", batch] = partial(http, made, ours, batch, seconds)
        for batch in (1, 100, 1000):
            kinds["serializers and bulk_create", batch] = partial(http, made, common, batch, seconds)
        found: dict[Kind, list[Measured]] = defaultdict(list)
        for turn in range(rounds):
            for place, (kind, run) in enumerate(kinds.items()):
                # Letters only: digits in a row may look like a telephone number.
                found[kind].append(_with_wal(made, partial(run, f"{chr(97 + turn)}{chr(97 + place)}")))
                print(
                    f"round {turn + 1}: {kind[0]}, {kind[1]}: {found[kind][-1].events:,.0f} a second", file=sys.stderr
                )
        full = median(found["POST /events", HALF_LOADED]).calls
        for turn in range(rounds):
            half = partial(http, made, ours, HALF_LOADED, seconds, f"{chr(97 + turn)}h", calls=full / 2)
            found["POST /events at half load", HALF_LOADED].append(_with_wal(made, half))
    return found


def _with_wal(made: World, run: Callable[[], Measured]) -> Measured:
    with made.owner() as owner:
        (before,) = owner.execute("SELECT pg_current_wal_insert_lsn()").fetchone() or (None,)
        done = run()
        (size,) = owner.execute("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", [before]).fetchone() or (0,)
    return replace(done, wal=float(size) / max(done.total, 1))


def table(found: dict[Kind, list[Measured]]) -> str:
    """Markdown: a line a kind, then the ratios that matter."""
    lines = [
        "| what | events a call | events a second | spread | p50 | p99 | WAL an event |",
        "|---|---|---|---|---|---|---|",
    ]
    for (what, batch), runs in found.items():
        run = median(runs)
        p50, p99 = (f"{run.quantile(share) * 1000:.1f} ms" for share in (0.5, 0.99))
        lines.append(
            f"| {what} | {batch:,} | {run.events:,.0f} | {spread(runs):.0%} | {p50} | {p99} | {run.wal:,.0f} |"
        )
    rate = {kind: median(runs).events for kind, runs in found.items()}
    lines.append("")
    for batch in (100, 1000):
        share = rate["POST /events", batch] / rate["COPY alone", batch]
        lines.append(f"- {batch:,} a call: {share:.0%} of COPY alone")
    for batch in (1, 100, 1000):
        times = rate["POST /events", batch] / rate["serializers and bulk_create", batch]
        lines.append(f"- {batch:,} a call: {times:.1f} times serializers and bulk_create")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table on standard output, what goes on on standard error."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--subjects", type=int, default=200_000, help="who have consented (default: 200000)")
    parser.add_argument("--days", type=int, default=1, help="partitions before today's (default: 1)")
    parser.add_argument("--rounds", type=int, default=5, help="of everything (default: 5)")
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement (default: 4)")
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "bench", help="folder (default: var/bench)")
    asked = parser.parse_args(arguments)
    with world(asked.var, subjects=asked.subjects, days=asked.days) as made:
        print(table(measured(made, asked.var / "log", asked.rounds, asked.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
