"""The report `funnel`, worked out by hand; and what the gate makes of it."""

import csv
import io
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from consent.errors import Invalid
from reports.api.answers.events import FunnelAnswered
from reports.metrics.funnel import Funnel, Mode
from reports.privacy.threshold import Released
from tests.consent.rights import Working
from tests.reports.events import History, Seen, local
from tests.reports.rolled import roll

Histories = Callable[..., History]
DAY = "2025-10-05"
NOON = local("2025-10-05 12:00:00")
HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)
A, B, C, X = "launch", "add_to_cart", "order", "search"


def did(subject: str, *events: tuple[float, str], **more: Any) -> list[Seen]:
    """(seconds after noon, name)"""
    return [Seen(subject, NOON + timedelta(seconds=at), name=name, **more) for at, name in events]


def told(history: History, asked: Funnel, first: str = DAY, last: str = DAY, **more: Any) -> Released:
    return history.ask(first, last, metric="funnel", options=asked, **more)


def cells(released: Released, name: str = "subjects") -> list[Any]:
    return [row.cells[name].value for row in released.tables["data"]]


def subjects(history: History, *steps: str, **more: Any) -> list[Any]:
    return cells(told(history, Funnel(steps, **{"window": HOUR, **more})))


def test_steps_in_order_whatever_lies_between(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A), (1, X), (60, B), (61, A), (200, C)))
    shanghai.add_all(did("bob", (0, B), (5, A), (10, C)))  # the second step came too early
    shanghai.add_all(did("cem", (0, A), (7, B)))
    shanghai.add_all(did("dee", (0, B), (1, C)))  # no first step
    released = told(shanghai, Funnel((A, B, C), HOUR))
    assert [row.keys for row in released.tables["data"]] == [
        {"step": 1, "event": A},
        {"step": 2, "event": B},
        {"step": 3, "event": C},
    ]
    assert cells(released) == [3, 2, 1]
    assert cells(released, "conversion_from_first") == [1, 0.6667, 0.3333]
    assert cells(released, "conversion_from_previous") == [None, 0.6667, 0.5]
    assert cells(released, "median_s_bin") == [None, (7, 10), (180, 300)]
    assert cells(released, "p90_s_bin") == [None, (60, 90), (180, 300)]
    assert cells(released, "median_s") == [None, 8.5, 240]


def test_who_took_no_second_step_in_time_is_told_by_the_rollups(history: Histories, as_worker: Working) -> None:
    shanghai, day = history(), 86_400
    shanghai.add_all(did("ann", (0, A), (day, B)))
    shanghai.add_all(did("bob", (0, A)))
    shanghai.add_all(did("cem", (0, A), (2 * day, B)))
    shanghai.add_all(did("dee", (day, B)))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, n) for n in (5, 6, 7)])
    asked = Funnel((A, B), timedelta(days=1))
    assert cells(told(shanghai, asked)) == [3, 1]
    drop = "DELETE FROM rollup_events WHERE subject_id = %s"
    for who, left in (("bob", [3, 1]), ("cem", [3, 1]), ("dee", [3, 1]), ("ann", [3, 0])):
        shanghai.owner.execute(drop, [shanghai.ids[who]])
        assert cells(told(shanghai, asked)) == left, f"the events of {who}"


@pytest.mark.parametrize("packed", [[5], [6], [5, 6], [5, 7], []], ids=str)
def test_a_day_that_is_not_packed_may_hold_any_step(history: Histories, as_worker: Working, packed: list[int]) -> None:
    shanghai, day = history(), 86_400
    shanghai.add_all(did("ann", (0, A), (day, B)))
    shanghai.add_all(did("bob", (0, A)))
    shanghai.add_all(did("cem", (day, A), (2 * day, B)))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, n) for n in packed])
    asked = Funnel((A, B), timedelta(days=1))
    assert cells(told(shanghai, asked, "2025-10-05", "2025-10-06")) == [3, 2]


def test_who_does_not_stand_took_no_step_whatever_the_rollups_hold(history: Histories, as_worker: Working) -> None:
    shanghai = history()
    for who in ("ann", "bob", "cem", "dee"):
        shanghai.add_all(did(who, (0, A)))
    with as_worker():
        roll(shanghai.program, [date(2025, 10, 5), date(2025, 10, 6)])
    assert subjects(shanghai, A, B) == [4, 0]
    shanghai.flag("bob", "restricted")
    shanghai.flag("cem", "erasure_pending")
    shanghai.end_consent("dee")
    assert subjects(shanghai, A, B) == [1, 0]


