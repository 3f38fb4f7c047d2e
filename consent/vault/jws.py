"""Compact JWS (RFC 7515) with EdDSA over Ed25519 (RFC 8037), and the public keys as JWKs (RFC 7517).

One form only: what `sign` writes is all that `verify` takes. No other algorithm, header, padding, white space or spelling
of the same bytes passes, so that whoever holds a token holds the one that was signed.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "EdDSA"
PUBLIC_BYTES = 32
MAX_TOKEN_BYTES = 1024 * 1024


class NotValid(Exception):
    """Not a token that one of the keys signed; the message says why in words of ours."""


class NotAKeySet(Exception):
    """Not a JWK Set with a key that can be used."""


def sign(key: Ed25519PrivateKey, kid: str, payload: Mapping[str, Any], *, typ: str) -> str:
    """The same key and payload give the same characters: RFC 8785 and Ed25519 leave no choice."""
    header = {"alg": ALGORITHM, "kid": kid, "typ": typ}
    signed = f"{_encode(rfc8785.dumps(header))}.{_encode(rfc8785.dumps(dict(payload)))}"
    return f"{signed}.{_encode(key.sign(signed.encode()))}"


def verify(token: bytes, keys: Mapping[str, Ed25519PublicKey], *, typ: str) -> tuple[str, dict[str, Any]]:
    """(kid, payload) of a token that one of `keys` (by kid) signed as `typ`. Raises NotValid."""
    parts = token.split(b".")
    if len(token) > MAX_TOKEN_BYTES or len(parts) != 3:
        raise NotValid("it does not have a compact JWS's three parts")
    header, payload, signature = (_decode(part) for part in parts)
    said = _object(header, "header")
    if said.get("alg") != ALGORITHM:
        raise NotValid(f"its algorithm is not {ALGORITHM}")
    if said.get("typ") != typ:
        raise NotValid(f"it is not a {typ}")
    if said.keys() != {"alg", "kid", "typ"}:
        raise NotValid("its header says more or less than alg, kid and typ")
    kid = said["kid"]
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise NotValid("none of the public keys is the one that it names")
    try:
        key.verify(signature, token.rpartition(b".")[0])
    except InvalidSignature:
        raise NotValid("its signature is not that of its content") from None
    return str(kid), _object(payload, "payload")


def thumbprint(public: bytes) -> str:
    """The kid of an Ed25519 public key (32 bytes): RFC 7638, over the members that RFC 8037 requires."""
    required = {"crv": "Ed25519", "kty": "OKP", "x": _encode(public)}
    return _encode(hashlib.sha256(rfc8785.dumps(required)).digest())


def jwk(public: bytes) -> dict[str, str]:
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": _encode(public),
        "kid": thumbprint(public),
        "use": "sig",
        "alg": ALGORITHM,
    }


def key_set(text: bytes) -> dict[str, Ed25519PublicKey]:
    """The Ed25519 keys of a JWK Set by their thumbprints; what it calls them itself, and keys of other kinds, are passed over.

    Raises NotAKeySet where it is none, or holds no such key.
    """
    try:
        entries = json.loads(text)["keys"]
        found = [_public(entry) for entry in entries if entry.get("kty") == "OKP" and entry.get("crv") == "Ed25519"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, NotValid):
        raise NotAKeySet("it is not a JWK Set (RFC 7517)") from None
    if not found:
        raise NotAKeySet("it holds no Ed25519 key")
    return {thumbprint(public): Ed25519PublicKey.from_public_bytes(public) for public in found}


def _public(entry: Mapping[str, Any]) -> bytes:
    """The public key in a JWK. Raises ValueError, KeyError, NotValid."""
    public = _decode(entry["x"].encode("ascii"))
    if len(public) != PUBLIC_BYTES:
        raise ValueError
    return public


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(part: bytes) -> bytes:
    """Raises NotValid, also for what the decoder passes over: foreign characters, padding, bits after the last byte."""
    try:
        data = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except binascii.Error:
        data = None
    if data is None or _encode(data).encode() != part:
        raise NotValid("a part of it is not base64url as RFC 7515 has it")
    return data


def _object(data: bytes, part: str) -> dict[str, Any]:
    """Raises NotValid unless it is one JSON object, in the one form that RFC 8785 gives it."""
    try:
        value = json.loads(data)
        if isinstance(value, dict) and rfc8785.dumps(value) == data:
            return value
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        pass
    raise NotValid(f"its {part} is not an object in canonical JSON")
