"""Load for the barrier test: ingest clients, each a process of its own, and withdrawers that count after each answer."""

import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg

# Not from tests.stack, which makes a database when it is imported: the clients import this module.
ROOT = Path(__file__).resolve().parents[2]
PURPOSE = "analytics"
TIMEOUT_S = 30.0
REST_S = 0.03


def caller(base_url: str, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"{base_url}/api/v1/",
        headers={"Authorization": f"Bearer {key}"},
        timeout=TIMEOUT_S,
        trust_env=False,
    )


def ingest(base_url: str, key: str, name: str, subjects: Sequence[str], batch: int) -> None:
    """Send batches about these subjects until standard input closes; then tell the counts of the answers.

    A short rest between batches leaves the processors some time for the withdrawals, of which there are to be many.
    """
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    numbers, counts, chance = itertools.count(), {"stored": 0, "refused": 0, "retry": 0}, random.Random(name)
    with caller(base_url, key) as client:
        while not ended.is_set():
            moment = datetime.now(UTC).isoformat()
            events = [
                {
                    "event_id": f"{name}-{next(numbers)}",
                    "name": "page_view",
                    "subject": {"openid": chance.choice(subjects)},
                    "occurred_at": moment,
                }
                for _ in range(batch)
            ]
            response = client.post("events", json={"events": events})
            response.raise_for_status()
            answer = response.json()
            ended.wait(REST_S)
            for result in counts:
                counts[result] += answer[result]
    print(json.dumps(counts))  # noqa: T201  read by the test


@contextmanager
def ingesting(
    base_url: str, key: str, subjects: Sequence[str], *, clients: int, batch: int, totals: dict[str, int]
) -> Iterator[None]:
    """Clients that send while the block runs; what they were answered is added to `totals`."""
    running = []
    with ExitStack() as stack:
        for number in range(clients):
            errors = stack.enter_context(tempfile.TemporaryFile())
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.tracking.barrier_load", base_url, f"c{number}", str(batch), *subjects],
                env={**os.environ, "BARRIER_KEY": key},
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
            stack.callback(_end, process)
            running.append((process, errors))
        yield
        for process, errors in running:
            told, _ = process.communicate(timeout=2 * TIMEOUT_S)
            errors.seek(0)
            assert process.returncode == 0, errors.read().decode()
            for result, count in json.loads(told).items():
                totals[result] = totals.get(result, 0) + count


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


@dataclass
class Ending:
    """An acknowledged withdrawal or erasure: who, which, how long it took, the events stored right after it, and when
    it was by the clock of `time.monotonic`, which all processes of a machine share.
    """

    openid: str
    kind: str
    seconds: float
    counted: int
    acknowledged: float = 0.0
    again: int | None = None

    @property
    def leaked(self) -> bool:
        return self.again is not None and self.again > self.counted


