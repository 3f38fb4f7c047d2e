"""Verifying what the service signed, with the public keys alone: no database, no keyring, no network."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser

from consent.management.base import OperatorCommand, read_bytes
from consent.notices.document import LOCALES
from consent.rights.languages import localised
from consent.vault import jws

UNREADABLE = 2


class VerifyCommand(OperatorCommand):
    """`typ`: the JWS type that is taken; `noun`: what people call it; `labels`: what its fields say, in words."""

    typ: ClassVar[str]
    noun: ClassVar[str]
    labels: ClassVar[Mapping[str, str]]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help=f"the {self.noun}, a compact JWS; - reads standard input")
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
            kid, said = jws.verify(token, keys, typ=self.typ)
        except jws.NotValid as error:
            raise CommandError(f"not valid: {error}") from None
        answer = {"valid": True, "kid": kid, self.noun: said}
        self.answer(options, answer, f"valid, signed by key {kid}", *_lines(said, self.labels))


def _without_line_end(data: bytes) -> bytes:
    """One line end after the receipt is its file's, not its own."""
    return data.removesuffix(b"\r\n") if data.endswith(b"\r\n") else data.removesuffix(b"\n")


def _lines(said: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[str]:
    """Known fields first and in words; one that a later version added, by its own name."""
    language = str(said.get("language") or "")
    for name in [*labels, *(name for name in said if name not in labels)]:
        if name in said:
            yield f"{_plain(labels.get(name, name))}: {_words(said[name], language)}"


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
