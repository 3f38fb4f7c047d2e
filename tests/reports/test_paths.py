"""The report `paths`, worked out by hand and compared with the slow count; and what the gate makes of it."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import Invalid
from reports.api.answers.visits import PathsAnswered
from reports.columns import read
from reports.metrics.paths import Paths
from reports.privacy.dimensions import ReleasedRow
from reports.privacy.threshold import Released
from tests.reports import oracle_paths
from tests.reports.events import History, Seen, local
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories

Histories = Callable[..., History]
DAY = "2025-10-05"
NOON = local("2025-10-05 12:00:00")


def visit(subject: str, *pages: str | None, at: datetime = NOON, session: str | None = None) -> list[Seen]:
    """Views of pages a minute apart."""
    return [
        Seen(subject, at + timedelta(minutes=n), session, name="page_view", page=page) for n, page in enumerate(pages)
    ]


def told(history: History, asked: Paths | None = None, first: str = DAY, last: str = DAY, **more: Any) -> Released:
    return history.ask(first, last, metric="paths", options=asked or Paths(), **more)


def rows(lines: Iterable[ReleasedRow]) -> dict[Any, Any]:
    """Step and names (`other` for what is) -> cells."""
    found = {}
    for row in lines:
        names = [name for name in row.keys if not name.endswith("_other")]
        key = tuple("other" if row.keys.get(f"{name}_other") else row.keys[name] for name in names)
        found[key] = tuple(cell.value for cell in row.cells.values())
    return found


def links(released: Released) -> dict[Any, Any]:
    """Step, source, target -> transitions, subjects."""
    return rows(released.tables["links"])


def test_forward_from_where_a_session_begins(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(visit("ann", "home", "list", "item", "list") + visit("bob", "home", "list"))
    shanghai.add_all(visit("ann", "home", "list", at=NOON + timedelta(hours=2)) + visit("cem", "item"))
    released = told(shanghai)
    assert links(released) == {(1, "home", "list"): (3, 2), (2, "list", "item"): (1, 1), (3, "item", "list"): (1, 1)}
    assert rows(released.tables["nodes"]) == {
        (1, "home"): (3,),
        (1, "item"): (1,),
        (2, "list"): (3,),
        (3, "item"): (1,),
        (4, "list"): (1,),
    }
    assert rows(released.tables["drop_offs"]) == {(1, "item"): (1, 1), (2, "list"): (2, 2), (4, "list"): (1, 1)}


def test_consecutive_repeats_are_folded(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(visit("ann", "home", "home", "list", "list", "home", None, None))
    assert links(told(shanghai)) == {
        (1, "home", "list"): (1, 1),
        (2, "list", "home"): (1, 1),
        (3, "home", None): (1, 1),
    }


def test_pages_are_those_that_were_viewed(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(visit("ann", "home", "list"))
    shanghai.add(Seen("ann", NOON + timedelta(seconds=30), name="tap", page="banner"))
    assert links(told(shanghai)) == {(1, "home", "list"): (1, 1)}


def test_from_a_start_and_to_an_end(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(visit("ann", "home", "list", "item", "list", "cart") + visit("bob", "list", "cart", "list"))
    shanghai.add_all(visit("cem", "home", "item"))
    start = told(shanghai, Paths(start="list", steps=3))
    assert links(start) == {
        (1, "list", "item"): (1, 1),
        (1, "list", "cart"): (1, 1),
        (2, "item", "list"): (1, 1),
        (2, "cart", "list"): (1, 1),
    }
    assert start.tables["drop_offs"] == [], "nobody stops before the last step; what comes after it is not asked"
    end = told(shanghai, Paths(end="list", steps=4))
    assert links(end) == {
        (1, "item", "list"): (1, 1),
        (1, "cart", "list"): (1, 1),
        (2, "list", "item"): (1, 1),
        (2, "list", "cart"): (1, 1),
        (3, "home", "list"): (1, 1),
    }
    assert rows(end.tables["drop_offs"]) == {(3, "list"): (1, 1)}, "bob's visit began there"
    assert links(told(shanghai, Paths(start="nowhere"))) == {}


def test_events_by_name(history: Histories) -> None:
    shanghai = history()
    for n, name in enumerate(("launch", "page_view", "page_view", "tap", "hide")):
        shanghai.add(Seen("ann", NOON + timedelta(seconds=n), name=name))
    events = Paths("event", end="tap", steps=20)
    assert links(told(shanghai, events)) == {(1, "page_view", "tap"): (1, 1), (2, "launch", "page_view"): (1, 1)}
    with pytest.raises(Invalid, match="unknown_event"):
        told(shanghai, Paths("event", start="nothing"))


def test_views_at_one_instant_are_in_the_order_of_their_ids(history: Histories) -> None:
    shanghai = history()
    for event_id, page in (("b", "list"), ("a", "home"), ("c", "item")):
        shanghai.add(Seen("ann", NOON, name="page_view", page=page, event_id=event_id))
    assert list(links(told(shanghai))) == [(1, "home", "list"), (2, "list", "item")]


def test_sessions_are_cut_and_belong_to_their_first_day(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(visit("ann", "home") + visit("ann", "list", at=NOON + timedelta(minutes=30, seconds=1)))
    late = local("2025-10-05 23:59:30")
    shanghai.add_all(
        visit("bob", "home", "list", at=late) + visit("cem", "home", "list", at=late + timedelta(seconds=30))
    )
    assert links(told(shanghai)) == {(1, "home", "list"): (1, 1)}
    next_day = told(shanghai, first="2025-10-06", last="2025-10-06")
    assert links(next_day) == {(1, "home", "list"): (1, 1)}
    assert rows(next_day.tables["drop_offs"]) == {(2, "list"): (1, 1)}, (
        "bob's went on after midnight, and is another day's"
    )


def test_subjects_who_are_read_apart_go_the_same_ways(history: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "SUBJECT_BITS", 0)
    shanghai = history()
    shanghai.add_all(visit("ann", "item", "list") + visit("bob", "home", "item", "list") + visit("cem", "item", "list"))
    assert links(told(shanghai)) == {
        (1, "home", "item"): (1, 1),
        (1, "item", "list"): (2, 2),
        (2, "item", "list"): (1, 1),
    }


def test_twenty_steps(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(visit("ann", *(f"p{n}" for n in range(25))))
    assert list(links(told(shanghai, Paths(steps=20)))) == [(n + 1, f"p{n}", f"p{n + 1}") for n in range(19)]


# --- the gate ---


def crowd(first: int, last: int, *pages: str) -> list[Seen]:
    return [one for n in range(first, last) for one in visit(f"s{n}", *pages)]


def test_links_of_few_go_to_other_and_on_from_there(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(
        crowd(0, 20, "home", "list", "item") + crowd(20, 26, "home", "cart", "item") + crowd(26, 32, "home")
    )
    released = told(shanghai, k=10)
    assert links(released) == {
        (1, "home", "list"): (20, 20),
        (1, "home", "other"): (12, 12),
        (2, "list", "item"): (20, 20),
        (2, "other", "other"): (12, 12),
    }, "26 at the item, less the 20 that came from the list, would tell of six"
    assert rows(released.tables["nodes"])[3, "item"] == (20,)
    assert rows(released.tables["drop_offs"])[3, "item"] == (20, 20)


def test_transitions_are_no_subjects(history: Histories) -> None:
    shanghai = history()
    for hour in range(5):
        shanghai.add_all(
            one for n in range(3) for one in visit(f"s{n}", "home", "list", at=NOON + timedelta(hours=hour))
        )
    released = told(shanghai, k=10)
    assert rows(released.tables["nodes"]) == {(1, "other"): (None,)}
    assert released.tables["links"] == released.tables["drop_offs"] == []


def test_an_open_range_is_other(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, "home", "list"))
    released = told(shanghai, Paths(steps=2), k=10, as_of=local("2025-10-07 12:00:00"))
    assert links(released) == {(1, "other", "other"): (20, 20)}


# --- over HTTP ---


def test_the_answer_over_http(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, "home", "list"))
    body = {"from": DAY, "to": DAY, "sequence": "page", "start": "home", "steps": 3}
    response = shanghai.program.post("reports/paths", body)
    assert response.status_code == 200, response.content
    data = response.json()["data"]
    assert data["links"] == [
        {
            "step": 1,
            "source": "home",
            "source_other": False,
            "target": "list",
            "target_other": False,
            "transitions": 20,
            "subjects": 20,
            "closed": True,
            "status": {"transitions": "ok", "subjects": "ok"},
        }
    ]
    assert [(node["step"], node["name"], node["sessions"]) for node in data["nodes"]] == [
        (1, "home", 20),
        (2, "list", 20),
    ]
    assert [(one["step"], one["name"], one["sessions"]) for one in data["drop_offs"]] == [(2, "list", 20)]
    msgspec.json.decode(response.content, type=PathsAnswered, strict=True)
    written = shanghai.program.post("reports/paths", body, Accept="text/csv")
    (row,) = csv.DictReader(io.StringIO(written.content.decode(), newline=""))
    assert [row[name] for name in ("source", "target", "transitions", "subjects")] == ["home", "list", "20", "20"]
    assert "data" not in json.loads(written["Zhiqing-Report"])


@pytest.mark.parametrize(
    ("more", "code", "pointer"),
    [
        ({"start": "a", "end": "b"}, "start_or_end", "/end"),
        ({"steps": 1}, "invalid", "/steps"),
        ({"steps": 21}, "invalid", "/steps"),
        ({"sequence": "event", "end": "nothing"}, "unknown_event", "/end"),
        ({"sequence": "tap"}, "invalid", "/sequence"),
        ({"breakdown": "os"}, "breakdown_unavailable", "/breakdown"),
        ({"interval": "day"}, "interval_unavailable", "/interval"),
        ({"privacy": "dp"}, "privacy_unavailable", "/privacy"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, more: dict[str, Any], code: str, pointer: str) -> None:
    response = history().program.post("reports/paths", {"from": DAY, "to": DAY} | more)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["errors"][0]["pointer"]) == (422, code, pointer)


# --- the slow count ---

SAID: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": st.sampled_from(["page_view", "page_view", "page_view", "tap", "launch"])},
    optional={"page": st.sampled_from(["home", "item", "list"])},
)
ASKED = st.one_of(
    st.builds(Paths, sequence=st.just("page"), steps=st.integers(2, 20)),
    st.builds(Paths, sequence=st.just("page"), start=st.sampled_from(["home", "none"]), steps=st.integers(2, 6)),
    st.builds(Paths, sequence=st.just("page"), end=st.sampled_from(["home", "item"]), steps=st.integers(2, 6)),
    st.builds(Paths, sequence=st.just("event"), start=st.just("tap"), steps=st.integers(2, 6)),
    st.builds(Paths, sequence=st.just("event"), end=st.just("page_view"), steps=st.integers(2, 6)),
)


@drawing(60)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Histories, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        said = data.draw(st.lists(SAID, min_size=5, max_size=9))
        happened = [
            Seen(one.subject, one.at, one.session, one.skew, event_id=f"{n * 7919 % 10007:05}", **said[n % len(said)])
            for n, one in enumerate(data.draw(histories(around)))
        ]
        first = around.date() + timedelta(days=data.draw(st.integers(-5, 3)))
        last = first + timedelta(days=data.draw(st.integers(0, 9)))
        asked = data.draw(ASKED)
        there.clear()
        there.add_all(happened)
        compare(there, happened, first, last, asked)

    compared()


def compare(there: History, happened: list[Seen], first: date, last: date, asked: Paths) -> None:
    slow = oracle_paths.paths(happened, there.program.zone, first, last, asked)
    released = told(there, asked, first.isoformat(), last.isoformat())
    assert rows(released.tables["nodes"]) == {key: (number,) for key, number in slow.nodes.items()}
    for name, counted in (("links", slow.links), ("drop_offs", slow.drop_offs)):
        assert rows(released.tables[name]) == {
            key: (number, len(slow.subjects[key])) for key, number in counted.items()
        }
