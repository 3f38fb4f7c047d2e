"""Verifying a receipt: with the public keys alone, and nothing but what was signed passes."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError
from hypothesis import given
from hypothesis import strategies as st

from consent.management.commands.verify_receipt import LABELS
from consent.records.receipts import TYPE
from consent.vault import jws
from tests.cast import Program
from tests.consent import signed
from tests.consent.signed import decoded, encoded
from tests.consent.test_commands import as_json, run
from tests.stack import ROOT

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
KID = jws.thumbprint(PUBLIC)
KEYS = {KID: KEY.public_key()}
SAID = {"record_id": "r", "purpose": {"title": {"zh-Hans": "统计", "en": "statistics"}}, "event_state": "given"}
RECEIPT = jws.sign(KEY, KID, SAID, typ=TYPE)
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of Ed25519's group: RFC 8032."""


def refused(token: str | bytes, keys: Any = None) -> str:
    """Why."""
    with pytest.raises(jws.NotValid) as why:
        jws.verify(token.encode() if isinstance(token, str) else token, keys or KEYS, typ=TYPE)
    return str(why.value)


def put_together(header: Any, payload: bytes | None = None, key: Ed25519PrivateKey = KEY) -> str:
    """A token that the key did sign, with a header of any kind."""
    head = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    body = f"{encoded(head)}.{encoded(payload if payload is not None else decoded(RECEIPT.split('.')[1]))}"
    return f"{body}.{encoded(key.sign(body.encode()))}"


GOOD = {"alg": "EdDSA", "kid": KID, "typ": TYPE}


# --- One wrong byte --------------------------------------------------------------------------------------------------


def test_the_receipt_itself_verifies() -> None:
    assert jws.verify(RECEIPT.encode(), KEYS, typ=TYPE) == (KID, SAID)
    assert put_together(GOOD) == RECEIPT == jws.sign(KEY, KID, SAID, typ=TYPE)


def test_every_bit_of_every_byte_counts() -> None:
    """The last characters of each part too, whose unused bits other decoders drop."""
    token = bytearray(RECEIPT.encode())
    for place in range(len(token)):
        for bit in range(8):
            token[place] ^= 1 << bit
            refused(bytes(token))
            token[place] ^= 1 << bit


@given(st.data())
def test_no_other_byte_passes_anywhere(data: st.DataObject) -> None:
    token = RECEIPT.encode()
    place = data.draw(st.integers(0, len(token) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != token[place]))
    refused(token[:place] + bytes([byte]) + token[place + 1 :])


@given(st.data())
def test_nothing_may_be_put_in_or_left_out(data: st.DataObject) -> None:
    token = RECEIPT.encode()
    place = data.draw(st.integers(0, len(token)))
    extra = data.draw(
        st.one_of(st.binary(min_size=1, max_size=3), st.sampled_from([b"=", b"\n", b" ", b".", b"A", b"\0"]))
    )
    refused(token[:place] + extra + token[place:])
    end = data.draw(st.integers(place, len(token)))
    if end > place:
        refused(token[:place] + token[end:])


@pytest.mark.parametrize("part", [0, 1, 2])
def test_another_spelling_of_the_same_bytes_is_refused(part: int) -> None:
    parts = RECEIPT.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = {
        parts[part] + "=" * (-len(parts[part]) % 4 or 4),
        parts[part] + "\n",
        parts[part].replace("-", "+") + "=",
    }
    unused = {2: 4, 3: 2}.get(len(parts[part]) % 4, 0)
    for low in range(1, 1 << unused):
        spellings.add(parts[part][:-1] + alphabet[alphabet.index(parts[part][-1]) ^ low])
    for spelling in spellings:
        refused(".".join([*parts[:part], spelling, *parts[part + 1 :]]))


def test_the_signature_has_no_twin() -> None:
    """S and S + L verify alike where nobody looks at the range (RFC 8032, 5.1.7)."""
    body, _, signature = RECEIPT.rpartition(".")
    raw = decoded(signature)
    twin = int.from_bytes(raw[32:], "little") + ORDER
    refused(f"{body}.{encoded(raw[:32] + twin.to_bytes(32, 'little'))}")
    for wrong in (bytes(64), raw[:63], raw + b"\0", b""):
        refused(f"{body}.{encoded(wrong)}")


