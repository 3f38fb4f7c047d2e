"""The report `pages`, worked out by hand and compared with the slow count; and what the gate makes of it."""

import csv
import io
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.api.answers.visits import PagesAnswered
from reports.columns import read
from reports.metrics.bands import DWELL_S, LOAD_BANDS, LOAD_MS
from reports.privacy.threshold import Released
from tests.reports import oracle_pages
from tests.reports.events import History, Seen, local
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories

Histories = Callable[..., History]
NOON = local("2025-10-05 12:00:00")
DAY = "2025-10-05"


def view(subject: str, page: str | None, after: float, name: str = "page_view", **more: Any) -> Seen:
    """`after` so many seconds from noon, unless `at` is given."""
    at = more.pop("at", NOON) + timedelta(seconds=after)
    return Seen(subject, at, name=name, page=page, **more)


def leave(subject: str, page: str, after: float, **properties: Any) -> Seen:
    return view(subject, page, after, "page_leave", properties=properties)


def tap(subject: str, page: str, after: float, element: str = "buy") -> Seen:
    return view(subject, page, after, "tap", properties={"element": element})


def told(history: History, first: str = DAY, last: str = DAY, **asked: Any) -> Released:
    return history.ask(first, last, metric="pages", **asked)


def rows(released: Released, *names: str, table: str = "data") -> dict[Any, list[Any]]:
    """Row's page, or page and value in a table of details -> some cells."""
    return {_key(row.keys): [row.cells[name].value for name in names] for row in released.tables[table]}


def _key(keys: Mapping[str, Any]) -> Any:
    found = tuple("other" if keys[f"{name}_other"] else keys[name] for name in keys if not name.endswith("_other"))
    return found if len(found) > 1 else found[0]


def test_views_entries_exits_and_bounces(history: Histories) -> None:
    shanghai = history()
    shanghai.add(view("ann", "home", 0), view("ann", "item", 10), view("ann", "home", 40))
    shanghai.add(view("bob", "item", 0))  # bounced
    shanghai.add(view("cem", "item", 0), tap("cem", "item", 5))  # one view, but did something
    shanghai.add(view("dee", None, 0), view("dee", "home", 1))
    shanghai.add(view("eve", "home", 0, "launch"))  # no view
    released = told(shanghai)
    assert rows(released, "views", "subjects", "share", "entries", "exits", "exit_rate", "bounce_rate") == {
        None: [1, 1, round(1 / 7, 4), 1, 0, 0, 0],
        "home": [3, 2, round(3 / 7, 4), 1, 2, round(2 / 3, 4), 0],
        "item": [3, 3, round(3 / 7, 4), 2, 2, round(2 / 3, 4), 0.5],
    }
    assert {name: cell.value for name, cell in released.totals.items()} == {
        "views": 7,
        "subjects": 4,
        "withdrawn_subjects": 0,
    }


def test_a_page_without_an_entry_has_no_bounce_rate(history: Histories) -> None:
    shanghai = history()
    shanghai.add(view("ann", "home", 0), view("ann", "item", 10))
    cells = {row.keys["page"]: row.cells["bounce_rate"] for row in told(shanghai).tables["data"]}
    assert [(cells[page].value, str(cells[page].status)) for page in ("home", "item")] == [
        (0, "ok"),
        (None, "not_observable"),
    ]


def test_dwell_is_the_clients_or_the_gap_and_never_both(history: Histories) -> None:
    shanghai = history()
    shanghai.add(view("ann", "home", 0, dwell_ms=4000), view("ann", "home", 10), view("ann", "item", 34))
    shanghai.add(view("bob", "home", 0, session="s"), view("bob", "item", 1800, session="s"))  # 30:00 is a gap
    shanghai.add(view("cem", "home", 0, session="s"), view("cem", "item", 1800.000001, session="s"))  # and this unknown
    shanghai.add(view("dee", "home", 0), view("dee", "home", 3, "page_leave", dwell_ms=2000))
    assert rows(told(shanghai), "views", "dwell_client_known", "dwell_client_mean_s", "dwell_gap_known", "dwell_gap_mean_s") == {
        "home": [5, 2, 3, 2, 912],
        "item": [3, 0, None, 0, None],
    }  # fmt: skip
    quantiles = rows(told(shanghai), "dwell_client_median_s", "dwell_client_median_s_bin", "dwell_gap_p90_s_bin")
    assert quantiles["home"] == [2.5, (2, 3), (1800, 3600)]


