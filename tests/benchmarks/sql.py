"""What PostgreSQL alone does with the same rows: raw COPY (the limit), and the gate with its COPY.

    python -m tests.benchmarks.sql copy|gate PROGRAM SUBJECTS_FROM SUBJECTS BATCH SECONDS NAME

A process a client, as the load generator has; the rows are packed before the clock starts.
"""

import os
import random
import struct
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import psycopg

from tests.benchmarks.calls import tell, until
from tests.benchmarks.stamped import Stamped, token_of

_COPY = (
    "COPY event (subject_id, consent_record_id, type_id, page_id, occurred_at, corrected_at, received_at, day, dwell_ms,"
    " event_id, session_id, scene, context, properties{}) FROM STDIN (FORMAT BINARY)"
)
_HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)
_GATE = (
    "SELECT subject_id, purpose_id, state, record_id, notice_id, record_from, grant_from, grant_until, restricted,"
    " erasure_pending, guardian_pending, renewal_required FROM consent_state"
    " WHERE subject_id = ANY(%s) AND purpose_id = ANY(%s) ORDER BY subject_id, purpose_id FOR SHARE"
)
READY = 40_000
TOKEN = b"@" * 14

Write = Callable[[list[int], bytearray], None]


def _field(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data


def _row(subject: int, event_id: str, micros: int, day: int, chance: random.Random, program: int | None) -> bytes:
    """As tracking.ingest.write packs it; the program too where the setting does not give it."""
    json_1 = b'\x01{"os":"ios","app_version":"8.0.49","network":"wifi"}'
    json_2 = b'\x01{"referrer_page":"pages/home/%03d"}' % chance.randrange(300)
    moment = struct.pack(">q", micros)
    fields = [
        struct.pack(">q", subject), struct.pack(">q", subject), struct.pack(">q", 1),
        struct.pack(">q", chance.randrange(300)), moment, moment, moment, struct.pack(">i", day),
        struct.pack(">i", chance.randrange(60_000)), event_id.encode(), b"%032x" % chance.getrandbits(128), b"1001",
        json_1, json_2,
    ]  # fmt: skip
    if program is not None:
        fields.append(struct.pack(">i", program))
    return struct.pack(">h", len(fields)) + b"".join(map(_field, fields))


def batches(
    program: int, first: int, subjects: int, size: int, name: str, *, named: bool
) -> list[tuple[list[int], Stamped]]:
    """(distinct subjects, what COPY takes) of batches whose event ids are all different."""
    chance, now = random.Random(name), datetime.now(UTC)
    micros = int((now - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
    day = (now.date() - date(2000, 1, 1)).days
    made = []
    for number in range(max(1, READY // size)):
        drawn = sorted(first + chance.randrange(subjects) for _ in range(size))
        rows = b"".join(
            _row(
                subject,
                f"{TOKEN.decode()}-{number * size + place:05d}",
                micros,
                day,
                chance,
                program if named else None,
            )
            for place, subject in enumerate(drawn)
        )
        made.append((sorted(set(drawn)), Stamped(bytearray(_HEADER + rows + _TRAILER), TOKEN)))
    return made


def copied(connection: psycopg.Connection, rows: bytearray, columns: str) -> None:
    with connection.cursor().copy(_COPY.format(columns)) as stream:
        stream.write(rows)


def raw(connection: psycopg.Connection, program: int) -> Write:
    """One COPY, one commit: no policy, no gate."""

    def write(subjects: list[int], rows: bytearray) -> None:
        with connection.transaction():
            copied(connection, rows, ", program_id")

    return write


def gated(connection: psycopg.Connection, program: int) -> Write:
    """The statements of the gate's transaction that grow with the batch, as the application's login."""
    purposes = [row[0] for row in connection.execute("SELECT id FROM purpose WHERE code = 'analytics'")]

    def write(subjects: list[int], rows: bytearray) -> None:
        with connection.transaction():
            connection.execute("SELECT set_config('zq.program', %s, true)", [str(program)])
            connection.execute(_GATE, [subjects, purposes], binary=True).fetchall()
            connection.execute("SELECT clock_timestamp()").fetchone()
            connection.execute("SET LOCAL ROLE zq_ingest")
            copied(connection, rows, "")

    return write


def main(what: str, program: str, first: str, subjects: str, size: str, seconds: str, name: str) -> None:
    """Starts at a line on standard input; tells {"events", "calls", "seconds", "latencies", "cpu"}."""
    url, make = {"copy": ("DATABASE_OWNER_URL", raw), "gate": ("DATABASE_URL", gated)}[what]
    made = batches(int(program), int(first), int(subjects), int(size), name, named=what == "copy")
    with psycopg.connect(os.environ[url], autocommit=True) as connection:
        connection.execute("SELECT set_config('zq.program', %s, false)", [program])
        write = make(connection, int(program))
        latencies: list[float] = []
        cpu = began = 0.0
        for due in until(float(seconds), rate=0):
            cpu, began = cpu or time.process_time(), began or due
            distinct, stamped = made[len(latencies) % len(made)]
            rows = stamped.stamp(token_of(name, len(latencies)))
            sent = time.perf_counter()
            write(distinct, rows)
            latencies.append(time.perf_counter() - sent)
    told: dict[str, Any] = {"events": len(latencies) * int(size), "calls": len(latencies), "latencies": latencies}
    tell(told | {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu})


if __name__ == "__main__":
    main(*sys.argv[1:])