def test_nobody(history: Histories) -> None:
    released = told(history(), Funnel((A, B), HOUR))
    assert cells(released) == [0, 0]
    assert cells(released, "conversion_from_first") == [None, None]
    assert released.totals["open_subjects"].value == released.totals["open_attempts"].value == 0


def test_the_window_is_the_attempts_own_and_its_end_is_in_it(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A), (3600, B)))
    shanghai.add_all(did("bob", (0, A), (3600.000001, B)))
    shanghai.add_all(did("cem", (0, A), (3000, B), (3601, C)))  # from the first step on, not from the one before
    assert subjects(shanghai, A, B, C) == [3, 2, 0]


@pytest.mark.parametrize("mode", ["ordered", "strict"])
def test_a_repeated_step_needs_a_second_event(history: Histories, mode: Mode) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A)) + did("bob", (0, A), (0, A)) + did("cem", (0, A), (9, A), (9, A)))
    shanghai.add_all(did("dee", (0, A), (5, B)) + did("eve", (0, A), (0, B), (0, A)))
    assert subjects(shanghai, A, A, A, mode=mode) == [5, 3, 1]
    assert subjects(shanghai, A, B, A, mode=mode) == [5, 2, 1]
    assert subjects(shanghai, A, A, mode="unordered") == [5, 3]


def test_events_at_one_instant_connect_in_the_order_of_the_steps(history: Histories) -> None:
    shanghai = history()
    at_once = [Seen("ann", NOON, name=name, event_id=event_id) for name, event_id in ((C, "1"), (B, "2"), (A, "3"))]
    shanghai.add_all(at_once)
    mode: Any
    for mode in ("ordered", "strict", "unordered"):
        assert subjects(shanghai, A, B, C, mode=mode) == [1, 1, 1]
    assert subjects(shanghai, C, B, A) == [1, 1, 1]


def test_an_exclusion_comes_first_at_its_instant(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A), (5, X), (9, B)))
    shanghai.add_all(did("bob", (0, A), (9, X), (9, B)))  # before the step at its instant
    shanghai.add_all(did("cem", (0, X), (0, A), (9, B)))  # before the attempt
    shanghai.add_all(did("dee", (0, A), (9, B), (10, X), (11, C)))
    shanghai.add_all(did("eve", (0, A), (9, B), (11, C), (12, X)))
    shanghai.add_all(did("fay", (0, A), (0, B), (0, X)))
    assert subjects(shanghai, A, B, C) == [6, 6, 2]
    assert subjects(shanghai, A, B, C, exclusions=(X,)) == [6, 4, 1]
    assert subjects(shanghai, C, B, A, exclusions=(X,), mode="unordered") == [6, 4, 1]


def test_the_furthest_attempt_counts_and_the_earliest_on_ties(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A), (10, B), (7000, A), (7001, B), (7020, C)))
    released = told(shanghai, Funnel((A, B, C), HOUR))
    assert cells(released) == [1, 1, 1]
    assert cells(released, "median_s_bin") == [None, (1, 2), (20, 30)], "the second attempt's times"
    shanghai.clear()
    shanghai.add_all(did("bob", (0, A), (100, A), (105, B), (8000, A), (8001, B)))
    released = told(shanghai, Funnel((A, B), HOUR))
    assert cells(released, "median_s_bin") == [None, (90, 120)], "from the first of them"


def test_the_first_step_lies_in_the_range_and_the_others_may_follow(history: Histories) -> None:
    shanghai = history()
    midnight = local("2025-10-06 00:00:00")
    shanghai.add_all([Seen("ann", midnight - MOMENT, name=A), Seen("ann", midnight + timedelta(seconds=9), name=B)])
    shanghai.add_all([Seen("bob", midnight, name=A), Seen("bob", midnight + timedelta(seconds=9), name=B)])
    begins = local("2025-10-05 00:00:00")
    shanghai.add_all([Seen("cem", begins - MOMENT, name=A), Seen("cem", begins, name=B)])
    shanghai.add_all([Seen("dee", begins, name=A)])
    assert subjects(shanghai, A, B) == [2, 1]
    assert cells(told(shanghai, Funnel((A, B), HOUR), last="2025-10-06")) == [3, 2]
    assert subjects(shanghai, A, B, mode="unordered") == [3, 1], "any step opens"


