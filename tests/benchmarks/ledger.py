"""What the log costs those who write, and how long it takes to verify one.

Writers are 16, each with 3 ms of other work in its transaction, beside a sequencer that runs every second (it runs every five
as configured): without a log, with it, and with the single head of a chain in its place, which each act updates. After the
verification as many decide by the service's own code, with the leaves of their records and without.
"""

import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.benchmarks.acts import TABLES
from tests.benchmarks.clients import Command, run
from tests.benchmarks.world import ROOT, World, manage

KINDS = {"none": "without a log", "log": "with the log", "head": "with the head of a chain"}
DECISIONS = {"unlogged": "decisions without a log", "decided": "decisions as they are recorded"}
WRITERS, PROCESSES = 16, 4
SECONDS, ROUNDS = 5.0, 5
KEPT, BAR_S = 0.8, 60
LOG = ("log_origin", "log_leaf", "log_node", "log_statement", "log_checkpoint", "log_publication")
_SEQUENCING = """
import sys, threading, django
django.setup()
from consent.ledger import tasks
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
print("ready", flush=True)
while not ended.wait(1):
    tasks.run()
"""


def ledger(made: World) -> str:
    """Markdown: the writers' throughput, the verification, that of decisions. The world's records have no leaves yet, and get them."""
    return "\n".join([*_writers(made), "", *_verified(made), "", *_throughput(made, DECISIONS)])


def _writers(made: World) -> Iterator[str]:
    with made.owner() as owner:
        owner.execute(TABLES.encode())
    yield from _throughput(made, KINDS)
    with made.owner() as owner:
        owner.execute("DROP TABLE bench_record, bench_head")
        owner.execute("UPDATE audit_entry SET leaf_id = NULL, salt = NULL")
        for table in ("leaf", "leaf_waiting", *LOG):
            owner.execute(f"TRUNCATE {table}".encode())
    shutil.rmtree(made.environment["ZHIQING_LEDGER_FOLDER"])


def _throughput(made: World, kinds: Mapping[str, str]) -> Iterator[str]:
    """In turns; the first of `kinds` is without a log, the second with it."""
    told: dict[str, list[float]] = {kind: [] for kind in kinds}
    with _sequencing(made.environment):
        for _ in range(ROUNDS):
            for kind, words in kinds.items():
                told[kind].append(_acts(made, kind))
                print(f"ledger: {words} {told[kind][-1]:,.0f} acts a second", file=sys.stderr)
    bare, logged, *_ = kinds
    yield f"| {WRITERS} writers | acts a second | of those without a log |"
    yield "|---|---|---|"
    shares = {
        kind: statistics.median(one / none for one, none in zip(rates, told[bare], strict=True))
        for kind, rates in told.items()
    }
    for kind, words in kinds.items():
        yield f"| {words} | {statistics.median(told[kind]):,.0f} | {shares[kind]:.0%} |"
    yield f"\n- {KEPT:.0%} of the throughput: {'met' if shares[logged] >= KEPT else 'not met'}"


def _acts(made: World, kind: str) -> float:
    """A second, of all writers."""
    about = ("--program", str(made.program_id), "--writers", str(WRITERS // PROCESSES), "--seconds", str(SECONDS))
    command: Command = ("tests.benchmarks.acts", kind, *about)
    environment = made.environment
    if kind in DECISIONS:
        decisions = ("--notice", made.notice, "--subjects", str(len(made.subjects)))
        command = ("tests.benchmarks.consenting", kind, *about, *decisions)
        environment = {**environment, "DJANGO_SETTINGS_MODULE": "config.settings"}
    told = run([command] * PROCESSES, environment)
    return float(sum(one["calls"] / one["seconds"] for one in told))


@contextlib.contextmanager
def _sequencing(environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SEQUENCING],
        cwd=ROOT,
        env={**environment, "ZHIQING_ROLE": "worker", "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdout.readline()
        yield
        process.communicate("end\n", timeout=120)
    finally:
        process.kill()
        process.wait()


def _verified(made: World) -> Iterator[str]:
    """The commands are run as an operator runs them, their start included."""
    _in_django(made.environment, "owner", "from tests.benchmarks.leaves import leaves; leaves()")
    with made.owner() as owner:
        owner.execute("VACUUM ANALYZE")
    yield "| of the records of all subjects | leaves | seconds | |"
    yield "|---|---|---|---|"
    published = Path(made.environment["ZHIQING_LEDGER_FOLDER"]) / "checkpoints.jsonl"
    began = time.monotonic()
    _in_django(made.environment, "worker", "from consent.ledger import tasks; tasks.run()")
    yield f"| the sequencer's first run | {len(made.subjects):,} | {time.monotonic() - began:.0f} | |"
    began = time.monotonic()
    told = json.loads(
        manage(made.environment, "verify_ledger", "--json", f"--published={published}", role="application")
    )
    took = time.monotonic() - began
    assert told["holds"], told
    met = f"within {BAR_S} s: {'met' if took <= BAR_S else 'not met'}"
    yield f"| `manage.py verify_ledger`: tree, checkpoints, records, states | {told['opened']:,} | {took:.0f} | {met} |"


def _in_django(environment: dict[str, str], role: str, code: str) -> None:
    command = [sys.executable, "-c", f"import django; django.setup(); {code}"]
    settings = {"ZHIQING_ROLE": role, "DJANGO_SETTINGS_MODULE": "config.settings"}
    subprocess.run(command, cwd=ROOT, env={**environment, **settings}, check=True)
