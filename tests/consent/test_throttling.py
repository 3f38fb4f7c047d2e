"""How much one client may have: over all processes by Redis, and by each one's share where Redis is away."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

import config.celery  # noqa: F401 -- hints go to the tests' Redis
from consent.errors import RateLimited
from consent.programs import throttling
from consent.programs.throttling import AWAY_S, SLICE_S, TIMEOUT_S, Limits, Shared, Throttle
from tests.cast import Program, event
from tests.conformance.surface import CALLS, Call
from tests.tracking import segment

NOWHERE = "redis://127.0.0.1:1/0"
LIMITS = Limits(calls=10, events=1000, burst=2, processes=4)
BURST = LIMITS.calls * LIMITS.burst


class Clock:
    """A process' own clock, which stands still unless it is told. Redis has its own."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    connected: redis.Redis = redis.Redis.from_url(os.environ["REDIS_URL"])
    connected.flushdb()
    yield connected
    connected.flushdb()


@pytest.fixture
def process(clock: Clock) -> Callable[..., Throttle]:
    """Another process' throttle."""

    def made(url: str = os.environ["REDIS_URL"], limits: Limits = LIMITS) -> Throttle:
        return Throttle(limits, Shared(url, limits), clock=clock)

    return made


def admitted(throttle: Throttle, asked: int, client: int = 1) -> int:
    """How many of so many calls were let in."""
    done = 0
    for _ in range(asked):
        try:
            throttle.admit(client)
        except RateLimited:
            continue
        done += 1
    return done


def test_a_burst_passes_and_what_comes_beyond_it_is_told_to_wait(
    broker: redis.Redis, process: Callable[..., Throttle]
) -> None:
    throttle = process()
    # Redis' clock goes on while this runs: some more may have become due.
    assert BURST <= admitted(throttle, 100) <= BURST + 5
    with pytest.raises(RateLimited) as refused:
        throttle.admit(1)
    assert (refused.value.code, refused.value.retry_after) == ("rate_limited", 1)
    assert admitted(throttle, 5, client=2) == 5


def test_processes_share_a_clients_limit(broker: redis.Redis, process: Callable[..., Throttle], clock: Clock) -> None:
    """What they let in beyond it, since none knows what the others do at this moment, is paid back."""
    limits = Limits(calls=100, events=100, burst=1, processes=4)
    processes = [process(limits=limits) for _ in range(limits.processes)]
    done, began, clock.now = 0, time.monotonic(), 0.0
    while clock.now < 2:
        clock.now = time.monotonic() - began
        done += sum(admitted(throttle, 1) for throttle in processes)
    assert abs(done - 300) <= 30, done


def test_what_was_overspent_is_paid_back(broker: redis.Redis, process: Callable[..., Throttle], clock: Clock) -> None:
    throttle = process()
    throttle.admit(1)
    throttle.spend_events(1, 3 * LIMITS.events)  # a second's worth more than the burst
    with pytest.raises(RateLimited, match="1000 events a second") as refused:
        throttle.admit(1)
    assert refused.value.retry_after in (1, 2)
    with pytest.raises(RateLimited):
        process().admit(1)
    time.sleep(1.1)
    clock.now += SLICE_S
    throttle.admit(1)


def test_no_debt_is_longer_than_a_burst(broker: redis.Redis, process: Callable[..., Throttle]) -> None:
    throttle = process()
    throttle.admit(1)
    throttle.spend_events(1, 1000 * LIMITS.events)
    with pytest.raises(RateLimited) as refused:
        throttle.admit(1)
    assert refused.value.retry_after in (2, 3)


def test_most_calls_ask_nobody(broker: redis.Redis, process: Callable[..., Throttle], clock: Clock) -> None:
    throttle = process(limits=Limits(1000, 1000, 5, 4))
    before = asked(broker)
    assert admitted(throttle, 2000) == 2000
    clock.now += SLICE_S
    assert admitted(throttle, 1) == 1
    # The first one, when a quarter of what was left was spent, and after the slice.
    assert asked(broker) - before == 3


