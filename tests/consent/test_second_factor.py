"""The second factor: nothing answers without it, a code is used once, and what is lost can be got over."""

import re
import threading
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from consent import edge
from consent.admin.second_factor import IDLE, LONGEST, SESSION_KEY, SHOWN_KEY
from consent.errors import Conflict
from consent.officers import accounts, second_factor
from consent.officers.models import AccountEntry, RecoveryCode, StaffAccount
from tests.cast import Program, now
from tests.consent.desk import PASSWORD, Desk, officer, superuser
from tests.consent.test_roles import at, pages

CODE, ENROL = "/admin/second-factor/", "/admin/second-factor/enrol/"


@pytest.fixture
def user(database: None) -> User:
    made = User.objects.create_user("grace", password=PASSWORD)
    User.objects.filter(pk=made.pk).update(is_staff=True)
    return made


def test_the_sign_in_page_leads_on_by_itself(user: User) -> None:
    """Its form sends no address along where it was opened without one."""
    response = Client().post("/admin/login/", {"username": "grace", "password": PASSWORD})
    assert response.headers["Location"] == "/admin/"


def signed_in(user: User) -> Client:
    """By password alone."""
    client = Client(headers={"accept-language": "en"}, raise_request_exception=False)
    response = client.post("/admin/login/", {"username": user.username, "password": PASSWORD, "next": "/admin/"})
    assert response.headers["Location"] == "/admin/"
    return client


def code_of(user: User, ahead: int = 0) -> str:
    """What the authenticator shows now, or so many steps later."""
    row = StaffAccount.objects.get(user=user)
    secret = second_factor._secret(edge.vault().keyring, row)
    return second_factor.code_at(secret, second_factor._step(now()) + ahead)


def enrolled(client: Client, user: User) -> list[str]:
    """By the page; answers the recovery codes."""
    assert client.get(ENROL).status_code == 200
    response = client.post(ENROL, {"code": code_of(user, -1)})
    page = response.content.decode()
    assert response.status_code == 200 and "no-store" in response.headers["Cache-Control"]
    return re.findall(r"<li[^>]*>([A-Z2-7-]{19})</li>", page)


def test_a_password_alone_opens_no_page(user: User, program: Program) -> None:
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    client = signed_in(user)
    free = {"login", "logout", "admin_language", "admin_second_factor", "admin_enrol"}
    for address, name in pages():
        if name in free:
            continue
        path = f"/admin/{at(address, lambda before: None)}"
        for response in (client.get(path), client.post(path)):
            assert response.status_code == 302, path
            assert response.headers["Location"].startswith(CODE), path
    assert client.get(CODE).headers["Location"].startswith(ENROL)
    page = client.get(ENROL).content.decode()
    assert "/admin/consent/" not in page and "/admin/auth/" not in page


def test_enrolling_and_signing_in_again(user: User, owner: psycopg.Connection) -> None:
    client = signed_in(user)
    page = client.get(ENROL).content.decode()
    secret = second_factor.text(second_factor.begin(edge.vault().keyring, user.pk, shown=client.session[SHOWN_KEY]))
    assert "<svg" in page and " ".join(secret[at : at + 4] for at in range(0, 32, 4)) in page
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", page.partition('id="picture"')[2].partition("</div>")[0])
    wrong = client.post(ENROL, {"code": "000000"})
    assert "not the code of now" in wrong.content.decode()
    codes = enrolled(client, user)
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    assert client.get("/admin/").status_code == 200
    assert client.get(ENROL).headers["Location"].startswith(CODE), "it is not shown again"
    again = signed_in(user)
    assert again.get("/admin/").headers["Location"].startswith(CODE)
    asked = again.get(f"{CODE}?next=/admin/program/")
    assert secret not in asked.content.decode()
    before = again.session.session_key
    led = again.post(CODE, {"code": code_of(user), "next": "/admin/program/"})
    assert led.headers["Location"] == "/admin/program/"
    assert again.session.session_key != before, "a session that was fixed beforehand is worth nothing"
    assert again.get("/admin/").status_code == 200


def test_a_secret_that_another_session_was_shown_is_never_enrolled(user: User) -> None:
    theirs, own = signed_in(user), signed_in(user)
    theirs.get(ENROL)
    harvested = code_of(user)
    page = own.get(ENROL).content.decode()
    assert "not the code of now" in own.post(ENROL, {"code": harvested}).content.decode()
    secret = second_factor.text(second_factor.begin(edge.vault().keyring, user.pk, shown=own.session[SHOWN_KEY]))
    assert " ".join(secret[at : at + 4] for at in range(0, 32, 4)) in page, "its own goes on while it enrols"
    assert "not the code of now" in theirs.post(ENROL, {"code": code_of(user)}).content.decode()
    assert second_factor.mark(accounts.of(user)) is None


