"""The receipt of a consent record: what was decided and told, and its leaf in the log, signed. It is made anew whenever it is asked for.

Its fields are those of ISO/IEC TS 27560:2023 (docs/receipts.md). All of it comes from what is never changed: the record,
the notice's body and the subject's pseudonym. No identifier is in it, no evidence, no age.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Subquery

from consent.errors import NotFound
from consent.ledger import proofs
from consent.ledger.proofs import Proof
from consent.notices.models import Notice
from consent.programs.tenancy import tenant
from consent.records.entries import leaves_of
from consent.records.grants import expiry
from consent.records.models import ConsentRecord, State
from consent.vault import identities
from consent.vault.identities import Vault

SCHEMA_VERSION = "zhiqing-receipt-1"
PROMISED = timedelta(seconds=proofs.PROMISED_S)
TYPE = "consent-receipt+jws"


@dataclass(frozen=True)
class Receipt:
    """`jws`: None where the keyring holds no signing key; `proof`: None until a checkpoint covers the record (consent.ledger.proofs)."""

    jws: str | None
    proof: Proof | None


def receipt(
    vault: Vault, program_id: int, record_id: uuid.UUID, *, published: bool, since: int | None = None
) -> Receipt:
    """`published`: whether the log is; `since`: the size of an older checkpoint, which the proof then shows to be of this log's beginning.

    Raises Invalid `not_a_size`; NotFound; Conflict `erasure_pending` or `restricted` where the subject's data are stored and read no more.
    """
    with tenant(program_id):
        found = ConsentRecord.objects.filter(record_id=record_id, program_id=program_id)
        record = found.select_related("purpose", "subject").defer("evidence", "salt").first()
        if record is None:
            raise NotFound("not_found", "no consent record has this id")
        identities.refuse_closed(record.subject)
        signed = issued(vault, [record], leaves_of([record]))[record.record_id]
        return Receipt(signed, proofs.of_leaf(record.leaf_id, published=published, since=since))


def issued(vault: Vault, records: Iterable[ConsentRecord], leaves: Mapping[int, bytes]) -> dict[uuid.UUID, str | None]:
    """The receipts of one subject's records, by record id: two queries at most. `leaves`: their hashes by id."""
    signing = vault.keyring.signing
    records = list(records)
    told = _notices(records) if signing.keys else {}
    return {
        record.record_id: signing.sign(
            content(record, told.get(record.id), leaves[record.leaf_id]), typ=TYPE, of=record.received_at
        )
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


def content(record: ConsentRecord, notice: Notice | None, leaf: bytes) -> dict[str, Any]:
    """What is signed. What only a notice tells is left out where there was none.

    Nobody expresses that a consent is over by itself: how and by whom is null then.
    """
    pseudonym, by_itself = str(record.subject.pseudonym), record.state in (State.EXPIRED, State.INVALIDATED)
    return {
        "schema_version": SCHEMA_VERSION,
        "record_id": str(record.record_id),
        "pii_principal_id": pseudonym,
        "language": record.locale,
        "lawful_basis": "consent",
        "jurisdiction": "CN",
        **({"purpose": {"code": record.purpose.code}} if notice is None else _told_by(notice, record.purpose.code)),
        "event_time": _time(record.corrected_at),
        "received_at": _time(record.received_at),
        "entity_id": None if by_itself else pseudonym,
        "event_type": None if by_itself else "explicit",
        "event_state": record.state,
        "act": record.act,
        "method": record.method,
        "authorises_from": _time(record.authorises_from),
        "authorises_until": _time(_until(record, notice)),
        "ledger": {"leaf": proofs.text(leaf), "included_by": _time(record.received_at + PROMISED)},
    }


def _until(record: ConsentRecord, notice: Notice | None) -> datetime | None:
    """By the notice's validity alone: a birthday that ends it sooner is not told."""
    if record.authorises_from is None or notice is None:
        return None
    return expiry(record.corrected_at, _of(notice, record.purpose.code)["validity_days"])


def _told_by(notice: Notice, code: str) -> dict[str, Any]:
    """Texts in every language of the notice; periods as ISO 8601 has them. Not every notice tells where it is kept."""
    body, purpose = notice.body, _of(notice, code)
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
        "storage_locations": purpose.get("storage"),
        "retention_period": _days(purpose["retention_days"]),
        "after_retention": purpose["after_retention"],
        "recipient_third_parties": purpose["recipients"],
        "withdrawal_method": body["withdrawal"],
        "privacy_rights": body["rights"],
        "validity_duration": _days(purpose["validity_days"]),
    }


def _of(notice: Notice, code: str) -> dict[str, Any]:
    """What a notice says of a purpose."""
    found: dict[str, Any] = next(item for item in notice.body["purposes"] if item["code"] == code)
    return found


def _days(number: int | None) -> str | None:
    return None if number is None else f"P{number}D"


def _time(moment: datetime | None) -> str | None:
    """In UTC, whatever offset it came with: a row read again has none but that."""
    return None if moment is None else moment.astimezone(UTC).isoformat()
