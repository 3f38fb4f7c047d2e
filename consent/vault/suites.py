"""Cipher suites: authenticated encryption and the MAC that goes with it, chosen by the code in a ciphertext's first byte."""

from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12
TAG_BYTES = 16
KEY_BYTES = 32


class DoesNotOpen(Exception):
    """The ciphertext, its key or its place is not the one it was sealed with."""


class Suite(Protocol):
    """What the envelope and the lookup need of a suite."""

    code: int

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes: ...

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes: ...

    def derive(self, key: bytes, info: bytes) -> bytes: ...

    def mac(self, key: bytes) -> HMAC: ...


class Aes:
    """AES-256-GCM (NIST SP 800-38D), HMAC-SHA256 (RFC 2104), HKDF-SHA256 (RFC 5869)."""

    code = 1

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        return AESGCM(key).encrypt(nonce, plaintext, associated)

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        """Raises DoesNotOpen."""
        try:
            return AESGCM(key).decrypt(nonce, ciphertext, associated)
        except InvalidTag as error:
            raise DoesNotOpen("the ciphertext does not open here") from error

    def derive(self, key: bytes, info: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(key)

    def mac(self, key: bytes) -> HMAC:
        """A prepared HMAC: copy it for each message, which costs a microsecond instead of a key schedule."""
        return HMAC(key, SHA256())


AES = Aes()
SUITES: dict[int, Suite] = {AES.code: AES}
