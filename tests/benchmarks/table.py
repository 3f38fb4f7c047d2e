"""How results are told: Markdown."""

from collections.abc import Mapping, Sequence

from tests.benchmarks.clients import Measured, median, spread

Kind = tuple[str, int]


def table(found: Mapping[Kind, Sequence[Measured]]) -> str:
    """A line a kind: the round whose rate is the median. `clients`: their own share of the machine, and an event's."""
    lines = [
        "| what | events a call | events a second | spread | p50 | p99 | WAL an event | clients |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (what, batch), runs in found.items():
        run = median(runs)
        lines.append(
            f"| {what} | {batch:,} | {run.events:,.0f} | {spread(runs):.0%} | {quantiles(run)} | {run.wal:,.0f} |"
            f" {run.cpu:.1%}, {run.cpu_s / max(run.total, 1) * 1e6:.1f} µs |"
        )
    return "\n".join(lines)


def quantiles(run: Measured) -> str:
    """Two cells, p50 and p99."""
    return " | ".join(f"{run.quantile(share) * 1000:.1f} ms" for share in (0.5, 0.99))


def ratio(found: Mapping[Kind, Sequence[Measured]], one: Kind, other: Kind) -> str:
    """Of the medians."""
    times = median(found[one]).events / median(found[other]).events
    return f"- {one[1]:,} a call: {one[0]} takes {times:.2f} times what {other[0]} takes"


def answers(counts: Mapping[str, int]) -> str:
    """`stored 1,200, consent_withdrawn 3`: the largest first."""
    return ", ".join(f"{what} {count:,}" for what, count in sorted(counts.items(), key=lambda item: -item[1]))
