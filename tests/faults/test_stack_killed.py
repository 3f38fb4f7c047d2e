"""I1 and I5 under kill -9: `make serve` goes on by itself, and what it has acknowledged is there, once and whole."""

import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.faults import aftermath
from tests.faults.serving import KINDS, Served, served, wait_for
from tests.faults.traffic import Remembered, Traffic
from tracking.client import Client

RECOVERY_S = 60.0
ONE_OF_EACH = [[kind] for kind in ("worker", "pool child", "postgres", "backend", "web worker", "web", "redis", "beat")]
TWENTY = [[kind] for kind in KINDS * 2] + [["web", "postgres"], ["worker", "redis"]]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as running:
        yield running


@pytest.fixture
def traffic(stack: Served) -> Traffic:
    """Backends of a mini-program that an operator has set up on the stack."""
    program = stack.manage(
        *("create_program", "--name", "Shop", "--controller", "Example Retail Ltd"),
        *("--platform", "wechat", "--app-id", "wx0000000000000001"),
    )
    notice = stack.manage("publish_notice", "--program", program, "docs/examples/notice.yaml")
    stack.manage("catalogue", "import", "--program", program, "docs/examples/catalogue.yaml")
    key = stack.manage("create_client", "--program", program, "--scopes", "consents,events,requests")
    return Traffic(stack.base_url, int(program), key, notice)


@dataclass(frozen=True)
class Recovery:
    """Seconds from a kill until an event was stored, a request was completed, and all processes ran again."""

    killed: str
    event_s: float
    request_s: float
    whole_s: float


def kill_under(traffic: Traffic, stack: Served, order: list[list[str]], recovered: list[Recovery]) -> None:
    """kill -9 in this order, at random moments, while the backends work; each time the stack must recover by itself."""
    with traffic, traffic.client() as client:
        traffic.probe(client, time.monotonic(), RECOVERY_S)
        for kinds in order:
            time.sleep(random.uniform(0.2, 1.2))
            recovered.append(recovery(traffic, client, stack, kinds))
            traffic.check()
    traffic.check()


def recovery(traffic: Traffic, client: Client, stack: Served, kinds: list[str]) -> Recovery:
    killed_at = time.monotonic()
    replaced = [stack.kill(kind) for kind in kinds]
    event_s, request_s = traffic.probe(client, killed_at, RECOVERY_S)
    wait_for("the whole stack", lambda: stack.ready() and all(one() for one in replaced), RECOVERY_S)
    return Recovery(" + ".join(kinds), event_s, request_s, time.monotonic() - killed_at)


def told(recovered: list[Recovery], seen: Remembered) -> str:
    lines = ["killed, times: seconds until an event was stored, a request completed, all processes ran (p50, max)"]
    for killed in sorted({one.killed for one in recovered}):
        ours = [one for one in recovered if one.killed == killed]
        columns = ([one.event_s for one in ours], [one.request_s for one in ours], [one.whole_s for one in ours])
        shown = "  ".join(f"{median(seconds):6.2f} {max(seconds):6.2f}" for seconds in columns)
        lines.append(f"{killed:16} {len(ours)}: {shown}")
    lines.append(
        f"acknowledged: {len(seen.events)} events, {seen.acts.total()} consents, {len(seen.requests)} requests;"
        f" batches given up: {len(seen.abandoned)}; calls repeated: {seen.repeats}\n"
    )
    return "\n".join(lines)


def run(stack: Served, traffic: Traffic, blocker: DjangoDbBlocker, order: list[list[str]]) -> None:
    """What it writes is shown by pytest -rP, and where the test fails."""
    recovered: list[Recovery] = []
    try:
        kill_under(traffic, stack, order, recovered)
        took = aftermath.check_requests(stack, traffic, blocker)
        sys.stdout.write(f"the last request ended {took:.1f} s after the last call\n")
        aftermath.check_rows(stack, traffic.seen)
    finally:
        sys.stdout.write(told(recovered, traffic.seen) + stack.said())


@pytest.mark.long
def test_one_process_of_each_kind_killed(stack: Served, traffic: Traffic, django_db_blocker: DjangoDbBlocker) -> None:
    run(stack, traffic, django_db_blocker, ONE_OF_EACH)


@pytest.mark.longest
def test_twenty_kills_in_any_order_and_one_of_the_supervisor(
    stack: Served, traffic: Traffic, django_db_blocker: DjangoDbBlocker
) -> None:
    assert len([kind for kinds in TWENTY for kind in kinds]) == 20
    run(stack, traffic, django_db_blocker, [*random.sample(TWENTY, len(TWENTY)), ["supervisor"]])