def test_a_page_leave_belongs_to_the_last_view_of_its_page(history: Histories) -> None:
    shanghai = history()
    shanghai.add(
        leave("ann", "home", -1, scroll_depth=99, load_ms=99),  # before any view of it
        view("ann", "home", 0),
        view("ann", "item", 5),
        leave("ann", "home", 5, scroll_depth=0.5, load_ms=400),  # the view is shown before the page below is left
        leave("ann", "home", 6, scroll_depth=0.25),  # the largest counts
        view("ann", "home", 20),
        leave("ann", "home", 20, scroll_depth=1, load_ms=1000),
        leave("ann", "item", 21, scroll_depth="deep", load_ms=True),  # no number
    )
    released = told(shanghai)
    assert rows(released, "scroll_depth_mean", "load_p50_ms_bin", "load_p90_ms_bin") == {
        "home": [0.75, (400, 500), (1000, 1250)],
        "item": [None, None, None],
    }
    assert rows(released, "views", "exit_rate", table="load_bands") == {
        ("home", "0-500"): [1, 0],
        ("home", "1000-2000"): [1, 1],
        ("item", None): [1, 0],
    }


@pytest.mark.parametrize("late", ["item", "home"])
def test_of_views_of_one_moment_the_last_by_id_is_left(history: Histories, late: str) -> None:
    shanghai = history()
    order = {page: f"e{n}" for n, page in enumerate(["home", "item"] if late == "item" else ["item", "home"])}
    for page, event_id in order.items():
        shanghai.add(view("ann", page, 0, event_id=event_id))
    shanghai.add(view("ann", late, 0, event_id="e2"), view("ann", late, 0, "page_leave", event_id="a", dwell_ms=500))
    shanghai.add(view("ann", late, 5, "page_leave", dwell_ms=9000))
    names = ("views", "entries", "exits", "dwell_client_known", "dwell_client_mean_s", "dwell_gap_known")
    early = next(page for page in order if page != late)
    assert rows(told(shanghai), *names) == {early: [1, 1, 0, 0, None, 1], late: [2, 0, 1, 1, 9, 1]}


def test_a_page_leave_belongs_to_no_view_of_another_session(history: Histories) -> None:
    shanghai = history()
    shanghai.add(view("ann", "home", 0, session="s"), view("ann", "home", 1, session="s"), view("bob", "home", 0))
    for session in (
        "r",
        "t",
        None,
    ):  # before the session of the views and behind it, in whatever order sessions are read
        shanghai.add(view("ann", "home", 9, "page_leave", session=session, dwell_ms=5000))
        shanghai.add(view("cem", "home", 9, "page_leave", session=session, dwell_ms=5000))
    names = ("views", "dwell_client_known", "dwell_gap_known", "dwell_gap_mean_s")
    assert rows(told(shanghai), *names) == {"home": [3, 0, 1, 1]}


def test_the_largest_of_what_a_view_and_its_leaves_say_counts(history: Histories) -> None:
    shanghai = history()
    shanghai.add(view("ann", "home", 0, dwell_ms=3000), view("ann", "home", 4, "page_leave", dwell_ms=1000))
    shanghai.add(
        leave("ann", "home", 5, scroll_depth=2, load_ms=900), leave("ann", "home", 6, scroll_depth=-4, load_ms=90)
    )
    shanghai.add(view("bob", "home", 0, properties={"scroll_depth": 7, "load_ms": 9}))  # the client says it on leaving
    released = told(shanghai)
    names = ("dwell_client_mean_s", "scroll_depth_mean", "load_p90_ms_bin")
    assert rows(released, *names) == {"home": [3, 2, (800, 1000)]}
    assert rows(released, "views", table="load_bands") == {("home", None): [1], ("home", "500-1000"): [1]}


