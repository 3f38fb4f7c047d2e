"""Paths as a flow: nodes from step to step, links as wide as the paths that take them, and where paths stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext

from reports.admin.charts.shared import GREY, Asked, Figure, colour, layout, plain, told
from reports.admin.tables import Answered, Row, key_of, key_text, rows_of

STOPS = "rgba(156, 163, 175, 0.3)"
FLOWS = "rgba(79, 70, 229, 0.25)"


@dataclass
class _Flow:
    """Nodes by step and what they are, and links between their numbers; `labels` by number."""

    nodes: dict[tuple[int, object], int] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    links: list[tuple[int, int, float, str]] = field(default_factory=list)

    def of(self, step: int, row: Row, name: str) -> int:
        return self.node(step, key_of(row, name), key_text(row, name))

    def node(self, step: int, what: object, label: str) -> int:
        number = self.nodes.setdefault((step, what), len(self.nodes))
        if number == len(self.labels):
            self.labels.append(label)
        return number


def figure(answered: Answered, asked: Asked) -> Figure:
    """Forward, or backward where an end was asked: there steps count from the end."""
    backward = bool(asked.get("end"))
    flow, ends = _Flow(), gettext("begins here") if backward else gettext("stops here")
    for row in rows_of(answered, "links"):
        _link(flow, row, backward)
    for row in rows_of(answered, "drop_offs"):
        if sessions := told(row, "sessions"):
            here, beyond = flow.of(row["step"], row, "name"), flow.node(row["step"] + 1, STOPS, ends)
            flow.links.append((beyond, here, sessions, STOPS) if backward else (here, beyond, sessions, STOPS))
    columns = zip(*flow.links, strict=True) if flow.links else ([], [], [], [])
    sources, targets, sizes, fills = (list(column) for column in columns)
    trace = {
        "type": "sankey",
        "arrangement": "snap",
        "node": {
            "label": [plain(label) for label in flow.labels],
            "color": _colours([what for _step, what in flow.nodes]),
            "align": "right" if backward else "left",
            "pad": 14,
            "thickness": 14,
            "line": {"width": 0},
        },
        "link": {"source": sources, "target": targets, "value": sizes, "color": fills},
    }
    return {"data": [trace], "layout": layout(height=max(360, 34 * _highest(flow)), annotations=_suppressed(answered))}


def _link(flow: _Flow, row: Row, backward: bool) -> None:
    number = told(row, "transitions")
    if not number:
        return
    here, there = (row["step"] + 1, row["step"]) if backward else (row["step"], row["step"] + 1)
    source, target = flow.of(here, row, "source"), flow.of(there, row, "target")
    flow.links.append((source, target, number, FLOWS))


def _colours(nodes: Sequence[object]) -> list[str]:
    """The same page has the same colour at every step."""
    found: Mapping[object, int] = {what: n for n, what in enumerate(dict.fromkeys(nodes))}
    return [GREY if what == STOPS else colour(found[what]) for what in nodes]


def _highest(flow: _Flow) -> int:
    steps = [step for step, _name in flow.nodes]
    return max((steps.count(step) for step in set(steps)), default=0)


def _suppressed(answered: Answered) -> list[dict[str, Any]]:
    """How many links are not drawn, since they are not told."""
    missing = sum(told(row, "transitions") is None for row in rows_of(answered, "links"))
    if not missing:
        return []
    text = gettext("✱ suppressed links, not drawn: %(number)d") % {"number": missing}
    return [{"text": text, "xref": "paper", "yref": "paper", "x": 0, "y": -0.08, "xanchor": "left", "showarrow": False}]
