"""Consent records as they are written: with sealed evidence and a leaf that commits to them. None is ever changed."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from consent.ledger.leaves import LeafType, leaf_hash, new_salt
from consent.ledger.models import Leaf
from consent.records import projection
from consent.records.decisions import Act, Told
from consent.records.models import ConsentRecord, ConsentState
from consent.vault import identities
from consent.vault.envelope import Cell
from consent.vault.identities import Vault
from consent.vault.models import Subject

_NUMBERS = "SELECT nextval(pg_get_serial_sequence('consent_record', 'id')) FROM generate_series(1, %s)"


@dataclass(frozen=True)
class Moment:
    """The act's times: as claimed, corrected for the sender's clock, and the database's clock under the lock.

    `before`: the subject's states by purpose, whose locks are held.
    """

    before: dict[int, ConsentState]
    occurred_at: datetime
    corrected_at: datetime
    received_at: datetime


def new_record(
    vault: Vault, subject: Subject, item: Told, act: Act, moment: Moment, allows: projection.Allowed | None
) -> ConsentRecord:
    record = ConsentRecord(
        subject=subject,
        program_id=subject.program_id,
        record_id=uuid.uuid4(),
        purpose=item.purpose,
        notice=item.version.notice if item.version else None,
        version=subject.version,
        state=item.decided,
        act=act.kind,
        method=act.method,
        locale=act.locale,
        age_band=act.age_band,
        turns_14_on=act.turns_14_on,
        occurred_at=moment.occurred_at,
        corrected_at=moment.corrected_at,
        received_at=moment.received_at,
        authorises_from=allows.since if allows else None,
        authorises_until=allows.until if allows else None,
        salt=new_salt(),
    )
    evidence = {"evidence": act.evidence, "guardian": act.guardian}
    if act.evidence or act.guardian:
        data_key = vault.data_key(subject.program_id, subject.id)
        record.evidence = identities.seal_json(data_key, evidence, evidence_cell(record))
    return record


def evidence_cell(record: ConsentRecord) -> Cell:
    return Cell(record.program_id, "consent_record", "evidence", str(record.record_id), record.subject_id)


def canonical(record: ConsentRecord) -> dict[str, Any]:
    """What a leaf commits to: the record's fields but the subject's, as RFC 8785 takes them.

    Times in UTC, as a row that is read again has them, whatever offset the caller wrote.
    """
    return {
        "record_id": str(record.record_id),
        "program": record.program_id,
        "purpose": record.purpose_id,
        "notice": record.notice_id,
        "version": record.version,
        "state": record.state,
        "act": record.act,
        "method": record.method,
        "locale": record.locale,
        "age_band": record.age_band,
        "turns_14_on": record.turns_14_on.isoformat() if record.turns_14_on else None,
        "evidence": bytes(record.evidence).hex() if record.evidence else None,
        "occurred_at": _utc(record.occurred_at),
        "corrected_at": _utc(record.corrected_at),
        "received_at": _utc(record.received_at),
        "authorises_from": _utc(record.authorises_from),
        "authorises_until": _utc(record.authorises_until),
    }


def _utc(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


def number(records: list[ConsentRecord]) -> None:
    """Give new records their ids before they are written: the state that comes of them names them, and they keep it."""
    with connection.cursor() as cursor:
        cursor.execute(_NUMBERS, [len(records)])
        ids = [row[0] for row in cursor.fetchall()]
    for record, record_id in zip(records, ids, strict=True):
        record.id = record_id


def insert(subject: Subject, records: list[ConsentRecord]) -> dict[int, bytes]:
    """The leaves, then the records that point to them; neither table is ever updated. Answers the leaves' hashes by id."""
    leaves = Leaf.objects.bulk_create(
        Leaf(
            program_id=subject.program_id,
            type=LeafType.CONSENT_RECORD,
            hash=leaf_hash(LeafType.CONSENT_RECORD, bytes(record.salt), canonical(record)),
            subject_version=subject.version,
        )
        for record in records
    )
    for record, leaf in zip(records, leaves, strict=True):
        record.leaf_id = leaf.pk
    ConsentRecord.objects.bulk_create(records)
    return {leaf.pk: bytes(leaf.hash) for leaf in leaves}


def leaves_of(records: Iterable[ConsentRecord]) -> dict[int, bytes]:
    """The hashes of records' leaves by their ids."""
    found = Leaf.objects.filter(id__in=[record.leaf_id for record in records])
    return {leaf.pk: bytes(leaf.hash) for leaf in found.only("hash")}
