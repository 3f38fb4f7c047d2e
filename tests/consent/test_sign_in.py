"""Wrong attempts to sign in: counted by account and by address, with pauses that grow, whether there is an account or not."""

import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory

from consent import edge
from consent.officers import attempts
from consent.officers.attempts import FIRST_PAUSE, FREE, LONGEST_PAUSE
from consent.officers.backend import address
from consent.officers.models import AccountEntry, SignInFailure
from tests.consent.desk import PASSWORD, Desk, officer


@pytest.fixture(autouse=True)
def quick(settings: Any) -> None:
    """A password's hash takes half a second, on purpose; here it is about how often."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def user(database: None) -> User:
    made = User.objects.create_user("grace", password=PASSWORD)
    User.objects.filter(pk=made.pk).update(is_staff=True)
    return made


def sign_in(username: str = "grace", password: str = PASSWORD, **more: Any) -> Any:
    given = {"username": username, "password": password, "next": "/admin/"}
    return Client(headers={"accept-language": "en"}, **more).post("/admin/login/", given)


def over(owner: psycopg.Connection) -> None:
    """The pauses that are on are over."""
    owner.execute("UPDATE sign_in_failure SET paused_until = now() - interval '1 s'")


def pauses() -> list[timedelta]:
    return [row.paused_until - row.last_at for row in SignInFailure.objects.all() if row.paused_until is not None]


def test_after_five_wrong_ones_the_right_one_waits_too(user: User, owner: psycopg.Connection) -> None:
    for _ in range(FREE["account"] - 1):
        assert sign_in(password="wrong").status_code == 200
    assert sign_in().status_code == 302, "four are nothing, and a right one begins anew"
    for _ in range(FREE["account"]):
        assert sign_in(password="wrong").status_code == 200
    assert sign_in().status_code == 200
    over(owner)
    assert sign_in().status_code == 302


def test_pauses_grow_to_an_hour(user: User, owner: psycopg.Connection) -> None:
    longest = []
    for _ in range(FREE["account"] + 8):
        sign_in(password="wrong")
        longest.append(max(pauses(), default=timedelta(0)))
        over(owner)
    minutes = [int(one.total_seconds() // 60) for one in longest]
    assert minutes == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert attempts.pause("account", 10_000) == LONGEST_PAUSE and attempts.pause("account", 5) == FIRST_PAUSE


def test_whether_there_is_an_account_makes_no_difference(user: User) -> None:
    told = {}
    for name in ("grace", "nobody"):
        answers = [sign_in(name, "wrong") for _ in range(FREE["account"] + 1)]
        told[name] = [(one.status_code, one.content.count(b"match"), len(one.context["errors"])) for one in answers]
    assert told["grace"] == told["nobody"]
    entries = AccountEntry.objects.order_by("id").values_list("actor", "action", "account", "details")
    paused = {"by": "account", "failures": FREE["account"]}
    assert list(entries) == [
        ("service", "sign_in.paused", f"officer:{user.pk}", paused),
        ("service", "sign_in.paused", "", paused),
    ]


def test_an_address_that_tries_many_names_waits(user: User) -> None:
    for number in range(FREE["address"]):
        sign_in(f"name{number}", "wrong", REMOTE_ADDR="192.0.2.7")
    assert sign_in(REMOTE_ADDR="192.0.2.7").status_code == 200
    assert sign_in(REMOTE_ADDR="192.0.2.8").status_code == 302


def test_a_right_password_does_not_wash_an_address_clean(user: User) -> None:
    for number in range(FREE["address"] - 1):
        sign_in(f"name{number}", "wrong", REMOTE_ADDR="192.0.2.7")
    assert sign_in(REMOTE_ADDR="192.0.2.7").status_code == 302
    sign_in("one more", "wrong", REMOTE_ADDR="192.0.2.7")
    assert sign_in(REMOTE_ADDR="192.0.2.7").status_code == 200


def test_many_at_once_are_no_more_than_one_after_another(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, start = [], threading.Barrier(12)
    check = User.check_password

    def counted(self: User, raw: str) -> bool:
        looked.append(raw)
        return check(self, raw)

    monkeypatch.setattr(User, "check_password", counted)

    def attempt() -> None:
        start.wait()
        sign_in(password="wrong")
        connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked) == FREE["account"]


def test_wrong_codes_are_counted_too(user: User, owner: psycopg.Connection) -> None:
    desk = Desk(user)
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    for _ in range(FREE["code"]):
        assert "This code is wrong" in client.post("/admin/second-factor/", {"code": "0"}).content.decode()
    assert "too many wrong codes" in client.post("/admin/second-factor/", {"code": "0"}).content.decode()
    assert AccountEntry.objects.latest("id").details == {"by": "code", "failures": FREE["code"]}
    assert desk.get().status_code == 200, "who is in stays in"


def test_wrong_attempts_are_forgotten_after_a_day(user: User, owner: psycopg.Connection) -> None:
    for _ in range(FREE["account"] - 1):
        sign_in(password="wrong")
    owner.execute("UPDATE sign_in_failure SET last_at = now() - interval '25 h'")
    sign_in(password="wrong")
    assert sign_in().status_code == 302


def test_neither_names_nor_addresses_nor_passwords_are_kept_or_logged(
    user: User, owner: psycopg.Connection, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(FREE["account"] + 1):
        sign_in("Canary7Kq2", "canary-password", REMOTE_ADDR="198.51.100.77")
    kept = str(owner.execute("SELECT key, failures FROM sign_in_failure").fetchall())
    kept += str(list(AccountEntry.objects.values_list()))
    for told in ("Canary7Kq2", "canary-password", "198.51.100.77"):
        assert told not in kept + caplog.text + capsys.readouterr().err


@pytest.mark.parametrize(
    ("proxy", "remote", "forwarded", "found"),
    [
        (False, "192.0.2.7", "203.0.113.9", "192.0.2.7"),
        (True, "127.0.0.1", "203.0.113.9", "203.0.113.9"),
        (True, "127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (True, "192.0.2.7", None, "192.0.2.7"),
        (False, "2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        (False, "::ffff:192.0.2.7", None, "192.0.2.7"),
        (True, "127.0.0.1", "nonsense", ""),
        (True, "127.0.0.1", "203.0.113.9:443", "203.0.113.9"),
        (True, "127.0.0.1", "[2001:db8:1:2::7]:443", "2001:db8:1:2::/64"),
    ],
)
def test_where_a_caller_is(settings: Any, proxy: bool, remote: str, forwarded: str | None, found: str) -> None:
    settings.TLS_PROXY = proxy
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert address(RequestFactory().get("/", headers=headers, REMOTE_ADDR=remote)) == found


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        ("198.51.100.1, 203.0.113.9, 192.0.2.1", "203.0.113.9"),
        ("203.0.113.9, 192.0.2.1", "203.0.113.9"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_where_a_caller_is_before_two_proxies(settings: Any, forwarded: str, found: str) -> None:
    settings.TLS_PROXY, settings.ZHIQING_PROXIES = True, 2
    asked = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR="127.0.0.1")
    assert address(asked) == found


def test_an_officers_session_is_not_paused_by_others(program: Any) -> None:
    desk = officer("grace", program).enter(program)
    counter = attempts.counter(edge.vault().lookup, "account", "grace")
    for _ in range(10):
        attempts.begin([counter], now=edge.now())
    assert desk.get("consent/notice/").status_code == 200


def test_what_an_office_mistypes_in_a_week_is_not_in_a_row(database: None) -> None:
    counter, at = attempts.counter(edge.vault().lookup, "address", "192.0.2.7"), edge.now()
    for hours in range(0, 2 * attempts.FREE["address"] * 2, 2):
        moment = at + timedelta(hours=hours)
        assert attempts.begin([counter], now=moment), hours
        attempts.failed([counter], account="nobody", now=moment)
    for _ in range(attempts.FREE["address"] - 1):
        assert attempts.begin([counter], now=moment)
        attempts.failed([counter], account="nobody", now=moment)
    assert not attempts.begin([counter], now=moment), "twenty within an hour are"


def test_whoever_is_paused_writes_nothing(database: None) -> None:
    lookup, at = edge.vault().lookup, edge.now()
    office = attempts.counter(lookup, "address", "192.0.2.7")
    for number in range(attempts.FREE["address"] + 10):
        attempts.begin([attempts.counter(lookup, "account", f"name {number}"), office], now=at)
    assert SignInFailure.objects.count() == attempts.FREE["address"] + 1
