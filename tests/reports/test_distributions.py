"""The report `distributions`, worked out by hand and compared with the slow count; and what the gate makes of it."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.api.answers.visits import DistributionsAnswered
from reports.privacy.threshold import Released
from tests.reports import oracle_distributions
from tests.reports.events import History, Seen, local
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories

Histories = Callable[..., History]
NOON = local("2025-10-05 12:00:00")
DAY = "2025-10-05"


def seen(subject: str, after: float, name: str = "page_view", at: datetime = NOON, **more: Any) -> Seen:
    """`after` so many seconds."""
    return Seen(subject, at + timedelta(seconds=after), name=name, **more)


def told(history: History, first: str = DAY, last: str = DAY, **asked: Any) -> Released:
    return history.ask(first, last, metric="distributions", **asked)


def rows(released: Released) -> dict[tuple[str, Any], tuple[Any, ...]]:
    """(dimension, value) -> sessions, subjects."""
    return {
        (row.keys["dimension"], "other" if row.keys["value_other"] else row.keys["value"]): (
            row.cells["sessions"].value,
            row.cells["subjects"].value,
        )
        for row in released.tables["data"]
    }


def one(released: Released, dimension: str) -> dict[Any, tuple[Any, ...]]:
    return {value: cells for (name, value), cells in rows(released).items() if name == dimension}


def test_a_session_has_the_first_scene_and_context_that_is_given(history: Histories) -> None:
    shanghai = history()
    shanghai.add(seen("ann", 0, "launch"), seen("ann", 1, scene="1001", context={"os": "ios"}))
    shanghai.add(seen("ann", 2, scene="1002", context={"os": "android", "app_version": "8.0"}))
    shanghai.add(seen("ann", 7200, scene="1002"))  # another session
    shanghai.add(seen("bob", 0, scene="1007"), seen("bob", 0, scene="1001"))  # at one instant
    released = told(shanghai)
    assert one(released, "scene") == {"1001": (2, 2), "1002": (1, 1)}
    assert one(released, "os") == {"ios": (1, 1), None: (2, 2)}
    assert one(released, "app_version") == {"8.0": (1, 1), None: (2, 2)}
    assert [released.totals[name].value for name in ("sessions", "subjects")] == [3, 2]


def test_bands_of_dwell_and_depth(history: Histories) -> None:
    shanghai = history()
    shanghai.add(seen("ann", 0), seen("ann", 2.999999), seen("bob", 0), seen("bob", 3))
    shanghai.add(*(seen("cem", 1800 * n) for n in range(6)), seen("dee", 0, "launch"))
    released = told(shanghai)
    assert one(released, "dwell_band") == {"0-2": (2, 2), "3-5": (1, 1), "1801+": (1, 1)}
    assert one(released, "depth_band") == {"0": (1, 1), "2": (2, 2), "6-10": (1, 1)}


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
    there.add(seen("ann", -1, at=at, scene="a"), seen("ann", 600, at=at, scene="b"), seen("bob", 0, at=at, scene="b"))
    assert rows(told(there, "2025-10-04", "2025-10-04")) == {
        ("scene", "a"): (1, 1),
        ("os", None): (1, 1),
        ("app_version", None): (1, 1),
        ("dwell_band", "601-1800"): (1, 1),
        ("depth_band", "2"): (1, 1),
    }
    assert one(told(there), "scene") == {"b": (1, 1)}


@pytest.mark.parametrize(("day", "hours"), [("2025-03-09", 23), ("2025-11-02", 25)])
def test_the_days_on_which_clocks_change(history: Histories, day: str, hours: int) -> None:
    york = history("America/New_York")
    midnight = local(f"{day} 00:00:00", "America/New_York").astimezone(UTC)
    ends = midnight + timedelta(hours=hours)
    york.add(
        seen("ann", -1, at=midnight), seen("bob", 0, at=midnight), seen("cem", -1, at=ends), seen("dee", 0, at=ends)
    )
    assert one(told(york, day, day), "depth_band") == {"1": (2, 2)}


def test_a_late_event_counts_where_it_happened_and_a_future_range_is_not_observable(history: Histories) -> None:
    shanghai = history()
    shanghai.add(seen("ann", 0, scene="a"))
    shanghai.owner.execute("UPDATE event SET received_at = received_at + interval '6 days'")
    assert one(told(shanghai), "scene") == {"a": (1, 1)}
    assert str(told(shanghai, as_of=local("2025-10-04 12:00:00")).totals["sessions"].status) == "not_observable"
    assert told(shanghai, "2025-10-06", "2025-10-06").tables["data"] == []


# --- the gate ---


def crowd(first: int, last: int, scene: str) -> list[Seen]:
    return [seen(f"s{n}", 0, scene=scene) for n in range(first, last)]


def test_small_scenes_are_told_together(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 30, "1001") + crowd(30, 42, "1007") + crowd(42, 45, "1011") + crowd(45, 48, "1012"))
    released = told(shanghai, k=10)
    assert one(released, "scene") == {"1001": (30, 30), "other": (18, 18)}, "six would be told by difference"
    assert one(released, "os") == {None: (48, 48)}
    assert [released.totals[name].value for name in ("sessions", "subjects")] == [48, 48]
    assert set(rows(told(shanghai, k=10, as_of=local("2025-10-07 23:59:59"))).values()) == {(48, 48)}, "not closed"


def test_below_k_nothing_is_told(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 9, "1001"))
    released = told(shanghai, k=10)
    assert set(rows(released).values()) == {(None, None)}
    assert str(released.totals["sessions"].status) == "suppressed"


# --- over HTTP ---


def test_the_answer_over_http(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 12, "1001") + crowd(12, 24, "1007"))
    body = {"from": DAY, "to": DAY}
    response = shanghai.program.post("reports/distributions", body)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert (answer["sessions"], answer["subjects"]) == (24, 24)
    assert answer["data"][0] == {
        "dimension": "scene",
        "value": "1001",
        "value_other": False,
        "sessions": 12,
        "subjects": 12,
        "closed": True,
        "status": {"sessions": "ok", "subjects": "ok"},
    }
    msgspec.json.decode(response.content, type=DistributionsAnswered, strict=True)
    written = shanghai.program.post("reports/distributions", body, Accept="text/csv").content.decode()
    first = next(csv.DictReader(io.StringIO(written, newline="")))
    assert [first[name] for name in ("dimension", "value", "value_other", "sessions")] == [
        "scene",
        "1001",
        "false",
        "12",
    ]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"interval": "week"}, "interval_unavailable"),
        ({"filters": [{"field": "os", "op": "eq", "value": "x"}]}, "filters_unavailable"),
        ({"breakdown": "os"}, "breakdown_unavailable"),
        ({"privacy": "dp"}, "privacy_unavailable"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, more: dict[str, Any], code: str) -> None:
    response = history().program.post("reports/distributions", {"from": DAY, "to": DAY} | more)
    assert (response.status_code, response.json()["code"]) == (422, code)


# --- the slow count ---


def reported(history: History, first: date, last: date) -> dict[tuple[str, Any], tuple[Any, ...]]:
    return rows(told(history, first.isoformat(), last.isoformat()))


SAID: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": st.sampled_from(["page_view", "page_view", "launch", "tap"])},
    optional={
        "scene": st.sampled_from(["1001", "1007"]),
        "context": st.fixed_dictionaries(
            {}, optional={"os": st.sampled_from(["ios", "android"]), "app_version": st.sampled_from(["8.0", "10.0"])}
        ),
    },
)


@drawing(30)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Histories, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        bare = data.draw(histories(around))
        said = data.draw(st.lists(SAID, min_size=5, max_size=9))
        happened = [
            Seen(one.subject, one.at, one.session, one.skew, **said[n % len(said)]) for n, one in enumerate(bare)
        ]
        first = around.date() + timedelta(days=data.draw(st.integers(-5, 3)))
        last = first + timedelta(days=data.draw(st.integers(0, 9)))
        there.clear()
        there.add_all(happened)
        assert reported(there, first, last) == oracle_distributions.distributions(happened, zone, first, last)

    compared()
