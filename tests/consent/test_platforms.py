"""Login codes are exchanged with the platforms as these ask for it; whatever they answer, nothing of it leaks or lasts."""

import dataclasses
import json
import os
import ssl
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.core.management import CommandError
from pytest_django.fixtures import Settings

from consent import edge
from consent.errors import Conflict, Problem
from consent.platforms import calls, credentials
from consent.platforms.calls import PlatformIdentity
from consent.platforms.credentials import Credentials, held
from consent.platforms.exchange import exchange
from consent.platforms.login import matches
from consent.platforms.models import PlatformCredential
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.vault.identities import resolve
from consent.vault.suites import DoesNotOpen
from tests.cast import Program, make_program, now
from tests.conformance.search import Search
from tests.consent.stand_in import (
    ACCESS_TOKEN,
    APP_ID,
    APP_SECRET,
    OWN,
    SESSION_KEY,
    Answer,
    StandIn,
    private_pem,
    public_pem,
    refusal,
    signed,
    standing_in,
    token,
)
from tests.consent.test_commands import as_json, run

OTHERS = rsa.generate_private_key(65537, 2048)
WECHAT, ALIPAY = "wechat", "alipay"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """What it was asked it was asked rightly."""
    with standing_in() as there:
        yield there
    assert there.faults == []


def of(platform: str, address: str, **more: str) -> Credentials:
    keys = {"secret": private_pem(), "platform_key": public_pem()} if platform == ALIPAY else {"secret": APP_SECRET}
    return Credentials(platform, APP_ID, address, **(keys | more))


def tried(credentials: Credentials, code: str = "code") -> Problem:
    """How an exchange fails."""
    with pytest.raises(Problem) as failed:
        exchange(credentials=credentials, code=code, now=now())
    return failed.value


def test_wechat_tells_whose_a_code_is(stand_in: StandIn) -> None:
    stand_in.people |= {"one+two &=": {"openid": "oAlice", "unionid": "uAlice"}, "other": {"openid": "oBob"}}
    wechat = of(WECHAT, stand_in.address)
    assert exchange(credentials=wechat, code="one+two &=", now=now()) == PlatformIdentity("oAlice", "uAlice")
    assert exchange(credentials=wechat, code="other", now=now()) == PlatformIdentity("oBob", None)
    assert stand_in.asked[0] == {
        "appid": APP_ID, "secret": APP_SECRET, "js_code": "one+two &=", "grant_type": "authorization_code",
    }  # fmt: skip
    assert tried(wechat, "other").code == "login_code_used"


@pytest.mark.parametrize(
    ("told", "identity"),
    [
        ({"open_id": "074a"}, PlatformIdentity("074a")),
        ({"user_id": "2088"}, PlatformIdentity("2088")),
        ({"user_id": "2088", "open_id": "074a"}, PlatformIdentity("074a", user_id="2088")),
        ({"user_id": "2088", "open_id": ""}, PlatformIdentity("2088")),
        ({"user_id": "2088", "code": "10000"}, PlatformIdentity("2088")),
    ],
)
def test_alipay_tells_whose_a_code_is(stand_in: StandIn, told: dict[str, str], identity: PlatformIdentity) -> None:
    stand_in.people["a+b &=/"] = told
    alipay = of(ALIPAY, stand_in.address)
    assert exchange(credentials=alipay, code="a+b &=/", now=now()) == identity
    assert stand_in.asked[0]["code"] == "a+b &=/"
    assert tried(alipay, "a+b &=/").code == "login_code_invalid"


def test_alipay_is_told_the_time_in_china(stand_in: StandIn) -> None:
    at = datetime(2026, 12, 31, 16, 5, 9, 999_999, tzinfo=UTC)
    stand_in.people["code"] = {"open_id": "074a"}
    exchange(credentials=of(ALIPAY, stand_in.address), code="code", now=at)
    assert stand_in.asked[0]["timestamp"] == "2027-01-01 00:05:09"
    stand_in.faults.remove("timestamp is not now in China")


