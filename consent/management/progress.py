"""Progress of long commands on stderr: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LINE_EVERY_S = 5.0

Report = Callable[[str, int, int], None]
"""Told of the stage, how much of it is done, and how much there is."""


@contextmanager
def progress(stream: TextIO) -> Iterator[Report]:
    """`report(stage, done, total)`: a bar for each stage, or a line now and then and one at each stage's end."""
    if not stream.isatty():
        yield plain(stream)
        return
    columns = (TextColumn("{task.description:<20}"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=stream), expand=True) as bars:
        tasks = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def plain(stream: TextIO, clock: Callable[[], float] = time.monotonic) -> Report:
    """Lines without control characters, for logs and pipes."""
    last = clock()

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last
        if done == total or clock() - last >= LINE_EVERY_S:
            last = clock()
            stream.write(f"{stage}: {done:,} of {total:,}\n")
            stream.flush()

    return report
