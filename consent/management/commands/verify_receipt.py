"""Verifies a consent receipt with the public keys alone."""

from consent.management.verifying import VerifyCommand
from consent.records.receipts import TYPE

LABELS = {
    "record_id": "record",
    "pii_principal_id": "data subject (pseudonym)",
    "privacy_notice": "notice told",
    "language": "language",
    "lawful_basis": "lawful basis",
    "jurisdiction": "jurisdiction",
    "service": "mini-program",
    "purpose": "purpose",
    "pii_information": "categories",
    "profile_attributes": "profile attributes",
    "pii_controllers": "controller",
    "processing_methods": "methods",
    "storage_locations": "stored at",
    "retention_period": "retention period",
    "after_retention": "after it",
    "recipient_third_parties": "recipients",
    "withdrawal_method": "how to withdraw",
    "privacy_rights": "how to exercise rights",
    "validity_duration": "consent counts for",
    "event_state": "decision",
    "event_type": "how it was expressed",
    "event_time": "decided at",
    "received_at": "received at",
    "entity_id": "decided by (pseudonym)",
    "act": "act",
    "method": "asked in",
    "authorises_from": "authorises from",
    "authorises_until": "authorises until",
    "ledger": "leaf in the log",
    "schema_version": "form of the receipt",
}


class Command(VerifyCommand):
    typ, noun, labels = TYPE, "receipt", LABELS
    help = (
        "Verify a consent receipt and print what it says. Needs the public keys and nothing else: no database, no"
        " keyring, no network. Exit code 0: one of the keys signed it as it is; 1: it is not valid; 2: a file cannot be read."
    )
