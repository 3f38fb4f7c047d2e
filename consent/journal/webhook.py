"""The journal as calls: each entry is posted to a receiver of yours, which answers 2xx once it has made it durable.

Unlike webhook endpoints, which officers set up, its address is a setting of the operator: it may lie inside.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from consent.journal.entries import Entry, body_of

WHOLE_S = 5.0
"""The subject's rows are locked meanwhile, and a batch of events waits for them 3 s."""


class NotTaken(Exception):
    """The receiver did not answer, or not with 2xx."""


@dataclass(frozen=True)
class WebhookSink:
    """`token` goes along as `Authorization: Bearer`, by which the receiver knows who calls."""

    url: str
    token: str | None

    def write(self, entry: Entry, *, durable: bool) -> None:
        """What a receiver need not wait for is not told: it cannot tell a database that went back. Raises NotTaken."""
        if not durable:
            return
        headers = {"content-type": "application/json"}
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        try:
            answered = asyncio.run(self._posted(body_of(entry), headers))
        except (httpx.HTTPError, TimeoutError) as error:
            raise NotTaken(type(error).__name__) from None
        if not answered.is_success:
            raise NotTaken(str(answered.status_code))

    async def _posted(self, body: str, headers: Mapping[str, str]) -> httpx.Response:
        """Its head; what a receiver says beside is not read. httpx's own limits are of each read, and of a receiver that drips none."""
        async with (
            asyncio.timeout(WHOLE_S),
            httpx.AsyncClient(timeout=WHOLE_S, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", self.url, content=body, headers=headers) as response,
        ):
            return response
