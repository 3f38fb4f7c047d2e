"""Which records the write-ahead log of an event is made of, read from the log itself by pg_waldump.

Bytes do not depend on how fast the machine is. The same number of events is sent twice: from a checkpoint on, when the
first change of each page writes the whole page, and again once many of those pages have been written.
"""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg

from config.postgres import installed
from tests.benchmarks.clients import run
from tests.benchmarks.ingest import HTTP_CLIENTS, http_commands
from tests.benchmarks.server import web
from tests.benchmarks.world import World

EVENTS = 40_000
BATCHES = (100, 1000)
SHOWN = 1.0
"""Bytes an event; what takes less is told together."""

_LINE = re.compile(
    r"rmgr: (\w+) +len \(rec/tot\): +(\d+)/ *(\d+),.*? desc: ([A-Z_+]*)(?:.*?blkref #0: rel (\d+)/(\d+)/(\d+))?"
)
_NAMES = """
    SELECT DISTINCT node, coalesce(pg_partition_root(c.oid)::regclass::text, c.relname)
    FROM unnest(%s::oid[], %s::oid[]) asked(space, node) JOIN pg_class c ON c.oid = pg_filenode_relation(space, node)
"""

Found = dict[tuple[str, str], float]
"""(table or index, kind of record) -> bytes an event."""
IMAGES, PADDING = ("", "images of whole pages"), ("", "the log's own pages, and alignment")


def wal(made: World, log: Path) -> str:
    """Markdown: bytes an event."""
    columns: dict[str, Found] = {}
    with made.owner() as owner, web(made.environment, log / "web.log") as address:
        for batch in BATCHES:
            _checkpoint(owner)
            for state in ("after a checkpoint", "later"):
                begins = _place(owner)
                name = f"L{state[0]}{chr(97 + BATCHES.index(batch))}"
                calls = str(EVENTS // batch // HTTP_CLIENTS)
                run(http_commands(made, address, batch, name, "--calls", calls), made.environment)
                columns[f"{batch:,} a call, {state}"] = _made_of(owner, made.cluster, begins, _place(owner))
    return _table(columns)


def _checkpoint(owner: psycopg.Connection) -> None:
    """Which only a superuser may ask for by its name; dropping a database makes one."""
    owner.execute("CREATE DATABASE bench_checkpoint TEMPLATE template0")
    owner.execute("DROP DATABASE bench_checkpoint")


def _place(owner: psycopg.Connection) -> str:
    """Up to where the log is written; every call's commit is, before it is answered."""
    (place,) = owner.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone() or ("",)
    return str(place)


def _made_of(owner: psycopg.Connection, cluster: Path, begins: str, ends: str) -> Found:
    """A record with several blocks counts for the table or index of its first."""
    sizes: dict[tuple[int, int, str], int] = defaultdict(int)
    images = 0
    for kind, space, node, size, image in _records(cluster, begins, ends):
        sizes[space, node, kind] += size
        images += image
    spaces, nodes, _ = zip(*sizes, strict=True)
    names: dict[int, str] = dict(owner.execute(_NAMES, [list(spaces), list(nodes)]).fetchall())
    found: Found = defaultdict(float)
    for (_, node, kind), size in sizes.items():
        found[names.get(node, "other" if node else ""), kind] += size / EVENTS
    found[IMAGES] = images / EVENTS
    (total,) = owner.execute("SELECT %s::pg_lsn - %s::pg_lsn", [ends, begins]).fetchone() or (0,)
    found[PADDING] = float(total) / EVENTS - sum(found.values())
    return found


def _records(cluster: Path, begins: str, ends: str) -> Iterator[tuple[str, int, int, int, int]]:
    """(kind, tablespace, file of the first block or 0, bytes, bytes of page images)."""
    command = [
        str(installed() / "bin" / "pg_waldump"),
        f"--path={cluster / 'pg_wal'}",
        f"--start={begins}",
        f"--end={ends}",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as dump:
        assert dump.stdout is not None
        for line in dump.stdout:
            if found := _LINE.match(line):
                manager, size, total, kind, space, _, node = found.groups()
                yield f"{manager}/{kind}", int(space or 0), int(node or 0), int(size), int(total) - int(size)
    if dump.returncode:
        raise RuntimeError(f"pg_waldump ended with {dump.returncode}")


def _table(columns: Mapping[str, Found]) -> str:
    parts = {part for found in columns.values() for part in found}
    shown = {part for part in parts if max(found.get(part, 0) for found in columns.values()) >= SHOWN}
    largest = sorted(shown, key=lambda part: -max(found.get(part, 0) for found in columns.values()))
    rows = {" ".join(filter(None, part)): [found.get(part, 0.0) for found in columns.values()] for part in largest}
    rows["less than that each"] = [sum(found.get(part, 0) for part in parts - shown) for found in columns.values()]
    rows["together"] = [sum(found.values()) for found in columns.values()]
    head = ["| bytes an event | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    return "\n".join(
        [*head, *(f"| {part} | " + " | ".join(f"{size:.1f}" for size in sizes) + " |" for part, sizes in rows.items())]
    )
