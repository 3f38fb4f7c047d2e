"""The receipt of a consent record: what was decided and told, signed. It is made anew whenever it is asked for.

Its fields are those of ISO/IEC TS 27560:2023 (docs/receipts.md). All of it comes from what is never changed: the record,
the notice's body and the subject's pseudonym. No identifier is in it, no evidence, no age.
"""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db.models import OuterRef, Subquery

from consent.errors import NotFound
from consent.notices.models import Notice
from consent.programs.tenancy import tenant
from consent.records.models import ConsentRecord
from consent.vault import identities
from consent.vault.identities import Vault

SCHEMA_VERSION = "zhiqing-receipt-1"
TYPE = "consent-receipt+jws"


def receipt(vault: Vault, program_id: int, record_id: uuid.UUID) -> str | None:
    """The JWS; None where the keyring holds no signing key. Raises NotFound; Conflict `erasure_pending`, `restricted`."""
    with tenant(program_id):
        found = ConsentRecord.objects.filter(record_id=record_id, program_id=program_id)
        record = found.select_related("purpose", "subject").defer("evidence", "salt").first()
        if record is None:
            raise NotFound("not_found", "no consent record has this id")
        identities.refuse_closed(record.subject)
        return issued(vault, [record])[record.record_id]


def issued(vault: Vault, records: Iterable[ConsentRecord]) -> dict[uuid.UUID, str | None]:
    """The receipts of one subject's records, by record id: two queries at most."""
    signing = vault.keyring.signing
    records = list(records)
    told = _notices(records) if signing.keys else {}
    return {
        record.record_id: signing.sign(content(record, told.get(record.id)), typ=TYPE, of=record.received_at)
        for record in records
    }


def _notices(records: list[ConsentRecord]) -> dict[int, Notice]:
    """By record: the notice it names or, where a withdrawal names none, that of the newest record before it that does."""
    named = {record.id: record.notice_id for record in records}
    unnamed = [record_id for record_id, notice_id in named.items() if notice_id is None]
    if unnamed:
        before = ConsentRecord.objects.filter(
            subject_id=OuterRef("subject_id"),
            purpose_id=OuterRef("purpose_id"),
            version__lt=OuterRef("version"),
            notice__isnull=False,
        ).order_by("-version")
        asked = ConsentRecord.objects.filter(id__in=unnamed, subject_id=records[0].subject_id)
        named |= dict(asked.annotate(told=Subquery(before.values("notice_id")[:1])).values_list("id", "told"))
    notices = Notice.objects.in_bulk({notice_id for notice_id in named.values() if notice_id is not None})
    return {record_id: notices[notice_id] for record_id, notice_id in named.items() if notice_id is not None}


def content(record: ConsentRecord, notice: Notice | None) -> dict[str, Any]:
    """What is signed. What only a notice tells is left out where there was none."""
    return {
        "schema_version": SCHEMA_VERSION,
        "record_id": str(record.record_id),
        "pii_principal_id": str(record.subject.pseudonym),
        "language": record.locale,
        "lawful_basis": "consent",
        "jurisdiction": "CN",
        **({"purpose": {"code": record.purpose.code}} if notice is None else _told_by(notice, record.purpose.code)),
        "event_time": _time(record.corrected_at),
        "received_at": _time(record.received_at),
        "entity_id": str(record.subject.pseudonym),
        "event_type": "explicit",
        "event_state": record.state,
        "act": record.act,
        "method": record.method,
        "authorises_from": _time(record.authorises_from),
        "authorises_until": _time(record.authorises_until),
    }


def _told_by(notice: Notice, code: str) -> dict[str, Any]:
    """Texts in every language of the notice; periods as ISO 8601 has them. A notice names no places of storage."""
    body = notice.body
    purpose = next(item for item in body["purposes"] if item["code"] == code)
    return {
        "privacy_notice": {
            "sha256": notice.sha256,
            "path": f"/api/v1/notices/{notice.sha256}",
            "version": body["version"],
            "audience": body["audience"],
        },
        "service": body["program"],
        "purpose": {name: purpose[name] for name in ("code", "title", "necessary", "separate_consent")},
        "pii_information": purpose["categories"],
        "profile_attributes": purpose["attributes"],
        "pii_controllers": [{"name": body["controller"], "contact": body["contact"]}],
        "processing_methods": purpose["methods"],
        "storage_locations": None,
        "retention_period": _days(purpose["retention_days"]),
        "after_retention": purpose["after_retention"],
        "recipient_third_parties": purpose["recipients"],
        "withdrawal_method": body["withdrawal"],
        "privacy_rights": body["rights"],
        "validity_duration": _days(purpose["validity_days"]),
    }


def _days(number: int | None) -> str | None:
    return None if number is None else f"P{number}D"


def _time(moment: datetime | None) -> str | None:
    """In UTC, whatever offset it came with: a row read again has none but that."""
    return None if moment is None else moment.astimezone(UTC).isoformat()
