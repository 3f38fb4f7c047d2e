"""The map of the pages: an area a page, as large as its views and the darker the more of them were the last."""

from django.utils.translation import gettext

from reports.admin import words
from reports.admin.charts.shared import PALE, Asked, Figure, layout, plain, told
from reports.admin.tables import Answered, Row, key_text, percent, rows_of

LIGHT, DARK = (199, 210, 254), (55, 48, 163)
MOST = 60


def figure(answered: Answered, _asked: Asked, *, label: str, area: str, shade: str, table: str = "data") -> Figure:
    """`area` and `shade`: columns; the shade is a part of one. Rows whose area is not told have none."""
    rows = [row for row in rows_of(answered, table) if told(row, area)][:MOST]
    missing = sum(told(row, area) is None for row in rows_of(answered, table))
    most = max((told(row, shade) or 0 for row in rows), default=0)
    trace = {
        "type": "treemap",
        "labels": [plain(key_text(row, label)) for row in rows],
        "ids": [str(n) for n, _row in enumerate(rows)],
        "parents": [""] * len(rows),
        "values": [told(row, area) for row in rows],
        "text": [_text(row, area, shade) for row in rows],
        "texttemplate": "%{label}<br>%{text}",
        "hovertemplate": "%{label}<br>%{text}<extra></extra>",
        "marker": {"colors": [_colour(told(row, shade), most) for row in rows]},
        "pathbar": {"visible": False},
    }
    told_of = gettext("✱ suppressed, not drawn: %(number)d") % {"number": missing}
    note = {
        "text": told_of,
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": -0.06,
        "xanchor": "left",
        "showarrow": False,
    }
    return {
        "data": [trace],
        "layout": layout(
            height=420,
            hovermode="closest",
            margin={"l": 0, "r": 0, "t": 8, "b": 32},
            annotations=[note] if missing else [],
        ),
    }


def _text(row: Row, area: str, shade: str) -> str:
    part = told(row, shade)
    texts = [f"{words.column(area)} {told(row, area):,}"]
    return "<br>".join([*texts, f"{words.column(shade)} {percent(part)}"] if part is not None else texts)


def _colour(part: float | None, most: float) -> str:
    if part is None:
        return PALE
    weight = part / most if most else 0
    mixed = (round(light + weight * (dark - light)) for light, dark in zip(LIGHT, DARK, strict=True))
    return f"rgb({', '.join(map(str, mixed))})"
