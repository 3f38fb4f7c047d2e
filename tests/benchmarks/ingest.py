"""Events a second: POST /events, PostgreSQL alone with the same rows, and what teams commonly write, in turns."""

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.benchmarks.clients import Measured, median, side_by_side
from tests.benchmarks.server import web
from tests.benchmarks.stamped import letters
from tests.benchmarks.table import ratio, table
from tests.benchmarks.world import World, copied

HTTP_CLIENTS, SQL_CLIENTS = 4, 2
HALF_LOADED = 100
"""Events a call where the service is asked half as often as it could answer."""
WARM_S = 1.0
"""A process's first calls prepare its statements."""
YEAR = 365
COMMON = "tests.benchmarks.yardstick:application"
Kind = tuple[str, int]
"""(what, events a call)"""
Runs = dict[Kind, list[Measured]]
OURS, COPY, GATE, COMMONLY = "POST /events", "COPY alone", "the gate and COPY, SQL alone", "serializers and bulk_create"


def http_commands(
    made: World,
    address: tuple[str, int],
    batch: int,
    name: str,
    *more: str,
    clients: int = HTTP_CLIENTS,
    subjects: int = 0,
) -> list[tuple[str, ...]]:
    """Load generators; `more`: options of tests.benchmarks.load. `subjects`: 0 for all."""
    host, port = address
    about = ("--subjects", str(subjects or len(made.subjects)), "--batch", str(batch))
    return [
        ("tests.benchmarks.load", f"{host}:{port}", made.key, f"{name}{client}", *about, *more)
        for client in range(clients)
    ]


def http(
    made: World, address: tuple[str, int], batch: int, seconds: float, name: str, *, calls: float = 0.0
) -> Measured:
    """`calls` a second of all clients together; 0 for as many as they can."""
    more = ("--seconds", str(seconds), "--rate", str(calls / HTTP_CLIENTS))
    return side_by_side(http_commands(made, address, batch, name, *more), made.environment)


def sql(made: World, what: str, batch: int, seconds: float, name: str) -> Measured:
    about = (what, str(made.program_id), str(made.subjects[0]), str(len(made.subjects)), str(batch), str(seconds))
    commands = [("tests.benchmarks.sql", *about, f"{name}{client}") for client in range(SQL_CLIENTS)]
    return side_by_side(commands, made.environment)


def ingest(made: World, log: Path, rounds: int, seconds: float) -> str:
    """Markdown: a line a kind, then the ratios that matter."""
    with ExitStack() as stack:
        ours = stack.enter_context(web(made.environment, log / "web.log"))
        common = stack.enter_context(web(made.environment, log / "yardstick.log", application=COMMON))
        for name, address in (("Va", ours), ("Vb", common)):
            http(made, address, 100, WARM_S, name)
        kinds: dict[Kind, Callable[[str], Measured]] = {}
        for batch in (100, 1000):
            kinds[COPY, batch] = partial(sql, made, "copy", batch, seconds)
            kinds[GATE, batch] = partial(sql, made, "gate", batch, seconds)
        for batch in (1, 10, 100, 1000):
            kinds[OURS, batch] = partial(http, made, ours, batch, seconds)
        for batch in (1, 100, 1000):
            kinds[COMMONLY, batch] = partial(http, made, common, batch, seconds)
        found = in_turns(made, kinds, rounds, "I")
        half = median(found[OURS, HALF_LOADED]).calls / 2
        at_half = {("POST /events at half load", HALF_LOADED): partial(_at_rate, made, ours, seconds, half)}
        found |= in_turns(made, at_half, rounds, "J")
    return f"{table(found)}\n\n" + "\n".join(
        [
            *(ratio(found, (OURS, batch), (COPY, batch)) for batch in (100, 1000)),
            *(ratio(found, (OURS, batch), (COMMONLY, batch)) for batch in (1, 100, 1000)),
        ]
    )


def _at_rate(made: World, address: tuple[str, int], seconds: float, calls: float, name: str) -> Measured:
    return http(made, address, HALF_LOADED, seconds, name, calls=calls)


def year(made: World, log: Path, rounds: int, seconds: float, days: int) -> str:
    """Markdown: the same on two databases, one of which has the partitions of a year. They take turns."""
    with copied(made, days=YEAR) as long, ExitStack() as stack:
        few, many = f"partitions of {days} day{'s' * (days > 1)}", f"partitions of {YEAR} days"
        kinds: dict[Kind, Callable[[str], Measured]] = {}
        for what, where in ((few, made), (many, long)):
            address = stack.enter_context(web(where.environment, log / "year.log"))
            http(where, address, 100, WARM_S, "Vc")
            for batch in (100, 1000):
                kinds[what, batch] = partial(http, where, address, batch, seconds)
        # The same batch on both, one after the other.
        kinds = dict(sorted(kinds.items(), key=lambda item: item[0][1]))
        found = in_turns(made, kinds, rounds, "Y")
    ratios = [ratio(found, (many, batch), (few, batch)) for batch in (100, 1000)]
    return f"{table(found)}\n\n" + "\n".join(ratios)


def in_turns(made: World, kinds: Mapping[Kind, Callable[[str], Measured]], rounds: int, part: str) -> Runs:
    """Every kind `rounds` times; all kinds go before any is repeated, every other time in reverse."""
    found: Runs = defaultdict(list)
    for turn in range(rounds):
        places: Sequence[tuple[int, Kind]] = list(enumerate(kinds))
        for place, kind in places if turn % 2 == 0 else reversed(places):
            run = partial(kinds[kind], f"{part}{letters(turn, 2)}{letters(place, 1)}")
            found[kind].append(with_wal(made, run))
            print(f"round {turn + 1}: {kind[0]}, {kind[1]}: {found[kind][-1].events:,.0f} a second", file=sys.stderr)
    return {kind: found[kind] for kind in kinds}


def with_wal(made: World, run: Callable[[], Measured]) -> Measured:
    """The run with the WAL that an event took, of the whole cluster."""
    with made.owner() as owner:
        (before,) = owner.execute("SELECT pg_current_wal_insert_lsn()").fetchone() or (None,)
        done = run()
        (size,) = owner.execute("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", [before]).fetchone() or (0,)
    return replace(done, wal=float(size) / max(done.total, 1))
