"""Sealed cells open in their place only; the keyring is used only as it should be."""

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.vault import envelope, keyring
from consent.vault.envelope import Cell
from consent.vault.keyring import KeyringError
from consent.vault.lookup import Lookup
from consent.vault.store import FileStore
from consent.vault.suites import AES, DoesNotOpen

CELL = Cell(1, "subject_identifier", "sealed", "openid", 7)
ELSEWHERE: dict[str, Any] = {
    "program_id": 2,
    "table": "profile_attribute",
    "column": "other",
    "row": "unionid",
    "subject_id": 8,
}


@pytest.fixture
def ring(tmp_path: Path) -> keyring.Keyring:
    keyring.create(FileStore(tmp_path / "keyring.json"))
    return keyring.load(FileStore(tmp_path / "keyring.json"))


@given(st.binary(max_size=300))
def test_a_cell_opens_in_its_place(plaintext: bytes) -> None:
    key = envelope.new_data_key(AES)
    sealed = envelope.seal(key, plaintext, CELL)
    assert envelope.open_cell(key, sealed, CELL) == plaintext
    assert envelope.seal(key, plaintext, CELL) != sealed


@pytest.mark.parametrize("field", ELSEWHERE)
def test_a_cell_moved_elsewhere_does_not_open(field: str) -> None:
    key = envelope.new_data_key(AES)
    sealed = envelope.seal(key, b"secret", CELL)
    with pytest.raises(DoesNotOpen):
        envelope.open_cell(key, sealed, dataclasses.replace(CELL, **{field: ELSEWHERE[field]}))


@given(st.data())
def test_one_changed_byte_does_not_open(data: st.DataObject) -> None:
    key = envelope.new_data_key(AES)
    sealed = bytearray(envelope.seal(key, b"secret", CELL))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DoesNotOpen):
        envelope.open_cell(key, bytes(sealed), CELL)


def test_parts_of_a_place_do_not_run_into_each_other() -> None:
    key = envelope.new_data_key(AES)
    sealed = envelope.seal(key, b"secret", Cell(1, "ab", "c", "r", 7))
    with pytest.raises(DoesNotOpen):
        envelope.open_cell(key, sealed, Cell(1, "a", "bc", "r", 7))


def test_a_data_key_is_wrapped_for_its_subject(ring: keyring.Keyring) -> None:
    key = envelope.new_data_key(AES)
    wrapped, version = envelope.wrap(ring, key, program_id=1, subject_id=7)
    assert version == 1
    assert key.secret not in wrapped
    assert envelope.unwrap(ring, wrapped, program_id=1, subject_id=7) == key
    with pytest.raises(DoesNotOpen):
        envelope.unwrap(ring, wrapped, program_id=1, subject_id=8)


@pytest.mark.parametrize(
    "moved", [{"program_id": 2}, {"table": "webhook_endpoint"}, {"column": "wrapped"}, {"row": "2"}, {"subject_id": 1}]
)
def test_a_cell_of_a_mini_program_opens_in_its_place_only(ring: keyring.Keyring, moved: dict[str, Any]) -> None:
    place = Cell(1, "platform_credential", "sealed", "1", envelope.NOBODY)
    sealed = envelope.seal_own(ring, b"secret", place, AES)
    assert b"secret" not in sealed
    assert envelope.open_own(ring, sealed, place) == b"secret"
    with pytest.raises(DoesNotOpen):
        envelope.open_own(ring, sealed, replace(place, **moved))


def test_an_index_is_apart_by_program_kind_value_and_key(ring: keyring.Keyring, tmp_path: Path) -> None:
    keyring.create(FileStore(tmp_path / "other.json"))
    lookup, other = Lookup(ring, lambda _: AES), Lookup(keyring.load(FileStore(tmp_path / "other.json")), lambda _: AES)
    indexes = {
        lookup.index(1, "openid", "a", 1),
        lookup.index(2, "openid", "a", 1),
        lookup.index(1, "unionid", "a", 1),
        lookup.index(1, "openid", "b", 1),
        other.index(1, "openid", "a", 1),
        lookup.fingerprint("openid", b"a"),
    }
    assert len(indexes) == 6
    assert lookup.index(1, "openid", "a", 1) in indexes
    assert {len(index) for index in indexes} == {32}


def test_a_keyring_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    assert keyring.create(FileStore(path))
    content = path.read_text()
    assert not keyring.create(FileStore(path))
    assert path.read_text() == content
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(KeyringError, match="chmod 600"):
        keyring.load(FileStore(path))


@pytest.mark.parametrize("status", ["disabled", "destroyed"])
def test_a_key_that_is_not_enabled_is_not_used(tmp_path: Path, status: str) -> None:
    path = tmp_path / "keyring.json"
    keyring.create(FileStore(path))
    content = json.loads(path.read_text())
    content["key_encryption"]["keys"][0]["status"] = status
    path.write_text(json.dumps(content))
    with pytest.raises(KeyringError, match="not enabled"):
        keyring.load(FileStore(path))


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"key_encryption": 1}'])
def test_what_is_no_keyring_is_told_without_its_content(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keyring.json"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(KeyringError):
        keyring.load(FileStore(path))
    with pytest.raises(KeyringError, match="create_keyring"):
        keyring.load(FileStore(tmp_path / "missing.json"))
