"""How many calls and events a second one client may have carried out: over all web processes together, by Redis.

A client has a bucket of each kind. It fills at the rate, holds what it gains in `burst` seconds, and pays afterwards: a
call is let in while there is anything left, its events are taken when they are known, and what is then below zero is
paid back before the next call is let in. So over any time a client has what it may have, and once a burst more.

Each process keeps what it last knew of the bucket and what it has spent since, and settles with Redis ten times a second
at most, or when it has spent its share of what was left; what all of them let in at one moment beyond a burst is paid
back. Where Redis is away or slow nobody waits for it: each process goes by its own share of the rates until it is back.
A key in Redis names a client by its id: the number of a backend, and of no person.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from consent.errors import RateLimited

logger = logging.getLogger("zhiqing.throttling")

SLICE_S = 0.1
"""Between two looks into Redis of one process for one client."""
TIMEOUT_S = 0.1
"""Redis answers in a tenth of a millisecond; a call waits for it this long at most, and then none does for AWAY_S."""
AWAY_S = 5.0
KINDS = ("calls", "events")

# A bucket that is not there is full; one is forgotten when it would be. Redis' own clock is the only one.
_SETTLE = """
    local time = redis.call('TIME')
    local now = time[1] + time[2] / 1000000
    local burst = tonumber(ARGV[1])
    local held = redis.call('HMGET', KEYS[1], 'at', 'calls', 'events')
    local gone = math.max(0, now - (tonumber(held[1]) or now))
    local left = {}
    for kind = 1, 2 do
        local rate, spent = tonumber(ARGV[2 * kind]), tonumber(ARGV[2 * kind + 1])
        local most = rate * burst
        local had = math.min(most, (tonumber(held[kind + 1]) or most) + gone * rate)
        left[kind] = string.format('%.3f', math.max(-most, had - spent))
    end
    redis.call('HSET', KEYS[1], 'at', string.format('%.6f', now), 'calls', left[1], 'events', left[2])
    redis.call('PEXPIRE', KEYS[1], math.ceil(2000 * burst))
    return left
"""


@dataclass(frozen=True)
class Limits:
    """A second, of one client; `burst`: how many seconds' worth it may have at once. `processes`: who share them."""

    calls: int
    events: int
    burst: int
    processes: int

    def rates(self) -> tuple[int, int]:
        """In the order of KINDS."""
        return self.calls, self.events


class Shared:
    """The buckets in Redis."""

    def __init__(self, url: str, limits: Limits) -> None:
        self._limits = limits
        client = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        self._settle = client.register_script(_SETTLE)

    def settle(self, client_id: int, spent: Sequence[float]) -> list[float]:
        """Take what was spent; answers what is left of each kind, debts below zero. Raises redis.RedisError."""
        limits = self._limits
        arguments = [limits.burst, limits.calls, spent[0], limits.events, spent[1]]
        return [float(left) for left in self._settle(keys=[f"zq:rate:{client_id}"], args=arguments)]


class _Account:
    """What one process knows of one client. `left`: of the whole bucket while it is `shared`, else of this process' share."""

    __slots__ = ("at", "left", "shared", "spendable", "spent")

    def __init__(self, now: float, left: list[float]) -> None:
        self.at = now
        self.left = left
        self.spent = [0.0, 0.0]
        self.spendable = [0.0, 0.0]
        self.shared = False

    def spend(self, kind: int, number: int) -> None:
        self.left[kind] -= number
        self.spent[kind] += number

    def is_due(self, now: float) -> bool:
        """Whether Redis is to be asked: it was not for a while, or this process' share of what was left is spent."""
        return now - self.at >= SLICE_S or any(map(_reached, self.spent, self.spendable))


def _reached(spent: float, spendable: float) -> bool:
    # With nothing left there is nothing to ask for before the slice is over.
    return 0 < spendable <= spent


class Throttle:
    """The limits as one process keeps them; threads may share it."""

    def __init__(self, limits: Limits, shared: Shared, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._shared = shared
        self._clock = clock
        self._accounts: dict[int, _Account] = {}
        self._lock = threading.Lock()
        self._away_until = -math.inf
        self._away = False

    def admit(self, client_id: int) -> None:
        """Count a call of the client. Raises RateLimited where it has nothing left."""
        with self._lock:
            account = self._account(client_id)
            for kind, rate in enumerate(self._limits.rates()):
                if account.left[kind] <= 0:
                    raise self._refusal(account, kind, rate)
            account.spend(0, 1)

    def spend_events(self, client_id: int, number: int) -> None:
        """Count the events of a call that was let in."""
        with self._lock:
            self._account(client_id).spend(1, number)

    def _account(self, client_id: int) -> _Account:
        now = self._clock()
        account = self._accounts.get(client_id)
        if account is None:
            account = self._accounts[client_id] = _Account(now, self._most())
            self._settle(client_id, account, now)
        elif account.is_due(now):
            self._settle(client_id, account, now)
        return account

    def _settle(self, client_id: int, account: _Account, now: float) -> None:
        # What was spent before is long made good.
        spent = account.spent if now - account.at < self._limits.burst else [0.0, 0.0]
        left = self._ask(client_id, spent, now)
        if left is None:
            self._refill(account, now)
        else:
            account.left, account.shared = left, True
        account.at, account.spent = now, [0.0, 0.0]
        account.spendable = [max(0.0, each) / self._limits.processes for each in account.left]

    def _ask(self, client_id: int, spent: Sequence[float], now: float) -> list[float] | None:
        """None while Redis is away."""
        if now < self._away_until:
            return None
        try:
            left = self._shared.settle(client_id, spent)
        except redis.RedisError as error:
            if not self._away:
                logger.warning("redis away: rate limits are kept by each process", exc_info=error)
            self._away, self._away_until = True, now + AWAY_S
            return None
        if self._away:
            logger.info("redis is back: rate limits are shared")
        self._away = False
        return left

    def _refill(self, account: _Account, now: float) -> None:
        """By this process' share of the rates."""
        processes = self._limits.processes
        if account.shared:
            account.left, account.shared = [each / processes for each in account.left], False
        gained = [(now - account.at) * rate / processes for rate in self._limits.rates()]
        account.left = [
            min(most, left + more) for most, left, more in zip(self._most(), account.left, gained, strict=True)
        ]

    def _most(self) -> list[float]:
        """The bucket's size, as this process' share of it; a call at least, or there would never be any."""
        return [max(1.0, rate * self._limits.burst / self._limits.processes) for rate in self._limits.rates()]

    def _refusal(self, account: _Account, kind: int, rate: int) -> RateLimited:
        own = rate if account.shared else rate / self._limits.processes
        return RateLimited(
            "rate_limited",
            f"this client may have {rate} {KINDS[kind]} a second; wait as long as Retry-After says",
            retry_after=math.floor(-account.left[kind] / own) + 1,
        )


@cache
def throttle() -> Throttle:
    """This process' own, by the settings."""
    limits = Limits(
        settings.ZHIQING_RATE_CALLS,
        settings.ZHIQING_RATE_EVENTS,
        settings.ZHIQING_RATE_BURST_S,
        settings.ZHIQING_WEB_PROCESSES,
    )
    return Throttle(limits, Shared(settings.REDIS_URL, limits))
