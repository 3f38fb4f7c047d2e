"""Distinct values that follow one another in arrays, and the subjects who belong together."""

from array import array
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from pyroaring import BitMap64

from reports.columns.events import Flags, Numbers


def changes(values: Numbers) -> Flags:
    """Whether each is another than the one before it; the first one is."""
    found = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


def alike(ordered: Numbers) -> Iterator[tuple[int, slice]]:
    """Each number, and where it stands."""
    for start, end in pairwise([*np.flatnonzero(changes(ordered)).tolist(), len(ordered)]):
        yield int(ordered[start]), slice(start, end)


def bitmap(subjects: Numbers) -> BitMap64:
    # An array of Python's is taken over five times as fast as one of numpy.
    return BitMap64(array("Q", subjects.tobytes()))