@pytest.mark.parametrize(
    ("zone", "day", "midnight", "next_midnight"),
    [
        ("Asia/Tehran", DAY, "2025-10-04 20:30:00", "2025-10-05 20:30:00"),
        ("America/New_York", "2025-03-09", "2025-03-09 05:00:00", "2025-03-10 04:00:00"),  # 23 hours
        ("America/New_York", "2025-11-02", "2025-11-02 04:00:00", "2025-11-03 05:00:00"),  # 25 hours
    ],
)
def test_local_days(history: Histories, zone: str, day: str, midnight: str, next_midnight: str) -> None:
    there = history(zone)
    begins, ends = local(midnight, "UTC"), local(next_midnight, "UTC")
    there.add_all(
        Seen(subject, at, name=name)
        for subject, opened in (("ann", begins - MOMENT), ("bob", begins), ("cem", ends - MOMENT), ("dee", ends))
        for at, name in ((opened, A), (opened + HOUR, B))
    )
    assert cells(told(there, Funnel((A, B), HOUR), day, day)) == [2, 2]


def test_strict_lets_nothing_lie_between(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A), (5, B), (9, C)))
    shanghai.add_all(did("bob", (0, A), (3, X), (5, B), (9, C)))  # another event
    shanghai.add_all(did("cem", (0, A), (3, C), (5, B), (9, C)))  # a step out of order
    shanghai.add_all(did("dee", (0, A), (3, A), (5, B), (6, "page_leave"), (9, C)))  # the second attempt gets to 2
    shanghai.add_all(did("eve", (0, A), (0, X), (5, B), (5, X), (9, C)))  # at their instants: not between
    assert subjects(shanghai, A, B, C) == [5, 5, 5]
    assert subjects(shanghai, A, B, C, mode="strict") == [5, 3, 2]


def test_in_any_order(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, C), (5, A), (9, B)))
    shanghai.add_all(did("bob", (0, B), (5, B), (9, C)))  # the second B is no further step
    shanghai.add_all(did("cem", (0, B), (3601, A), (3602, C)))  # the attempt that C's is not in, and A's
    released = told(shanghai, Funnel((A, B, C), HOUR, "unordered"))
    assert cells(released) == [3, 3, 1]
    assert [row.keys["event"] for row in released.tables["data"]] == [None, None, None]
    assert cells(released, "median_s_bin") == [None, (5, 7), (7, 10)]


def test_an_attempt_whose_window_is_open_counts_apart(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A), (1, B)) + did("bob", (10, A), (11, B), (12, A)) + did("cem", (0, A), (10, A)))
    asked = Funnel((A, B), HOUR)

    def at(as_of: datetime) -> list[Any]:
        released = told(shanghai, asked, as_of=as_of)
        return [*cells(released), released.totals["open_attempts"].value, released.totals["open_subjects"].value]

    closing = NOON + HOUR
    assert at(closing) == [0, 0, 5, 3]
    assert at(closing + MOMENT) == [2, 1, 3, 2], "cem has both kinds"
    assert at(closing + timedelta(seconds=10)) == [2, 1, 3, 2]
    assert at(closing + timedelta(seconds=10) + MOMENT) == [3, 2, 1, 1]
    assert at(closing + timedelta(seconds=13)) == [3, 2, 0, 0]


@pytest.mark.parametrize("mode", ["ordered", "unordered"])
def test_a_breakdown_by_the_first_or_the_last_touch(history: Histories, mode: Mode) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A)) + did("ann", (5, B), scene="ad") + did("ann", (9, C), scene="chat"))
    shanghai.add_all(did("bob", (0, A), scene="chat") + did("bob", (5, B), (9, X), scene="ad"))
    shanghai.add_all(
        did("cem", (0, A), (3700, B)) + did("cem", (9000, A), scene="ad")
    )  # the first attempt, of two alike

    def by(touch: Any) -> dict[Any, list[Any]]:
        released = told(shanghai, Funnel((A, B, C), HOUR, mode, field="scene", touch=touch))
        found: dict[Any, list[Any]] = {}
        for row in released.tables["data"]:
            assert not row.keys["value_other"]
            found.setdefault(row.keys["value"], []).append(row.cells["subjects"].value)
        return found

    assert by("first_touch") == {None: [1, 0, 0], "ad": [1, 1, 1], "chat": [1, 1, 0]}
    assert by("last_touch") == {None: [1, 0, 0], "ad": [1, 1, 0], "chat": [1, 1, 1]}


def test_a_breakdown_by_page(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A), page="home") + did("ann", (5, B), page="item"))
    released = told(shanghai, Funnel((A, B), HOUR, field="page", touch="last_touch"))
    assert [(row.keys["value"], row.keys["step"]) for row in released.tables["data"]] == [("item", 1), ("item", 2)]


