"""The public keys, and the signing keys of the keyring behind them."""

import base64
import json
import os
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from consent.vault import jws, keyring
from consent.vault.keyring import KeyringError
from consent.vault.store import FileStore
from tests.cast import Program, now
from tests.consent.signed import Ring, decoded, jwks
from tests.consent.test_commands import as_json, run
from tests.stack import manage

AT = datetime(2026, 10, 1, tzinfo=UTC)
# RFC 8037, Appendix A.2 and A.3.
RFC_8037_X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC_8037_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def signing(path: Path) -> Any:
    return json.loads(path.read_text())["signing"]["keys"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    keyring.create(FileStore(tmp_path / "keyring.json"))
    return tmp_path / "keyring.json"


def changed(path: Path, *steps: Any, to: Any) -> None:
    content = json.loads(path.read_text())
    at = content
    for step in steps[:-1]:
        at = at[step]
    at[steps[-1]] = to
    path.write_text(json.dumps(content))


# --- What is published -----------------------------------------------------------------------------------------------


def test_the_keys_are_public_and_may_be_kept_for_a_while(program: Program) -> None:
    response = Client().get("/.well-known/jwks.json")
    assert (response.status_code, response["Content-Type"]) == (200, "application/jwk-set+json")
    assert response["Cache-Control"] == "public, max-age=300"
    assert not response.cookies
    assert "Cookie" not in response.get("Vary", "")
    for accept in ("application/json", "application/jwk-set+json", "*/*"):
        assert Client().get("/.well-known/jwks.json", headers={"Accept": accept}).json() == response.json()


def test_a_key_is_what_rfc_8037_says(program: Program, own_ring: Ring) -> None:
    (key,) = jwks(program)["keys"]
    assert key.keys() == {"kty", "crv", "x", "kid", "use", "alg"}
    assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("OKP", "Ed25519", "sig", "EdDSA")
    (entry,) = signing(own_ring.path)
    assert decoded(key["x"]) == base64.b64decode(entry["public"])
    assert key["kid"] == jws.thumbprint(decoded(key["x"]))
    assert jws.thumbprint(decoded(RFC_8037_X)) == RFC_8037_THUMBPRINT


def test_no_private_key_leaves(program: Program, own_ring: Ring) -> None:
    own_ring.rotate(now() + timedelta(hours=1))
    published = Client().get("/.well-known/jwks.json").content
    for entry in signing(own_ring.path):
        private = base64.b64decode(entry["key"])
        for form in (private, private.hex().encode(), base64.b64encode(private), base64.urlsafe_b64encode(private)):
            assert form.rstrip(b"=") not in published


def test_retired_disabled_and_destroyed_keys_stay_published(program: Program, own_ring: Ring) -> None:
    kids = [key["kid"] for key in jwks(program)["keys"]]
    for hours in (1, 2):
        kids.append(own_ring.rotate(now() + timedelta(hours=hours)))
    own_ring.destroy(0)
    own_ring.change(lambda content: content["signing"]["keys"][1].update(status="disabled"))
    assert [key["kid"] for key in jwks(program)["keys"]] == kids


# --- The keyring -----------------------------------------------------------------------------------------------------


def test_a_rotation_adds_a_key_and_changes_nothing_else(path: Path) -> None:
    before = json.loads(path.read_text())
    added = keyring.add_signing_key(FileStore(path), since=AT)
    after = json.loads(path.read_text())
    assert after["signing"]["keys"].pop()["version"] == added.version == 2
    assert after == before
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_replaced_keyring_outlives_a_loss_of_power(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content is durable before it gets its name, and its name before anything is signed with it."""
    synced: list[tuple[bool, int]] = []

    def fsync(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), len(signing(path))))

    monkeypatch.setattr(os, "fsync", fsync)
    keyring.add_signing_key(FileStore(path), since=AT)
    assert synced == [(False, 1), (True, 2)]
    synced.clear()
    path.unlink()
    assert keyring.create(FileStore(path))
    assert synced == [(False, 1), (True, 1)]


def test_each_moment_has_its_key(path: Path) -> None:
    keyring.add_signing_key(FileStore(path), since=AT)
    keyring.add_signing_key(FileStore(path), since=AT + timedelta(days=1))
    keys = keyring.load(FileStore(path)).signing
    second = timedelta(seconds=1)
    moments = {AT - second: 1, AT: 2, AT + timedelta(days=1) - second: 2, AT + timedelta(days=1): 3}
    assert {moment: key.version for moment in moments if (key := keys.of(moment))} == moments
    changed(path, "signing", "keys", 0, "status", to="disabled")
    changed(path, "signing", "keys", 2, "status", to="destroyed")
    keys = keyring.load(FileStore(path)).signing
    assert {key.version for moment in moments if (key := keys.of(moment))} == {2}
    changed(path, "signing", "keys", 1, "status", to="disabled")
    assert keyring.load(FileStore(path)).signing.of(AT) is None


@pytest.mark.parametrize("since", [None, AT, AT - timedelta(days=1)])
def test_a_key_takes_effect_after_the_one_before_it(path: Path, since: datetime | None) -> None:
    keyring.add_signing_key(FileStore(path), since=AT)
    content = path.read_text()
    with pytest.raises(KeyringError, match="later"):
        keyring.add_signing_key(FileStore(path), since=since)
    assert path.read_text() == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_two_rotations_at_once_lose_no_key(path: Path) -> None:
    """Each adds its key, or is told that another change is under way."""
    told: list[int | KeyringError] = []

    def rotate(hours: int) -> None:
        try:
            told.append(keyring.add_signing_key(FileStore(path), since=AT + timedelta(hours=hours)).version)
        except KeyringError as error:
            told.append(error)

    callers = [threading.Thread(target=rotate, args=(hours,)) for hours in range(1, 9)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(signing(path)) == 1 + len([answer for answer in told if isinstance(answer, int)])


def test_what_a_dead_rotation_left_is_told(path: Path) -> None:
    path.with_name("keyring.json.new").write_text("")
    with pytest.raises(KeyringError, match=r"keyring\.json\.new is there"):
        keyring.add_signing_key(FileStore(path), since=AT)


def test_a_keyring_behind_a_link_is_replaced_where_it_is(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(path)
    keyring.add_signing_key(FileStore(link), since=AT)
    assert link.is_symlink()
    assert len(signing(path)) == 2


MISSHAPEN: tuple[tuple[tuple[Any, ...], Any], ...] = (
    (("signing",), []),
    (("signing",), None),
    (("signing", "keys"), {"version": 1}),
    (("signing", "keys", 0), []),
    (("signing", "keys", 0, "version"), "x"),
    (("signing", "keys", 0, "status"), "retired"),
    (("signing", "keys", 0, "public"), base64.b64encode(bytes(32)).decode()),
    (("signing", "keys", 0, "public"), "AAAA"),
    (("signing", "keys", 0, "public"), "!"),
    (("signing", "keys", 0, "key"), "AAAA"),
    (("signing", "keys", 0, "since"), "2026-10-01T00:00:00"),
    (("signing", "keys", 0, "since"), "yesterday"),
    (("signing", "keys", 0, "since"), "2026-10-02T00:00:00+00:00"),
    (("signing", "keys", 1, "version"), 1),
)


@pytest.mark.parametrize(("steps", "to"), MISSHAPEN, ids=[f"{steps} = {to}" for steps, to in MISSHAPEN])
def test_signing_keys_that_are_not_as_they_should_be_are_refused(path: Path, steps: tuple[Any, ...], to: Any) -> None:
    keyring.add_signing_key(FileStore(path), since=AT)
    changed(path, *steps, to=to)
    with pytest.raises(KeyringError, match="signing") as refused:
        keyring.load(FileStore(path))
    assert not any(entry["key"] in str(refused.value) for entry in json.loads(path.read_text())["index"]["keys"])


# --- The commands ----------------------------------------------------------------------------------------------------


def test_create_keyring_gives_an_older_one_its_first_signing_key(own_ring: Ring) -> None:
    own_ring.change(lambda content: content.pop("signing"))
    before = json.loads(own_ring.path.read_text())
    assert keyring.load(FileStore(own_ring.path)).signing.keys == ()
    assert "signing key added" in run("create_keyring")[0]
    after = json.loads(own_ring.path.read_text())
    assert len(after.pop("signing")["keys"]) == 1
    assert after == before
    content = own_ring.path.read_text()
    assert "left as it is" in run("create_keyring")[0]
    assert own_ring.path.read_text() == content


def test_create_keyring_keeps_when_it_made_the_keys(database: None, own_ring: Ring) -> None:
    own_ring.path.unlink()
    assert "keyring created" in run("create_keyring")[0]
    made = [version.made for version in keyring.versions(FileStore(own_ring.path))]
    assert all(at is not None and now() - timedelta(minutes=1) < at <= now() for at in made) and len(made) == 2


def test_create_keyring_makes_none_for_a_database_that_knows_people(
    program: Program, own_ring: Ring, as_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a new one nobody would be found, and each made once more."""
    kept = own_ring.path.read_bytes()
    program.decide("alice")
    own_ring.path.unlink()
    with pytest.raises(CommandError, match="only its own keyring finds"):
        call_command("create_keyring")
    with as_worker(), pytest.raises(CommandError, match="only its own keyring finds"):
        call_command("create_keyring")
    monkeypatch.setenv("ZHIQING_KEYRING_FILE", str(own_ring.path))
    with pytest.raises(RuntimeError, match="only its own keyring finds"):
        manage("create_keyring")
    assert not own_ring.path.exists()
    own_ring.path.write_bytes(kept)


def test_create_keyring_makes_the_folder_or_says_why_it_cannot(database: None, own_ring: Ring, tmp_path: Path) -> None:
    own_ring.path = tmp_path / "new" / "folder" / "keyring.json"
    own_ring.use()
    assert "keyring created" in run("create_keyring")[0]
    assert stat.S_IMODE(own_ring.path.parent.stat().st_mode) == 0o700
    own_ring.path = own_ring.path / "within-a-file" / "keyring.json"
    own_ring.use()
    with pytest.raises(CommandError, match="cannot be"):
        call_command("create_keyring")


def test_create_keyring_says_what_is_wrong_with_one(own_ring: Ring) -> None:
    own_ring.path.chmod(0o644)
    with pytest.raises(CommandError, match="chmod 600"):
        call_command("create_keyring")


def test_rotate_signing_key(own_ring: Ring) -> None:
    with pytest.raises(CommandError, match="a time to come"):
        run("rotate_signing_key", "--effective-at", "2026-01-01T00:00:00Z")
    answer = as_json("rotate_signing_key", "--effective-at", "2200-01-01T08:00:00+08:00")
    assert answer == {"version": 2, "kid": answer["kid"], "effective_at": "2200-01-01T08:00:00+08:00"}
    assert keyring.load(FileStore(own_ring.path)).signing.keys[-1].kid == answer["kid"]
    with pytest.raises(CommandError, match="give a later time"):
        run("rotate_signing_key", "--effective-at", "2199-12-31T00:00:00Z")


def test_a_rotation_takes_effect_in_an_hour_unless_told_otherwise(own_ring: Ring) -> None:
    own_ring.change(lambda content: content.pop("signing"))
    before = now()
    out, err = run("rotate_signing_key")
    first, second = keyring.load(FileStore(own_ring.path)).signing.keys
    assert out.strip() == second.kid != first.kid
    assert "on every machine" in err
    assert before + timedelta(hours=1) <= second.since <= now() + timedelta(hours=1)
