"""Reports beside what one would ask instead: plain SQL over the events, and DuckDB over the same rows.

Reports are asked over HTTP, as a backend asks them: with k, with figures that stand. Those do not answer instead of the
computation: each call works out all of its figures before it looks at what was told (reports.metrics.registry.answer), and no
part of an answer is kept in a cache. `first` is the first time that a question is asked of a web server that has just started;
`again` is the median of what follows. What the system has in its memory stays there: all of the three read from memory.
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from tests.benchmarks.calls import Address, call, request
from tests.benchmarks.plain import OF_POSTGRESQL, QUESTIONS, Asked, agree
from tests.benchmarks.rollups import rolled
from tests.benchmarks.server import web
from tests.benchmarks.visits import store
from tests.benchmarks.world import World, manage

DAYS = 30
THREADS = 2
AGAIN, AGAIN_S = 7, 20.0
"""So many times more a question is asked, or as often as there is time for in so many seconds: once at least."""
DAY_S, SHARE = 5.0, 0.15
"""A day's rollup of visits.PEAK events is to be built in so long; rollups are to be so large beside their events."""
REFUSED = b"503"

_SCHEMA = """
    CREATE TABLE events (subject_id BIGINT, name VARCHAR, page BIGINT, moment TIMESTAMP, event_id VARCHAR, session_id VARCHAR,
        dwell_ms INTEGER, scroll DOUBLE, load DOUBLE)
"""


@dataclass(frozen=True)
class Took:
    """Seconds, and what came of the last call; `refused` where the service gave up."""

    first: float
    again: float
    answer: Any
    refused: bool = False


def repeated(ask: Callable[[], Any]) -> Took:
    began = time.perf_counter()
    took: list[float] = []
    while len(took) < 2 or (len(took) <= AGAIN and time.perf_counter() - began < AGAIN_S):
        asked = time.perf_counter()
        answer = ask()
        took.append(time.perf_counter() - asked)
    return Took(took[0], statistics.median(took[1:]), answer)


def reports(made: World, log: Path, events: int) -> str:
    """Markdown: a line a question, and what the rollups take."""
    first, last = store(made, events, DAYS)
    built = json.loads(rolled(made, "build", made.program_id))
    exported = log / "events.duckdb"
    exported.unlink(missing_ok=True)
    lines = [
        f"{events:,} events on {DAYS} days, and one more day with {built['largest_events']:,}; {len(made.subjects):,} subjects.",
        "",
        "| | report, first | again | SQL | DuckDB, first | again | SQL / report | DuckDB / report | bar | same figures |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    with closing(duckdb.connect(exported, config={"threads": THREADS, "autoinstall_known_extensions": False})) as other:
        export(made, other)
        for name, asked in QUESTIONS.items():
            lines.append(_line(made, log, other, name, asked, (first, last)))
    exported.unlink()
    return "\n".join([*lines, "", *_built(built)])


def export(made: World, other: duckdb.DuckDBPyConnection) -> None:
    """The same rows, in the order in which PostgreSQL has them, as CSV."""
    rows = made.cluster.parent / "events.csv"
    try:
        copy = f"COPY ({OF_POSTGRESQL} SELECT * FROM events) TO STDOUT (FORMAT csv)"
        with made.owner() as owner, rows.open("wb") as sink, owner.cursor().copy(copy) as stream:
            for part in stream:
                sink.write(part)
        other.execute(_SCHEMA)
        other.execute("COPY events FROM ? (FORMAT csv, HEADER false)", [str(rows)])
    finally:
        rows.unlink(missing_ok=True)


def _line(
    made: World, log: Path, other: duckdb.DuckDBPyConnection, name: str, asked: Asked, days: tuple[date, date]
) -> str:
    statement = asked.statement.format(first=days[0], last=days[1])
    report = _over_http(made, log, asked, days)
    with made.owner() as owner:
        # As reports do: whole days are joined.
        owner.execute("SET enable_nestloop = off")
        paths: dict[int, str] = dict(owner.execute("SELECT id, path FROM page").fetchall())
        sql = repeated(lambda: owner.execute(OF_POSTGRESQL + statement).fetchall())
    # With no CTE before it the statement's own begin with WITH instead of a comma.
    duck = repeated(lambda: other.execute("WITH " + statement.strip().removeprefix(",")).fetchall())
    told = json.loads(rolled(made, "ungated", made.program_id, asked.metric, json.dumps(_body(asked, days))))
    ours = asked.ours(told)
    same = [agree(ours, asked.theirs(set(some), paths)) for some in (sql.answer, duck.answer)]
    by_sql, by_duck = sql.again / report.again, duck.again / report.again
    met = not report.refused and (asked.sql is None or by_sql >= asked.sql) and by_duck * asked.duckdb >= 1
    bar = (f"{asked.sql:.0f} x SQL, " if asked.sql else "") + (
        "DuckDB" if asked.duckdb == 1 else f"{asked.duckdb:.0f} x DuckDB's time"
    )
    cells = [
        name,
        _told(report.first, refused=report.refused),
        _told(report.again, refused=report.refused),
        *map(_told, (sql.again, duck.first, duck.again)),
        f"{by_sql:.1f} x",
        f"{by_duck:.2f} x",
        f"{bar}: {'met' if met else 'not met'}",
        {(True, True): "yes"}.get((same[0], same[1]), f"NO (SQL {same[0]}, DuckDB {same[1]})"),
    ]
    return f"| {' | '.join(cells)} |"


def _told(seconds: float, *, refused: bool = False) -> str:
    return f"refused after {seconds:.0f} s" if refused else f"{seconds * 1000:,.0f} ms"


def _body(asked: Asked, days: tuple[date, date]) -> Mapping[str, Any]:
    return {"from": days[0].isoformat(), "to": days[1].isoformat(), **asked.options}


def _over_http(made: World, log: Path, asked: Asked, days: tuple[date, date]) -> Took:
    key = manage(made.environment, "create_client", "--program", str(made.program_id), "--scopes", "reports")
    sent = request(key.splitlines()[-1], f"reports/{asked.metric}", _body(asked, days))
    with web(made.environment, log / "reports.log", workers=1) as where:
        return _answered(where, sent)


def _answered(where: Address, sent: bytes) -> Took:
    took = repeated(lambda: _status(where, sent))
    if took.answer not in (b"200", REFUSED):
        raise RuntimeError(f"a report was answered with {took.answer.decode()}")
    return replace(took, refused=took.answer == REFUSED)


def _status(where: Address, sent: bytes) -> bytes:
    """Of the answer; REFUSED too where none came in time, or the web process was ended."""
    try:
        answer = call(where, sent)
    except OSError:
        return REFUSED
    return answer.split(b" ", 2)[1] if answer else REFUSED


def _built(built: Mapping[str, Any]) -> Sequence[str]:
    day, share = built["largest_ms"] / 1000, built["rollups"] / built["events"]
    return [
        f"- a day's rollup of {built['largest_events']:,} events: {day:.1f} s (bar {DAY_S:.0f} s:"
        f" {'met' if day < DAY_S else 'not met'}); of the first ten days {built['first_ms']:,.0f} ms, of the last ten"
        f" {built['last_ms']:,.0f} ms a day (medians)",
        f"- rollups {built['rollups'] / 1e6:.1f} MB, {share:.1%} of their events' {built['events'] / 1e6:.1f} MB"
        f" (bar {SHARE:.0%}: {'met' if share <= SHARE else 'not met'})",
    ]