def test_a_subject_that_does_not_stand_counts_nowhere(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A), (1, B)) + did("bob", (0, A), (1, B)) + did("cem", (0, A), (1, B)))
    shanghai.flag("bob", "restricted")
    shanghai.end_consent("cem")
    assert subjects(shanghai, A, B) == [1, 1]


def test_names_are_of_the_catalogue(history: Histories) -> None:
    shanghai = history()
    for asked, code in [
        (Funnel((A, "nothing"), HOUR), "unknown_event"),
        (Funnel((A, B), HOUR, exclusions=("nothing",)), "unknown_event"),
        (Funnel((A, B), HOUR, exclusions=(B,)), "invalid_exclusion"),
        (Funnel((A, B), HOUR, field="event"), "unknown_field"),
        (Funnel((A, B), HOUR, field="subject_id"), "unknown_field"),
    ]:
        with pytest.raises(Invalid, match=code):
            told(shanghai, asked)


# --- the gate ---


def crowd(first: int, last: int, *names: str, **more: Any) -> list[Seen]:
    return [
        one
        for n in range(first, last)
        for one in did(f"s{n}", *((9 * at, name) for at, name in enumerate(names)), **more)
    ]


@pytest.mark.parametrize(("got", "value"), [(0, None), (9, None), (10, 10), (20, 20), (21, None), (30, None)])
def test_a_step_needs_k_who_got_there_and_k_who_did_not(history: Histories, got: int, value: int | None) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, got, A, B) + crowd(got, 30, A))
    released = told(shanghai, Funnel((A, B), HOUR), k=10)
    assert cells(released) == [30, value]
    for name in ("conversion_from_first", "conversion_from_previous", "median_s", "median_s_bin", "p90_s"):
        assert (cells(released, name)[1] is None) == (value is None), name


def test_steps_differ_by_k_and_no_conversion_tells_a_hidden_one(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, A, B, C, X) + crowd(20, 40, A, B, C) + crowd(40, 45, A, B) + crowd(45, 60, A))
    released = told(shanghai, Funnel((A, B, C, X), HOUR), k=10)
    assert cells(released) == [60, 45, None, 20]
    assert cells(released, "conversion_from_previous") == [None, 0.75, None, None], "20 / 40 would tell the 40"
    assert cells(released, "conversion_from_first") == [1, 0.75, None, 0.3333]
    statuses = [str(row.cells["conversion_from_previous"].status) for row in released.tables["data"]]
    assert statuses == ["not_observable", "ok", "suppressed", "suppressed"]


def test_a_funnel_of_few_is_not_told_and_one_of_nobody_is(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 9, A, B) + crowd(9, 19, X))
    assert cells(told(shanghai, Funnel((A, B), HOUR), k=10)) == [None, None]
    assert cells(told(shanghai, Funnel((C, B), HOUR), k=10)) == [0, 0]


def test_what_one_value_hides_another_does_not_tell_by_difference(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, A, B, scene="a") + crowd(20, 60, A, scene="a"))
    shanghai.add_all(crowd(60, 75, A, B, scene="b") + crowd(75, 120, A, scene="b"))
    shanghai.add_all(crowd(120, 124, A, B, scene="c") + crowd(124, 150, A, scene="c"))
    shanghai.add_all(crowd(150, 156, A, scene="d") + crowd(156, 162, A, scene="e"))
    found = {
        (row.keys["value"], row.keys["value_other"], row.keys["step"]): row.cells["subjects"].value
        for row in told(shanghai, Funnel((A, B), HOUR, field="scene"), k=10).tables["data"]
    }
    assert cells(told(shanghai, Funnel((A, B), HOUR), k=10)) == [162, 39], (
        "so 39 less two told values would tell of four"
    )
    assert found == {
        ("a", False, 1): 60,
        ("a", False, 2): 20,
        ("b", False, 1): 60,
        ("b", False, 2): None,
        ("c", False, 1): 30,
        ("c", False, 2): None,
        (None, True, 1): 12,
        (None, True, 2): None,
    }


def test_a_range_that_is_not_closed_is_told_as_a_total(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 20, A, B, scene="a") + crowd(20, 40, A, scene="b"))
    by_scene = Funnel((A, B), HOUR, field="scene")
    released = told(shanghai, by_scene, k=10, as_of=local("2025-10-07 23:00:00"))
    assert [(row.keys["value_other"], row.closed) for row in released.tables["data"]] == [(True, False)] * 2
    assert cells(released) == [40, 20]
    # 48 h after the end of the last window, not of the range.
    released = told(shanghai, by_scene, k=10, as_of=local("2025-10-08 00:59:59"))
    assert {row.closed for row in released.tables["data"]} == {False}
    released = told(shanghai, by_scene, k=10, as_of=local("2025-10-08 01:00:00"))
    assert {row.closed for row in released.tables["data"]} == {True}


