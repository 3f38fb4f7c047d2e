"""Checkpoints as C2SP has them, and what is published of them."""

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from consent.ledger.checkpoints import Head, NotACheckpoint, key_id, opened, read, signed, verifier_key

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
HEAD = Head("example.com/ledger", 17, hashlib.sha256(b"root").digest())
AT = datetime(2026, 11, 27, 10, 30, 59, 1, tzinfo=UTC)
MINUTE = datetime(2026, 11, 27, 10, 30, tzinfo=UTC)


def note() -> str:
    return signed(HEAD, KEY, at=AT)


def test_a_checkpoint_is_a_signed_note_with_three_lines() -> None:
    """By the words of signed-note and tlog-cosignature, not by ours."""
    text, _, signatures = note().partition("\n\n")
    origin, size, root = text.split("\n")
    assert (origin, size, base64.b64decode(root)) == ("example.com/ledger", "17", HEAD.root)
    plain, timed = signatures.removesuffix("\n").split("\n")
    for line, kind in ((plain, 1), (timed, 4)):
        dash, name, written = line.split(" ")
        assert (dash, name) == ("\u2014", origin)
        expected = hashlib.sha256(origin.encode() + b"\n" + bytes([kind]) + PUBLIC).digest()[:4]
        assert base64.b64decode(written)[:4] == expected == key_id(origin, kind, PUBLIC)
    public = Ed25519PublicKey.from_public_bytes(PUBLIC)
    public.verify(base64.b64decode(plain.split(" ")[2])[4:], f"{text}\n".encode())
    data = base64.b64decode(timed.split(" ")[2])[4:]
    time = int.from_bytes(data[:8], "big")
    public.verify(data[8:], f"cosignature/v1\ntime {time}\n{text}\n".encode())
    assert datetime.fromtimestamp(time, UTC) == MINUTE, "only the minute is told"


def test_it_opens_to_what_was_signed() -> None:
    assert opened(note(), [PUBLIC]) == Head(HEAD.origin, HEAD.size, HEAD.root, MINUTE)
    assert read(note()) == HEAD


def test_the_public_key_is_told_in_the_form_that_tools_take() -> None:
    name, identifier, data = verifier_key("example.com/ledger", PUBLIC).split("+", 2)
    assert (name, bytes.fromhex(identifier)) == ("example.com/ledger", key_id(name, 1, PUBLIC))
    assert base64.b64decode(data) == b"\x01" + PUBLIC


def test_a_witness_may_add_its_signature() -> None:
    other = base64.b64encode(b"abcd" + bytes(72)).decode()
    assert opened(note() + f"\u2014 witness.example/w {other}\n", [PUBLIC]).size == 17


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n17\n", "\n18\n"),
        lambda text: text.replace("example.com/ledger\n", "example.com/other\n", 1),
        lambda text: text.replace("\n17\n", "\n017\n"),
        lambda text: text.replace("\n17\n", "\n-1\n"),
        lambda text: text.removesuffix("\n"),
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text.partition("\n\n")[0] + "\n\n",
        lambda text: "",
        lambda text: text.replace("\n17\n", "\n17\n\x00"),
        lambda text: text + "\u2014 x y\n" * 2000,
    ],
)
def test_nothing_else_passes(change) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NotACheckpoint):
        opened(change(note()), [PUBLIC])


def test_a_changed_signature_or_time_voids_it() -> None:
    lines = note().split("\n")
    for place in (4, 5):
        dash, name, data = lines[place].split(" ")
        changed = bytearray(base64.b64decode(data))
        changed[12 if place == 5 else 20] ^= 1
        wrong = [*lines]
        wrong[place] = f"{dash} {name} {base64.b64encode(bytes(changed)).decode()}"
        with pytest.raises(NotACheckpoint):
            opened("\n".join(wrong), [PUBLIC])


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(NotACheckpoint, match="none of the public keys"):
        opened(note(), [Ed25519PrivateKey.generate().public_key().public_bytes_raw()])