@pytest.mark.parametrize("led", ["https://evil.example/", "//evil.example", "/api/v1/"])
def test_it_leads_on_within_the_admin_only(user: User, led: str) -> None:
    client = signed_in(user)
    enrolled(client, user)
    again = signed_in(user)
    assert again.post(CODE, {"code": code_of(user), "next": led}).headers["Location"] == "/admin/"


def test_a_code_is_used_once_and_those_before_it_are_over(user: User) -> None:
    keyring = edge.vault().keyring
    enrolled(signed_in(user), user)
    code = code_of(user)
    assert second_factor.verify(keyring, user.pk, code, now=now())
    assert not second_factor.verify(keyring, user.pk, code, now=now())
    assert not second_factor.verify(keyring, user.pk, code_of(user, -1), now=now())
    assert second_factor.verify(keyring, user.pk, code_of(user, 1), now=now())


def test_a_clock_may_be_off_by_one_step(user: User) -> None:
    keyring, at = edge.vault().keyring, now()
    secret = second_factor.begin(keyring, user.pk, shown=None)
    asked = partial(second_factor.enrol, keyring, user.pk, shown=second_factor.fingerprint(secret), now=at)
    step = second_factor._step(at)
    assert asked(second_factor.code_at(secret, step - 2)) is None
    assert asked(second_factor.code_at(secret, step + 2)) is None
    assert asked(second_factor.code_at(secret, step - 1))
    assert second_factor.verify(keyring, user.pk, second_factor.code_at(secret, step + 1), now=at)


