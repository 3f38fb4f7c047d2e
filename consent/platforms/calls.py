"""One call to a platform: bounded in time and size, over verified TLS, without redirects; and how it fails.

No error holds what was sent or answered: a code, a secret and an openid are worth as much as a password. httpx's own name the
address, which WeChat's interface puts the secret into, so none is chained.
"""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import msgspec

from consent.errors import Conflict, Invalid, Unavailable, invalid

CONNECT_S, WHOLE_S = 2.0, 5.0
MAX_ANSWER_BYTES = 64 * 1024
SOON_S, MINUTE_S = 5, 60
POINTER = "/login_code"

Said = TypeVar("Said")


@dataclass(frozen=True)
class PlatformIdentity:
    """Who a login code is of. `user_id`: Alipay's older identifier, where it answers both; a backend may know people by either."""

    openid: str = field(repr=False)
    unionid: str | None = field(default=None, repr=False)
    user_id: str | None = field(default=None, repr=False)


def answered(method: str, url: str, **request: Any) -> bytes:
    """The body of a 200, for a caller without an event loop. Raises Unavailable `platform_busy`, Conflict `platform_refused`."""
    try:
        status, body = asyncio.run(_answered(method, url, **request))
    except (httpx.HTTPError, ssl.SSLError, TimeoutError):
        raise busy() from None
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise busy(MINUTE_S)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise busy()
    if status != httpx.codes.OK:
        raise refused(f"HTTP {status}")
    return body


async def _answered(method: str, url: str, **request: Any) -> tuple[int, bytes]:
    """httpx bounds each step of a call, and a byte a second would take for ever: the loop bounds the whole.

    The environment's proxies and .netrc have no say in where a secret goes. What is not asked to be compressed and read as it
    comes cannot grow. Raises httpx.HTTPError, ssl.SSLError, TimeoutError, Unavailable.
    """
    body = b""
    async with (
        asyncio.timeout(WHOLE_S),
        httpx.AsyncClient(
            headers={"Accept-Encoding": "identity"}, timeout=httpx.Timeout(WHOLE_S, connect=CONNECT_S), trust_env=False
        ) as client,
        client.stream(method, url, **request) as response,
    ):
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_ANSWER_BYTES:
                raise busy()
        return response.status_code, body


def decoded(body: bytes | msgspec.Raw, form: type[Said]) -> Said:
    """Raises Unavailable `platform_busy` where it is something else: a proxy's page, an answer cut short."""
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.DecodeError:
        raise busy() from None


def login_code_invalid() -> Invalid:
    detail = "the platform does not know this login code any more: get a fresh one in the mini-program"
    return invalid("login_code_invalid", detail, POINTER)


def login_code_used() -> Invalid:
    detail = "this login code was used already: get a fresh one, and give it to nobody else"
    return invalid("login_code_used", detail, POINTER)


def busy(retry_after: int = SOON_S) -> Unavailable:
    detail = "the platform does not answer as it should: try again later, with a fresh login code"
    return Unavailable("platform_busy", detail, retry_after=retry_after)


def refused(why: str) -> Conflict:
    """`why`: the platform's own code, never its words, which may repeat what was sent."""
    return Conflict("platform_refused", f"the platform refuses to exchange the login code ({why})")