@pytest.mark.parametrize(
    ("errcode", "code", "status", "retry_after"),
    [
        (40029, "login_code_invalid", 422, None),
        (40163, "login_code_used", 422, None),
        (45011, "platform_busy", 503, 60),
        (-1, "platform_busy", 503, 5),
        (40226, "platform_refused", 409, None),
        (40125, "platform_refused", 409, None),
        (99999, "platform_refused", 409, None),
    ],
)
def test_what_wechat_says_instead(
    stand_in: StandIn, errcode: int, code: str, status: int, retry_after: int | None
) -> None:
    said = json.dumps({"errcode": errcode, "errmsg": "about oAlice", "openid": "oAlice"})
    stand_in.instead["code"] = Answer(said.encode())
    problem = tried(of(WECHAT, stand_in.address))
    assert (problem.code, problem.status, problem.retry_after) == (code, status, retry_after)
    assert (str(errcode) in problem.detail) == (code == "platform_refused")
    assert "oAlice" not in repr(problem)


@pytest.mark.parametrize(
    ("said", "code", "status", "retry_after"),
    [
        (refusal("40002", "isv.code-invalid"), "login_code_invalid", 422, None),
        (refusal("40002", "isv.code-invalid", key=None), "login_code_invalid", 422, None),
        (token({"code": "40002", "sub_code": "isv.code-invalid"}), "login_code_invalid", 422, None),
        (token({"code": "40004", "sub_code": "isv.x", "user_id": "2088"}), "platform_refused", 409, None),
        (refusal("20000", "isp.unknow-error"), "platform_busy", 503, 5),
        (refusal("20000", "aop.unknow-error"), "platform_busy", 503, 5),
        (refusal("40004", "isp.unknown"), "platform_busy", 503, 5),
        (refusal("40005", "isv.app-call-limited"), "platform_busy", 503, 60),
        (refusal("40002", "isv.invalid-signature"), "platform_refused", 409, None),
        (refusal("40006", "isv.insufficient-isv-permissions"), "platform_refused", 409, None),
    ],
)
def test_what_alipay_says_instead(
    stand_in: StandIn, said: Answer, code: str, status: int, retry_after: int | None
) -> None:
    stand_in.instead["code"] = said
    problem = tried(of(ALIPAY, stand_in.address))
    assert (problem.code, problem.status, problem.retry_after) == (code, status, retry_after)


def test_alipays_own_code_is_told_and_its_words_are_not(stand_in: StandIn) -> None:
    stand_in.instead |= {
        "a": refusal("40002", "isv.invalid-signature"),
        "b": refusal("40002", "isv.of 2088102150477652"),
    }
    alipay = of(ALIPAY, stand_in.address)
    assert "isv.invalid-signature" in tried(alipay, "a").detail
    assert "2088" not in repr(tried(alipay, "b"))


def test_a_wrong_secret_is_refused_by_the_platform(stand_in: StandIn) -> None:
    assert "40125" in tried(of(WECHAT, stand_in.address, secret="f" * 32)).detail
    assert "isv.invalid-signature" in tried(of(ALIPAY, stand_in.address, secret=private_pem(OTHERS))).detail


def _changed(answer: Answer, old: bytes, new: bytes) -> Answer:
    assert answer.body.count(old) == 1
    return Answer(answer.body.replace(old, new))


ALICE = {"open_id": "alice"}


@pytest.mark.parametrize(
    "said",
    [
        token(ALICE, OTHERS),
        token(ALICE, OWN),
        token(ALICE, sign="x"),
        token(ALICE, sign=signed(b"")),
        token(ALICE, sign=signed(json.dumps(ALICE).encode())),
        _changed(token(ALICE), b"alice", b"malice"),
        _changed(token(ALICE), b"\\/", b"/"),
        _changed(token(ALICE), b'"sign"', b'"nosign"'),
        refusal("40002", "isv.code-invalid", key=OTHERS),
    ],
)
def test_what_alipay_did_not_sign_is_refused(stand_in: StandIn, said: Answer) -> None:
    stand_in.instead["code"] = said
    problem = tried(of(ALIPAY, stand_in.address))
    assert (problem.code, problem.status) == ("platform_refused", 409)
    assert "not signed" in problem.detail


