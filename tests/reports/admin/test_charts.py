"""The kinds of charts, as data: what stands where, and that what is not told is a gap."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.utils import translation

from reports.admin.charts import band, bars, funnel, heat, line, sankey, stacked, triangle, waterfall
from reports.admin.charts.shared import GREY, PALE, plain

SUPPRESSED, NOT_OBSERVABLE = "suppressed", "not_observable"


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    with translation.override("en"):
        yield


def row(keys: Mapping[str, Any], **figures: Any) -> dict[str, Any]:
    """A row as REST answers it; a figure given as a status is not told."""
    statuses = {name: value if isinstance(value, str) else "ok" for name, value in figures.items()}
    values = {name: None if isinstance(value, str) else value for name, value in figures.items()}
    return {**keys, "closed": True, **values, "status": statuses}


def days(**columns: list[Any]) -> list[dict[str, Any]]:
    (length,) = {len(some) for some in columns.values()}
    return [
        row({"date": f"2026-10-{n + 1:02}"}, **{name: some[n] for name, some in columns.items()}) for n in range(length)
    ]


def entries(figure: Any) -> list[str]:
    """Of the legend."""
    return [trace.get("name", "") for trace in figure["data"] if trace.get("showlegend", True)]


def test_a_line_has_a_gap_where_a_figure_is_not_told() -> None:
    answered = {"data": days(dau=[12, SUPPRESSED, 0, NOT_OBSERVABLE], events=[3, 4, 5, 6])}
    drawn = line.figure(answered, {}, columns=("dau", "events"))
    assert [trace["y"] for trace in drawn["data"][:2]] == [[12, None, 0, None], [3, 4, 5, 6]]
    assert entries(drawn) == ["daily active", "events", "✱ suppressed", "– not observable"]
    bands = [(shape["x0"], shape["x1"]) for shape in drawn["layout"]["shapes"]]
    assert bands == [(0.5, 1.5), (2.5, 3.5)]


def test_gaps_beside_each_other_are_one_band() -> None:
    drawn = line.figure({"data": days(dau=[SUPPRESSED, SUPPRESSED, 12, SUPPRESSED])}, {}, columns=("dau",))
    assert [(shape["x0"], shape["x1"]) for shape in drawn["layout"]["shapes"]] == [(-0.5, 1.5), (2.5, 3.5)]


def test_a_line_beside_the_range_before() -> None:
    answered = {"data": days(events=[1, 2]), "previous": days(events=[5, SUPPRESSED])}
    ours, before = line.figure(answered, {}, columns=("events",), before="previous")["data"]
    assert (ours["y"], before["y"]) == ([1, 2], [5, None])
    assert before["x"] == ours["x"], "at the same places"
    assert len(line.figure({"data": days(events=[1])}, {}, columns=("events",), before="previous")["data"]) == 1
    assert before["line"]["dash"] == "dot" and before["name"] == "events · Before"


def test_lines_by_the_values_of_a_breakdown() -> None:
    """The largest; a value that is absent in an interval has a gap there."""
    values = [("2026-10-01", "ios", 5), ("2026-10-01", "android", 9), ("2026-10-02", "ios", 6)]
    rows = [row({"date": day, "value": value, "value_other": False}, events=n) for day, value, n in values]
    rows.append(row({"date": "2026-10-02", "value": None, "value_other": True}, events=SUPPRESSED))
    drawn = line.figure({"data": rows}, {}, columns=("events", "subjects"), split="value")["data"]
    assert [(trace["name"], trace["y"]) for trace in drawn[:3]] == [
        ("ios", [5, 6]),
        ("android", [9, None]),
        ("(others)", [None, None]),
    ]
    many = [row({"date": "2026-10-01", "value": f"v{n}", "value_other": False}, events=n) for n in range(30)]
    assert len(line.figure({"data": many}, {}, columns=("events",), split="value")["data"]) == 8


def test_a_value_that_is_called_as_all_others_is_another() -> None:
    of = {"date": "2026-10-01"}
    rows = [row(of | {"value": "(others)", "value_other": False}, events=500)]
    rows.append(row(of | {"value": None, "value_other": True}, events=12))
    drawn = line.figure({"data": rows}, {}, columns=("events",), split="value")["data"]
    assert [(trace["name"], trace["y"]) for trace in drawn] == [("(others)", [500]), ("(others)", [12])]
    steps = [
        step(1, "launch", n, 1.0, value=value, value_other=value is None)
        for value, n in (("(others)", 500), (None, 12))
    ]
    assert [trace["x"] for trace in funnel.figure({"data": steps}, {})["data"]] == [[500], [12]]
    links = [
        row(
            {"step": 1, "source": "a", "source_other": False, "target": target, "target_other": target is None},
            transitions=n,
            subjects=n,
        )
        for target, n in (("(others)", 500), (None, 12))
    ]
    (trace,) = sankey.figure({"data": {"links": links, "drop_offs": []}}, {})["data"]
    assert (trace["node"]["label"], trace["link"]["value"]) == (["a", "(others)", "(others)"], [500, 12])


def test_parts_of_one_are_on_an_axis_of_percentages() -> None:
    answered = {"data": days(bounce_rate=[0.5], sessions=[3])}
    assert line.figure(answered, {}, columns=("bounce_rate",))["layout"]["yaxis"]["tickformat"] == ".1~%"
    assert "tickformat" not in line.figure(answered, {}, columns=("sessions",))["layout"]["yaxis"]


def test_parts_of_which_none_is_told_are_not_of_400_per_cent() -> None:
    hidden, shown = days(bounce_rate=[SUPPRESSED, SUPPRESSED]), days(bounce_rate=[SUPPRESSED, 0])
    assert line.figure({"data": hidden}, {}, columns=("bounce_rate",))["layout"]["yaxis"]["range"] == [0, 1]
    assert "range" not in line.figure({"data": shown}, {}, columns=("bounce_rate",))["layout"]["yaxis"]


def test_an_answer_without_rows_draws_nothing() -> None:
    assert line.figure({"data": []}, {}, columns=("dau",))["data"] == []
    assert stacked.figure({"data": []}, {}, columns=("new",))["data"] == []
    assert band.figure({"data": []}, {}, middle="median_s", bands=[])["data"] == []


def test_who_stays_away_hangs_below() -> None:
    answered = {"data": days(new=[3, 4], dormant=[2, NOT_OBSERVABLE])}
    above, below, legend = stacked.figure(answered, {}, columns=("new",), below=("dormant",))["data"]
    assert (above["y"], below["y"]) == ([3, 4], [-2, None])
    assert below["customdata"] == [2, None], "what is told of a bar is its figure"
    assert legend["name"] == "– not observable"


def test_bars_of_rows() -> None:
    of = {"dimension": "scene"}
    rows = [
        row(of | {"value": "1001", "value_other": False}, sessions=1200),
        row(of | {"value": None, "value_other": True}, sessions=SUPPRESSED),
        row({"dimension": "os", "value": "ios", "value_other": False}, sessions=9),
    ]
    drawn = bars.figure({"data": rows}, {}, label=("value",), column="sessions", where={"dimension": "scene"})
    (trace,) = drawn["data"]
    assert (trace["x"], trace["text"]) == ([1200, None], ["1,200", None])
    assert drawn["layout"]["yaxis"]["ticktext"] == ["1001", "(others) ✱"]


def test_bars_of_totals() -> None:
    answered = {"status": {"accepted": "ok", "late": SUPPRESSED}, "accepted": 7, "late": None, "data": []}
    drawn = bars.totals(answered, {}, names=("accepted", "late"))
    assert drawn["data"][0]["x"] == [7, None]
    assert drawn["layout"]["yaxis"]["ticktext"] == ["accepted", "late ✱"]


def cohort(name: str, size: Any, values: list[Any]) -> dict[str, Any]:
    told = row({}, **{f"v{n}": value for n, value in enumerate(values)})
    return {
        "cohort": name,
        "size": None if isinstance(size, str) else size,
        "size_status": size if isinstance(size, str) else "ok",
        "values": [told[f"v{n}"] for n in range(len(values))],
        "status": list(told["status"].values()),
        "closed": True,
    }


def test_the_triangle_shows_parts_of_the_cohort() -> None:
    rows = [
        cohort("2026-10-01", 20, [20, 10, SUPPRESSED]),
        cohort("2026-10-02", SUPPRESSED, [SUPPRESSED, 11, NOT_OBSERVABLE]),
    ]
    drawn = triangle.figure({"data": rows}, {})
    shades = drawn["data"][-1]
    assert shades["z"] == [[1, 0.5, None], [None, None, None]]
    assert shades["text"] == [["100%", "50%", ""], ["", "", ""]]
    assert shades["customdata"] == [[20, 10, None], [None, 11, None]]
    assert shades["zmax"] == 0.5, "period 0 of all does not pale the others"
    withheld, _, later, _ = drawn["data"][:-1]
    assert withheld["z"] == [[None, None, 1], [1, 1, None]]
    assert later["z"] == [[None, None, None], [None, None, 1]]
    assert [name for name in entries(drawn) if name] == ["✱ suppressed", "– not observable"]


def step(number: int, event: str | None, subjects: Any, part: Any, **keys: Any) -> dict[str, Any]:
    return row({"step": number, "event": event, **keys}, subjects=subjects, conversion_from_first=part)


def test_a_funnels_steps() -> None:
    rows = [step(1, "launch", 40, 1.0), step(2, "order", 20, 0.5), step(3, None, SUPPRESSED, SUPPRESSED)]
    (trace,) = funnel.figure({"data": rows}, {})["data"]
    assert trace["y"] == ["1. launch", "2. order", "3. (none) ✱"]
    assert trace["x"] == [40, 20, None]
    assert trace["text"] == ["40 · 100%", "20 · 50%", ""]


def test_a_funnel_by_values() -> None:
    rows = [
        step(n, "launch", subjects, 1.0, value=value, value_other=False)
        for value, subjects in (("ios", 10), ("android", 30))
        for n in (1, 2)
    ]
    drawn = funnel.figure({"data": rows}, {})
    assert [trace["name"] for trace in drawn["data"]] == ["android", "ios"]
    assert drawn["layout"]["showlegend"]


def paths() -> dict[str, Any]:
    ends = {"source_other": False, "target_other": False}
    links = [
        row({"step": 1, "source": "home", "target": "cart", **ends}, transitions=7, subjects=6),
        row({"step": 1, "source": "home", "target": "<b>", **ends}, transitions=SUPPRESSED, subjects=SUPPRESSED),
        row({"step": 2, "source": "cart", "target": "home", **ends}, transitions=3, subjects=3),
    ]
    stops = [row({"step": 2, "name": "cart", "name_other": False}, sessions=4, subjects=4)]
    return {"data": {"links": links, "drop_offs": stops, "nodes": []}}


def test_paths_flow_from_step_to_step() -> None:
    drawn = sankey.figure(paths(), {})
    (trace,) = drawn["data"]
    assert trace["node"]["label"] == ["home", "cart", "home", "stops here"]
    links = trace["link"]
    assert list(zip(links["source"], links["target"], links["value"], strict=True)) == [(0, 1, 7), (1, 2, 3), (1, 3, 4)]
    home, _, again, stop = trace["node"]["color"]
    assert home == again and stop == GREY
    assert drawn["layout"]["annotations"][0]["text"] == "✱ suppressed links, not drawn: 1"


def test_paths_backward_lead_up_to_their_end() -> None:
    """Steps count from the end: a link of step 1 comes from the node of step 2."""
    (trace,) = sankey.figure(paths(), {"end": "cart"})["data"]
    labels, links = trace["node"]["label"], trace["link"]
    named = [
        (labels[a], labels[b], n) for a, b, n in zip(links["source"], links["target"], links["value"], strict=True)
    ]
    assert named == [("home", "cart", 7), ("cart", "home", 3), ("begins here", "cart", 4)]
    assert links["source"][1] != links["target"][0], "the cart of step 3 is not that of step 1"


def test_the_map_of_the_pages() -> None:
    rows = [
        row({"page": "a", "page_other": False}, views=10, exit_rate=0.5),
        row({"page": "b", "page_other": False}, views=5, exit_rate=SUPPRESSED),
        row({"page": None, "page_other": True}, views=SUPPRESSED, exit_rate=SUPPRESSED),
    ]
    drawn = heat.figure({"data": rows}, {}, label="page", area="views", shade="exit_rate")
    (trace,) = drawn["data"]
    assert (trace["labels"], trace["values"]) == (["a", "b"], [10, 5])
    assert trace["marker"]["colors"] == ["rgb(55, 48, 163)", PALE]
    assert trace["text"] == ["views 10<br>exit rate 50%", "views 5"]
    assert drawn["layout"]["annotations"][0]["text"] == "✱ suppressed, not drawn: 1"


def test_a_waterfall_leads_from_one_figure_to_another() -> None:
    changes = [("ios", 8), ("android", -3), ("other", SUPPRESSED)]
    rows = [row({"value": value, "value_other": False}, change=number) for value, number in changes]
    ends = {"status": {"first": "ok", "last": "ok"}, "first": 100, "last": 106}
    drawn = waterfall.figure({"data": rows, **ends}, {}, label="value", column="change", first="first", last="last")
    (trace,) = drawn["data"]
    assert trace["y"] == [100, 8, -3, None, 106]
    assert trace["measure"] == ["absolute", "relative", "relative", "relative", "absolute"]
    assert drawn["layout"]["xaxis"]["ticktext"] == ["first", "ios", "android", "other ✱", "last"]


def test_a_waterfall_draws_the_largest_and_what_is_left() -> None:
    rows = [row({"value": f"v{n}", "value_other": False}, change=100 - n) for n in range(25)]
    ends = {"status": {"last": "ok", "left": "ok"}, "last": 2201, "left": 1}
    names = {"label": "value", "column": "change", "last": "last", "residual": "left"}
    (trace,) = waterfall.figure({"data": rows, **ends}, {}, **names)["data"]
    assert trace["y"] == [*range(100, 80, -1), 80 + 79 + 78 + 77 + 76, 1, 2201]
    rows[24] = row({"value": "v24", "value_other": False}, change=SUPPRESSED)
    (trace,) = waterfall.figure({"data": rows, **ends, "left": 0}, {}, **names)["data"]
    assert trace["y"][20:] == [None, 2201], "some of the others are not told"


def test_a_band_is_not_drawn_across_a_gap() -> None:
    answered = {"data": days(mean=[5, 6, SUPPRESSED, 8], low=[4, 5, SUPPRESSED, 7], high=[6, 7, SUPPRESSED, 9])}
    drawn = band.figure(answered, {}, middle="mean", bands=[("low", "high")])
    edges, middle = drawn["data"][:4], drawn["data"][4]
    assert [(trace["x"][0], trace["y"]) for trace in edges] == [
        ("2026-10-01", [4, 5]),
        ("2026-10-01", [6, 7]),
        ("2026-10-04", [7]),
        ("2026-10-04", [9]),
    ]
    assert [trace.get("fill") for trace in edges] == [None, "tonexty", None, "tonexty"]
    assert middle["y"] == [5, 6, None, 8]
    assert entries(drawn) == ["lower edge – upper edge", "mean", "✱ suppressed"], "a band stands in the legend once"


def test_a_lower_bound_is_no_point() -> None:
    """Of a quantile in an open bin REST tells the lower edge; drawn, it would read as the figure."""
    rows = days(median_s=[60, 0], p10_s=[20, 0], p90_s=[90, 0])
    for name in ("median_s", "p10_s", "p90_s"):
        rows[0][f"{name}_bin"], rows[1][f"{name}_bin"] = (10, 100), (0, None)
    drawn = band.figure({"data": rows}, {}, middle="median_s", bands=[("p10_s", "p90_s")])
    assert [trace["y"] for trace in drawn["data"][:3]] == [[20], [90], [60, None]]
    assert entries(drawn)[-1] == "≥ a lower bound only"


def test_what_is_anomalous_is_pointed_out() -> None:
    """A shape of its own around the point, and an entry in the legend; none on days that are not, or not judged."""
    columns = {"value": [5, 50, 6, 7], "expected": [5, 6, 6, 6], "low": [3, 3, 3, 3], "high": [9, 9, 9, 9]}
    asked: dict[str, Any] = {
        "middle": "expected",
        "bands": [("low", "high")],
        "actual": "value",
        "flagged": "anomalous",
    }
    drawn = band.figure({"data": days(**columns, anomalous=[False, True, NOT_OBSERVABLE, SUPPRESSED])}, {}, **asked)
    flags = [trace for trace in drawn["data"] if trace["name"] == "anomalous"]
    assert [(trace["x"], trace["y"]) for trace in flags] == [(["2026-10-02"], [50])]
    assert flags[0]["marker"]["symbol"] == "diamond-open" and flags[0]["mode"] == "markers"
    assert "anomalous" in entries(drawn)
    quiet = band.figure({"data": days(**columns, anomalous=[False] * 4)}, {}, **asked)
    assert "anomalous" not in entries(quiet)


def test_a_band_beside_what_came() -> None:
    answered = {"data": days(mean=[5, 6], low=[4, 5], high=[6, 7], events=[5, NOT_OBSERVABLE])}
    drawn = band.figure(answered, {}, middle="mean", bands=[("low", "high")], actual="events")
    assert drawn["data"][3]["y"] == [5, None]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<a href='https://evil.example'>x</a>", "&lt;a href='https:…l.example'&gt;x&lt;/a&gt;"),
        ("a&amp;b", "a&amp;amp;b"),
        ("pages/index", "pages/index"),
        ("p" * 40, "p" * 15 + "…" + "p" * 16),
    ],
)
def test_a_text_stays_a_text(text: str, shown: str) -> None:
    """plotly.js takes some markup in labels for what it says."""
    assert plain(text) == shown