# --- Other algorithms, headers and keys ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "none"}, {"alg": "HS256"}, {"alg": "ES256"}, {"alg": "Ed25519"}, {"alg": "eddsa"}, {"alg": None},
        {"alg": ["EdDSA"]}, {"typ": "JWT"}, {"typ": TYPE.upper()}, {"typ": None}, {"kid": "x"}, {"kid": None}, {"kid": [KID]},
        {"kid": {}}, {"crit": ["exp"], "exp": 1}, {"crit": []}, {"b64": False, "crit": ["b64"]}, {"jku": "https://x"},
        {"jwk": jws.jwk(PUBLIC)}, {"cty": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_header_that_says_anything_else_is_refused_though_signed(change: dict[str, Any]) -> None:
    refused(put_together(GOOD | change))


@pytest.mark.parametrize("name", GOOD)
def test_a_header_that_says_less_is_refused(name: str) -> None:
    refused(put_together({key: value for key, value in GOOD.items() if key != name}))


@pytest.mark.parametrize(
    "header",
    [b"", b"{}", b"[]", b"null", b'"x"', b"{", b"\xff", b"[" * 100_000, json.dumps(GOOD).encode(),
     json.dumps(GOOD, separators=(",", ":")).replace('"kid"', '"alg":"none","kid"').encode()],
    ids=lambda header: repr(header[:20]),
)  # fmt: skip
def test_a_header_that_is_not_the_one_form_of_an_object_is_refused(header: bytes) -> None:
    refused(put_together(header))


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{", b"\xff", b'{"a": 1}', b'{"a":1,"a":1}', b'{"a":NaN}'])
def test_a_payload_that_is_not_the_one_form_of_an_object_is_refused(payload: bytes) -> None:
    refused(put_together(GOOD, payload))


def test_no_signature_and_no_secret_stand_in_for_the_private_key() -> None:
    """`none`, and HS256 with the public key as its secret."""
    payload = RECEIPT.split(".")[1]
    for alg in ("none", "None", "HS256", "EdDSA"):
        body = f"{encoded(json.dumps(GOOD | {'alg': alg}, separators=(',', ':')).encode())}.{payload}"
        for secret in (PUBLIC, encoded(PUBLIC).encode(), json.dumps(jws.jwk(PUBLIC)).encode()):
            refused(f"{body}.{encoded(hmac.new(secret, body.encode(), hashlib.sha256).digest())}")
        for empty in ("", ".", "AA"):
            refused(f"{body}.{empty}")


def test_only_the_key_that_is_named_verifies() -> None:
    other = Ed25519PrivateKey.generate()
    other_kid = jws.thumbprint(other.public_key().public_bytes_raw())
    both = KEYS | {other_kid: other.public_key()}
    assert jws.verify(RECEIPT.encode(), both, typ=TYPE)[0] == KID
    assert "none of the public keys" in refused(RECEIPT, {other_kid: other.public_key()})
    assert "signature" in refused(put_together(GOOD | {"kid": other_kid}), both)
    assert "signature" in refused(put_together(GOOD, key=other), both)


def test_keys_go_by_what_they_are_and_not_by_what_they_are_called() -> None:
    other = jws.jwk(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    named = {
        "keys": [
            other | {"kid": KID},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": KID},
            {"kty": "oct", "k": "AAAA"},
        ]
    }
    refused(RECEIPT, jws.key_set(json.dumps(named).encode()))
    named["keys"].append(jws.jwk(PUBLIC) | {"kid": "ours"})
    assert jws.verify(RECEIPT.encode(), jws.key_set(json.dumps(named).encode()), typ=TYPE)[0] == KID


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"keys": 1}', b'{"keys": [1]}', b'{"keys": []}', b"[" * 100_000,
     b'{"keys": [{"kty": "OKP", "crv": "Ed25519"}]}', b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}',
     b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": 1}]}', b'{"keys": [{"kty": "OKP", "crv": "X25519", "x": "AA"}]}',
     '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "é"}]}'.encode()],
    ids=lambda text: repr(text[:40]),
)  # fmt: skip
def test_what_is_no_key_set_is_told(text: bytes) -> None:
    with pytest.raises(jws.NotAKeySet):
        jws.key_set(text)


