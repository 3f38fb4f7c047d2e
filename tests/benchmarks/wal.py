"""Which records the write-ahead log of an event is made of, read from the log itself (extension pg_walinspect).

Bytes do not depend on how fast the machine is. The same number of events is sent twice: from a checkpoint on, when the
first change of each page writes the whole page, and again once those pages have been written.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import psycopg

from tests.benchmarks.clients import run
from tests.benchmarks.ingest import HTTP_CLIENTS, http_commands
from tests.benchmarks.server import web
from tests.benchmarks.world import World

EVENTS = 40_000
BATCHES = (100, 1000)
SHOWN = 2.0
"""Bytes an event; what takes less is told together."""

# A record with several blocks counts for the table or index of its first. Page images are told apart, and so is what the
# log's own pages and alignment take beside the records.
_RECORDS = """
    SELECT coalesce(pg_partition_root(c.oid)::regclass::text, c.relname,
            CASE WHEN b.start_lsn IS NOT NULL THEN 'other' ELSE '' END) AS relation,
        r.resource_manager || '/' || r.record_type AS record,
        sum(r.record_length - r.fpi_length), sum(r.fpi_length)
    FROM pg_get_wal_records_info(%(from)s, %(to)s) r
    LEFT JOIN (SELECT DISTINCT ON (start_lsn) * FROM pg_get_wal_block_info(%(from)s, %(to)s, false)
               ORDER BY start_lsn, block_id) b USING (start_lsn)
    LEFT JOIN pg_class c ON c.oid = pg_filenode_relation(b.reltablespace, b.relfilenode)
        AND b.reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    GROUP BY 1, 2
"""

Found = dict[tuple[str, str], float]
"""(table or index, record) -> bytes an event."""
IMAGES, PADDING = ("", "images of whole pages"), ("", "the log's own pages, alignment")


def wal(made: World, log: Path) -> str:
    """Markdown: bytes an event."""
    columns: dict[str, Found] = {}
    with made.owner() as owner, web(made.environment, log / "web.log") as address:
        owner.execute("CREATE EXTENSION IF NOT EXISTS pg_walinspect")
        for batch in BATCHES:
            owner.execute("CHECKPOINT")
            for state in ("after a checkpoint", "later"):
                begins = _place(owner)
                name = f"L{state[0]}{chr(97 + BATCHES.index(batch))}"
                calls = str(EVENTS // batch // HTTP_CLIENTS)
                run(http_commands(made, address, batch, name, "--calls", calls), made.environment)
                columns[f"{batch:,} a call, {state}"] = _made_of(owner, begins, _place(owner))
    return _table(columns)


def _place(owner: psycopg.Connection) -> str:
    """Up to where the log is written; every call's commit is, before it is answered."""
    (place,) = owner.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone() or ("",)
    return str(place)


def _made_of(owner: psycopg.Connection, begins: str, ends: str) -> Found:
    found: Found = defaultdict(float)
    for relation, record, size, images in owner.execute(_RECORDS, {"from": begins, "to": ends}):
        found[relation, record] += float(size) / EVENTS
        found[IMAGES] += float(images) / EVENTS
    (total,) = owner.execute("SELECT %s::pg_lsn - %s::pg_lsn", [ends, begins]).fetchone() or (0,)
    found[PADDING] = float(total) / EVENTS - sum(found.values())
    return found


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
