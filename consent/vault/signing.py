"""The service's signing keys: which one signs what, and the public ones for everybody (RFC 7517)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent.vault import jws

BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class SigningKey:
    """`since`: what is of that time or later it signs, until the next key's time comes. `private`: None unless enabled."""

    version: int
    since: datetime
    public: bytes
    private: Ed25519PrivateKey | None

    @cached_property
    def kid(self) -> str:
        return jws.thumbprint(self.public)


@dataclass(frozen=True)
class SigningKeys:
    """Every key there ever was, oldest first, those to come included; none in a keyring made before there were any."""

    keys: tuple[SigningKey, ...] = ()

    def of(self, moment: datetime) -> SigningKey | None:
        """The newest enabled key whose time had come then; where none had, the oldest enabled one. None: there is none.

        It depends on the moment alone and not on now, so what is signed again after a rotation is signed alike.
        """
        enabled = [key for key in self.keys if key.private is not None]
        begun = [key for key in enabled if key.since <= moment]
        return begun[-1] if begun else next(iter(enabled), None)

    def sign(self, payload: Mapping[str, Any], *, typ: str, of: datetime) -> str | None:
        """A compact JWS by the key of that moment; None where no key is enabled."""
        key = self.of(of)
        return None if key is None or key.private is None else jws.sign(key.private, key.kid, payload, typ=typ)

    def jwks(self) -> dict[str, Any]:
        """The JWK Set: retired keys stay in it, since what they signed is to be verified; keys to come are in it early."""
        return {"keys": [jws.jwk(key.public) for key in self.keys]}
