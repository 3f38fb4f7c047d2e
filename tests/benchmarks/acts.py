"""A client that writes acts straight into PostgreSQL, several at once: each a transaction with a record and other work.

`none`: the record alone; `log`: with a leaf, which waits for the sequencer; `head`: with a leaf, and the single head of a chain that
every act updates, as a log without a sequencer has it. It tells {"calls", "seconds"}.
"""

import argparse
import hashlib
import os
import time

import psycopg

from tests.benchmarks.calls import counted_in_threads, tell, wait_for_start

OTHER_S = 0.003
"""What an act does besides: the locks and rows that a decision takes."""
TABLES = """
    CREATE TABLE bench_record (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text, leaf_id bigint);
    CREATE TABLE bench_head (id int PRIMARY KEY, hash bytea);
    INSERT INTO bench_head VALUES (1, 'x')
"""
_RECORD = "INSERT INTO bench_record (body) VALUES (%s)"
_WITH_LEAF = """
    WITH committed AS (INSERT INTO leaf (program_id, type, hash, subject_version) VALUES (%s, 1, %s, 1) RETURNING id)
    INSERT INTO bench_record (body, leaf_id) SELECT %s, id FROM committed
"""
BODY = "x" * 200


def writing(kind: str, program: int, seconds: float, done: list[int]) -> None:
    """Acts one after another, on a connection of its own; adds how many to `done`."""
    count, ends = 0, time.monotonic() + seconds
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as connection:
        while time.monotonic() < ends:
            if kind == "none":
                connection.execute(_RECORD, [BODY])
            else:
                hashed = hashlib.sha256(os.urandom(32)).digest()
                connection.execute(_WITH_LEAF, [program, hashed, BODY])
            if kind == "head":
                connection.execute("UPDATE bench_head SET hash = sha256(hash) WHERE id = 1")
            time.sleep(OTHER_S)
            connection.commit()
            count += 1
    done.append(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("none", "log", "head"))
    parser.add_argument("--program", type=int, required=True)
    parser.add_argument("--writers", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args()
    given = (asked.kind, asked.program, asked.seconds)
    wait_for_start()
    tell(counted_in_threads(writing, given, asked.writers))


if __name__ == "__main__":
    main()