# --- The command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "receipt").write_text(RECEIPT)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [jws.jwk(PUBLIC)]}))
    return tmp_path


def code(*arguments: Any) -> int:
    with pytest.raises(CommandError) as ended:
        run("verify_receipt", *arguments)
    return ended.value.returncode


def test_it_needs_the_public_keys_and_nothing_else(program: Program, tmp_path: Path) -> None:
    """A receipt of the service, on a machine without its settings, its database or its keyring."""
    (tmp_path / "receipt").write_text(signed.given(program) + "\n")
    (tmp_path / "jwks.json").write_bytes(program.get("/.well-known/jwks.json").content)
    done = elsewhere(tmp_path)
    assert done.returncode == 0, done.stderr
    for line in (
        "purpose: code analytics; necessary no; title 使用情况统计",
        "categories: behaviour, device", "decision: given", "retention period: P365D", "recipients: none",
        "stored at: country CN; place 上海",
    ):  # fmt: skip
        assert line in done.stdout.splitlines()
    (tmp_path / "receipt").write_text(signed.given(program)[:-1])
    done = elsewhere(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")


def elsewhere(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "verify_receipt", "receipt"]
    path = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, cwd=folder, env=path, capture_output=True, text=True, check=False)


def test_every_field_of_a_receipt_has_words(program: Program) -> None:
    assert signed.said(signed.given(program)).keys() == LABELS.keys()


def test_its_json_is_the_receipt(files: Path) -> None:
    answer = as_json("verify_receipt", files / "receipt", "--jwks", files / "jwks.json")
    assert answer == {"valid": True, "kid": KID, "receipt": SAID}


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_one_line_end_is_the_files(files: Path, end: str) -> None:
    (files / "receipt").write_bytes((RECEIPT + end).encode())
    assert run("verify_receipt", files / "receipt", "--jwks", files / "jwks.json")[0].startswith("valid, signed by")


@pytest.mark.parametrize("token", [RECEIPT + "\n\n", RECEIPT + "\r", " " + RECEIPT, "\ufeff" + RECEIPT, RECEIPT + "\n ",
                                   RECEIPT[:-1], "", "x", '{"receipt": "x"}'])  # fmt: skip
def test_what_is_not_valid_exits_1(files: Path, token: str) -> None:
    (files / "receipt").write_bytes(token.encode())
    assert code(files / "receipt", "--jwks", files / "jwks.json") == 1
    assert code(files / "receipt", "--jwks", files / "jwks.json", "--json") == 1


def test_what_cannot_be_read_exits_2(files: Path) -> None:
    keys = files / "jwks.json"
    assert code(files / "none", "--jwks", keys) == 2
    assert code(files, "--jwks", keys) == 2
    assert code(files / "receipt", "--jwks", files / "none") == 2
    (files / "large").write_bytes(b"x" * (4 * 1024 * 1024 + 1))
    assert code(files / "large", "--jwks", keys) == 2
    keys.write_text('{"keys": []}')
    assert code(files / "receipt", "--jwks", keys) == 2


def test_what_is_printed_has_no_say_over_a_terminal(files: Path) -> None:
    """A mini-program writes its notice itself."""
    token = jws.sign(KEY, KID, {"purpose": {"title": "a\x1b[2J\nvalid\u202e"}, "new_field": "统计"}, typ=TYPE)
    (files / "receipt").write_text(token)
    out = run("verify_receipt", files / "receipt", "--jwks", files / "jwks.json")[0]
    assert out.splitlines()[1:] == ["purpose: title a\\x1b[2J\\nvalid\\u202e", "new_field: 统计"]
