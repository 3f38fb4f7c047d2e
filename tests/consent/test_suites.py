"""A mini-program has one suite for life, and all that is sealed or looked up for it goes by it."""

from typing import Any

import psycopg
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given
from hypothesis import strategies as st

from consent import edge
from consent.programs.tenancy import tenant
from consent.vault import envelope, identities, suites
from consent.vault.envelope import Cell
from consent.vault.lookup import PHONE
from consent.vault.suites import AES, SM, DoesNotOpen
from consent.webhooks import endpoints
from tests.cast import Program, event, make_program
from tests.consent.acts import status
from tests.consent.desk import superuser
from tests.consent.rights import Working, carry_out, erased, file, package_of, sections
from tests.consent.rotating import FIRST, index_rotated, wrapping_rotated
from tests.consent.signed import Ring
from tests.consent.test_commands import as_json, run

CELL = Cell(1, "subject_identifier", "sealed", "openid", 7)
NUMBER = "+8613812345678"


@pytest.fixture
def sm(database: None) -> Program:
    return make_program(suite="sm")


def test_the_suite_answers_what_is_published() -> None:
    assert suites.sm_passes()


@given(st.binary(max_size=300))
def test_sm_seals_and_opens(plaintext: bytes) -> None:
    key = envelope.new_data_key(SM)
    sealed = envelope.seal(key, plaintext, CELL)
    assert (len(key.secret), sealed[0]) == (16, SM.code)
    assert envelope.open_cell(key, sealed, CELL) == plaintext


@given(st.data())
def test_one_changed_byte_does_not_open_with_sm(data: st.DataObject) -> None:
    key = envelope.new_data_key(SM)
    sealed = bytearray(envelope.seal(key, b"secret", CELL))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DoesNotOpen):
        envelope.open_cell(key, bytes(sealed), CELL)
    with pytest.raises(DoesNotOpen):
        envelope.open_cell(key, bytes(sealed[:20]), CELL)


def test_a_key_of_one_suite_opens_nothing_of_the_other() -> None:
    for one, other in ((AES, SM), (SM, AES)):
        sealed = envelope.seal(envelope.new_data_key(one), b"secret", CELL)
        with pytest.raises(DoesNotOpen, match="another suite"):
            envelope.open_cell(envelope.new_data_key(other), sealed, CELL)


def suites_of(owner: psycopg.Connection) -> dict[str, list[int]]:
    """table.column -> the suites that its ciphertexts say."""
    found = {}
    for column in (
        "data_key.wrapped", "subject_identifier.sealed", "profile_attribute.sealed", "webhook_endpoint.sealed",
        "request_subject.sealed", "package_part.sealed", "consent_record.evidence",
    ):  # fmt: skip
        table, name = column.split(".")
        rows = owner.execute(f"SELECT DISTINCT get_byte({name}, 0) FROM {table} WHERE {name} IS NOT NULL").fetchall()
        found[column] = [row[0] for row in rows]
    return found


def test_everything_of_a_mini_program_goes_by_its_suite(
    sm: Program, as_worker: Working, owner: psycopg.Connection
) -> None:
    pseudonym = sm.decide("alice", evidence={"button_id": "agree"})["subject_id"]
    sm.decide("alice", purpose="personalisation")
    assert (
        sm.post("identities", {"subject": {"openid": "alice"}, "add": {"phone": NUMBER, "unionid": "u"}}).status_code
        == 200
    )
    assert sm.call("PUT", "profile", {"subject": {"openid": "alice"}, "attributes": {"city": "Xian"}}).status_code < 300
    assert sm.send(event("alice", "e-1"))["stored"] == 1
    endpoints.add(
        vault=edge.vault(), program_id=sm.id, url="https://example.com/x", events=["consent.changed"],
        acknowledges=False, plain=False, by="test",
    )  # fmt: skip
    correct(sm)
    filed = file(sm, "access")
    assert carry_out(sm, as_worker, filed)["state"] == "completed"
    found = sections(package_of(sm, filed))
    assert {row["kind"]: row["value"] for row in found["identifiers"]}["phone"] == NUMBER
    assert [column for column, said in suites_of(owner).items() if said != [SM.code]] == []
    with tenant(sm.id):
        assert len(identities.looked_up(edge.vault(), sm.id, PHONE, NUMBER)) == 1
    index = edge.vault().lookup.index(sm.id, "openid", "alice", 1)
    mac = SM.mac(SM.derive(edge.vault().keyring.index.key(1), b"zhiqing lookup openid"))
    mac.update(sm.id.to_bytes(4, "big") + (6).to_bytes(4, "big") + b"openid" + (5).to_bytes(4, "big") + b"alice")
    assert index == mac.finalize()
    assert owner.execute("SELECT count(*) FROM subject_lookup WHERE index = %s", [index]).fetchone() == (1,)
    assert status(sm, "alice")["state"] == "given"
    assert pseudonym


def correct(program: Program) -> None:
    """A request that asks something, which is sealed with it."""
    file(program, "rectification", changes={"attributes": {"city": "Beijing"}})


def test_two_suites_rotate_together(own_ring: Ring, database: None, owner: psycopg.Connection) -> None:
    owner.execute(FIRST)
    programs = [make_program(), make_program(suite="sm")]
    before = [program.decide("alice")["subject_id"] for program in programs]
    wrapping_rotated()
    index_rotated(owner)
    assert [program.decide("alice")["subject_id"] for program in programs] == before
    said = owner.execute("SELECT get_byte(wrapped, 0) FROM data_key ORDER BY subject_id").fetchall()
    assert said == [(AES.code,), (SM.code,)]


def test_without_sm4_the_suite_is_refused_and_the_other_works(
    sm: Program, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: Any) -> bytes:
        raise UnsupportedAlgorithm("sm4")

    sm.decide("alice")
    monkeypatch.setattr(SM, "seal", missing)
    suites.sm_passes.cache_clear()
    edge.vault()._suites.clear()
    try:
        response = sm.post("identities", {"subject": {"openid": "alice"}, "add": {"phone": NUMBER}})
        assert (response.status_code, response.json()["code"]) == (503, "suite_unavailable")
        with pytest.raises(Exception, match="SM4-GCM or HMAC-SM3 of this machine's OpenSSL is missing or fails"):
            run(
                "create_program",
                "--name",
                "x",
                "--controller",
                "c",
                "--platform",
                "wechat",
                "--app-id",
                "wx9",
                "--suite",
                "sm",
            )
        program.decide("alice")
    finally:
        monkeypatch.undo()
        suites.sm_passes.cache_clear()


def test_the_suite_is_chosen_at_the_beginning_and_shown(database: None) -> None:
    flags = ("--name", "Shop", "--controller", "c", "--platform", "wechat")
    made = as_json("create_program", *flags, "--app-id", "wx1", "--suite", "sm")
    assert made["suite"] == "sm"
    assert as_json("create_program", *flags, "--app-id", "wx2")["suite"] == "aes"
    desk = superuser()
    assert "SM4-GCM, HMAC-SM3" in desk.get(f"consent/miniprogram/{made['id']}/change/").content.decode()


def test_a_subject_is_erased_under_sm_too(sm: Program, as_worker: Working, owner: psycopg.Connection) -> None:
    sm.decide("alice")
    erased(sm, owner, as_worker)
    assert owner.execute("SELECT count(*) FROM data_key").fetchone() == (0,)
