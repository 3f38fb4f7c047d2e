"""What the figures were measured on."""

import os
import platform
import statistics
import time
from pathlib import Path

import psycopg

from tests.benchmarks.clients import CORES

LOOPS = 2_000_000


def description(owner: psycopg.Connection) -> str:
    """Markdown: the machine, the versions, the settings that matter."""
    settings = {
        name: owner.execute("SELECT current_setting(%s)", [name]).fetchone()
        for name in (
            "server_version",
            "fsync",
            "synchronous_commit",
            "full_page_writes",
            "shared_buffers",
            "max_wal_size",
        )
    }
    told = {name: row[0] for name, row in settings.items() if row is not None}
    version = told.pop("server_version").split()[0]
    return "\n".join(
        [
            f"- {_processor()}, {CORES} cores, {_memory_gib():.0f} GiB, Linux {platform.release()}",
            f"- Python {platform.python_version()}, PostgreSQL {version}: " + ", ".join(map(" ".join, told.items())),
            f"- {speed()}",
        ]
    )


def speed() -> str:
    """How fast the machine is just now, and how busy with other things.

    The median above the best of several loops means that others take the processor away.
    """
    took = sorted(_loop() for _ in range(9))
    return (
        f"a loop of {LOOPS:,} additions in Python takes {took[0]:.3f} s at best, {statistics.median(took):.3f} s in the"
        f" median of {len(took)}; load average {os.getloadavg()[0]:.1f}"
    )


def _loop() -> float:
    began = time.perf_counter()
    total = 0
    for number in range(LOOPS):
        total += number
    return time.perf_counter() - began


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
