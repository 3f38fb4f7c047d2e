"""The gate of paths beside the slow one, over any paths; and that what leaves a node is what arrives."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.privacy.cells import Status
from reports.privacy.figures import Figures, Flows, Period, Value, Walked
from reports.privacy.flows import ROOM, released_flows
from reports.privacy.threshold import release
from tests.reports import oracle_flows
from tests.reports.oracle_flows import Path

PERIOD = Period(datetime(2025, 10, 4, 16, tzinfo=UTC), datetime(2025, 10, 5, 16, tzinfo=UTC))
CLOSED = PERIOD.ends + timedelta(hours=48)

NAMES: Sequence[Value] = [None, "a", "B", "!", "9", "10", "页"]
"""By the order of texts, in which the ASCII of `!` comes before that of a full stop, and `10` before `9`."""
NAMED = st.sampled_from([*NAMES[:3], *NAMES])
PATHS = st.lists(st.builds(Path, st.lists(NAMED, min_size=1, max_size=5).map(tuple), st.integers(3, 25)), max_size=60)


def flows(paths: Sequence[Path], steps: int, *, backward: bool = False, names: Sequence[Value] = NAMES) -> Flows:
    nodes = np.full((len(paths), steps), -1, dtype=np.int32)
    for n, path in enumerate(paths):
        for step, name in enumerate(path.nodes[:steps]):
            nodes[n, step] = names.index(name)
    subjects = np.array([path.subject for path in paths], dtype=np.int64)
    return Flows(PERIOD, Walked(nodes, subjects, names), backward=backward)


@settings(max_examples=600, deadline=None, database=None)
@given(
    PATHS,
    st.integers(1, 6),
    st.integers(2, 5),
    st.sampled_from([-1, 0]),
    st.booleans(),
    st.permutations(NAMES),
    st.sampled_from([0, ROOM]),
)
def test_any_paths(
    paths: list[Path], k: int, steps: int, late: int, backward: bool, names: list[Value], room: int
) -> None:
    as_of = CLOSED + timedelta(microseconds=late)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("reports.privacy.flows.ROOM", room)
        told = list(released_flows(flows(paths, steps, backward=backward, names=names), k, as_of))
    slow = [*oracle_flows.flows(paths, steps, k, all_closed=late == 0, backward=backward)]
    assert [(table, row.keys, {name: cell.value for name, cell in row.cells.items()}) for table, row in told] == slow
    for _, row in told:
        assert row.closed == (late == 0)
        for cell in row.cells.values():
            assert cell.status == (Status.SUPPRESSED if cell.value is None else Status.OK)


@settings(max_examples=300, deadline=None, database=None)
@given(PATHS, st.integers(2, 6), st.integers(2, 5))
def test_what_leaves_a_node_is_what_arrives_and_each_link_has_k(paths: list[Path], k: int, steps: int) -> None:
    figures = Figures({"nodes": [], "links": [flows(paths, steps)], "drop_offs": []})
    tables = release(figures, k=k, as_of=CLOSED).tables
    arrived: Counter[tuple[object, ...]] = Counter()
    left: Counter[tuple[object, ...]] = Counter()
    for row in tables["links"]:
        assert row.cells["subjects"].value >= k
        step, source, source_other, target, target_other = row.keys.values()
        left[step, source, source_other] += row.cells["transitions"].value
        arrived[step + 1, target, target_other] += row.cells["transitions"].value
    for row in tables["drop_offs"]:
        assert row.cells["subjects"].value >= k
        left[tuple(row.keys.values())] += row.cells["sessions"].value
    for row in tables["nodes"]:
        node, sessions = tuple(row.keys.values()), row.cells["sessions"].value
        if sessions is None:
            assert (node, len(tables["nodes"])) == ((1, None, True), 1)
            continue
        if row.keys["step"] > 1:
            assert sessions == arrived[node]
        if row.keys["step"] < steps:
            assert sessions == left[node]
