"""A process that has subjects erased: one after another by itself, or all at once by the workers that run.

    python -m tests.benchmarks.erasing alone|workers PROGRAM NUMBER…

The numbers are those of the subjects' openids. Requests are filed before the clock starts, and due at once. It tells the
requests' {"states"}, how many of their runs met an {"errors"}, and {"seconds"}; alone also, of each erasure, {"took"},
{"active"} and {"processor"} in seconds, and {"statements"}.
"""

import argparse
import logging
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
from django.db import connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

import config.celery  # noqa: E402, F401 -- the broker; models need the set-up
from consent import edge  # noqa: E402
from consent.programs.tenancy import tenant  # noqa: E402
from consent.rights import actions, fulfilment, tasks  # noqa: E402
from consent.rights.actions import Asked, Terms  # noqa: E402
from consent.rights.models import HolderRun, RequestKind, SubjectRequest  # noqa: E402
from tests.benchmarks.calls import tell, wait_for_start  # noqa: E402
from tests.benchmarks.people import subject_name  # noqa: E402

SWEEP_S, LOOK_S = 5.0, 0.1
"""As often as beat sends a sweep; and as this process looks how far the workers are."""
KEPT = timedelta(days=7)


def filed(program_id: int, number: int) -> uuid.UUID:
    """An erasure without a time to take it back, of which no worker is told."""
    return actions.file_request(
        vault=edge.vault(),
        program_id=program_id,
        identifiers={"openid": subject_name(number)},
        asked=Asked(kind=RequestKind.ERASURE, locale="zh-Hans"),
        terms=Terms(undo=timedelta(0)),
        by="bench",
        on_filed=lambda _: None,
    ).request_id


def active_s() -> float:
    """How long PostgreSQL has worked for clients of this database so far, commits and waits for locks among it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT active_time FROM pg_stat_database WHERE datname = current_database()")
        return float(cursor.fetchone()[0]) / 1000


def processor_s() -> float:
    """How long the process of PostgreSQL that serves this connection has been on a processor."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(Path(f"/proc/{cursor.fetchone()[0]}/schedstat").read_text().split()[0]) / 1e9


def alone(program_id: int, requests: list[uuid.UUID]) -> dict[str, Any]:
    found: dict[str, list[float]] = {"took": [], "active": [], "processor": [], "statements": []}
    for request_id in requests:
        counted: Counter[str] = Counter()
        active, processor = active_s(), processor_s()
        with connection.execute_wrapper(_counting(counted)):
            began = time.perf_counter()
            fulfilment.fulfil(vault=edge.vault(), program_id=program_id, request_id=request_id, package_kept=KEPT)
            found["took"].append(time.perf_counter() - began)
        found["processor"].append(processor_s() - processor)
        found["active"].append(active_s() - active)
        found["statements"].append(counted.total())
    return dict(found)


def _counting(counted: Counter[str]) -> Callable[..., Any]:
    def count(execute: Callable[..., Any], sql: str, *more: Any) -> Any:
        counted[sql] += 1
        return execute(sql, *more)

    return count


def by_workers(program_id: int, requests: list[uuid.UUID], patience: float) -> dict[str, Any]:
    """Sends sweeps as beat does, until all are terminal or `patience` seconds are over."""
    began = swept = time.perf_counter()
    tasks.sweep.apply_async()
    while _open(program_id, requests) and time.perf_counter() < began + patience:
        time.sleep(LOOK_S)
        if time.perf_counter() >= swept + SWEEP_S:
            swept = time.perf_counter()
            tasks.sweep.apply_async()
    return {}


def _open(program_id: int, requests: list[uuid.UUID]) -> bool:
    with tenant(program_id):
        return SubjectRequest.objects.filter(id__in=requests, closed_at__isnull=True).exists()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("how", choices=["alone", "workers"])
    parser.add_argument("program", type=int)
    parser.add_argument("numbers", type=int, nargs="+")
    parser.add_argument("--patience", type=float, default=300.0, metavar="SECONDS")
    asked = parser.parse_args()
    requests = [filed(asked.program, number) for number in asked.numbers]
    logging.getLogger("zhiqing").setLevel(logging.WARNING)
    wait_for_start()
    began, cpu = time.perf_counter(), time.process_time()
    if asked.how == "alone":
        told = alone(asked.program, requests)
    else:
        told = by_workers(asked.program, requests, asked.patience)
    told |= {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    with tenant(asked.program):
        states = Counter(SubjectRequest.objects.filter(id__in=requests).values_list("state", flat=True))
        errors = HolderRun.objects.filter(request_id__in=requests).exclude(error="").count()
    tell(told | {"states": states, "errors": errors})


if __name__ == "__main__":
    main()
