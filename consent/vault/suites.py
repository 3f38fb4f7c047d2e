"""Cipher suites: authenticated encryption and the MAC that goes with it, chosen by the code in a ciphertext's first byte.

A mini-program has one for life.
"""

from functools import cache
from typing import Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hashes import SHA256, SM3
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from consent.errors import Unavailable

NONCE_BYTES = 12
TAG_BYTES = 16
KEY_BYTES = 32
"""Of a key in the keyring, from which each suite has its own."""


class DoesNotOpen(Exception):
    """The ciphertext, its key or its place is not the one it was sealed with."""


class Suite(Protocol):
    """What the envelope and the lookup need of a suite. Every `mac` is 32 bytes."""

    def __hash__(self) -> int: ...

    @property
    def code(self) -> int: ...

    @property
    def key_bytes(self) -> int:
        """Of a subject's data key."""

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes: ...

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes: ...

    def key_encryption(self, key: bytes) -> bytes:
        """The key that seals with this suite, of a key of the keyring."""

    def derive(self, key: bytes, info: bytes) -> bytes: ...

    def mac(self, key: bytes) -> HMAC:
        """A prepared HMAC: copy it for each message, which costs a microsecond instead of a key schedule."""


class Aes:
    """AES-256-GCM (NIST SP 800-38D), HMAC-SHA256 (RFC 2104), HKDF-SHA256 (RFC 5869)."""

    code = 1
    key_bytes = 32

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        return AESGCM(key).encrypt(nonce, plaintext, associated)

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        """Raises DoesNotOpen."""
        try:
            return AESGCM(key).decrypt(nonce, ciphertext, associated)
        except InvalidTag as error:
            raise DoesNotOpen("the ciphertext does not open here") from error

    def key_encryption(self, key: bytes) -> bytes:
        return key

    def derive(self, key: bytes, info: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(key)

    def mac(self, key: bytes) -> HMAC:
        return HMAC(key, SHA256())


class Sm:
    """SM4-GCM (RFC 8998), HMAC-SM3 (GB/T 32905, RFC 2104), HKDF with it (RFC 5869)."""

    code = 2
    key_bytes = 16

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        sealing = Cipher(SM4(key), GCM(nonce)).encryptor()
        sealing.authenticate_additional_data(associated)
        return sealing.update(plaintext) + sealing.finalize() + sealing.tag

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        """Raises DoesNotOpen."""
        text, tag = ciphertext[:-TAG_BYTES], ciphertext[-TAG_BYTES:]
        try:
            opening = Cipher(SM4(key), GCM(nonce, tag)).decryptor()
            opening.authenticate_additional_data(associated)
            return opening.update(text) + opening.finalize()
        except (InvalidTag, ValueError) as error:
            raise DoesNotOpen("the ciphertext does not open here") from error

    def key_encryption(self, key: bytes) -> bytes:
        """Derived: one key for two ciphers would bind the strength of each to the other."""
        return HKDF(algorithm=SM3(), length=self.key_bytes, salt=None, info=b"zhiqing key encryption sm4").derive(key)

    def derive(self, key: bytes, info: bytes) -> bytes:
        return HKDF(algorithm=SM3(), length=KEY_BYTES, salt=None, info=info).derive(key)

    def mac(self, key: bytes) -> HMAC:
        return HMAC(key, SM3())


AES, SM = Aes(), Sm()
SUITES: dict[int, Suite] = {AES.code: AES, SM.code: SM}
NAMED: dict[str, Suite] = {"aes": AES, "sm": SM}


def ready(suite: Suite) -> Suite:
    """The same. Raises Unavailable `suite_unavailable` where this machine's OpenSSL does not pass its test."""
    if suite is SM and not sm_passes():
        raise Unavailable(
            "suite_unavailable",
            "SM4-GCM or HMAC-SM3 of this machine's OpenSSL is missing or fails its test with published vectors:"
            " nothing is sealed, opened or looked up with the suite sm here",
        )
    return suite


@cache
def sm_passes() -> bool:
    """Whether the suite answers what is published: SM4-GCM in RFC 8998, A.1; HMAC-SM3 in GM/T 0042-2015, D.3."""
    try:
        sealed = SM.seal(_KEY, _NONCE, _TEXT, _ASSOCIATED)
        mac = SM.mac(_MAC_KEY)
        mac.update(_MAC_TEXT)
        return sealed == _SEALED and SM.open(_KEY, _NONCE, _SEALED, _ASSOCIATED) == _TEXT and mac.finalize() == _MAC
    except (UnsupportedAlgorithm, DoesNotOpen):
        return False


_KEY = bytes.fromhex("0123456789abcdeffedcba9876543210")
_NONCE = bytes.fromhex("00001234567800000000abcd")
_TEXT = bytes.fromhex(
    "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"
    "eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa"
)
_ASSOCIATED = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
_SEALED = bytes.fromhex(
    "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
    "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
    "83de3541e4c2b58177e065a9bf7b62ec"
)
_MAC_KEY = bytes(range(1, 33))
_MAC_TEXT = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq" * 2
_MAC = bytes.fromhex("ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a")
