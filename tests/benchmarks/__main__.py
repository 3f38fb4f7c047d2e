"""`make bench`: how many events a second, how that compares with PostgreSQL alone and with what teams commonly write;
what becomes of withdrawals and of memory under load; reports beside SQL and DuckDB; and the officers' pages.

Everything runs on this machine at once, servers and clients alike, so take figures as ratios within one run. Those of a
part are medians of several rounds, whose order goes through all kinds before any is repeated.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.benchmarks.affected import affected
from tests.benchmarks.behaviour import DAYS as EVENT_DAYS
from tests.benchmarks.clients import ROOT
from tests.benchmarks.desk import desk
from tests.benchmarks.erasures import erasures
from tests.benchmarks.ingest import YEAR, ingest, year
from tests.benchmarks.ledger import ledger
from tests.benchmarks.machine import description, speed
from tests.benchmarks.memory import memory
from tests.benchmarks.packages import packages
from tests.benchmarks.reports import DAYS, reports
from tests.benchmarks.soak import soak
from tests.benchmarks.visits import OLDEST
from tests.benchmarks.wal import wal
from tests.benchmarks.withdrawals import withdrawals
from tests.benchmarks.world import World, world

# In this order: after packages no event is stored, after erasures and withdrawals not every one, as the parts before insist.
PARTS = {
    "year": "A year of partitions",
    "ingest": "Ingest beside PostgreSQL alone",
    "wal": "What the write-ahead log of an event is made of",
    "memory": "Memory of the web processes",
    "packages": "Packages",
    "erasures": "Erasures",
    "withdrawals": "Withdrawals under load",
    "soak": "Soak",
    "affected": "Whom a breach touches",
    "reports": "Reports beside SQL and DuckDB",
    "desk": "The officers' pages",
    "ledger": "The ledger",
}
# In a world of their own: whoever has events is counted, closed days are counted whole, and so are records.
ALONE = ("affected", "reports", "desk", "ledger")
OLDER = 20
"""Days before those with events, which a window looks into too."""


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="(default: all)")
    parser.add_argument("--subjects", type=int, default=200_000, help="who have consented (default: 200000)")
    parser.add_argument("--days", type=int, default=1, help="partitions before today's (default: 1)")
    parser.add_argument("--rounds", type=int, default=5, help="of everything in year and ingest (default: 5)")
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement in them (default: 4)")
    parser.add_argument(
        "--memory-events", type=int, default=500_000, help="(default: 500000; 10000000 is the long run)"
    )
    parser.add_argument(
        "--erasure-events", type=int, nargs="+", default=[100_000, 1_000_000], metavar="EVENTS",
        help="sizes of the table, ascending (default: 100000 1000000; 1000000 10000000 is the long run)",
    )  # fmt: skip
    parser.add_argument(
        "--package-events", type=int, default=500_000, help="of one subject (default: 500000; 5000000 is the long run)"
    )
    parser.add_argument(
        "--affected-events", type=int, default=2_000_000, help="(default: 2000000; 10000000 is the long run)"
    )
    parser.add_argument("--withdrawal-seconds", type=float, default=30, help="of each kind (default: 30)")
    parser.add_argument("--soak", type=float, default=300, metavar="SECONDS", help="0 leaves it out (default: 300)")
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "bench", help="folder (default: var/bench)")
    parser.add_argument(
        "--report-events", type=int, default=1_000_000, help="(default: 1000000; 10000000 is the long run)"
    )
    parser.add_argument("--desk-events", type=int, default=200_000, help="(default: 200000; 10000000 is the long run)")
    parser.add_argument("--ledger-leaves", type=int, default=1_000_000, help="that are verified (default: 1000000)")
    asked = parser.parse_args(arguments)
    left_out = {"soak": asked.soak <= 0, "memory": asked.memory_events <= 0, "year": asked.days >= YEAR}
    asked.parts = [part for part in PARTS if part in asked.parts and not left_out.get(part)]
    return asked


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints each part on standard output as it is done, what goes on on standard error."""
    asked = options(arguments)
    # As at Ctrl-C: what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    log = asked.var / "log"
    shared = [part for part in asked.parts if part not in ALONE]
    if shared:
        with world(asked.var, subjects=asked.subjects, days=asked.days) as made:
            parts: dict[str, Callable[[], str]] = {
                "year": lambda: year(made, log, asked.rounds, asked.seconds, asked.days),
                "ingest": lambda: ingest(made, log, asked.rounds, asked.seconds),
                "wal": lambda: wal(made, log),
                "memory": lambda: memory(made, log, asked.memory_events),
                "packages": lambda: packages(made, asked.package_events),
                "erasures": lambda: erasures(made, log, asked.erasure_events),
                "withdrawals": lambda: withdrawals(made, log, asked.withdrawal_seconds),
                "soak": lambda: soak(made, log, asked.soak),
            }
            _told(made, parts, shared)
    if "affected" in asked.parts:
        with world(asked.var, subjects=asked.subjects, days=EVENT_DAYS + OLDER) as made:
            _told(made, {"affected": lambda: affected(made, asked.affected_events)}, ["affected"])
    if "reports" in asked.parts:
        with world(asked.var, subjects=asked.subjects, days=DAYS + OLDEST + 5) as made:
            _told(made, {"reports": lambda: reports(made, log, asked.report_events)}, ["reports"])
    if "desk" in asked.parts:
        with world(asked.var, subjects=asked.subjects, days=DAYS + OLDEST + 5) as made:
            _told(made, {"desk": lambda: desk(made, log, asked.desk_events)}, ["desk"])
    if "ledger" in asked.parts:
        with world(asked.var, subjects=asked.ledger_leaves, days=1) as made:
            _told(made, {"ledger": lambda: ledger(made)}, ["ledger"])
    return 0


def _told(made: World, parts: Mapping[str, Callable[[], str]], wanted: Sequence[str]) -> None:
    with made.owner() as owner:
        print(description(owner), flush=True)
    for part in wanted:
        began = time.monotonic()
        print(f"\n## {PARTS[part]}\n\n{parts[part]()}", flush=True)
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(f"\n- at the end {speed()}")


if __name__ == "__main__":
    sys.exit(main())