def test_of_two_responses_the_signed_one_is_read(stand_in: StandIn) -> None:
    """A name twice: what was verified is what is read."""
    first, second = token(ALICE).body, token({"open_id": "mallory"}, OTHERS).body
    stand_in.instead["code"] = Answer(second.partition(b',"sign"')[0] + b"," + first.lstrip(b"{ "))
    assert exchange(credentials=of(ALIPAY, stand_in.address), code="code", now=now()).openid == "alice"


@pytest.mark.parametrize("platform", [WECHAT, ALIPAY])
@pytest.mark.parametrize(
    ("said", "code", "retry_after"),
    [
        (Answer(b"<html>"), "platform_busy", 5),
        (Answer(b""), "platform_busy", 5),
        (Answer(b"[]"), "platform_busy", 5),
        (Answer(b"{}"), "platform_busy", 5),
        (Answer(b'{"openid": 7, "error_response": 7}'), "platform_busy", 5),
        (Answer(b"{}", headers={"Content-Length": "9"}), "platform_busy", 5),
        (Answer(b"{}", status=500), "platform_busy", 5),
        (Answer(b"{}", status=429), "platform_busy", 60),
        (Answer(b"{}", status=404), "platform_refused", None),
        (Answer(b"{}", status=302, headers={"Location": "/sns/jscode2session"}), "platform_refused", None),
        (Answer(b"{}" + b" " * 65_536), "platform_busy", 5),
    ],
)
def test_an_answer_of_another_kind(
    stand_in: StandIn, platform: str, said: Answer, code: str, retry_after: int | None
) -> None:
    stand_in.instead["code"] = said
    problem = tried(of(platform, stand_in.address))
    assert (problem.code, problem.retry_after) == (code, retry_after)
    assert len(stand_in.asked) == 1, "neither a redirect is followed nor a code sent twice"


def test_an_answer_without_an_end_is_left(stand_in: StandIn) -> None:
    stand_in.instead["code"] = Answer(b"{", endless=True)
    began = time.monotonic()
    assert tried(of(WECHAT, stand_in.address)).code == "platform_busy"
    assert time.monotonic() - began < calls.WHOLE_S / 2


@pytest.mark.parametrize("said", [Answer(b"{}", slowly=0.1), Answer(b"{" + b" " * 60, slowly=0.01)])
def test_a_slow_answer_is_not_waited_for(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, said: Answer) -> None:
    """Each byte comes in time, and all of them do not."""
    assert (calls.CONNECT_S, calls.WHOLE_S) == (2, 5)
    monkeypatch.setattr(calls, "WHOLE_S", 0.5)
    stand_in.instead["code"] = said
    began = time.monotonic()
    problem = tried(of(WECHAT, stand_in.address))
    assert (problem.code, problem.status, problem.retry_after) == ("platform_busy", 503, 5)
    assert time.monotonic() - began < 3


def test_nobody_there_is_busy() -> None:
    with standing_in() as gone:
        address = gone.address
    assert tried(of(WECHAT, address)).code == "platform_busy"


def test_only_a_certificate_that_is_trusted_is_talked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, file = certified(tmp_path)
    with standing_in(context) as there:
        there.people["code"] = {"openid": "oAlice"}
        there.instead["torn"] = Answer(torn=True)
        wechat = of(WECHAT, there.address)
        assert tried(wechat).code == "platform_busy"
        assert there.asked == []
        monkeypatch.setattr("certifi.where", lambda: str(file))
        assert exchange(credentials=wechat, code="code", now=now()).openid == "oAlice"
        assert tried(wechat, "torn").code == "platform_busy"
        elsewhere = dataclasses.replace(wechat, address=there.address.replace("127.0.0.1", "localhost"))
        assert tried(elsewhere).code == "platform_busy", "a certificate of another name"


