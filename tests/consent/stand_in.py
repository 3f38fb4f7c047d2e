"""WeChat's and Alipay's login interfaces on this machine, as strict as they are: what is asked wrongly is written down.

RSA2 is written here by the standard (RFC 8017, 8.2 and 9.2) from numbers alone, so that it shares nothing with the service's.
"""

import base64
import hashlib
import itertools
import json
import os
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

APP_ID = "wx-or-alipay-app"
APP_SECRET = "7c1f09be52d84a6f93e0b7d1c4825aa6"
SESSION_KEY = "sessionkeyofnobody"
ACCESS_TOKEN = "authusrBaccesstoken"
OWN, ALIPAYS = (rsa.generate_private_key(65537, 2048) for _ in range(2))
PATIENCE_S = 20
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
_CONSTANT = {
    "method": "alipay.system.oauth.token", "format": "JSON", "charset": "utf-8", "sign_type": "RSA2", "version": "1.0",
    "grant_type": "authorization_code",
}  # fmt: skip


def private_pem(key: rsa.RSAPrivateKey = OWN) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: rsa.RSAPrivateKey = ALIPAYS) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _encoded(message: bytes, size: int) -> int:
    """EMSA-PKCS1-v1_5 with SHA-256."""
    info = _DIGEST_INFO + hashlib.sha256(message).digest()
    return int.from_bytes(b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info, "big")


def signed(message: bytes, key: rsa.RSAPrivateKey = ALIPAYS) -> str:
    numbers = key.private_numbers()
    modulus, size = numbers.public_numbers.n, key.key_size // 8
    return base64.b64encode(pow(_encoded(message, size), numbers.d, modulus).to_bytes(size, "big")).decode()


def is_signed(message: bytes, sign: str, key: rsa.RSAPrivateKey = OWN) -> bool:
    numbers, size = key.public_key().public_numbers(), key.key_size // 8
    raw = base64.b64decode(sign, validate=True)
    return len(raw) == size and pow(int.from_bytes(raw, "big"), numbers.e, numbers.n) == _encoded(message, size)