@dataclass
class Withdrawer:
    """Ends grants and begins them anew, on subjects that no other withdrawer has.

    `lag`: how many others are ended before one is counted again and begun anew; `pause_s`: a wait before that, too.
    The last ones stay ended: `left`, to be counted when nobody sends any more.
    """

    base_url: str
    key: str
    notice: str
    subjects: Sequence[str]
    rounds: int
    lag: int
    pause_s: float
    every_erasure: int
    until_leak: bool = False
    endings: list[Ending] = field(default_factory=list)
    left: list[Ending] = field(default_factory=list)
    error: BaseException | None = None

    def run(self) -> None:
        try:
            with caller(self.base_url, self.key) as client, owner() as database:
                subjects, ended = itertools.cycle(self.subjects), deque[tuple[Ending, str | None]]()
                for number in range(1, self.rounds + 1):
                    ended.append(self._end(client, database, next(subjects), erase=number % self.every_erasure == 0))
                    if len(ended) > self.lag and number < self.rounds:
                        self._begin_anew(client, database, *ended.popleft())
                    if self.until_leak and any(ending.leaked for ending in self.endings):
                        return
                self.left = [ending for ending, _ in ended]
        except BaseException as error:
            self.error = error

    def _end(
        self, client: httpx.Client, database: psycopg.Connection, openid: str, *, erase: bool
    ) -> tuple[Ending, str | None]:
        """The ending, counted at once, and the id of the request where it is an erasure."""
        began = time.perf_counter()
        answer = self._erase(client, openid) if erase else decide(client, openid, "withdrawn")
        seconds, acknowledged = time.perf_counter() - began, time.monotonic()
        kind = "erasure" if erase else "withdrawal"
        ending = Ending(openid, kind, seconds, stored(database, openid), acknowledged)
        self.endings.append(ending)
        return ending, answer["request_id"] if erase else None

    def _begin_anew(
        self, client: httpx.Client, database: psycopg.Connection, ending: Ending, request_id: str | None
    ) -> None:
        """Count again, when whatever had passed the gate before the answer has come to its end; then open the gate."""
        time.sleep(self.pause_s)
        ending.again = stored(database, ending.openid)
        if request_id is not None:
            client.post(f"requests/{request_id}/withdraw").raise_for_status()
        decide(client, ending.openid, "given", notice=self.notice)

    @staticmethod
    def _erase(client: httpx.Client, openid: str) -> Any:
        body = {"subject": {"openid": openid}, "kind": "erasure", "locale": "en"}
        response = client.post("requests", json=body)
        assert response.status_code == 202, response.text
        return response.json()


def decide(client: httpx.Client, openid: str, decision: str, **more: str) -> Any:
    body = {"subject": {"openid": openid}, "decisions": [{"purpose": PURPOSE, "decision": decision}]}
    told = {"locale": "en", "method": "dialog", "act": "single"}
    response = client.post("consents", json=body | told | more)
    assert response.status_code == 201, response.text
    return response.json()


def owner() -> psycopg.Connection:
    return psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True)


_named: dict[str, int] = {}


def name_subjects(subjects: dict[str, int]) -> None:
    """openid -> subject_id, for counting."""
    _named.clear()
    _named.update(subjects)


def stored(database: psycopg.Connection, openid: str) -> int:
    row = database.execute("SELECT count(*) FROM event WHERE subject_id = %s", [_named[openid]]).fetchone()
    assert row is not None
    return int(row[0])


def withdraw(withdrawers: Sequence[Withdrawer]) -> list[Ending]:
    """Run them side by side to their end; answers all their endings."""
    threads = [threading.Thread(target=withdrawer.run, daemon=True) for withdrawer in withdrawers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for withdrawer in withdrawers:
        if withdrawer.error is not None:
            raise withdrawer.error
    return [ending for withdrawer in withdrawers for ending in withdrawer.endings]


# Python runs a module of this name when it starts: the server with the gate's lock taken out, as a careless edit would.
_UNLOCKED = '''
import importlib.abc
import importlib.machinery
import sys


class Unlocking(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads consent.records.queries as it is and then takes FOR SHARE out of its statement."""

    def find_spec(self, name, path=None, target=None):
        if name != "consent.records.queries":
            return None
        self.found = importlib.machinery.PathFinder.find_spec(name, path)
        return importlib.machinery.ModuleSpec(name, self, origin=self.found.origin)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.__file__ = self.found.origin
        exec(self.found.loader.get_code(module.__name__), module.__dict__)
        assert module._LOCK.count(" FOR SHARE") == 1
        module._LOCK = module._LOCK.replace(" FOR SHARE", "")
        print("the lock is out", file=sys.stderr, flush=True)


sys.meta_path.insert(0, Unlocking())
'''


@contextmanager
def without_lock(folder: Path) -> Iterator[None]:
    """Servers started in the block run without the gate's lock."""
    (folder / "sitecustomize.py").write_text(_UNLOCKED)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


if __name__ == "__main__":
    _, url, client_name, size, *openids = sys.argv
    ingest(url, os.environ["BARRIER_KEY"], client_name, openids, int(size))