def certified(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's side with a certificate of its own for 127.0.0.1, and the file that it is in."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    day = timedelta(days=1)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, OTHERS.public_key(), x509.random_serial_number(), now() - day, now() + day)
        .add_extension(alternative, critical=False)
        .sign(OTHERS, SHA256())
    )
    file = folder / "own.pem"
    file.write_bytes(private_pem(OTHERS).encode() + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, file


def test_the_environment_does_not_lead_a_secret_elsewhere(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.people["code"] = {"openid": "oAlice"}
    with standing_in() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        exchange(credentials=of(WECHAT, stand_in.address), code="code", now=now())
        assert proxy.asked == []


@pytest.mark.parametrize("code", ["", "x" * 257, "授权", "a\nb"])
def test_what_is_no_code_is_not_sent(stand_in: StandIn, code: str) -> None:
    problem = tried(of(WECHAT, stand_in.address), code)
    assert (problem.code, problem.errors[0].pointer) == ("login_code_invalid", "/login_code")
    assert stand_in.asked == []


def test_nothing_leaks(stand_in: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    """Neither from what is raised nor into what is logged, as the service logs."""
    told = {"openid": "secretopenid", "unionid": "secretunionid", "open_id": "secretopenid", "user_id": "secretuserid"}
    stand_in.people["secretcode"] = told
    stand_in.instead |= {"secretcode-busy": Answer(status=500), "secretcode-odd": Answer(b"secretanswer")}
    stand_in.instead["secretcode-long"] = Answer(b"x", headers={"Content-Length": "secretlength"})
    seen = []
    for platform in (WECHAT, ALIPAY):
        good = of(platform, stand_in.address)
        stand_in.used.clear()
        seen += [repr(exchange(credentials=good, code="secretcode", now=now())), repr(good)]
        bad = dataclasses.replace(good, secret=private_pem(OTHERS) if platform == ALIPAY else "f" * 32)
        gone = dataclasses.replace(good, address="http://127.0.0.1:1")
        codes = [(good, code) for code in ("secretcode", "secretcode-none", *stand_in.instead)]
        for used, code in [*codes, (bad, "secretcode-x"), (gone, "secretcode-x")]:
            problem = tried(used, code)
            assert problem.__suppress_context__ or problem.__context__ is None, "httpx's errors hold the call"
            seen += [repr(problem), str(problem), *traceback.format_exception(problem)]
    seen += [f"{record.__dict__} {record.getMessage()}" for record in caplog.records]
    assert sum(record.name == "zhiqing.platforms" for record in caplog.records) == 10
    everything = "\n".join(seen)
    body = private_pem().splitlines()[3]
    for secret in ("secretcode", "secretopenid", "secretunionid", "secretuserid", "secretanswer", "secretlength",
                   APP_SECRET, body, SESSION_KEY, ACCESS_TOKEN, "js_code"):  # fmt: skip
        assert secret not in everything


# --- What is kept ---


@pytest.fixture
def wechat(program: Program, stand_in: StandIn, settings: Settings) -> Program:
    """A mini-program of WeChat, whose platform is the stand-in."""
    return _at(program, WECHAT, stand_in, settings)


@pytest.fixture
def alipay(database: None, stand_in: StandIn, settings: Settings) -> Program:
    return _at(make_program(), ALIPAY, stand_in, settings)


def _at(program: Program, platform: str, stand_in: StandIn, settings: Settings) -> Program:
    MiniProgram.objects.filter(id=program.id).update(platform=platform)
    settings.ZHIQING_WECHAT_URL = settings.ZHIQING_ALIPAY_URL = stand_in.address
    stand_in.app_id = MiniProgram.objects.get(id=program.id).app_id
    return program


def kept(program: Program) -> Credentials:
    return held(vault=edge.vault(), program_id=program.id, addresses=edge.platform_addresses())


def file_with(folder: Path, text: str) -> Path:
    file = folder / f"{abs(hash(text))}.txt"
    file.write_text(text)
    return file


def set_wechat(program: Program, folder: Path, secret: str = APP_SECRET) -> dict[str, Any]:
    return as_json("platform", "set", "--program", program.id, "--secret", file_with(folder, f"{secret}\n"))


def set_alipay(program: Program, folder: Path, own: str, public: str) -> dict[str, Any]:
    files = ("--secret", file_with(folder, own), "--alipay-public-key", file_with(folder, public))
    return as_json("platform", "set", "--program", program.id, *files)


def test_the_real_platforms_are_asked_unless_told_otherwise() -> None:
    assert dict(edge.platform_addresses()) == {
        "wechat": "https://api.weixin.qq.com",
        "alipay": "https://openapi.alipay.com",
    }


def test_credentials_are_set_tried_and_removed(
    wechat: Program, stand_in: StandIn, tmp_path: Path, owner: psycopg.Connection
) -> None:
    named = {"program": wechat.id, "platform": "wechat"}
    of_program = ("--program", wechat.id)
    with pytest.raises(CommandError, match="platform_not_configured"):
        run("platform", "test", *of_program)
    looked = as_json("platform", "set", *of_program, "--secret", file_with(tmp_path, APP_SECRET), "--dry-run")
    assert looked == {**named, "dry_run": True, "set": False, "replaced": False}
    assert owner.execute("SELECT count(*) FROM platform_credential").fetchone() == (0,)
    assert set_wechat(wechat, tmp_path, "f" * 32) == {**named, "dry_run": False, "set": True, "replaced": False}
    with pytest.raises(CommandError, match=r"40125\) \[platform_refused\]"):
        run("platform", "test", *of_program)
    assert set_wechat(wechat, tmp_path)["replaced"] is True
    assert as_json("platform", "test", *of_program) == {**named, "works": True}
    assert run("platform", "test", *of_program) == ("", "the platform knows the mini-program and its secret\n")
    assert kept(wechat) == Credentials("wechat", stand_in.app_id, stand_in.address, APP_SECRET)
    assert as_json("platform", "remove", *of_program, "--dry-run")["removed"] is False
    assert as_json("platform", "remove", *of_program) == {**named, "dry_run": False, "removed": True, "found": True}
    assert as_json("platform", "remove", *of_program)["found"] is False
    with pytest.raises(Conflict, match="platform_not_configured"):
        kept(wechat)
    done = owner.execute(
        "SELECT actor, action, target, details FROM audit_entry WHERE action LIKE 'platform.%' ORDER BY id"
    )
    assert done.fetchall() == [
        ("operator", f"platform.credentials_{what}", f"program:{wechat.id}", {}) for what in ("set", "set", "removed")
    ]


def test_a_secret_is_read_from_standard_input(wechat: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with file_with(tmp_path, f"{APP_SECRET}\n").open() as given:
        monkeypatch.setattr("sys.stdin", given)
        out, err = run("platform", "set", "--program", wechat.id)
    assert (out, APP_SECRET in err) == ("", False)
    assert kept(wechat).secret == APP_SECRET


def test_a_platform_that_is_away_is_no_success(wechat: Program, tmp_path: Path, settings: Settings) -> None:
    set_wechat(wechat, tmp_path)
    settings.ZHIQING_WECHAT_URL = "http://127.0.0.1:1"
    with pytest.raises(CommandError, match="platform_busy"):
        run("platform", "test", "--program", wechat.id)


def test_a_platform_that_takes_any_code_is_no_success(wechat: Program, stand_in: StandIn, tmp_path: Path) -> None:
    set_wechat(wechat, tmp_path)
    stand_in.instead["zhiqing-platform-test"] = Answer(b'{"openid": "oAnybody"}')
    with pytest.raises(CommandError, match="a code that is none"):
        run("platform", "test", "--program", wechat.id)
    stand_in.instead["zhiqing-platform-test"] = Answer(b'{"errcode": 40163}')
    with pytest.raises(CommandError, match="login_code_used"):
        run("platform", "test", "--program", wechat.id)


def bare(pem: str) -> str:
    return "".join(pem.splitlines()[1:-1])


TRADITIONAL = OWN.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


@pytest.mark.parametrize("own", [private_pem(), bare(private_pem()), TRADITIONAL, bare(TRADITIONAL)])
@pytest.mark.parametrize("public", [public_pem(), bare(public_pem())])
def test_alipays_keys_are_taken_in_the_forms_they_are_given_in(
    alipay: Program, stand_in: StandIn, tmp_path: Path, own: str, public: str
) -> None:
    set_alipay(alipay, tmp_path, own, public)
    assert (kept(alipay).secret, kept(alipay).platform_key) == (private_pem(), public_pem())
    assert as_json("platform", "test", "--program", alipay.id)["works"] is True
    stand_in.people["code"] = {"open_id": "074a"}
    assert exchange(credentials=kept(alipay), code="code", now=now()).openid == "074a"


SMALL = rsa.generate_private_key(65537, 1024)


@pytest.mark.parametrize(
    ("own", "public", "told"),
    [
        (private_pem(), public_pem(OWN), "the app's own public key"),
        (public_pem(), public_pem(), "private key is an RSA key"),
        (private_pem(), private_pem(), "Alipay's public key is an RSA key"),
        (private_pem(SMALL), public_pem(), "2048"),
        (private_pem(), public_pem(SMALL), "2048"),
        ("", public_pem(), "private key"),
        ("!!!", public_pem(), "private key"),
        (bare(private_pem())[:-8], public_pem(), "private key"),
        (private_pem(), "", "Alipay's public key"),
        (
            OWN.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode(), public_pem(), "private key",
        ),
    ],
)  # fmt: skip
def test_what_is_no_key_pair_is_refused(alipay: Program, tmp_path: Path, own: str, public: str, told: str) -> None:
    with pytest.raises(CommandError, match="invalid_key") as failed:
        set_alipay(alipay, tmp_path, own, public)
    assert told in str(failed.value)
    assert not credentials.is_set(alipay.id)


@pytest.mark.parametrize(
    "secret", ["", "short", "with a blank in between it", "x" * 129, "密钥密钥密钥密钥密钥密钥密钥密钥"]
)
def test_what_is_no_app_secret_is_refused_and_not_repeated(wechat: Program, tmp_path: Path, secret: str) -> None:
    with pytest.raises(CommandError, match="invalid_secret") as failed:
        set_wechat(wechat, tmp_path, secret)
    assert not secret or secret not in str(failed.value)
    assert not credentials.is_set(wechat.id)


def test_each_platform_has_its_own_arguments(wechat: Program, tmp_path: Path) -> None:
    named, file = ("--program", wechat.id), file_with(tmp_path, APP_SECRET)
    for wrong, told in (
        (("set", "--secret", file, "--alipay-public-key", file_with(tmp_path, public_pem())), "invalid_key"),
        (("set", "--secret", tmp_path / "nothing"), "No such file"),
        (("test", "--secret", file), "go with set"),
        (("remove", "--alipay-public-key", file), "go with set"),
        (("test", "--dry-run"), "goes with set and remove"),
    ):
        with pytest.raises(CommandError, match=told):
            run("platform", wrong[0], *named, *wrong[1:])
    MiniProgram.objects.filter(id=wechat.id).update(platform=ALIPAY)
    with pytest.raises(CommandError, match="invalid_key"):
        run("platform", "set", *named, "--secret", file)


def test_another_mini_programs_credentials_are_unseen(
    wechat: Program, other: Program, tmp_path: Path, owner: psycopg.Connection
) -> None:
    set_wechat(wechat, tmp_path)
    with tenant(other.id):
        assert PlatformCredential.objects.count() == 0
        assert PlatformCredential.objects.filter(program_id=wechat.id).delete() == (0, {})
    with pytest.raises(Conflict, match="platform_not_configured"):
        kept(other)
    owner.execute("INSERT INTO platform_credential SELECT %s, sealed FROM platform_credential", [other.id])
    with pytest.raises(DoesNotOpen):
        kept(other)
    assert kept(wechat).secret == APP_SECRET


def test_nothing_is_anywhere_in_plain(
    wechat: Program, stand_in: StandIn, tmp_path: Path, owner: psycopg.Connection
) -> None:
    """Of what the platform is asked and answers, after a subject was found by it."""
    folder = tmp_path / "given"
    folder.mkdir()
    set_wechat(wechat, folder)
    alipay = make_program()
    MiniProgram.objects.filter(id=alipay.id).update(platform=ALIPAY)
    set_alipay(alipay, folder, private_pem(), public_pem())
    wechat.decide("oplaincanary")
    stand_in.people["codeofcanary"] = {"openid": "oplaincanary", "unionid": "uplaincanary"}
    assert same(wechat, exchange(credentials=kept(wechat), code="codeofcanary", now=now()), "oplaincanary")
    for file in folder.iterdir():
        file.unlink()
    broker: redis.Redis = redis.Redis.from_url(os.environ["REDIS_URL"])
    for mark in (APP_SECRET, SESSION_KEY, "codeofcanary", "plaincanary", bare(private_pem())[80:120]):
        assert Search(mark, owner, broker, folder).everywhere() == []


def same(program: Program, identity: PlatformIdentity, openid: str) -> bool:
    """Whether the identity is that of the subject whom the openid names."""
    with tenant(program.id):
        subject_id = resolve(edge.vault(), program.id, {"openid": openid})
    assert subject_id is not None
    return matches(vault=edge.vault(), program_id=program.id, subject_id=subject_id, identity=identity)


def test_a_login_matches_its_own_subject_and_no_other(program: Program, other: Program) -> None:
    for openid in ("oAlice", "oBob", "2088"):
        program.decide(openid)
    other.decide("oElsewhere")
    named = {"subject": {"openid": "oAlice"}, "add": {"unionid": "uAlice"}}
    assert program.post("identities", named).status_code == 200
    assert same(program, PlatformIdentity("oAlice"), "oAlice")
    assert same(program, PlatformIdentity("oAlice", "uAlice"), "oAlice")
    assert same(program, PlatformIdentity("oAlice", "uNew"), "oAlice")
    assert not same(program, PlatformIdentity("oNew", "uAlice"), "oAlice"), (
        "a unionid that a backend added proves nobody"
    )
    assert same(program, PlatformIdentity("074a", user_id="2088"), "2088"), "known by Alipay's older identifier"
    assert not same(program, PlatformIdentity("oBob"), "oAlice")
    assert not same(program, PlatformIdentity("oBob", "uAlice"), "oAlice"), "two people are nobody"
    assert not same(program, PlatformIdentity("oBob", "uAlice"), "oBob")
    assert not same(program, PlatformIdentity("oNobody", "uNobody"), "oAlice")
    assert not same(program, PlatformIdentity("oElsewhere"), "oAlice")
    assert not same(program, PlatformIdentity("uAlice"), "oAlice"), "a kind is not another"
    with tenant(program.id):
        alice = resolve(edge.vault(), program.id, {"openid": "oAlice"})
    assert alice is not None
    assert not matches(
        vault=edge.vault(), program_id=other.id, subject_id=alice, identity=PlatformIdentity("oAlice", "uAlice")
    )
