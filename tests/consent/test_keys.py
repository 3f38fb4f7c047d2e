"""`manage.py keys`: versions are added, promoted, taken over and retired, and nobody is lost, split in two, or kept from opening."""

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import BinaryField

from consent import edge
from consent.errors import Unavailable
from consent.officers import second_factor
from consent.platforms import credentials
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.rights import tasks
from consent.rights.classification import classified, classified_models
from consent.vault import identities, keyring, own, processes, writing
from consent.vault.identities import SubjectTaken, Vault
from consent.vault.keyring import KeyringError
from consent.vault.models import Subject, Writes
from consent.vault.store import FileStore
from consent.webhooks import endpoints
from tests.cast import Program, make_program
from tests.consent.acts import act
from tests.consent.desk import superuser
from tests.consent.rights import Working, carry_out, file, package_of, sections
from tests.consent.rotating import (
    FIRST,
    INDEX,
    KEY_ENCRYPTION,
    PHONE,
    a_day_later,
    holds,
    index_rotated,
    keys,
    primary,
    refused,
    shown,
    vault_of,
    wrapping_rotated,
)
from tests.consent.signed import Ring

ADDRESSES = {"wechat": "https://example.com", "alipay": "https://example.com"}
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def rotated(own_ring: Ring, database: None, owner: psycopg.Connection) -> Program:
    """A mini-program under a keyring that a test rotates."""
    owner.execute(FIRST)
    return make_program()


def known(program: Program, *openids: str) -> list[str]:
    """Pseudonyms of people who consented, each with a phone."""
    found = [program.decide(openid)["subject_id"] for openid in openids]
    for openid in openids:
        assert program.post("identities", {"subject": {"openid": openid}, "add": {"phone": PHONE}}).status_code == 200
    return found


def held(program: Program) -> dict[str, str]:
    """openid -> pseudonym, as they open."""
    with tenant(program.id):
        return {
            identities.opened(edge.vault(), subject)["openid"]: str(subject.pseudonym)
            for subject in Subject.objects.filter(program_id=program.id)
        }


# --- The whole way -----------------------------------------------------------------------------------------------------


def test_a_key_encryption_key_is_rotated(rotated: Program, own_ring: Ring, owner: psycopg.Connection) -> None:
    alice = known(rotated, "alice")[0]
    program = MiniProgram.objects.get(id=rotated.id)
    credentials.keep(vault=edge.vault(), program=program, secret=SECRET, platform_key=None, by="test")
    endpoint, _ = endpoints.add(
        vault=edge.vault(), program_id=rotated.id, url="https://example.com/x", events=["consent.changed"],
        acknowledges=False, plain=False, by="test",
    )  # fmt: skip
    endpoints.rotate(vault=edge.vault(), program_id=rotated.id, endpoint_id=endpoint.pk, by="test")
    user = superuser().user
    assert keys("add", KEY_ENCRYPTION)["version"] == 2
    assert shown(KEY_ENCRYPTION)[2] | {"made": None} == {
        "family": KEY_ENCRYPTION, "version": 2, "status": "enabled", "primary": False, "made": None, "writes": "optional",
        "uses": {"own_secrets": 0},
    }  # fmt: skip
    assert shown(KEY_ENCRYPTION)[1]["uses"] == {"data_keys": 1, "own_secrets": 3}
    keys("promote", f"{KEY_ENCRYPTION}:2")
    known(rotated, "bob")
    assert shown(KEY_ENCRYPTION)[2]["uses"] == {"data_keys": 1, "own_secrets": 0}
    assert "still used (data_keys 1, own_secrets 3)" in refused("retire", f"{KEY_ENCRYPTION}:1")
    assert keys("rewrap") == {"family": KEY_ENCRYPTION, "version": 2, "done": 4, "failed": 0, "left": 0}
    keys("retire", f"{KEY_ENCRYPTION}:1")
    assert held(rotated)["alice"] == alice
    keys("retire", f"{KEY_ENCRYPTION}:1", "--destroy", "--now")
    entry = json.loads(own_ring.path.read_text())[KEY_ENCRYPTION]["keys"][0]
    assert (entry["status"], "key" in entry) == ("destroyed", False)
    assert own_ring.path.stat().st_mode & 0o777 == 0o600
    assert set(held(rotated)) == {"alice", "bob"}
    assert credentials.held(vault=edge.vault(), program_id=rotated.id, addresses=ADDRESSES).secret == SECRET
    with tenant(rotated.id):
        endpoint.refresh_from_db()
        assert len(endpoints.secrets(edge.vault(), endpoint, now=edge.now())) == 2
    assert second_factor.handed_out(edge.vault().keyring, user.pk, now=edge.now() + timedelta(minutes=5))
    said = owner.execute("SELECT action, details FROM audit_entry WHERE action LIKE 'keys.%' ORDER BY id").fetchall()
    assert [action for action, _ in said] == [
        "keys.added", "keys.promoted", "keys.rewrapped", "keys.disabled", "keys.destroyed",
    ]  # fmt: skip
    assert {details["family"] for _, details in said} == {KEY_ENCRYPTION}


