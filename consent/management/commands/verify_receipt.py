"""Verifies a consent receipt with the public keys alone."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser

from consent.management.base import OperatorCommand, read_bytes
from consent.notices.document import LOCALES
from consent.records.receipts import TYPE
from consent.rights.languages import localised
from consent.vault import jws

UNREADABLE = 2
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
    "schema_version": "form of the receipt",
}


class Command(OperatorCommand):
    help = (
        "Verify a consent receipt and print what it says. Needs the public keys and nothing else: no database, no"
        " keyring, no network. Exit code 0: one of the keys signed it as it is; 1: it is not valid; 2: a file cannot be read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the receipt, a compact JWS; - reads standard input")
        parser.add_argument(
            "--jwks",
            default="jwks.json",
            metavar="FILE",
            help="the service's public keys, as /.well-known/jwks.json answers them (default: jwks.json)",
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        try:
            keys = jws.key_set(read_bytes(options["jwks"], returncode=UNREADABLE))
        except jws.NotAKeySet as error:
            raise CommandError(f"{options['jwks']}: {error}", returncode=UNREADABLE) from None
        token = _without_line_end(read_bytes(options["file"], returncode=UNREADABLE))
        try:
            kid, said = jws.verify(token, keys, typ=TYPE)
        except jws.NotValid as error:
            raise CommandError(f"not valid: {error}") from None
        self.answer(options, {"valid": True, "kid": kid, "receipt": said}, f"valid, signed by key {kid}", *_lines(said))


def _without_line_end(data: bytes) -> bytes:
    """One line end after the receipt is its file's, not its own."""
    return data.removesuffix(b"\r\n") if data.endswith(b"\r\n") else data.removesuffix(b"\n")


def _lines(said: Mapping[str, Any]) -> Iterator[str]:
    """Known fields first and in words; one that a later version added, by its own name."""
    language = str(said.get("language") or "")
    for name in [*LABELS, *(name for name in said if name not in LABELS)]:
        if name in said:
            yield f"{_plain(LABELS.get(name, name))}: {_words(said[name], language)}"


def _words(value: Any, language: str) -> str:
    """In one line; of a text in several languages the one in which the person was told."""
    if value is None:
        return "not told"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        if value and set(value) <= set(LOCALES):
            return _plain(localised(value, language))
        told = [(name, item) for name, item in value.items() if item is not None]
        return "; ".join(f"{_plain(name)} {_words(item, language)}" for name, item in told)
    if isinstance(value, list):
        return ", ".join(_words(item, language) for item in value) or "none"
    return _plain(str(value))


def _plain(text: str) -> str:
    """Control characters escaped: what comes from elsewhere has no say over a terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