def test_open_attempts_need_k(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 9, A, A))
    as_of = NOON + timedelta(minutes=1)
    assert told(shanghai, Funnel((A, B), HOUR), k=10, as_of=as_of).totals["open_attempts"].value is None
    shanghai.add_all(crowd(9, 10, A))
    released = told(shanghai, Funnel((A, B), HOUR), k=10, as_of=as_of)
    assert [released.totals[name].value for name in ("open_attempts", "open_subjects")] == [19, 10]
    assert cells(released) == [None, None]


# --- over HTTP ---

BODY = {"from": DAY, "to": DAY, "steps": [{"event": A}, {"event": B}], "mode": "ordered", "window_s": 3600}


def test_the_answer_over_http(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(crowd(0, 15, A, B, scene="a") + crowd(15, 40, A, scene="a"))
    response = shanghai.program.post("reports/funnel", BODY)
    assert response.status_code == 200, response.content
    answer = response.json()
    names = (
        "subjects",
        "conversion_from_first",
        "conversion_from_previous",
        "median_s",
        "median_s_bin",
        "p90_s",
        "p90_s_bin",
    )
    assert answer["data"][1] == {
        "step": 2,
        "event": B,
        "subjects": 15,
        "conversion_from_first": 0.375,
        "conversion_from_previous": 0.375,
        "median_s": 8.5,
        "median_s_bin": [7, 10],
        "p90_s": 8.5,
        "p90_s_bin": [7, 10],
        "closed": True,
        "status": dict.fromkeys(names, "ok"),
    }
    assert (answer["open_attempts"], answer["open_subjects"]) == (0, 0)
    msgspec.json.decode(response.content, type=FunnelAnswered, strict=True)
    by_scene = shanghai.program.post("reports/funnel", BODY | {"breakdown": "scene", "attribution": "last_touch"})
    msgspec.json.decode(by_scene.content, type=FunnelAnswered, strict=True)
    assert [(row["value"], row["value_other"], row["step"]) for row in by_scene.json()["data"]] == [
        ("a", False, 1),
        ("a", False, 2),
    ]
    written = shanghai.program.post("reports/funnel", BODY, Accept="text/csv").content.decode()
    first, second = csv.DictReader(io.StringIO(written, newline=""))
    assert [(row["step"], row["event"], row["subjects"]) for row in (first, second)] == [("1", A, "40"), ("2", B, "15")]
    assert (first["median_s"], first["median_s_status"]) == ("", "not_observable")
    assert (second["median_s_bin"], second["median_s_bin_status"]) == ("7-10", "ok")


def test_a_sandbox_takes_any_window(history: Histories) -> None:
    synthetic = history(sandbox=True)
    synthetic.add_all(did("ann", (0, A), (8, B)))
    answer = synthetic.program.post("reports/funnel", BODY | {"window_s": 7}).json()
    assert [row["subjects"] for row in answer["data"]] == [1, 0]


@pytest.mark.parametrize(
    ("more", "code", "pointer"),
    [
        ({"window_s": 3601}, "window_unavailable", "/window_s"),
        ({"window_s": 0}, "invalid", "/window_s"),
        ({"window_s": 2_592_001}, "invalid", "/window_s"),
        ({"steps": [{"event": A}]}, "invalid", "/steps"),
        ({"steps": [{"event": A}] * 13}, "invalid", "/steps"),
        ({"steps": [{"event": A}, {"event": "nothing"}]}, "unknown_event", "/steps/1/event"),
        ({"steps": [{"event": A}, {"event": B, "where": []}]}, "where_unavailable", "/steps/1/where"),
        ({"exclusions": [{"event": "nothing"}]}, "unknown_event", "/exclusions/0/event"),
        ({"exclusions": [{"event": B}]}, "invalid_exclusion", "/exclusions/0/event"),
        ({"mode": "sideways"}, "invalid", "/mode"),
        ({"breakdown": "openid"}, "unknown_field", "/breakdown"),
        ({"filters": [{"field": "os", "op": "eq", "value": "x"}]}, "filters_unavailable", "/filters"),
        ({"interval": "day"}, "interval_unavailable", "/interval"),
        ({"privacy": "dp"}, "privacy_unavailable", "/privacy"),
    ],
)
def test_what_is_not_there_is_refused(history: Histories, more: dict[str, Any], code: str, pointer: str) -> None:
    response = history().program.post("reports/funnel", BODY | more)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["errors"][0]["pointer"]) == (422, code, pointer)
