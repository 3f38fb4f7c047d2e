"""Backends that never stop: they send and ask again until they are answered, and remember what was acknowledged."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, cycle
from typing import Any

from tracking.client import Client, ClientError, Patience

ENDLESS = Patience(attempts=90, first_s=0.05, longest_s=0.5)
ONCE = Patience(attempts=1)
STEADY = [f"steady-{number}" for number in range(6)]
FICKLE = [f"fickle-{number}" for number in range(4)]
BATCH = 20
REPEATED = 0.1
OF_EACH = 3
"""Events of a subject who then files a request."""
PAUSE_S = 0.05
ATTRIBUTES = {"nickname": "Lin", "city": "Suzhou"}


@dataclass(frozen=True)
class Filed:
    """An acknowledged request, of a subject of its own."""

    kind: str
    request_id: str
    openid: str
    pseudonym: str


@dataclass
class Remembered:
    """What the service has acknowledged. Written by one thread each, read when all have ended."""

    events: dict[str, str] = field(default_factory=dict)
    """event_id -> openid"""
    withdrawn: set[str] = field(default_factory=set)
    """Events collected under a consent that was then withdrawn."""
    abandoned: list[list[str]] = field(default_factory=list)
    """Batches that got no answer and were not sent again."""
    states: dict[str, str] = field(default_factory=dict)
    """openid -> the state of the consent to analytics that was answered last"""
    acts: Counter[str] = field(default_factory=Counter)
    """openid -> how many consents and withdrawals"""
    requests: list[Filed] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)
    """Ids of requests about nobody."""
    repeats: int = 0


class Traffic:
    """`with traffic:` the backends work; the block's end stops them, each once it has its last answer."""

    def __init__(self, base_url: str, program: int, key: str, notice: str) -> None:
        self.base_url, self.program, self.key, self.notice = base_url, program, key, notice
        self.seen = Remembered()
        self._collected: dict[str, set[str]] = {}
        self._numbers = count(1)
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(5)
        self._running: list[Future[None]] = []

    def client(self, patience: Patience = ENDLESS) -> Client:
        return Client(self.base_url, self.key, timeout_s=15, patience=patience)

    def __enter__(self) -> "Traffic":
        with self.client() as client:
            for openid in STEADY:
                self._decide(client, openid, "given")
        steady = (self._send_all, self._send_all, self._send_once)
        self._running = [self._pool.submit(self._work, each) for each in (*steady, self._change, self._ask)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._pool.shutdown()

    def check(self) -> None:
        """Raises what has ended a backend, if anything: an answer that it must not get."""
        for each in self._running:
            if each.done():
                each.result()

    def _work(self, work: Callable[[Client], None]) -> None:
        with self.client(ONCE if work == self._send_once else ENDLESS) as client:
            while not self._stopping.wait(PAUSE_S):
                work(client)
            self.seen.repeats += client.repeats

    def events(self, openids: list[str], size: int) -> list[dict[str, Any]]:
        """Of the subjects in turn, on pages that some share."""
        numbers = [next(self._numbers) for _ in range(size)]
        return [
            {
                "event_id": f"e{number}",
                "name": "page_view",
                "page": f"pages/{number % 50}",
                "subject": {"openid": openid},
                "occurred_at": datetime.now(UTC),
            }
            for number, openid in zip(numbers, cycle(openids), strict=False)
        ]

    def _send_all(self, client: Client) -> None:
        """Now and then some events are sent once more among new ones, as where an answer was lost."""
        batch = self.events(STEADY, BATCH)
        self.store(client, batch)
        if random.random() < REPEATED:
            again = self.store(client, [*batch[::2], *self.events(STEADY, BATCH)])
            assert set(again[: len(batch[::2])]) == {"duplicate"}

    def store(self, client: Client, batch: list[dict[str, Any]]) -> list[str]:
        """Send until all of it is acknowledged as stored; answers the results."""
        sent = client.events(batch)
        results = [str(each["result"]) for each in sent.results]
        assert set(results) <= {"stored", "duplicate"}, sent.refused()
        self.seen.events |= {event["event_id"]: event["subject"]["openid"] for event in batch}
        return results

    def _send_once(self, client: Client) -> None:
        batch = self.events(STEADY, BATCH)
        try:
            self.store(client, batch)
        except ClientError:
            self.seen.abandoned.append([event["event_id"] for event in batch])
            self._stopping.wait(0.5)

    def _change(self, client: Client) -> None:
        """Agree and take it back, in turn: what is sent after the answer is stored, or refused."""
        for openid in FICKLE:
            if self.seen.states.get(openid) != "given":
                self._decide(client, openid, "given")
                batch = self.events([openid], 2)
                self._collected[openid] = {event["event_id"] for event in batch}
                self.store(client, batch)
            else:
                self._decide(client, openid, "withdrawn")
                self.seen.withdrawn |= self._collected[openid]
                sent = client.events(self.events([openid], 2))
                assert sent.refused() == {"consent_withdrawn": 2}, sent.refused()

    def _ask(self, client: Client) -> None:
        """A new person, with events and a profile, who asks for one thing."""
        number = next(self._numbers)
        openid, kind = f"asking-{number}", ("access", "rectification", "erasure")[len(self.seen.requests) % 3]
        pseudonym = self._decide(client, openid, "given")
        self._decide(client, openid, "given", purpose="personalisation")
        client.profile({"openid": openid}, ATTRIBUTES)
        self.store(client, self.events([openid], OF_EACH))
        changes = {"changes": {"identifiers": {"openid": f"{openid}-new"}}} if kind == "rectification" else {}
        answer = client.request({"subject": {"openid": openid}, "kind": kind, "locale": "en"} | changes)
        self.seen.requests.append(Filed(kind, answer["request_id"], openid, pseudonym))
        self._stopping.wait(0.2)

    def _decide(self, client: Client, openid: str, decision: str, *, purpose: str = "analytics") -> str:
        act = {"notice": self.notice, "locale": "en", "method": "dialog", "act": "single"}
        made = client.consent(
            {"subject": {"openid": openid}, "decisions": [{"purpose": purpose, "decision": decision}]} | act
        )
        self.seen.acts[openid] += 1
        if purpose == "analytics":
            self.seen.states[openid] = made["records"][0]["state"]
        return str(made["subject_id"])

    def probe(self, client: Client, since: float, patience_s: float) -> tuple[float, float]:
        """Seconds from then (by the monotonic clock) until an event is stored, and a request filed after it completed."""
        self.store(client, self.events(STEADY, 1))
        stored_at = time.monotonic()
        filed = client.request({"subject": {"openid": "nobody"}, "kind": "access", "locale": "en"})
        self.seen.probes.append(filed["request_id"])
        while client.request_state(filed["request_id"])["state"] != "completed_no_data":
            assert time.monotonic() - since < patience_s, "no request is completed any more"
            time.sleep(0.05)
        return stored_at - since, time.monotonic() - since
