"""Alipay's `alipay.system.oauth.token`: the open_id or user_id for a code of `my.getAuthCode`, signed both ways.

RSA2 is RSA PKCS#1 v1.5 with SHA-256: of a request over its sorted parameters, of an answer over the bytes of its response
object as they came. Source: opendocs.alipay.com, "alipay.system.oauth.token", "RSA2". The signature of the key mode; that of
the certificate mode needs certificates beside the keys.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from consent.errors import Invalid, Problem, invalid
from consent.platforms.calls import (
    MINUTE_S,
    PlatformIdentity,
    answered,
    busy,
    decoded,
    login_code_invalid,
    refused,
)

PATH = "/gateway.do"
METHOD = "alipay.system.oauth.token"
RESPONSE, ERROR = "alipay_system_oauth_token_response", "error_response"
CHINA = ZoneInfo("Asia/Shanghai")
MIN_KEY_BITS = 2048
_SUCCESS, _AWAY, _LIMITED = "10000", "20000", "40005"
_SUB_CODE = re.compile(r"is[vp]\.[a-zA-Z][a-zA-Z-]{0,63}", re.ASCII)


class _Said(msgspec.Struct):
    """What is read of the response object, or of the error in its place; not the access token, which nothing here needs."""

    code: str = _SUCCESS
    sub_code: str = ""
    open_id: str = ""
    user_id: str = ""


def checked(private: str, public: str) -> tuple[str, str]:
    """The app's private key and Alipay's public key as PEM, from PEM or from the bare base64 that Alipay's pages show.

    Raises Invalid; the message holds nothing of a key.
    """
    own, theirs = _private(private), _public(public)
    if own.public_key() == theirs:
        detail = "this is the app's own public key: give Alipay's, which the console shows beside it"
        raise invalid("invalid_key", detail, "/platform_key")
    return (
        own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        theirs.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    )


def exchange(address: str, app_id: str, private: str, public: str, code: str, *, now: datetime) -> PlatformIdentity:
    """Raises Invalid, Unavailable, Conflict; also `platform_refused` where the answer is not signed with Alipay's key."""
    parameters = {
        "app_id": app_id,
        "method": METHOD,
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": now.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S"),
        "version": "1.0",
        "grant_type": "authorization_code",
        "code": code,
    }
    parameters["sign"] = _signed(_private(private), parameters)
    headers = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}
    members = decoded(answered("POST", f"{address}{PATH}", data=parameters, headers=headers), dict[str, msgspec.Raw])
    response, sign = members.get(RESPONSE, members.get(ERROR)), members.get("sign")
    if response is None:
        raise busy()
    # Alipay may leave an error unsigned, one that it cannot tell the app of; it does no more than refuse.
    if sign is not None or RESPONSE in members:
        _verify(_public(public), bytes(response), decoded(sign, str) if sign is not None else "")
    said = decoded(response, _Said)
    if ERROR in members or said.code != _SUCCESS:
        raise _problem(said)
    if not (said.open_id or said.user_id):
        raise busy()
    return PlatformIdentity(
        said.open_id or said.user_id, user_id=said.user_id if said.open_id and said.user_id else None
    )


def _signed(key: RSAPrivateKey, parameters: Mapping[str, str]) -> str:
    text = "&".join(f"{name}={parameters[name]}" for name in sorted(parameters))
    return base64.b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()


def _verify(key: RSAPublicKey, signed: bytes, sign: str) -> None:
    """Raises Conflict."""
    try:
        key.verify(base64.b64decode(sign, validate=True), signed, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error):
        raise refused("its answer is not signed with the Alipay public key that is set") from None


def _problem(said: _Said) -> Problem:
    """A used code is to Alipay an invalid one. `isp` is what fails at Alipay itself."""
    if said.sub_code == "isv.code-invalid":
        return login_code_invalid()
    if said.code == _LIMITED:
        return busy(MINUTE_S)
    if said.code == _AWAY or said.sub_code.startswith("isp."):
        return busy()
    return refused(said.sub_code if _SUB_CODE.fullmatch(said.sub_code) else "no code that is known")


def _private(text: str) -> RSAPrivateKey:
    """Raises Invalid."""
    try:
        key = load_pem_private_key(text.encode(), None) if _is_pem(text) else load_der_private_key(_der(text), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
        raise _not_a_key(
            "the app's private key is an RSA key of 2048 bits or more, in PEM, without a password", "secret"
        )
    return key


def _public(text: str) -> RSAPublicKey:
    """Raises Invalid."""
    try:
        key = load_pem_public_key(text.encode()) if _is_pem(text) else load_der_public_key(_der(text))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        raise _not_a_key("Alipay's public key is an RSA key of 2048 bits or more, in PEM", "platform_key")
    return key


def _is_pem(text: str) -> bool:
    return text.lstrip().startswith("-----BEGIN ")


def _der(text: str) -> bytes:
    """Raises ValueError."""
    return base64.b64decode("".join(text.split()), validate=True)


def _not_a_key(detail: str, member: str) -> Invalid:
    return invalid("invalid_key", detail, f"/{member}")