def test_who_is_refused_asks_nobody_before_the_slice_is_over(
    broker: redis.Redis, process: Callable[..., Throttle], clock: Clock
) -> None:
    throttle = process()
    admitted(throttle, BURST + 10)
    before = asked(broker)
    admitted(throttle, 1000)
    assert asked(broker) - before <= 5  # one each time that a call has become due


def asked(broker: redis.Redis) -> int:
    found: Any = broker.info("commandstats")
    return int(found.get("cmdstat_evalsha", {}).get("calls", 0))


def test_what_redis_keeps_names_a_client_and_goes_by_itself(
    broker: redis.Redis, process: Callable[..., Throttle]
) -> None:
    process().admit(42)
    assert broker.keys() == [b"zq:rate:42"]
    assert set(broker.hgetall("zq:rate:42")) == {b"at", b"calls", b"events"}
    assert 0 < broker.pttl("zq:rate:42") <= 2000 * LIMITS.burst


def test_a_flushed_redis_asks_nothing_of_anybody(
    broker: redis.Redis, process: Callable[..., Throttle], clock: Clock
) -> None:
    throttle = process()
    throttle.admit(1)
    broker.flushall()
    broker.script_flush()
    clock.now += SLICE_S
    throttle.admit(1)
    assert broker.exists("zq:rate:1")


@pytest.mark.parametrize("key", ["a string", None], ids=["another's key", "no memory"])
def test_a_redis_that_refuses_is_as_good_as_away(
    broker: redis.Redis, process: Callable[..., Throttle], key: str | None
) -> None:
    if key:
        broker.set("zq:rate:1", key)
    else:
        broker.config_set("maxmemory", 1)
    try:
        assert admitted(process(), 100) == BURST // LIMITS.processes
    finally:
        broker.config_set("maxmemory", 0)


def test_without_redis_each_process_keeps_its_share(process: Callable[..., Throttle], clock: Clock) -> None:
    throttle = process(NOWHERE)
    share, rate = BURST // LIMITS.processes, LIMITS.calls / LIMITS.processes
    assert admitted(throttle, 100) == share
    with pytest.raises(RateLimited) as refused:
        throttle.admit(1)
    assert refused.value.retry_after == 1
    done = 0
    for _ in range(100):
        clock.now += 0.1
        done += admitted(throttle, 10)
    assert abs(done - 10 * rate) <= 1


def test_a_limit_below_the_number_of_processes_still_lets_calls_in(process: Callable[..., Throttle]) -> None:
    assert admitted(process(NOWHERE, Limits(calls=1, events=1, burst=1, processes=64)), 10) == 1


@pytest.mark.parametrize(("spent", "left"), [(160, 40), (280, -80)], ids=["something left", "a debt"])
def test_a_redis_that_goes_leaves_each_process_its_share(
    broker: redis.Redis, process: Callable[..., Throttle], clock: Clock, spent: int, left: int
) -> None:
    """Of what was left, or of the debt: the processes cannot ask each other any more."""
    limits = Limits(calls=10_000, events=100, burst=2, processes=4)
    throttle = process(limits=limits)
    throttle.admit(1)
    throttle.spend_events(1, spent)
    clock.now += SLICE_S
    admitted(throttle, 1)  # settled
    throttle._shared = Shared(NOWHERE, limits)
    clock.now += SLICE_S
    admitted(throttle, 1)
    expected = left / limits.processes + SLICE_S * limits.events / limits.processes
    # Redis' clock went on by some milliseconds.
    assert abs(throttle._accounts[1].left[1] - expected) < 2


def test_what_was_spent_long_ago_is_not_told(
    broker: redis.Redis, process: Callable[..., Throttle], clock: Clock
) -> None:
    throttle = process()
    assert admitted(throttle, 4) == 4
    clock.now += LIMITS.burst
    throttle.admit(1)
    assert broker.hget("zq:rate:1", "calls") == b"%.3f" % BURST