@pytest.mark.parametrize(
    ("load", "bin_", "band"),
    [
        (-5, (0, 50), "0-500"),
        (0, (0, 50), "0-500"),
        (499.9999, (400, 500), "0-500"),
        (500, (500, 600), "500-1000"),
        (5000, (5000, 7500), "5000+"),
        (60_000, (30_000, None), "5000+"),
        (1e9, (30_000, None), "5000+"),
    ],
)
def test_bins_and_bands_of_load_times(history: Histories, load: float, bin_: Any, band: str) -> None:
    shanghai = history()
    shanghai.add(view("ann", "home", 0), leave("ann", "home", 1, load_ms=load))
    released = told(shanghai)
    assert rows(released, "load_p50_ms_bin") == {"home": [bin_]}
    assert rows(released, "views", table="load_bands") == {("home", band): [1]}


@pytest.mark.parametrize(
    ("dwell_ms", "bin_"), [(0, (0, 1)), (1999, (1, 2)), (2000, (2, 3)), (86_400_000, (14_400, None))]
)
def test_bins_of_dwell(history: Histories, dwell_ms: int, bin_: Any) -> None:
    shanghai = history()
    shanghai.add(view("ann", "home", 0, dwell_ms=dwell_ms))
    released = told(shanghai)
    assert rows(released, "dwell_client_median_s_bin", "dwell_client_mean_s") == {"home": [bin_, dwell_ms / 1000]}


def test_subjects_who_are_read_apart_count_together(history: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    shanghai = history()
    for subject in ("ann", "bob", "cem"):
        shanghai.add(view(subject, "home", 0), tap(subject, "home", 1, "buy" if subject == "bob" else "like"))
    whole = told(shanghai)
    monkeypatch.setattr(read, "SUBJECT_BITS", 0)
    apart = told(shanghai)
    assert rows(apart, "views", "subjects", "share", "exits") == {"home": [3, 3, 1, 3]}
    assert rows(apart, "interactions", "subjects", table="elements") == {
        ("home", "buy"): [1, 1],
        ("home", "like"): [2, 2],
    }
    assert (apart.tables, apart.totals) == (whole.tables, whole.totals)


def test_pages_that_are_gone_are_one_without_a_path(history: Histories) -> None:
    shanghai = history()
    shanghai.add(view("ann", "home", 0), view("ann", "item", 1), view("bob", None, 2), tap("bob", "order", 3))
    shanghai.owner.execute("DELETE FROM page")
    assert rows(told(shanghai), "views", "subjects", "entries", "exits") == {None: [3, 2, 2, 2]}


def test_taps_by_element(history: Histories) -> None:
    shanghai = history()
    shanghai.add(view("ann", "item", 0), tap("ann", "item", 1), tap("ann", "item", 2), tap("ann", "item", 3, "like"))
    shanghai.add(view("bob", "item", 0), tap("bob", "item", 1), view("bob", "item", 2, "order"))
    shanghai.add(tap("bob", "other page", 2))
    released = told(shanghai)
    assert rows(released, "interactions_per_view") == {"item": [2.5], "other page": [None]}
    assert rows(released, "interactions", "subjects", table="elements") == {
        ("item", None): [1, 1],
        ("item", "buy"): [3, 2],
        ("item", "like"): [1, 1],
        ("other page", "buy"): [1, 1],
    }


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("Asia/Shanghai", "2025-10-04 16:00:00"),
        ("Asia/Tehran", "2025-10-04 20:30:00"),
        ("America/New_York", "2025-10-05 04:00:00"),  # EDT
    ],
)
def test_a_session_over_midnight_is_whole_on_its_first_day(history: Histories, zone: str, midnight: str) -> None:
    there = history(zone)
    at = local(midnight, "UTC")
    there.add(view("ann", "home", -1, at=at), view("ann", "item", 600, at=at), view("bob", "item", 0, at=at))
    assert rows(told(there, "2025-10-04", "2025-10-04"), "views", "entries", "exits") == {
        "home": [1, 1, 0],
        "item": [1, 0, 1],
    }
    assert rows(told(there), "views", "entries", "bounce_rate") == {"item": [1, 1, 1]}


