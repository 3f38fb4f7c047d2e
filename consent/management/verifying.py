"""Verifying what the service signed, with the public keys alone: no database, no keyring, no network."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management.base import CommandError, CommandParser

from consent.ledger import checkpoints, tree
from consent.ledger.checkpoints import Head, NotACheckpoint
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
        parser.add_argument(
            "file",
            metavar="FILE",
            help=f"the {self.noun}, a compact JWS, or the whole answer with its proof; - reads standard input",
        )
        parser.add_argument(
            "--jwks",
            default="jwks.json",
            metavar="FILE",
            help="the service's public keys, as /.well-known/jwks.json answers them (default: jwks.json)",
        )
        parser.add_argument(
            "--since",
            metavar="FILE",
            help="an older checkpoint: also verify that it is of the same log (ask for the answer with ?since= its size)",
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        try:
            keys = jws.key_set(read_bytes(options["jwks"], returncode=UNREADABLE))
        except jws.NotAKeySet as error:
            raise CommandError(f"{options['jwks']}: {error}", returncode=UNREADABLE) from None
        answered = Answered.read(read_bytes(options["file"], returncode=UNREADABLE), self.noun)
        try:
            kid, said = jws.verify(answered.token, keys, typ=self.typ)
            proved = answered.proved(
                said, [key.public_bytes_raw() for key in keys.values()], self._older(options, keys)
            )
        except (jws.NotValid, NotProved) as error:
            raise CommandError(f"not valid: {error}") from None
        answer = {"valid": True, "kid": kid, self.noun: said, **({"log": proved} if proved else {})}
        lines = [f"valid, signed by key {kid}"]
        if proved is not None:
            head = f"by the checkpoint of size {proved['size']}"
            lines.append(f"in the log {proved['origin']} at place {proved['index']}, {head}")
        self.answer(options, answer, *lines, *_lines(said, self.labels))

    def _older(self, options: dict[str, Any], keys: Mapping[str, Ed25519PublicKey]) -> Head | None:
        """The checkpoint that the caller kept. Raises CommandError, NotProved."""
        if options["since"] is None:
            return None
        note = read_bytes(options["since"], returncode=UNREADABLE).decode(errors="replace")
        try:
            return checkpoints.opened(note, [key.public_bytes_raw() for key in keys.values()])
        except NotACheckpoint as error:
            raise NotProved(f"the older checkpoint: {error}") from None


class NotProved(Exception):
    """What came with it does not prove that it is in the log; the message says why in words of ours."""


@dataclass(frozen=True)
class Answered:
    """`proof` and `note`: as the answer has them beside the token; None of a token by itself, or of one not yet in the log."""

    token: bytes
    proof: Mapping[str, Any] | None = None
    note: str | None = None

    @classmethod
    def read(cls, data: bytes, noun: str) -> "Answered":
        """A compact JWS, or the JSON object that holds one as `noun`."""
        if not data.lstrip().startswith(b"{"):
            return cls(_without_line_end(data))
        try:
            told = json.loads(data)
            return cls(told[noun].encode(), told.get("inclusion"), told.get("checkpoint"))
        except (ValueError, KeyError, AttributeError, RecursionError):
            return cls(b"")

    def proved(self, said: Mapping[str, Any], public: list[bytes], older: Head | None) -> dict[str, Any] | None:
        """Where in which log its leaf is; None where it came without a proof. Raises NotProved."""
        if self.proof is None or self.note is None:
            if older is not None:
                raise NotProved("it came without a proof that it is in the log")
            return None
        try:
            head = checkpoints.opened(self.note, public)
            index, leaf, path = self.proof["index"], self.proof["leaf"], list(map(_hash, self.proof["path"]))
            if leaf != (said.get("ledger") or {}).get("leaf"):
                raise NotProved("the leaf in the log is not the one that it names")
            if not tree.includes(head.root, head.size, index, _hash(leaf), path):
                raise NotProved("the proof does not lead from its leaf to the checkpoint")
            between = list(map(_hash, self.proof.get("consistency", [])))
        except NotACheckpoint as error:
            raise NotProved(f"the checkpoint: {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise NotProved("its proof is not in the expected form") from None
        if older is not None and (
            older.origin != head.origin or not tree.extends(older.root, older.size, head.root, head.size, between)
        ):
            raise NotProved("the older checkpoint is not of the beginning of this log")
        return {"origin": head.origin, "size": head.size, "at": head.at, "index": index}


def _hash(text: str) -> bytes:
    """Raises TypeError, ValueError."""
    return base64.b64decode(text, validate=True)


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
