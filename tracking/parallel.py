"""Calls over many items in a few threads, for clients that wait for answers most of the time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

CHUNK = 500

T = TypeVar("T")
R = TypeVar("R")


def each(call: Callable[[T], R], items: Iterable[T], *, threads: int) -> Iterator[tuple[T, R]]:
    """(item, result) in order. An error of a call, or of who takes the results, stops what has not begun, and is raised."""
    remaining = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        try:
            while chunk := list(islice(remaining, CHUNK)):
                yield from zip(chunk, pool.map(call, chunk), strict=True)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