@pytest.mark.parametrize(("day", "hours"), [("2025-03-09", 23), ("2025-11-02", 25)])
def test_the_days_on_which_clocks_change(history: Histories, day: str, hours: int) -> None:
    york = history("America/New_York")
    midnight = local(f"{day} 00:00:00", "America/New_York").astimezone(UTC)
    ends = midnight + timedelta(hours=hours)
    york.add(view("ann", "p", -1, at=midnight), view("bob", "p", 0, at=midnight))
    york.add(view("cem", "p", -1, at=ends), view("dee", "p", 0, at=ends))
    assert rows(told(york, day, day), "views") == {"p": [2]}


def test_a_late_event_counts_where_it_happened_and_a_future_range_is_not_observable(history: Histories) -> None:
    shanghai = history()
    shanghai.add(view("ann", "home", 0), view("ann", "item", 60))
    shanghai.owner.execute("UPDATE event SET received_at = received_at + interval '6 days'")
    assert rows(told(shanghai), "views") == {"home": [1], "item": [1]}
    early = told(shanghai, as_of=local("2025-10-04 12:00:00"))
    assert str(early.totals["views"].status) == "not_observable"
    assert {str(cell.status) for row in early.tables["data"] for cell in row.cells.values()} == {"not_observable"}


def test_bands_end_where_bins_do() -> None:
    assert {edge for edge, _ in LOAD_BANDS} <= set(LOAD_MS)


# --- the gate ---


def crowd(first: int, last: int, page: str, *after: Callable[[str], Seen]) -> list[Seen]:
    return [one for n in range(first, last) for one in (view(f"s{n}", page, 0), *(make(f"s{n}") for make in after))]


def on_to(page: str) -> Callable[[str], Seen]:
    return lambda subject: view(subject, page, 60)


def test_small_pages_are_told_together(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, "home") + crowd(20, 40, "home", on_to("item")))
    shanghai.add_all(crowd(40, 46, "diary/of-ann") + crowd(46, 52, "diary/of-bob"))
    released = told(shanghai, k=10)
    assert rows(released, "views", "subjects") == {"home": [40, 40], "item": [20, 20], "other": [12, 12]}
    assert rows(released, "exits", "exit_rate") == {"home": [None] * 2, "item": [None] * 2, "other": [None] * 2}
    assert [released.totals[name].value for name in ("views", "subjects")] == [72, 52]
    assert rows(told(shanghai, k=10, as_of=local("2025-10-07 23:59:59")), "views") == {"other": [72]}, "not closed"


def test_small_pages_are_told_together_with_what_was_done_there(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, "home"))
    for page, first in (("diary/of-ann", 40), ("diary/of-bob", 46)):
        shanghai.add_all(crowd(first, first + 6, page, lambda subject, page=page: tap(subject, page, 1)))  # type: ignore[misc]
    shanghai.add_all(tap(f"s{n}", "diary/of-bob", 2) for n in range(46, 49))
    released = told(shanghai, k=10)
    assert rows(released, "views", "interactions_per_view") == {"home": [20, 0], "other": [12, 1.25]}
    assert rows(released, "interactions", "subjects", table="elements") == {("other", "buy"): [15, 12]}