def test_an_index_key_is_rotated(rotated: Program, as_worker: Working, owner: psycopg.Connection) -> None:
    before = dict(zip(("alice", "bob"), known(rotated, "alice", "bob"), strict=True))
    index_rotated(owner)
    rows = owner.execute("SELECT key_version, count(*) FROM subject_lookup GROUP BY 1").fetchall()
    assert rows == [(2, 4)], "openid and pseudonym of each"
    assert held(rotated) == before
    assert {openid: rotated.decide(openid)["subject_id"] for openid in before} == before
    assert rotated.decide("x", subject={"subject_id": before["alice"]})["subject_id"] == before["alice"]
    with tenant(rotated.id):
        assert len(identities.looked_up(edge.vault(), rotated.id, "phone", PHONE)) == 2
    found = sections(package_of(rotated, carried(rotated, as_worker)))
    assert {row["kind"]: row["value"] for row in found["identifiers"]} == {"openid": "alice", "phone": PHONE}
    assert shown(INDEX)[1]["status"] == "destroyed"


def carried(program: Program, as_worker: Working) -> Any:
    filed = file(program, "access")
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    return filed


def test_each_key_is_rotated_twice_and_beside_the_other(rotated: Program, owner: psycopg.Connection) -> None:
    before = known(rotated, "alice", "bob")
    wrapping_rotated()
    index_rotated(owner)
    keys("add", KEY_ENCRYPTION)
    keys("add", INDEX)
    keys("promote", f"{INDEX}:3")
    keys("promote", f"{KEY_ENCRYPTION}:3")
    keys("rewrap")
    keys("reindex")
    assert list(held(rotated).values()) == before
    assert (primary(KEY_ENCRYPTION), primary(INDEX)) == (3, 3)


# --- What is refused ---------------------------------------------------------------------------------------------------


def test_a_version_is_promoted_once_every_process_holds_it(rotated: Program, own_ring: Ring) -> None:
    old = vault_of(own_ring)
    web, worker = holds("web", old), holds("worker", old)
    for family in (KEY_ENCRYPTION, INDEX):
        keys("add", family)
        assert "2 running process(es) (web 1, worker 1)" in refused("promote", f"{family}:2")
    assert (primary(KEY_ENCRYPTION), primary(INDEX)) == (1, 1)
    processes.report(web, "web", edge.vault().keyring)
    assert "(worker 1)" in refused("promote", f"{INDEX}:2")
    processes.ended(worker)
    keys("promote", f"{INDEX}:2")
    keys("promote", f"{KEY_ENCRYPTION}:2")


def test_a_lease_that_is_over_holds_nothing_up(rotated: Program, own_ring: Ring, owner: psycopg.Connection) -> None:
    holds("web", vault_of(own_ring))
    keys("add", INDEX)
    owner.execute("UPDATE keyring_process SET until = now()")
    keys("promote", f"{INDEX}:2")


