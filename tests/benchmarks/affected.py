"""How long `manage.py affected` takes to list whom a breach touches, from the machine's memory and from its disk.

The command is run as an operator runs it, its start included. `cold`: the kernel was made to forget all files before, as
root may have it do; what PostgreSQL holds itself (shared_buffers) stays.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.benchmarks.behaviour import DAY_S, DAYS, store
from tests.benchmarks.world import World, manage

BAR_S = 10
ROUNDS = 3
CACHES = Path("/proc/sys/vm/drop_caches")
NOT_DROPPED = "not measured: this user may not drop the machine's caches"


def affected(made: World, events: int) -> str:
    """Markdown: a line for each question. The events come all day, in the order in which they happen."""
    places = events // (len(made.subjects) * DAYS)
    if not places:
        raise ValueError(f"affected needs {len(made.subjects) * DAYS:,} events at least: one of each subject a day")
    store(made, made.subjects, range(places), apart=DAY_S // places)
    lines = ["| `manage.py affected` | subjects listed | warm, seconds | cold, seconds | |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(_line(made, what, asked) for what, asked in _questions(made).items())])


def _questions(made: World) -> Mapping[str, tuple[str, ...]]:
    with made.owner() as owner:
        since, until = owner.execute(
            "SELECT current_date - 5 + interval '9 hours 30 minutes', current_date - 3 + interval '15 hours 30 minutes'"
        ).fetchone() or ("", "")
    return {
        "an index key": ("--key", "index:1"),
        "the keys of both families": ("--key", "1"),
        "the table of events": ("--table", "event"),
        "the table of consent records": ("--table", "consent_record"),
        "a window of 54 hours": ("--from", f"{since.isoformat()}Z", "--to", f"{until.isoformat()}Z"),
    }


def _line(made: World, what: str, asked: tuple[str, ...]) -> str:
    told = list(_rounds(made, asked))
    listed = " and ".join(f"{subjects:,}" for subjects in sorted({subjects for _, _, subjects in told}))
    warm, cold = ([seconds for kind, seconds, _ in told if kind == wanted] for wanted in ("warm", "cold"))
    met = f"within {BAR_S} s: {'met' if max(warm + cold) <= BAR_S else 'not met'}"
    line = f"| {what} | {listed} | {_span(warm)} | {_span(cold)} | {met} |"
    print(f"affected: {line}; load average {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return line


def _rounds(made: World, asked: tuple[str, ...]) -> Iterator[tuple[str, float, int]]:
    """(how, seconds, subjects listed), each way in turns; cold only where it may be."""
    for _ in range(ROUNDS):
        for kind in ("cold", "warm") if _forgotten() else ("warm",):
            began = time.monotonic()
            listed = manage(made.environment, "affected", *asked, role="worker")
            yield kind, time.monotonic() - began, len(listed.splitlines())


def _forgotten() -> bool:
    """Whether the kernel has let go of all files it had in memory."""
    os.sync()
    try:
        CACHES.write_text("1")
    except OSError:
        return False
    return True


def _span(seconds: list[float]) -> str:
    return f"{min(seconds):.1f} to {max(seconds):.1f}" if seconds else NOT_DROPPED
