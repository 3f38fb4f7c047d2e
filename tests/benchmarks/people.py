"""The subjects of the benchmarks: many at once, each with what a consent given over the API would have left."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from consent.vault import envelope, keyring
from consent.vault.envelope import Cell
from consent.vault.lookup import Lookup
from consent.vault.store import FileStore
from consent.vault.suites import AES

_SUBJECTS = """
    INSERT INTO subject (program_id, pseudonym, erasure_handle, version, restricted, erasure_pending, under_14)
    SELECT %(program)s, gen_random_uuid(), decode(md5(n::text), 'hex'), 1, false, false, false
    FROM generate_series(1, %(count)s) n
    RETURNING subject_id
"""
_RECORDS = """
    INSERT INTO consent_record (subject_id, program_id, record_id, purpose_id, notice_id, version, state, age_band,
        occurred_at, corrected_at, received_at, authorises_from, leaf_id, salt)
    SELECT s.subject_id, s.program_id, gen_random_uuid(), p.purpose_id, p.notice_id, 1, 'given', 'adult',
        %(since)s, %(since)s, %(since)s, %(since)s, s.subject_id, decode(md5(s.subject_id::text), 'hex')
    FROM subject s, notice_purpose p JOIN purpose ON purpose.id = p.purpose_id
    WHERE s.program_id = %(program)s AND purpose.code = 'analytics'
"""
_STATES = """
    INSERT INTO consent_state (subject_id, purpose_id, program_id, state, record_id, notice_id, record_from, grant_from,
        asked_at, restricted, erasure_pending, guardian_pending, renewal_required, version)
    SELECT subject_id, purpose_id, program_id, state, id, notice_id, authorises_from, authorises_from,
        received_at, false, false, false, false, 1
    FROM consent_record WHERE program_id = %(program)s
"""
Row = Sequence[Any]


def subject_name(number: int) -> str:
    """As long as an openid."""
    return f"o{number:027d}"


def consented(owner: psycopg.Connection, program: int, count: int, since: datetime, ring: Path) -> list[int]:
    """The ids of so many subjects with an unbroken consent to analytics; openid n has the n-th."""
    about = {"program": program, "count": count, "since": since}
    ids = [row[0] for row in owner.execute(_SUBJECTS, about)]
    _copy_identities(owner, program, ids, ring)
    owner.execute(_RECORDS, about)
    owner.execute(_STATES, about)
    return ids


def _copy_identities(owner: psycopg.Connection, program: int, ids: Sequence[int], ring: Path) -> None:
    """As consent.vault.identities.create makes them."""
    keys = keyring.load(FileStore(ring))
    lookup = Lookup(keys, lambda _: AES)
    lookups, wrapped, sealed = [], [], []
    for number, subject_id in enumerate(ids):
        openid, key = subject_name(number), envelope.new_data_key(AES)
        for version in lookup.versions:
            lookups.append((lookup.index(program, "openid", openid, version), program, subject_id, "openid", version))
        wrapped.append((subject_id, program, *envelope.wrap(keys, key, program_id=program, subject_id=subject_id)))
        cell = Cell(program, "subject_identifier", "sealed", "openid", subject_id)
        sealed.append((subject_id, "openid", program, envelope.seal(key, openid.encode(), cell)))
    _copy(owner, "subject_lookup (index, program_id, subject_id, kind, key_version)", lookups)
    _copy(owner, "data_key (subject_id, program_id, wrapped, key_version)", wrapped)
    _copy(owner, "subject_identifier (subject_id, kind, program_id, sealed)", sealed)


def _copy(owner: psycopg.Connection, columns: str, rows: Iterable[Row]) -> None:
    with owner.cursor().copy(f"COPY {columns} FROM STDIN") as stream:
        for row in rows:
            stream.write_row(row)