def test_nobody_waits_for_a_silent_redis_but_one_call_in_a_while(
    process: Callable[..., Throttle], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        throttle = process(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        for turn in range(2):
            began = time.perf_counter()
            throttle.admit(turn)
            waited = time.perf_counter() - began
            assert TIMEOUT_S * 0.9 <= waited < TIMEOUT_S * 3
            began = time.perf_counter()
            for client in range(100):
                throttle.admit(100 * (turn + 1) + client)
            assert time.perf_counter() - began < TIMEOUT_S / 2
            clock.now += AWAY_S
    assert [record.message for record in caplog.records].count("redis away: rate limits are kept by each process") == 1


def test_a_redis_that_is_back_is_asked_again(
    broker: redis.Redis, process: Callable[..., Throttle], clock: Clock
) -> None:
    throttle = process(NOWHERE)
    admitted(throttle, 100)
    throttle._shared = Shared(os.environ["REDIS_URL"], LIMITS)
    clock.now += AWAY_S
    assert admitted(throttle, 100) >= BURST
    assert broker.exists("zq:rate:1")


# --- Over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture
def limited(program: Program, settings: Any) -> Iterator[Program]:
    """A call and two events a second, and no more than that at once."""
    settings.ZHIQING_RATE_CALLS, settings.ZHIQING_RATE_EVENTS, settings.ZHIQING_RATE_BURST_S = 1, 2, 1
    throttling.throttle.cache_clear()
    yield program
    throttling.throttle.cache_clear()


@pytest.mark.parametrize("call", [call for call in CALLS if call.scope], ids=lambda call: call.name)
def test_every_call_with_a_key_is_limited(limited: Program, call: Call) -> None:
    body = call.body(limited, "alice") if call.body else None
    answers = [limited.call(call.method, call.address(limited), body) for _ in range(3)]
    assert answers[0].status_code != 429
    refused = answers[-1]
    assert (refused.status_code, refused["Content-Type"]) == (429, "application/problem+json"), refused.content
    assert (refused.json()["code"], refused["Retry-After"]) == ("rate_limited", "1")


def test_who_has_no_key_spends_nothing_of_anybodys(limited: Program) -> None:
    bad = limited.key[:-1] + ("0" if limited.key[-1] != "0" else "1")
    for _ in range(5):
        assert limited.call("GET", "requests", Authorization=f"Bearer {bad}").status_code == 401
    assert limited.get("requests").status_code == 200


def test_both_keys_of_a_client_have_one_limit_and_another_client_its_own(limited: Program, other: Program) -> None:
    while limited.get("requests").status_code == 200:
        pass
    assert limited.call("GET", "requests", Authorization=f"Bearer {other.key}").status_code == 200


def test_events_are_counted_one_by_one(limited: Program, settings: Any) -> None:
    settings.ZHIQING_RATE_CALLS = 1000
    throttling.throttle.cache_clear()
    answer = limited.send(*(event("alice", f"e{number}") for number in range(3)))
    assert answer["refused"] == 3
    refused = limited.post("events", {"events": [event("alice", "e9")]})
    assert (refused.status_code, refused["Retry-After"]) == (429, "1")
    assert "2 events a second" in json.loads(refused.content)["detail"]
    time.sleep(1)
    assert limited.send(event("alice", "e9"))["refused"] == 1


def test_messages_of_segments_libraries_are_counted_like_events(limited: Program, settings: Any) -> None:
    settings.ZHIQING_RATE_CALLS = 1000
    throttling.throttle.cache_clear()
    answer = segment.send(limited, *(segment.track() for _ in range(3)))
    assert answer["refused"] == 3
    refused = segment.post(limited, {"batch": [segment.track()]})
    assert (refused.status_code, refused["Retry-After"]) == (429, "1")
    assert "2 events a second" in json.loads(refused.content)["detail"]
    time.sleep(1)
    assert segment.send(limited, segment.track())["refused"] == 1
