"""Packages: what memory making one and reading it takes, for two numbers of one subject's events, of which the second is
many times the first.

Each is done by a process of its own, whose most is told (VmHWM).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.behaviour import DAYS, store
from tests.benchmarks.clients import run
from tests.benchmarks.world import World

FEW = 50_000
MIB = 2**20
READ = {"json": "downloaded in the admin as JSON", "page": "as a page", "csv": "as a table"}


def packages(made: World, events: int) -> str:
    """Markdown: a line for FEW and for `events` events."""
    lines = [
        "| events | what | seconds | MB | most memory, MiB |",
        "|---|---|---|---|---|",
    ]
    for number, many in enumerate((FEW, events)):
        store(made, [made.subjects[number]], range(many // DAYS))
        lines += _of_one(made, number, many)
    with made.owner() as owner:
        # Parts to come store events of all subjects under the same ids.
        owner.execute("TRUNCATE event")
    return "\n".join(lines)


def _of_one(made: World, number: int, events: int) -> Sequence[str]:
    told = _by_process(made, "make", str(number))
    request_id = told["request"]
    lines = [_line(events, "made", told)]
    for form, what in READ.items():
        lines.append(_line(events, what, _by_process(made, form, request_id)))
    return lines


def _by_process(made: World, what: str, about: str) -> dict[str, Any]:
    environment = {**made.environment, "ZHIQING_ROLE": "worker" if what == "make" else "application"}
    (told,) = run([("tests.benchmarks.packaging", what, str(made.program_id), about)], environment)
    return told


def peak(pid: int) -> int:
    """The most that a process has had resident, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (most,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(most) * 1024


def _line(events: int, what: str, told: dict[str, Any]) -> str:
    line = f"| {events:,} | {what} | {told['seconds']:.1f} | {told['bytes'] / 1e6:,.0f} | {told['peak'] / MIB:.1f} |"
    print(f"packages: {line}", file=sys.stderr)
    return line
