"""Verifies the certificate of an erasure with the public keys alone."""

from consent.management.verifying import VerifyCommand
from consent.rights.certificates import TYPE

LABELS = {
    "request_id": "request",
    "kind": "kind",
    "outcome": "outcome",
    "service": "mini-program",
    "controller": "controller",
    "received_on": "received on",
    "point_of_no_return_on": "erasing since",
    "completed_on": "completed on",
    "holders": "rows held before and after",
    "ledger": "leaf in the log",
    "schema_version": "form of the certificate",
}


class Command(VerifyCommand):
    typ, noun, labels = TYPE, "certificate", LABELS
    help = (
        "Verify the certificate of an erasure and print what it says. Needs the public keys and nothing else: no database, no"
        " keyring, no network. Exit code 0: one of the keys signed it as it is; 1: it is not valid; 2: a file cannot be read."
    )