def test_the_codes_are_those_of_rfc_6238() -> None:
    secret = b"12345678901234567890"
    told = {59: "287082", 1111111109: "081804", 2000000000: "279037"}
    assert {at: second_factor.code_at(secret, at // second_factor.STEP_S) for at in told} == told


def test_of_two_at_once_with_one_code_one_gets_in(user: User) -> None:
    keyring = edge.vault().keyring
    enrolled(signed_in(user), user)
    code, got, start = code_of(user), [], threading.Barrier(6)

    def attempt() -> None:
        start.wait()
        got.append(second_factor.verify(keyring, user.pk, code, now=now()))
        connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 5 + [True]


def test_a_recovery_code_lets_in_once(user: User) -> None:
    codes = enrolled(signed_in(user), user)
    client = signed_in(user)
    assert client.post(CODE, {"code": codes[0].lower().replace("-", " ")}).status_code == 302
    assert client.get("/admin/").status_code == 200
    assert RecoveryCode.objects.count() == second_factor.RECOVERY_CODES - 1
    again = signed_in(user)
    assert again.post(CODE, {"code": codes[0]}).status_code == 200
    assert again.get("/admin/").status_code == 302
    entry = AccountEntry.objects.get(action="second_factor.recovered")
    assert entry.account == f"officer:{user.pk}" and entry.details == {"left": 9}


def test_nothing_of_it_is_in_plain_in_the_database(user: User, owner: psycopg.Connection) -> None:
    codes = enrolled(signed_in(user), user)
    secret = second_factor._secret(edge.vault().keyring, StaffAccount.objects.get(user=user))
    rows = (
        owner.execute("SELECT sealed FROM staff_account").fetchall()
        + owner.execute("SELECT hash FROM recovery_code").fetchall()
    )
    sessions = owner.execute("SELECT session_data FROM django_session").fetchall()
    kept = b"".join(bytes(row[0]) for row in rows) + str([Session.objects.all().values_list(), sessions]).encode()
    decoded = str([one.get_decoded() for one in Session.objects.all()])
    for told in (secret, second_factor.text(secret).encode(), *(code.replace("-", "").encode() for code in codes)):
        assert told not in kept and told.decode(errors="replace") not in decoded
    other = User.objects.create(username="other")
    owner.execute("INSERT INTO staff_account (user_id, sealed) SELECT %s, sealed FROM staff_account", [other.pk])
    with pytest.raises(Exception, match="does not open"):
        second_factor.begin(edge.vault().keyring, other.pk, shown=None)


def test_an_administrator_resets_it_and_its_sessions_end(program: Program) -> None:
    root, desk = superuser(), officer("grace", program).enter(program)
    page = f"auth/user/{desk.user.pk}/"
    assert f"/admin/{page}second-factor/" in root.get(f"{page}change/").content.decode()
    assert desk.get("consent/notice/").status_code == 200
    assert root.post(f"{page}second-factor/").status_code == 302
    assert desk.get("consent/notice/").headers["Location"].startswith("/admin/login/")
    row = StaffAccount.objects.get(user=desk.user)
    assert row.sealed is None and row.enrolled_at is None and not RecoveryCode.objects.exists()
    entry = AccountEntry.objects.latest("id")
    assert (entry.actor, entry.action, entry.account) == (
        f"officer:{root.user.pk}",
        "second_factor.reset",
        f"officer:{desk.user.pk}",
    )
    assert root.post(f"auth/user/{root.user.pk}/second-factor/").status_code == 403, "their own"


def test_a_session_of_before_a_reset_enrols_nothing(program: Program) -> None:
    """Whoever has the lost telephone has it."""
    root, desk = superuser(), officer("grace", program).enter(program)
    root.post(f"auth/user/{desk.user.pk}/second-factor/")
    assert desk.client.get(ENROL).headers["Location"].startswith("/admin/login/")
    assert desk.client.post(ENROL, {"code": "000000"}).headers["Location"].startswith("/admin/login/")
    assert desk.client.get("/admin/login/").status_code == 200


def test_who_is_enrolled_is_not_enrolled_again(user: User) -> None:
    enrolled(signed_in(user), user)
    with pytest.raises(Conflict):
        second_factor.begin(edge.vault().keyring, user.pk, shown=None)
    client = signed_in(user)
    assert client.post(ENROL, {"code": code_of(user)}).headers["Location"].startswith(CODE)
    assert client.get("/admin/").status_code == 302


def test_strangers_are_asked_for_the_password_first(database: None) -> None:
    for path in (CODE, ENROL):
        for response in (Client().get(path), Client().post(path, {"code": "000000"})):
            assert response.headers["Location"].startswith("/admin/login/")


# --- sessions


def moved(desk: Desk, **ago: timedelta) -> None:
    """What the session has kept lies longer ago."""
    session = desk.client.session
    kept = dict(session[SESSION_KEY])
    for name, by in ago.items():
        kept[name] = (edge.now() - by).isoformat()
    session[SESSION_KEY] = kept
    session.save()


@pytest.mark.parametrize("name", ["seen", "began"])
def test_a_session_ends(program: Program, name: str) -> None:
    desk, limit = officer("grace", program).enter(program), {"seen": IDLE, "began": LONGEST}[name]
    moved(desk, **{name: limit - timedelta(minutes=1)})
    assert desk.get("consent/notice/").status_code == 200
    moved(desk, **{name: limit + timedelta(seconds=1)})
    assert desk.get("consent/notice/").headers["Location"].startswith("/admin/login/")
    assert desk.get("").headers["Location"].startswith("/admin/login/"), "for good"


@pytest.mark.parametrize("name", ["seen", "began"])
def test_a_session_that_is_over_is_not_begun_anew_by_a_code(program: Program, name: str) -> None:
    desk, limit = officer("grace", program).enter(program), {"seen": IDLE, "began": LONGEST}[name]
    moved(desk, **{name: limit + timedelta(seconds=1)})
    response = desk.client.post(CODE, {"code": code_of(desk.user)})
    assert response.headers["Location"].startswith("/admin/login/")
    assert SESSION_KEY not in desk.client.session


def test_a_code_makes_a_session_no_longer(program: Program) -> None:
    desk = officer("grace", program).enter(program)
    moved(desk, began=timedelta(hours=7))
    began = desk.client.session[SESSION_KEY]["began"]
    code = second_factor.handed_out(edge.vault().keyring, desk.user.pk, now=edge.now())
    assert desk.client.post(CODE, {"code": code}).status_code == 302
    assert desk.client.session[SESSION_KEY]["began"] == began


def test_a_session_that_is_used_does_not_idle(program: Program) -> None:
    desk = officer("grace", program).enter(program)
    for _ in range(3):
        moved(desk, seen=timedelta(minutes=20))
        assert desk.get("consent/notice/").status_code == 200
    kept = desk.client.session[SESSION_KEY]
    assert kept["seen"] > (edge.now() - timedelta(minutes=1)).isoformat()


def test_a_new_password_ends_the_other_sessions(program: Program) -> None:
    desk = officer("grace", program)
    other = Desk(desk.user)
    assert other.get().status_code == 200
    given = {"old_password": PASSWORD, "new_password1": f"{PASSWORD} 2", "new_password2": f"{PASSWORD} 2"}
    assert desk.post("password_change/", **given).status_code == 302
    assert desk.get().status_code == 200
    assert other.get().headers["Location"].startswith("/admin/login/")


# --- the operator's command


def test_the_operator_resets_a_second_factor(user: User) -> None:
    enrolled(signed_in(user), user)
    call_command("officer", "reset", "grace", "--json")
    assert second_factor.mark(StaffAccount.objects.get(user=user)) is None
    assert AccountEntry.objects.latest("id").actor == "operator"
    with pytest.raises(CommandError, match="no staff account"):
        call_command("officer", "reset", "nobody")


def test_codes_are_printed_for_sandboxes_only(
    user: User, sandbox: Program, capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    client = signed_in(user)
    call_command("officer", "code", "grace")
    assert client.post(CODE, {"code": capsys.readouterr().out.strip()}).status_code == 302
    assert client.get("/admin/").status_code == 200
    settings.TLS = True
    with pytest.raises(CommandError, match="without TLS"):
        call_command("officer", "code", "grace")


def test_where_a_mini_program_is_no_sandbox_no_code_is_printed(user: User, sandbox: Program, program: Program) -> None:
    with pytest.raises(CommandError, match="sandboxes"):
        call_command("officer", "code", "grace")
    assert second_factor.mark(StaffAccount.objects.filter(user=user).first()) is None