@pytest.mark.parametrize("family", [KEY_ENCRYPTION, INDEX])
def test_a_version_is_retired_once_no_process_uses_it(
    rotated: Program, own_ring: Ring, owner: psycopg.Connection, family: str
) -> None:
    keys("add", family)
    both = vault_of(own_ring)
    keys("promote", f"{family}:2")
    process = holds("web", both)
    keys(*(["rewrap"] if family == KEY_ENCRYPTION else ["list"]))
    if family == INDEX:
        assert "(web 1)" in refused("reindex")
    assert "web 1" in refused("retire", f"{family}:1")
    processes.report(process, "web", edge.vault().keyring)
    if family == INDEX:
        keys("reindex")
        a_day_later(owner)
    keys("retire", f"{family}:1")
    assert "still holds the version" in refused("retire", f"{family}:1", "--destroy", "--now")
    processes.report(process, "web", edge.vault().keyring)
    keys("retire", f"{family}:1", "--destroy", "--now")


def test_an_index_key_is_retired_when_nothing_needs_it(rotated: Program, owner: psycopg.Connection) -> None:
    known(rotated, "alice")
    keys("add", INDEX)
    assert keys("reindex")["done"] == 0
    keys("promote", f"{INDEX}:2")
    a_day_later(owner)
    assert "3 identifier(s) are not found" in refused("retire", f"{INDEX}:1")
    owner.execute("UPDATE key_version SET since = now()")
    assert keys("reindex") == {"family": INDEX, "version": 2, "done": 3, "failed": 0, "left": 0}
    assert keys("reindex")["done"] == 0
    assert "Idempotency-Keys of the last 24 h" in refused("retire", f"{INDEX}:1")
    a_day_later(owner)
    assert "primary" in refused("retire", f"{INDEX}:2")
    assert "disabled" in refused("retire", f"{INDEX}:1", "--destroy", "--now")
    keys("retire", f"{INDEX}:1")


