"""Who reaches the service after a restore: API keys that were revoked since the backup stay so, and staff accounts have what they
were left with."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command

from consent.journal import service
from consent.officers import access
from consent.officers.models import AccountEntry, StaffAccount
from consent.programs.authentication import rotate_client
from consent.programs.models import OfficerAssignment
from tests.cast import Program, now
from tests.consent.desk import PASSWORD, Desk, account, holder
from tests.consent.journals import Journal, database_beside
from tests.consent.journals import as_it_was as as_it_was
from tests.consent.journals import journal as journal
from tests.consent.journals import looked_at_anew as looked_at_anew
from tests.journeys.server import serving
from tests.stack import ROOT, manage


def client(program: Program) -> tuple[str, ...]:
    return ("--program", str(program.id), "--client", str(program.client_id))


def change(desk: Desk, user: User, **given: Any) -> Any:
    """What the form of an account sends; `is_active` is a box that is ticked, or not sent."""
    seen = access.of(User.objects.get(pk=user.pk)).fingerprint
    told = {"username": user.username, "seen": seen, "expires_at_0": "", "expires_at_1": "", "groups": []} | given
    return desk.post(f"auth/user/{user.pk}/change/", **told)


def role(code: str) -> int:
    return int(Group.objects.get(name=f"role:{code}").pk)


def assignment(user: User, program: Program) -> int:
    return int(OfficerAssignment.objects.get(user=user, program_id=program.id).pk)


def replayed(*flags: str) -> Any:
    done = json.loads(manage("replay_journal", "--json", *flags, role="worker"))
    service._watch.forget()
    return done


# --- What is in the journal -------------------------------------------------------------------------------------------


def test_a_revocation_is_told_each_time_and_by_numbers(program: Program, journal: Journal) -> None:
    call_command("revoke_client", *client(program), "--without-journal")
    assert not journal.lines()
    for _ in range(2):
        call_command("revoke_client", *client(program))
    told, done, *again = journal.lines()
    assert [line["kind"] for line in again] == ["client_revoked", "committed"]
    assert (told["kind"], told["program"], told["client"]) == ("client_revoked", program.id, program.client_id)
    assert told.keys() == {"number", "at", "kind", "program", "client", "writer", "chain"}
    assert (done["kind"], done["number"]) == ("committed", told["number"])


def test_without_the_journal_no_key_is_revoked(program: Program, journal: Journal) -> None:
    journal.folder.write_text("no folder")
    with pytest.raises(CommandError, match="journal_unavailable"):
        call_command("revoke_client", *client(program))
    assert program.post("consents/status", {"subject": {"openid": "alice"}}).status_code == 200


def test_a_key_in_wrong_hands_is_revoked_without_the_journal_where_somebody_says_so(
    program: Program, journal: Journal
) -> None:
    journal.folder.write_text("no folder")
    call_command("revoke_client", *client(program), "--without-journal")
    assert program.post("consents/status", {"subject": {"openid": "alice"}}).status_code == 401


def test_what_an_account_loses_is_told_before_and_what_it_is_given_after(program: Program, journal: Journal) -> None:
    desk, user = holder("administrator"), account("senior_officer", program)
    assert change(desk, user, is_active="on", groups=[role("senior_officer"), role("analyst")]).status_code == 302
    assert change(desk, user, is_active="on", groups=[role("viewer")]).status_code == 302
    own, has = (
        f"program:{program.id}",
        {code: f"group:{role(code)}" for code in ("senior_officer", "analyst", "viewer")},
    )
    assert [(line["kind"], set(line.get("may", ()))) for line in journal.lines()] == [
        ("account_widened", {"active", "staff", own, has["senior_officer"], has["analyst"]}),
        ("account_narrowed", {"active", "staff", own}),
        ("committed", set()),
        ("account_widened", {"active", "staff", own, has["viewer"]}),
    ]
    assert {line["account"] for line in journal.lines() if "may" in line} == {user.pk}
    before = len(journal.lines())
    assert change(desk, user, is_active="on", groups=[role("viewer")], first_name="Grace").status_code == 302
    assert change(desk, user, groups=["no number"]).status_code == 200
    assert len(journal.lines()) == before, "nothing was taken or given"
    page = f"consent/officerassignment/{assignment(user, program)}/delete/"
    assert desk.post(page, post="yes").status_code == 302
    assert set(journal.lines()[before]["may"]) == {"active", "staff", has["viewer"]}
    assert desk.post("consent/officerassignment/add/", user=user.pk, program=program.id).status_code == 302
    assert set(journal.lines()[-1]["may"]) == {"active", "staff", own, has["viewer"]}
    until = now().date() + timedelta(days=9)
    given = {
        "is_active": "on",
        "groups": [role("viewer")],
        "expires_at_0": until.isoformat(),
        "expires_at_1": "12:00:00",
    }
    assert change(desk, user, **given).status_code == 302
    narrowed, _ = journal.lines()[-2:]
    assert (narrowed["kind"], narrowed["ends"][:10]) == ("account_narrowed", until.isoformat())
    assert "Grace" not in journal.newest().read_text()


def test_without_the_journal_no_account_loses_anything(program: Program, journal: Journal) -> None:
    """The page says so."""
    desk, user = holder("administrator"), account("viewer", program)
    journal.folder.write_text("no folder")
    page = f"consent/officerassignment/{assignment(user, program)}/delete/"
    nobody = account("viewer", name="nobody")
    add = partial(desk.post, "consent/officerassignment/add/", user=nobody.pk, program=program.id)
    for sent in (partial(change, desk, user, groups=[role("viewer")]), partial(desk.post, page, post="yes"), add):
        answer = sent()
        assert answer.status_code == 302
        assert "The journal cannot be written" in desk.get(answer["Location"].removeprefix("/admin/")).content.decode()
    assert User.objects.get(pk=user.pk).is_active and assignment(user, program)
    assert not OfficerAssignment.objects.filter(user=nobody).exists()


# --- Replaying --------------------------------------------------------------------------------------------------------


def test_who_was_ended_since_the_backup_is_so_after_a_restore(
    program: Program,
    other: Program,
    journal: Journal,
    owner: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
    desk, gone, stays = holder("administrator"), account("officer", name="gone"), account("officer", name="stays")
    kept = tmp_path / "kept.dump"
    manage("backup", "--to", str(kept))
    manage("revoke_client", *client(program), role="application")
    assert change(desk, gone, groups=[role("officer")]).status_code == 302
    with database_beside(owner, monkeypatch):
        manage("restore", str(kept))
        plan = replayed("--dry-run")
        done = replayed()
        assert (plan["clients"], plan["accounts"]) == (done["clients"], done["accounts"])
        assert (done["clients"], done["accounts"]) == ([program.client_id], [gone.pk])
        assert done["done"] == {"API clients revoked": 1, "accounts narrowed": 1}
        again = replayed()
        assert (again["clients"], again["accounts"], again["done"]) == ([], [], {})
        with serving(tmp_path, workers=1) as web:
            assert [called(web.base_url, one) for one in (program, other)] == [401, 200]
            assert [signs_in(web.base_url, one) for one in (gone, stays)] == [False, True]


def called(base_url: str, program: Program) -> int:
    headers = {"Authorization": f"Bearer {program.key}"}
    body = {"subject": {"openid": "alice"}}
    return httpx.post(f"{base_url}/api/v1/consents/status", json=body, headers=headers, trust_env=False).status_code


def signs_in(base_url: str, user: User) -> bool:
    with httpx.Client(base_url=base_url, trust_env=False, timeout=30) as browser:
        browser.get("/admin/login/")
        given = {"username": user.username, "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        return browser.post("/admin/login/", data=given).status_code == 302


def test_a_key_made_after_the_revocation_stands(
    program: Program, journal: Journal, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
    call_command("revoke_client", *client(program))
    at = owner.execute("UPDATE api_key SET revoked_at = NULL RETURNING id").fetchone()
    long = timedelta(days=1)
    new = rotate_client(program_id=program.id, client_id=program.client_id, now=now(), valid_for=long, overlap=long)
    owner.execute("DELETE FROM service_state")
    assert replayed()["clients"] == [program.client_id]
    revoked = "SELECT id, revoked_at::text FROM api_key WHERE revoked_at IS NOT NULL"
    told = owner.execute("SELECT %s::timestamptz::text", [journal.lines()[0]["at"]]).fetchone()
    assert at is not None and told is not None
    assert owner.execute(revoked).fetchall() == [(at[0], told[0])], "as of the first time"
    program.key = new.token
    assert program.post("consents/status", {"subject": {"openid": "alice"}}).status_code == 200
    audited = "SELECT actor, target FROM audit_entry WHERE action = 'client.revoked'"
    assert owner.execute(audited).fetchall() == [("replay", f"client:{program.client_id}")]


def test_an_account_has_what_both_the_backup_and_its_last_state_allow(
    program: Program, other: Program, journal: Journal, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was given since it is given again by hand, and keeps."""
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
    desk, user = holder("administrator"), account("senior_officer", program, other)
    until = now().date() + timedelta(days=9)
    ends = {"is_active": "on", "expires_at_0": until.isoformat(), "expires_at_1": "12:00:00"}
    assert change(desk, user, groups=[role("viewer")], **ends).status_code == 302
    assert desk.post(f"consent/officerassignment/{assignment(user, other)}/delete/", post="yes").status_code == 302
    ended = StaffAccount.objects.get(user=user).expires_at

    # As it was in the backup.
    user.groups.set([role("senior_officer")])
    owner.execute("UPDATE staff_account SET expires_at = NULL")
    OfficerAssignment.objects.create(user=user, program_id=other.id)
    owner.execute("DELETE FROM service_state")
    assert replayed("--dry-run")["accounts"] == [user.pk]
    assert user.groups.exists() and not AccountEntry.objects.filter(actor="replay").exists()
    assert replayed()["accounts"] == [user.pk]
    assert (user.groups.count(), StaffAccount.objects.get(user=user).expires_at) == (0, ended)
    assert list(OfficerAssignment.objects.values_list("program_id", flat=True)) == [program.id]
    entry = AccountEntry.objects.get(actor="replay")
    lost = [f"group:{role('senior_officer')}", f"program:{other.id}"]
    assert (entry.action, entry.account) == ("account.narrowed", f"officer:{user.pk}")
    assert entry.details == {"lost": lost, "end": True}
    audited = "SELECT program_id, target FROM audit_entry WHERE action = 'officer.unassigned' AND actor = 'replay'"
    assert owner.execute(audited).fetchall() == [(other.id, f"officer:{user.pk}")]
    assert replayed()["accounts"] == []
    assert change(desk, user, groups=[role("senior_officer")], **ends).status_code == 302
    assert replayed()["accounts"] == []
    assert user.groups.get().pk == role("senior_officer")


def test_where_nothing_was_restored_nobody_loses_anything(
    program: Program, journal: Journal, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was given may be missing from the journal, which is told of it after the commit."""
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
    desk, user = holder("administrator"), account("senior_officer", program)
    assert change(desk, user, groups=[role("senior_officer")]).status_code == 302
    call_command("revoke_client", *client(program))
    owner.execute("UPDATE auth_user SET is_active = true")
    owner.execute("UPDATE api_key SET revoked_at = NULL")
    told = replayed()
    assert (told["replay_required"], told["accounts"], told["clients"]) == (False, [], [])
    assert User.objects.get(pk=user.pk).is_active
    assert program.post("consents/status", {"subject": {"openid": "alice"}}).status_code == 200


def test_without_a_complete_journal_somebody_has_to_look(
    program: Program, journal: Journal, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHIQING_JOURNAL_DIR", str(journal.folder))
    told = "API keys and staff accounts are as the backup has them"
    for flags, said in ((["--incomplete"], True), ([], False)):
        owner.execute("DELETE FROM service_state")
        command = [sys.executable, str(ROOT / "manage.py"), "replay_journal", *flags]
        done = subprocess.run(
            command, env={**os.environ, "ZHIQING_ROLE": "worker"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert (told in done.stderr) is said
