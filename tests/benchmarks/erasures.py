"""Erasures: what one takes where the table is large and where the subject is; and many at once beside ingest.

`database` is the time for which PostgreSQL worked for the session that erased, commits included (active_time of
pg_stat_database), `processor` what of it that session was on a processor (/proc/PID/schedstat), which others on the machine
do not lengthen; `altogether` is what the worker saw. Subjects are erased that nobody sends events of meanwhile.
"""

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from psycopg import sql

from tests.benchmarks.behaviour import DAYS, store
from tests.benchmarks.clients import added, run
from tests.benchmarks.ingest import HALF_LOADED, HTTP_CLIENTS, WARM_S, http, http_commands
from tests.benchmarks.server import web, worker
from tests.benchmarks.table import quantiles
from tests.benchmarks.world import World

EACH = 50
"""Events of a subject, unless it is one of those with more."""
GROUPS = {EACH: 60, 500: 20, 5_000: 5}
"""Events of a subject, and how many such are erased one after another at each size of the table."""
TIMES = ("active", "processor", "took")
AT_ONCE = 200
WARM = 5
TRIAL_S = 10.0
LONGEST_S = 240.0
SHARED = 3.0
"""Times as long as alone an erasure may take beside others and ingest, for the batches not to end before the last."""


class NotErased(Exception):
    """An erasure that did not come to its end, or left something."""


def erasures(made: World, log: Path, sizes: Sequence[int]) -> str:
    """Markdown: a line for each size of the table, ascending, and of a subject; then AT_ONCE of them beside ingest."""
    fewest = sizes[0] // EACH
    count = len(made.subjects)
    wanted = AT_ONCE + len(sizes) * sum(WARM + many for many in GROUPS.values())
    if not wanted <= fewest < count or sizes[-1] // EACH > count:
        raise ValueError(f"erasures needs {wanted * EACH:,} events at least, and a subject for every {EACH}")
    drawn = iter(random.Random("erasures").sample(range(count - fewest, count), wanted))
    lines = [
        "| events in the table | of the subject | erasures | database, p50 | p95 | processor, p50 | p95 | altogether, p50 | p95 |"
        " statements, p50 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    filled = 0
    for size in sizes:
        subjects = size // EACH
        store(made, made.subjects[count - subjects : count - filled], range(EACH // DAYS))
        filled = subjects
        told = _one_by_one(made, size, drawn)
        lines += [_line(size, events, found) for events, found in told.items()]
        alone = _at(told[EACH]["took"], 0.5)
    return "\n".join([*lines, "", _beside_ingest(made, log, count - fewest, list(drawn), alone)])


def _one_by_one(made: World, size: int, drawn: Iterator[int]) -> dict[int, dict[str, Any]]:
    """What is told of each group."""
    groups = {events: [next(drawn) for _ in range(many)] for events, many in GROUPS.items()}
    for events, numbers in groups.items():
        if events > EACH:
            store(made, [made.subjects[number] for number in numbers], range(EACH // DAYS, events // DAYS))
    return {events: _erase(made, [next(drawn) for _ in range(WARM)], numbers) for events, numbers in groups.items()}


def _line(size: int, events: int, told: Mapping[str, Any]) -> str:
    measured = [told[what] for what in TIMES]
    times = [f"{_at(values, share) * 1000:.0f} ms" for values in measured for share in (0.5, 0.95)]
    line = f"| {size:,} | {events:,} | {len(told['took'])} | {' | '.join(times)} | {_at(told['statements'], 0.5):.0f} |"
    print(f"erasures: {line}", file=sys.stderr)
    return line


def _at(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def _erase(made: World, first: Sequence[int], numbers: Sequence[int]) -> dict[str, Any]:
    """One after another, by one process, which prepares its statements with the `first`: those are not told of."""
    (told,) = run([_command(made, "alone", [*first, *numbers])], _as_worker(made))
    _insist(made, told, [*first, *numbers])
    return told | {what: told[what][len(first) :] for what in (*TIMES, "statements")}


def _command(made: World, how: str, numbers: Sequence[int]) -> tuple[str, ...]:
    return ("tests.benchmarks.erasing", how, str(made.program_id), *map(str, numbers), "--patience", str(LONGEST_S))


def _as_worker(made: World) -> dict[str, str]:
    return {**made.environment, "ZHIQING_ROLE": "worker"}


def _insist(made: World, told: Mapping[str, Any], numbers: Sequence[int]) -> None:
    """Raises NotErased unless all are completed, without an error on the way, and no table has a row of any."""
    if told["states"] != {"completed": len(numbers)} or told["errors"]:
        raise NotErased(f"{told['states']}, {told['errors']} errors")
    ids = [made.subjects[number] for number in numbers]
    with made.owner() as owner:
        tables = owner.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'subject_id'"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        ).fetchall()
        for (table,) in tables:
            asked = sql.SQL("SELECT count(*) FROM {} WHERE subject_id = ANY(%s)").format(sql.Identifier(table))
            row = owner.execute(asked, [ids]).fetchone()
            if row is None or row[0]:
                raise NotErased(f"{table} has rows of them yet")


def _beside_ingest(made: World, log: Path, others: int, numbers: Sequence[int], one: float) -> str:
    """Batches come at half the rate of what the machine takes, first by themselves. `one`: seconds of an erasure alone.

    They are of the first `others` subjects, who are not erased, so that no event may be refused.
    """
    kept = replace(made, subjects=made.subjects[:others])
    lasts = min(LONGEST_S, max(TRIAL_S, SHARED * one * len(numbers)))
    with web(made.environment, log / "web.log") as address, worker(made.environment, log / "worker.log"):
        http(kept, address, HALF_LOADED, WARM_S, "Ea")
        full = http(kept, address, HALF_LOADED, TRIAL_S, "Eb")
        before = http(kept, address, HALF_LOADED, TRIAL_S, "Ec", calls=full.calls / 2)
        rate = full.calls / 2 / HTTP_CLIENTS
        more = ("--seconds", str(lasts), "--rate", str(rate))
        loads = http_commands(kept, address, HALF_LOADED, "Ed", *more)
        *loaded, told = run([*loads, _command(made, "workers", numbers)], _as_worker(made))
    _insist(made, told, numbers)
    took = told["seconds"]
    # A client's calls are due at the rate, so that this many of them were during the erasures.
    meanwhile = added([one | {"latencies": one["latencies"][: max(1, int(took * rate))]} for one in loaded])
    lines = [
        "| ingest, 100 a call | events a second | p50 | p99 |",
        "|---|---|---|---|",
        f"| as fast as it is taken | {full.events:,.0f} | {quantiles(full)} |",
        f"| at half of that | {before.events:,.0f} | {quantiles(before)} |",
        f"| beside {len(numbers)} erasures | {meanwhile.events:,.0f} | {quantiles(meanwhile)} |",
        "",
        f"- {len(numbers)} erasures of {EACH} events, due at once, by two processes of a worker: the last was completed after"
        f" {took:.1f} s, {len(numbers) / took:.1f} a second; none failed, and no table has a row of theirs",
    ]
    if took > lasts:
        lines.append(f"- the batches ended after {lasts:.0f} s of it")
    return "\n".join(lines)