def test_dwell_known_of_few_is_not_told(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, "home", on_to("item")) + crowd(20, 40, "home"))
    shanghai.add_all([view("s40", "home", 0, dwell_ms=3000)])
    names = ("dwell_client_known", "dwell_client_mean_s", "dwell_gap_known", "dwell_gap_median_s_bin")
    assert rows(told(shanghai, k=10), *names)["home"] == [None, None, None, (60, 90)]
    shanghai.add_all([view(f"s{n}", "home", 0, dwell_ms=3000) for n in range(41, 50)])
    assert rows(told(shanghai, k=10), *names)["home"] == [10, 3, 20, (60, 90)]


def test_an_exit_that_is_no_bounce_is_not_told_by_difference(history: Histories) -> None:
    shanghai = history()
    for page, on in (("home", "item"), ("item", "home")):
        for n in range(12):
            shanghai.add(view(f"{page}-b{n}", page, 0))
            shanghai.add(view(f"{page}-c{n}", page, 0), view(f"{page}-c{n}", on, 10), view(f"{page}-c{n}", "end", 20))
    for n in range(12):
        shanghai.add(view(f"end-b{n}", "end", 0))
        shanghai.add(view(f"end-c{n}", "end", 0), view(f"end-c{n}", "home", 1), view(f"end-c{n}", "end", 2))
    names = ("exits", "entries", "bounce_rate")
    shanghai.add(view("ann", "item", 0), view("ann", "home", 10))
    told_of = rows(told(shanghai, k=10), *names)
    assert told_of["home"] == [13, 24, None], "13 - 24 · 0.5 would be ann"
    shanghai.add_all(one for n in range(12) for one in (view(f"d{n}", "item", 0), view(f"d{n}", "home", 10)))
    shanghai.add_all(one for n in range(12) for one in (view(f"e{n}", "home", 0), view(f"e{n}", "item", 10)))
    assert rows(told(shanghai, k=10), *names)["home"] == [25, 36, round(12 / 36, 4)]


def test_a_pause_over_thirty_minutes_of_few_is_not_told_by_difference(history: Histories) -> None:
    shanghai = history()
    for page, on in (("home", "item"), ("item", "home")):
        for n in range(12):
            shanghai.add(*(view(f"{page}{n}", there, after) for there, after in ((page, 0), (on, 10), (page, 20))))
    names = ("views", "exits", "dwell_gap_known")
    assert rows(told(shanghai, k=10), *names)["home"] == [36, 12, 24]
    shanghai.add(view("ann", "home", 0, session="s"), view("ann", "item", 2000, session="s"))
    assert rows(told(shanghai, k=10), *names)["home"] == [37, 12, None], "37 - 12 - 24 would be ann"


def test_that_a_page_has_no_entry_is_not_told_by_a_status(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, "home", on_to("item"), lambda subject: view(subject, "home", 90)))
    (item,) = [row for row in told(shanghai, k=10).tables["data"] if row.keys["page"] == "item"]
    assert {str(item.cells[name].status) for name in ("entries", "exits", "bounce_rate")} == {"suppressed"}


# --- over HTTP ---


def test_the_answer_over_http(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 12, "=home", on_to("item")) + crowd(12, 24, "=home"))
    shanghai.add_all([tap(f"s{n}", "=home", 1) for n in range(12, 24)])
    body = {"from": DAY, "to": DAY}
    response = shanghai.program.post("reports/pages", body)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert [answer["views"], answer["subjects"]] == [36, 24]
    assert [(row["page"], row["page_other"], row["views"]) for row in answer["data"]] == [
        ("=home", False, 24),
        ("item", False, 12),
    ]
    assert answer["data"][0]["dwell_gap_median_s_bin"] == [60, 90]
    assert answer["elements"][0] | {"status": None} == {
        "page": "=home",
        "page_other": False,
        "element": "buy",
        "element_other": False,
        "interactions": 12,
        "subjects": 12,
        "closed": True,
        "status": None,
    }
    msgspec.json.decode(response.content, type=PagesAnswered, strict=True)
    assert set(answer) == set(PagesAnswered.__struct_fields__)
    written = shanghai.program.post("reports/pages", body, Accept="text/csv")
    first, second = csv.DictReader(io.StringIO(written.content.decode(), newline=""))
    assert [first[name] for name in ("page", "page_other", "views", "views_status", "dwell_gap_median_s_bin")] == [
        "'=home",
        "false",
        "24",
        "ok",
        "60-90",
    ]
    assert (second["page"], second["closed"]) == ("item", "true")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"interval": "day"}, "interval_unavailable"),
        ({"filters": [{"field": "os", "op": "eq", "value": "x"}]}, "filters_unavailable"),
        ({"breakdown": "os"}, "breakdown_unavailable"),
        ({"privacy": "dp"}, "privacy_unavailable"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, more: dict[str, Any], code: str) -> None:
    response = history().program.post("reports/pages", {"from": DAY, "to": DAY} | more)
    assert (response.status_code, response.json()["code"]) == (422, code)