@pytest.mark.parametrize(
    "arguments",
    [
        ("add",), ("add", "index:2"), ("promote", "index"), ("promote", "signing:2"), ("list", "index"),
        ("rewrap", "index:1"), ("promote", "index:x"), ("rewrap", "--rate", "0"), ("add", "index", "--destroy"),
        ("promote", "index:7"), ("enable", "index:7"), ("enable", "index:1"), ("retire", "index:7"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(rotated: Program, own_ring: Ring, arguments: tuple[str, ...]) -> None:
    before = own_ring.path.read_text()
    with pytest.raises(CommandError):
        keys(*arguments)
    assert own_ring.path.read_text() == before


def test_a_version_is_destroyed_once_no_backup_needs_it(rotated: Program, own_ring: Ring) -> None:
    """Backups are kept for 35 days."""
    known(rotated, "alice")
    keys("add", KEY_ENCRYPTION)
    keys("promote", f"{KEY_ENCRYPTION}:2")
    keys("rewrap")
    keys("retire", f"{KEY_ENCRYPTION}:1")
    destroy = ("retire", f"{KEY_ENCRYPTION}:1", "--destroy")
    assert "backups_need_it" in refused(*destroy)
    content = json.loads(own_ring.path.read_text())
    (first, _) = content[KEY_ENCRYPTION]["keys"]
    for days, told in ((34, "backups_need_it"), (None, "at a time that is not known")):
        first["disabled"] = None if days is None else (edge.now() - timedelta(days=days)).isoformat()
        own_ring.path.write_text(json.dumps(content))
        assert told in refused(*destroy)
    first["disabled"] = (edge.now() - timedelta(days=35)).isoformat()
    own_ring.path.write_text(json.dumps(content))
    keys(*destroy)
    assert shown(KEY_ENCRYPTION)[1]["status"] == "destroyed"


def test_a_disabled_version_is_enabled_again(
    rotated: Program, own_ring: Ring, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restore of a database whose data keys it wraps."""
    known(rotated, "alice")
    backup = owner.execute("SELECT wrapped, key_version FROM data_key").fetchone()
    assert backup is not None
    keys("add", KEY_ENCRYPTION)
    keys("promote", f"{KEY_ENCRYPTION}:2")
    keys("rewrap")
    keys("retire", f"{KEY_ENCRYPTION}:1")
    owner.execute("UPDATE data_key SET wrapped = %s, key_version = %s", backup)
    with pytest.raises(KeyringError, match="version 1 is not enabled"):
        held(rotated)
    assert "still used" in refused("retire", f"{KEY_ENCRYPTION}:1", "--destroy", "--now")
    assert rotated.get("/readyz").json()["checks"]["keyring"] is False
    monkeypatch.setattr(settings, "ROLE", "worker")
    with pytest.raises(
        CommandError, match=f"do not open with this keyring: run manage.py `keys enable {KEY_ENCRYPTION}:1`"
    ):
        call_command("replay_journal", "--dry-run")
    keys("enable", f"{KEY_ENCRYPTION}:1")
    assert list(held(rotated)) == ["alice"]
    assert rotated.get("/readyz").json()["checks"]["keyring"] is True
    assert keys("rewrap")["done"] == 1


def test_after_a_restore_from_before_the_rotation_nobody_writes(
    rotated: Program, own_ring: Ring, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database asks for the version by which its subjects are found; who holds another one would make them anew."""
    alice = known(rotated, "alice")[0]
    columns = "index, program_id, subject_id, kind, key_version"
    rows = owner.execute(f"SELECT {columns} FROM subject_lookup").fetchall()
    keys("add", INDEX)
    keys("promote", f"{INDEX}:2")
    keys("reindex")
    a_day_later(owner)
    keys("retire", f"{INDEX}:1")
    owner.execute("DELETE FROM subject_lookup; DELETE FROM key_version")
    owner.execute(FIRST)
    for row in rows:
        owner.execute(f"INSERT INTO subject_lookup ({columns}) VALUES (%s, %s, %s, %s, %s)", row)
    owner.execute("UPDATE subject_identifier SET lookup_version = 1 WHERE lookup IS NOT NULL")
    response = rotated.post("consents", act(rotated, ("analytics", "given")))
    assert (response.status_code, response.json()["code"]) == (503, "keyring_behind")
    assert not writing.fits(edge.vault().keyring)
    assert rotated.get("/readyz").json()["checks"]["keyring"] is False
    monkeypatch.setattr(settings, "ROLE", "worker")
    with pytest.raises(CommandError, match="nobody of the backup would be found"):
        call_command("replay_journal", "--dry-run")
    keys("enable", f"{INDEX}:1")
    assert rotated.decide("alice")["subject_id"] == alice
    keys("promote", f"{INDEX}:2")
    assert keys("reindex")["left"] == 0


# --- Old keyrings ------------------------------------------------------------------------------------------------------


def test_who_holds_an_old_keyring_does_not_tell_that_somebody_is_unknown(
    rotated: Program, own_ring: Ring, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their withdrawal would be answered and not done, their erasure told as done of nobody."""
    known(rotated, "early")
    old = vault_of(own_ring)
    keys("add", INDEX)
    keys("promote", f"{INDEX}:2")
    keys("reindex")
    a_day_later(owner)
    keys("retire", f"{INDEX}:1")
    rotated.decide("late")
    monkeypatch.setattr(edge, "vault", lambda: old)
    withdrawn = rotated.post("consents", act(rotated, ("analytics", "withdrawn"), subject={"openid": "late"}))
    erased = rotated.post("requests", {"subject": {"openid": "late"}, "kind": "erasure", "locale": "en"})
    for response in (withdrawn, erased):
        assert (response.status_code, response.json()["code"]) == (503, "keyring_behind")


def test_who_holds_an_old_keyring_writes_no_more(rotated: Program, own_ring: Ring) -> None:
    """Although it said nothing: as a process on another machine, or one that was stopped for a day."""
    old = vault_of(own_ring)
    keys("add", INDEX)
    created(old, rotated, "early")
    keys("promote", f"{INDEX}:2")
    with pytest.raises(Unavailable, match="keyring_behind"):
        created(old, rotated, "late")
    created(edge.vault(), rotated, "late")
    keys("add", KEY_ENCRYPTION)
    both = vault_of(own_ring)
    keys("promote", f"{KEY_ENCRYPTION}:2")
    created(both, rotated, "both")
    keys("rewrap")
    keys("retire", f"{KEY_ENCRYPTION}:1")
    with pytest.raises(Unavailable, match="keyring_behind"):
        created(both, rotated, "too late")
    with pytest.raises(Unavailable, match="keyring_behind"):
        credentials.keep(
            vault=both, program=MiniProgram.objects.get(id=rotated.id), secret=SECRET, platform_key=None, by="test"
        )
    user = superuser("late").user
    second_factor.reset(user.pk, by="test")
    with pytest.raises(Unavailable, match="keyring_behind"):
        second_factor.handed_out(both.keyring, user.pk, now=edge.now())


def created(vault: Vault, program: Program, openid: str) -> None:
    """As an act of consent does it: found, or made."""
    while True:
        try:
            with tenant(program.id):
                if identities.resolve(vault, program.id, {"openid": openid}) is None:
                    identities.create(vault, program.id, {"openid": openid})
            return
        except SubjectTaken:
            continue


def test_no_subject_is_split_in_two_while_an_index_key_rotates(
    rotated: Program, own_ring: Ring, owner: psycopg.Connection
) -> None:
    """Several processes name the same people all the while; some take the new keyring up late, one never."""
    known(rotated, "p0", "p1")
    vaults: list[Vault | None] = [vault_of(own_ring), vault_of(own_ring), None, None]
    over = threading.Event()
    refusals: list[int] = []

    def names(place: int) -> None:
        number = 0
        while not over.is_set():
            number += 1
            try:
                created(vaults[place] or edge.vault(), rotated, f"p{number % 120}")
            except Unavailable:
                refusals.append(place)

    def process(place: int) -> None:
        try:
            names(place)
        finally:
            connection.close()

    threads = [threading.Thread(target=process, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    try:
        keys("add", INDEX)
        wait_for(owner, 30)
        keys("promote", f"{INDEX}:2")
        vaults[1] = vault_of(own_ring)
        keys("reindex", "--batch", "5")
        wait_for(owner, 90)
        a_day_later(owner)
        keys("retire", f"{INDEX}:1")
        vaults[1] = None
        keys("retire", f"{INDEX}:1", "--destroy", "--now")
        wait_for(owner, 120)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    with tenant(rotated.id):
        subjects = list(Subject.objects.filter(program_id=rotated.id))
        found = [identities.opened(edge.vault(), subject)["openid"] for subject in subjects]
    assert len(found) == len(set(found)) == 120
    assert 0 in refusals, "it never took the new keyring up"
    rows = owner.execute("SELECT key_version, count(*) FROM subject_lookup GROUP BY 1").fetchall()
    assert rows == [(2, 240)]


def wait_for(owner: psycopg.Connection, subjects: int) -> None:
    for _ in range(2_000):
        row = owner.execute("SELECT count(*) FROM subject").fetchone()
        assert row is not None
        if row[0] >= subjects:
            return
        threading.Event().wait(0.02)
    raise AssertionError("no subjects come")


# --- Taking up ---------------------------------------------------------------------------------------------------------


def test_a_process_takes_up_another_keyring_by_itself(rotated: Program, own_ring: Ring) -> None:
    before = edge.vault()
    assert edge.vault() is before
    keyring.add_key(FileStore(own_ring.path), INDEX, made=edge.now())
    assert edge.vault().lookup.versions == (1, 2)
    assert before.lookup.versions == (1,), "a call goes on with what it began with"


def test_an_idempotency_key_is_known_by_every_version(
    rotated: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    def again(key: str, decision: str = "given") -> Any:
        response = rotated.post("consents", act(rotated, ("analytics", decision)), Idempotency_Key=key)
        return response.json()["records"][0]["record_id"] if response.status_code == 201 else response.json()["code"]

    first = again("k-1")
    keys("add", INDEX)
    assert again("k-1") == first
    second = again("k-2")
    keys("promote", f"{INDEX}:2")
    keys("reindex")
    assert (again("k-1"), again("k-2")) == (first, second)
    assert (again("k-1", "refused"), again("k-2", "refused")) == ("idempotency_conflict", "idempotency_conflict")
    a_day_later(owner)
    keys("retire", f"{INDEX}:1")
    owner.execute("UPDATE idempotency_record SET created_at = created_at - interval '25 hours'")
    with as_worker():
        tasks.housekeep()
    for key in ("k-1", "k-2"):
        assert again(key) not in (first, second), "it was said more than a day ago, and may be said of something new"


def test_a_version_that_another_machine_made_is_not_made_again(rotated: Program, own_ring: Ring) -> None:
    """Two keys of one number would each find half of the people."""
    older = own_ring.path.read_bytes()
    keys("add", INDEX)
    own_ring.path.write_bytes(older)
    assert "copy the newest keyring" in refused("add", INDEX)
    assert own_ring.path.read_bytes() == older


def test_what_is_said_again_to_a_machine_whose_keyring_is_older_is_known(rotated: Program, own_ring: Ring) -> None:
    """A version is added on one machine after the other, and promoted when all have it."""
    older = own_ring.path.read_bytes()
    keys("add", INDEX)
    newer = own_ring.path.read_bytes()
    body = act(rotated, ("analytics", "given"))
    first = rotated.post("consents", body, Idempotency_Key="k")
    own_ring.path.write_bytes(older)
    assert edge.vault().lookup.versions == (1,)
    assert rotated.post("consents", body, Idempotency_Key="k").json() == first.json()
    own_ring.path.write_bytes(newer)
    assert rotated.post("consents", body, Idempotency_Key="k").json() == first.json()


def test_every_secret_under_the_keyring_itself_is_declared(database: None) -> None:
    """What no subject's key seals, a rotation has to find: columns of keys, and none of a subject."""
    expected = {
        (model._meta.db_table, field.column)
        for model in map(apps.get_model, classified_models())
        for field in model._meta.local_fields
        if isinstance(field, BinaryField)
        and classified(model)[field.name].key == KEY_ENCRYPTION
        and not any(other.column == "subject_id" for other in model._meta.local_fields)
    }
    assert {(one.table, column) for one in own.declared() for column in one.columns} == expected
    with pytest.raises(ValueError, match="declared already"):
        own.declare(own.declared()[0].model, "sealed", cell=own.declared()[0].cell)


def test_a_key_that_does_not_open_is_told_and_left(rotated: Program, owner: psycopg.Connection) -> None:
    known(rotated, "alice", "bob")
    owner.execute("UPDATE data_key SET wrapped = set_byte(wrapped, 30, get_byte(wrapped, 30) # 1) WHERE subject_id ="
                  " (SELECT min(subject_id) FROM data_key)")  # fmt: skip
    keys("add", KEY_ENCRYPTION)
    keys("promote", f"{KEY_ENCRYPTION}:2")
    assert "1 failed and 1 are left" in refused("rewrap")
    assert "still used (data_keys 1)" in refused("retire", f"{KEY_ENCRYPTION}:1")


def test_no_two_rotate_at_once(rotated: Program, owner: psycopg.Connection) -> None:
    owner.execute("SELECT pg_advisory_lock(hashtextextended('rotate keys', 0))")
    assert refused("rewrap") == "another `keys` command is running"
    assert keys("list")["keys"]


def test_list_shows_no_key(rotated: Program, own_ring: Ring, tmp_path: Path) -> None:
    secrets = [entry["key"] for entry in json.loads(own_ring.path.read_text())[INDEX]["keys"]]
    assert not any(secret in json.dumps(keys("list")) for secret in secrets)
    assert secrets[0] not in repr(edge.vault())


def test_what_is_asked_of_a_version_waits_for_writers(rotated: Program, own_ring: Ring) -> None:
    """Who began before writes what is found; the change comes after it."""
    done = threading.Event()

    def change() -> None:
        writing.change(INDEX, 2, Writes.OPTIONAL)
        done.set()
        connection.close()

    thread = threading.Thread(target=change)
    with tenant(rotated.id):
        writing.hold(edge.vault().keyring)
        thread.start()
        assert not done.wait(0.5)
    thread.join(10)
    assert done.is_set()
