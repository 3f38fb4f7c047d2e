"""One POST to an address that somebody configured: where it may go, for how long, and what of the answer is looked at.

The host is resolved once, every address is checked, and the connection goes to what was checked: a name that resolves to
something else a moment later (DNS rebinding) changes nothing. No redirect is followed, no proxy of the environment is
asked, and of the answer only status and Retry-After are read.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from socket import SOCK_STREAM, getaddrinfo

import httpx

CONNECT_S = 5.0
WHOLE_S = 15.0
_GLOBAL = IPv6Network("2000::/3")
"""All that is given out for the public Internet (RFC 4291, IANA); what lies beside it is somebody's own, whatever a table says."""
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""NAT64 (RFC 6052): the last four bytes are an IPv4 address."""


class AddressRefused(Exception):
    """The host is, or resolves to, an address that is not of the public Internet."""


@dataclass(frozen=True)
class Outcome:
    """`status`: the answer's, or a word for why there was none; `retry_after` as the answer wrote it."""

    status: str
    retry_after: str | None = None

    @property
    def answered(self) -> bool:
        return self.status.isdecimal()

    @property
    def taken(self) -> bool:
        """2xx."""
        return self.answered and self.status[0] == "2"

    @property
    def gone(self) -> bool:
        return self.status == "410"


def post(url: str, body: bytes, headers: Mapping[str, str], *, private: bool) -> Outcome:
    """Send, within WHOLE_S of connecting; `private`: to addresses that are not public, too."""
    try:
        target = httpx.URL(url)
        address = resolved(target.host, target.port or (443 if target.scheme == "https" else 80), private=private)
        return asyncio.run(_post(target, address, body, headers))
    except AddressRefused:
        return Outcome("address_refused")
    except (UnicodeError, httpx.InvalidURL):
        return Outcome("invalid_address")
    except (TimeoutError, httpx.TimeoutException):
        return Outcome("timeout")
    except (OSError, httpx.ConnectError):
        return Outcome("no_connection")
    except httpx.HTTPError:
        return Outcome("no_answer")


async def _post(target: httpx.URL, address: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
    """The certificate is verified for the name, whatever address was dialled."""
    client = httpx.AsyncClient(
        verify=_trusted(), trust_env=False, follow_redirects=False, timeout=httpx.Timeout(WHOLE_S, connect=CONNECT_S)
    )
    async with asyncio.timeout(WHOLE_S), client:
        request = client.build_request(
            "POST",
            target.copy_with(host=address),
            content=body,
            headers={**headers, "host": target.netloc.decode(), "content-type": "application/json"},
            extensions={"sni_hostname": target.host},
        )
        response = await client.send(request, stream=True)
        await response.aclose()
    return Outcome(str(response.status_code), response.headers.get("retry-after"))


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()


def resolved(host: str, port: int, *, private: bool) -> str:
    """An address of the host. Raises AddressRefused where any is not public, unless `private`; OSError."""
    found = [str(row[4][0]) for row in getaddrinfo(host, port, type=SOCK_STREAM)]
    if not private and not all(public(ip_address(address.partition("%")[0])) for address in found):
        raise AddressRefused
    return found[0]


def public(address: IPv4Address | IPv6Address) -> bool:
    """Of the public Internet, and for one host. An IPv4 address within an IPv6 one counts as itself."""
    if isinstance(address, IPv6Address):
        within = address.ipv4_mapped or address.sixtofour
        if address in _TRANSLATED:
            within = IPv4Address(address.packed[-4:])
        if within is not None:
            return public(within)
        if address not in _GLOBAL or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def seconds_of(retry_after: str | None, now: datetime) -> float:
    """What a Retry-After asks for, as seconds or as a date (RFC 9110, 10.2.3); 0 for none, and for what is neither."""
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.isdecimal() and len(retry_after) < 10:
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())
