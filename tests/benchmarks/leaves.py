"""Leaves for the records of the benchmarks' subjects, which were written without."""

import os

import psycopg

from consent.ledger.leaves import LeafType, leaf_hash
from consent.records.entries import canonical
from consent.records.models import ConsentRecord


def leaves() -> None:
    """Each record's, under the number that it names already. As the owner."""
    fields = ConsentRecord._meta.concrete_fields
    names, attributes = ", ".join(str(field.column) for field in fields), [field.attname for field in fields]
    url = os.environ["DATABASE_OWNER_URL"]
    with psycopg.connect(url) as reading, psycopg.connect(url) as writing, reading.cursor("records") as records:
        records.itersize = 10_000
        records.execute(f"SELECT {names} FROM consent_record ORDER BY leaf_id".encode())
        with writing.cursor().copy("COPY leaf (id, program_id, type, hash, subject_version) FROM STDIN") as copy:
            for row in records:
                record = ConsentRecord.from_db("default", attributes, row)
                hashed = leaf_hash(LeafType.CONSENT_RECORD, bytes(record.salt), canonical(record))
                copy.write_row((record.leaf_id, record.program_id, int(LeafType.CONSENT_RECORD), hashed, 1))
        writing.execute("SELECT setval(pg_get_serial_sequence('leaf', 'id'), max(id)) FROM leaf")
