"""What became of the fault matrix's cells, for the end of pytest's report."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One fault at one place of one request; `seconds` from the fault's end until the request was terminal as it should be."""

    fault: str
    scenario: str
    seconds: float


CELLS: list[Cell] = []


def summary() -> list[str]:
    """A line per fault: its cells by scenario, and the slowest."""
    lines = []
    for fault in dict.fromkeys(cell.fault for cell in CELLS):
        cells = [cell for cell in CELLS if cell.fault == fault]
        each = ", ".join(f"{name} {count}" for name, count in Counter(cell.scenario for cell in cells).items())
        slowest = max(cell.seconds for cell in cells)
        lines.append(f"{fault}: {len(cells)} cells, all terminal, slowest {slowest:.1f} s ({each})")
    return lines