# --- the slow count ---

QUANTILES = {
    "dwell_client": (DWELL_S, "dwell_client_median_s", "dwell_client_p90_s"),
    "dwell_gap": (DWELL_S, "dwell_gap_median_s", "dwell_gap_p90_s"),
    "load": (LOAD_MS, "load_p50_ms", "load_p90_ms"),
}


def reported(history: History, first: date, last: date) -> dict[Any, dict[str, Any]]:
    released = told(history, first.isoformat(), last.isoformat())
    found = {
        row.keys["page"]: {name: cell.value for name, cell in row.cells.items()} for row in released.tables["data"]
    }
    for row in found.values():
        row |= {"elements": {}, "load_bands": {}}
    for table, names in (("elements", ("interactions", "subjects")), ("load_bands", ("views", "exit_rate"))):
        for (page, value), cells in rows(released, *names, table=table).items():
            found[page][table][value] = tuple(cells)
    return found


def compare(found: dict[Any, dict[str, Any]], slow: dict[Any, dict[str, Any]]) -> None:
    """All equal, and each exact quantile in the bin that is told."""
    assert found.keys() == slow.keys()
    for page, row in slow.items():
        own = found[page]
        for source, (edges, *names) in QUANTILES.items():
            values = row.pop(source)
            for name, q in zip(names, (0.5, 0.9), strict=True):
                value, edge = own.pop(name), own.pop(f"{name}_bin")
                if not values:
                    assert (value, edge) == (None, None)
                    continue
                exact = values[math.ceil(round(q * len(values), 9)) - 1]
                # Below the first edge only a load time can lie that makes no sense.
                assert edge[0] <= max(exact, edges[0]) < (edge[1] or math.inf)
                assert edge[0] <= value <= (edge[1] or edge[0])
        assert own == row, page


DETAILS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "page": st.sampled_from(["home", "item"]),
        "dwell_ms": st.sampled_from([0, 999, 1000, 86_400_000]),
        "properties": st.fixed_dictionaries(
            {},
            optional={
                "scroll_depth": st.sampled_from([0, 0.5, 1]),
                "load_ms": st.sampled_from([-1, 0, 499, 500, 100_000]),
                "element": st.sampled_from(["buy", "like"]),
            },
        ),
    },
)


@drawing(40)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Histories, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)
    types = st.sampled_from(["page_view", "page_view", "page_leave", "launch", "hide", "tap", "order"])

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        bare = data.draw(histories(around))
        kinds = data.draw(st.lists(st.tuples(types, DETAILS), min_size=5, max_size=12))
        seen = []
        for n, one in enumerate(bare):
            name, more = kinds[n % len(kinds)]
            seen.append(Seen(one.subject, one.at, one.session, one.skew, name=name, event_id=f"e{n:05}", **more))
        first = around.date() + timedelta(days=data.draw(st.integers(-5, 3)))
        last = first + timedelta(days=data.draw(st.integers(0, 9)))
        there.clear()
        there.add_all(seen)
        compare(reported(there, first, last), oracle_pages.pages(seen, zone, first, last))

    compared()