@dataclass
class Answer:
    """`slowly`: seconds after each byte of it, head and body. `endless`: blanks follow until the caller leaves.
    `torn`: a TLS record that nobody sealed comes in its place.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    slowly: float = 0.0
    endless: bool = False
    torn: bool = False


@dataclass
class StandIn:
    """`people`: what a code is answered with, once. `instead`: what a code is answered with in place of it, each time."""

    address: str = ""
    people: dict[str, dict[str, str]] = field(default_factory=dict)
    instead: dict[str, Answer] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    app_id: str = APP_ID

    def wechat(self, query: dict[str, str]) -> Answer:
        self.expect("parameters", set(query), {"appid", "secret", "js_code", "grant_type"})
        self.expect("grant_type", query.get("grant_type"), "authorization_code")
        code = query.get("js_code", "")
        if query.get("appid") != self.app_id:
            return _json({"errcode": 40013, "errmsg": "invalid appid"})
        if query.get("secret") != APP_SECRET:
            return _json({"errcode": 40125, "errmsg": f"invalid appsecret {query.get('secret')}"})
        if code in self.instead:
            return self.instead[code]
        if code in self.used:
            return _json({"errcode": 40163, "errmsg": "code been used"})
        if code not in self.people:
            return _json({"errcode": 40029, "errmsg": f"invalid code {code}, rid: 1"})
        self.used.add(code)
        return _json({"session_key": SESSION_KEY, **self.people[code]})

    def alipay(self, parameters: dict[str, str]) -> Answer:
        self.expect("parameters", set(parameters), {*_CONSTANT, "app_id", "timestamp", "code", "sign"})
        for name, value in _CONSTANT.items():
            self.expect(name, parameters.get(name), value)
        self.in_time(parameters.get("timestamp", ""))
        code, sign = parameters.get("code", ""), parameters.pop("sign", "")
        if parameters.get("app_id") != self.app_id:
            return refusal("40002", "isv.invalid-app-id", key=None)
        text = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()))
        if not is_signed(text.encode(), sign):
            return refusal("40002", "isv.invalid-signature", key=None)
        if code in self.instead:
            return self.instead[code]
        if code in self.used or code not in self.people:
            return refusal("40002", "isv.code-invalid")
        self.used.add(code)
        return token(self.people[code])

    def in_time(self, timestamp: str) -> None:
        """China's clock has no summer time, and is eight hours ahead."""
        if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", timestamp, re.ASCII):
            self.faults.append("timestamp has another form")
            return
        said = datetime.fromisoformat(timestamp).replace(tzinfo=UTC) - timedelta(hours=8)
        if abs(datetime.now(UTC) - said) > timedelta(minutes=10):
            self.faults.append("timestamp is not now in China")

    def expect(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            self.faults.append(f"{what}: {found!r}, not {wanted!r}")


def token(person: dict[str, str], key: rsa.RSAPrivateKey = ALIPAYS, sign: str | None = None) -> Answer:
    """As Alipay writes it: in no order, a slash escaped, blanks where nobody else puts them."""
    members = {"re_expires_in": 1, "access_token": f"{ACCESS_TOKEN}/x", **person, "expires_in": "1"}
    response = json.dumps(members, separators=(", ", " :")).replace("/", "\\/").encode()
    return Answer(
        b'{ "alipay_system_oauth_token_response" : %s ,"sign":"%s"}'
        % (response, (sign or signed(response, key)).encode())
    )


def refusal(code: str, sub_code: str, key: rsa.RSAPrivateKey | None = ALIPAYS) -> Answer:
    """Unsigned where `key` is None, as of an app that is not known."""
    members = {"code": code, "msg": "Invalid Arguments", "sub_code": sub_code, "sub_msg": "授权码code无效"}
    response = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    sign = b"" if key is None else b',"sign":"%s"' % signed(response, key).encode()
    return Answer(b'{"error_response":%s%s}' % (response, sign))


def _json(members: dict[str, Any]) -> Answer:
    return Answer(json.dumps(members).encode(), headers={"Content-Type": "text/plain"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: StandIn
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self._asked("/sns/jscode2session", parts.path, parts.query, self.stand_in.wechat)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode("ascii")
        wanted = "application/x-www-form-urlencoded;charset=utf-8"
        self.stand_in.expect("Content-Type", self.headers["Content-Type"], wanted)
        self._asked("/gateway.do", self.path, body, self.stand_in.alipay)

    def _asked(self, wanted: str, path: str, text: str, answer: Callable[[dict[str, str]], Answer]) -> None:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
        self.stand_in.expect("path", path, wanted)
        self.stand_in.expect("names", len(dict(pairs)), len(pairs))
        self.stand_in.expect("Accept-Encoding", self.headers["Accept-Encoding"], "identity")
        self.stand_in.asked.append(dict(pairs))
        self._send(answer(dict(pairs)))

    def _send(self, answer: Answer) -> None:
        if answer.torn:
            os.write(self.connection.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
            return
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        if answer.endless:
            del headers["Content-Length"]
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        data = f"HTTP/1.1 {answer.status} x\r\n{lines}Connection: close\r\n\r\n".encode() + answer.body
        parts: Any = [data[place : place + 1] for place in range(len(data))] if answer.slowly else [data]
        more = itertools.repeat(b" " * 4096) if answer.endless else ()
        deadline = time.monotonic() + PATIENCE_S
        try:
            for part in itertools.chain(parts, more):
                self.wfile.write(part)
                if self.stand_in.over.wait(answer.slowly) or time.monotonic() > deadline:
                    return
        except OSError:
            # The caller has had enough.
            pass
        finally:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def standing_in(tls: ssl.SSLContext | None = None) -> Iterator[StandIn]:
    """Until the end of the block."""
    stand_in = StandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stand_in": stand_in}))
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if tls is not None:
        # Hands are shaken where a call is read, which has a bound.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    stand_in.address = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        stand_in.over.set()
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)
