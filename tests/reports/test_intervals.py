"""The reports `intervals` and `frequency`, worked out by hand and compared with the slow count; and the gate."""

import csv
import io
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import Invalid
from reports.api.answers.people import FrequencyAnswered, IntervalsAnswered
from reports.metrics.calendar import Interval
from reports.metrics.frequency import Frequency
from reports.metrics.intervals import QUANTILES, Between
from reports.privacy.threshold import Released
from tests.reports import oracle_intervals
from tests.reports.events import History, Seen, local
from tests.reports.test_activity_oracle import AUTUMN, SHAPES, ZONES, drawing, histories
from tests.reports.test_funnel_oracle import dense

Histories = Callable[..., History]
DAY = "2025-10-05"
NOON = local("2025-10-05 12:00:00")
HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)
A, B = "add_to_cart", "order"
ORDERED = Between(A, B, HOUR)


def did(subject: str, *events: tuple[float, str], **more: Any) -> list[Seen]:
    """(seconds after noon, name)"""
    return [Seen(subject, NOON + timedelta(seconds=at), name=name, **more) for at, name in events]


def told(history: History, asked: Any, first: str = DAY, last: str = DAY, **more: Any) -> Released:
    metric = "intervals" if isinstance(asked, Between) else "frequency"
    return history.ask(first, last, metric=metric, options=asked, **more)


def counts(released: Released) -> list[list[Any]]:
    names = ("starts", "count", "subjects", "open_starts")
    return [[row.cells[name].value for name in names] for row in released.tables["data"]]


def bin_of(released: Released, name: str) -> Any:
    return released.tables["data"][0].cells[f"{name}_bin"].value


def test_from_every_start_to_the_next_end(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A), (50, A), (60, B), (61, B), (70, A)) + did("bob", (0, B), (9, A)))
    released = told(shanghai, ORDERED)
    assert counts(released) == [[4, 2, 1, 0]]
    assert [bin_of(released, name) for name in QUANTILES] == [(10, 15), (10, 15), (10, 15), (60, 90), (60, 90)]
    once = told(shanghai, Between(A, B, HOUR, "first_to_first"))
    assert (counts(once), bin_of(once, "median_s")) == ([[2, 1, 1, 0]], (60, 90))


def test_an_end_at_the_same_instant_or_at_the_bound_counts(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, B), (0, A)) + did("bob", (0, A), (3600, B)) + did("cem", (0, A), (3600.000001, B)))
    shanghai.add_all(did("dee", (0, A), (-0.000001, B)))
    assert counts(told(shanghai, ORDERED)) == [[4, 2, 2, 0]]


def test_the_same_event_again_is_another_one(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A)) + did("bob", (0, A), (0, A), (60, A)))
    released = told(shanghai, Between(A, A, HOUR))
    assert (counts(released), bin_of(released, "p10_s"), bin_of(released, "p90_s")) == (
        [[4, 2, 1, 0]],
        (0, 1),
        (60, 90),
    )
    assert counts(told(shanghai, Between(A, A, HOUR, "first_to_first"))) == [[2, 1, 1, 0]]


def test_a_start_lies_in_its_interval_and_the_end_may_follow(history: Histories) -> None:
    shanghai = history()
    midnight = local("2025-10-06 00:00:00")
    shanghai.add(Seen("ann", midnight - MOMENT, name=A), Seen("ann", midnight + HOUR - MOMENT, name=B))
    shanghai.add(Seen("ann", midnight, name=A), Seen("bob", local("2025-10-05 00:00:00"), name=A))
    assert counts(told(shanghai, ORDERED, DAY, "2025-10-06")) == [[2, 1, 1, 0], [1, 1, 1, 0]]
    assert counts(told(shanghai, ORDERED)) == [[2, 1, 1, 0]]
    first = Between(A, B, HOUR, "first_to_first")
    assert counts(told(shanghai, first, DAY, "2025-10-06", interval="week")) == [[2, 1, 1, 0], [1, 1, 1, 0]]


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
    for subject, at in (("ann", begins - MOMENT), ("bob", begins), ("cem", ends - MOMENT), ("dee", ends)):
        there.add(Seen(subject, at, name=A), Seen(subject, at + HOUR, name=B))
    assert counts(told(there, ORDERED, day, day)) == [[2, 2, 2, 0]]
    assert values(told(there, Frequency(event=A), day, day)) == {"1": 2}


def test_a_start_whose_bound_is_not_over_counts_apart(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", (0, A), (1, B), (10, A)))
    assert counts(told(shanghai, ORDERED, as_of=NOON + HOUR)) == [[0, 0, 0, 2]]
    assert counts(told(shanghai, ORDERED, as_of=NOON + HOUR + MOMENT)) == [[1, 1, 1, 1]]


# --- frequency ---


def values(released: Released) -> dict[Any, Any]:
    return {
        "other" if row.keys["value_other"] else row.keys["value"]: row.cells["subjects"].value
        for row in released.tables["data"]
    }


def paid(subject: str, *amounts: Any, at: datetime = NOON) -> list[Seen]:
    return [Seen(subject, at, name="payment", properties={"amount": amount}) for amount in amounts]


def test_how_many_events_and_days(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(did("ann", *((n, A) for n in range(10))) + did("bob", *((n, A) for n in range(11))))
    shanghai.add_all(did("cem", (0, A), (0, B), (86_400, A)) + did("dee", *((n, A) for n in range(101))))
    assert values(told(shanghai, Frequency(event=A), last="2025-10-06")) == {"2": 1, "10": 1, "11-20": 1, "101+": 1}
    assert values(told(shanghai, Frequency(event=A))) == {"1": 1, "10": 1, "11-20": 1, "101+": 1}
    assert values(told(shanghai, Frequency(), last="2025-10-06"))["3"] == 1
    by_days = told(shanghai, Frequency("days"), last="2025-10-06")
    assert (values(by_days), by_days.totals["subjects"].value) == ({"1": 3, "2": 1}, 4)


def test_how_much_of_a_property(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(paid("ann", 0.1, 0.2, 0.7) + paid("bob", 0.99) + paid("cem", "much") + paid("dee", 5, -6))
    shanghai.add_all(paid("eve", 1_000_000, "much") + paid("fay", 49.99, 0.01) + paid("gil", 0))
    released = told(shanghai, Frequency("property", "payment", "amount"))
    assert values(released) == {"0-1": 2, "1-10": 1, "50-100": 1, "1000000+": 1, "below 0": 1}
    assert released.totals["subjects"].value == 6
    assert [row.keys["value"] for row in released.tables["data"]] == ["0-1", "1-10", "50-100", "1000000+", "below 0"]
    for asked in (
        Frequency("property", "payment"),
        Frequency("property", "share", "channel"),
        Frequency(property="amount"),
    ):
        with pytest.raises(Invalid, match="unknown_property"):
            told(shanghai, asked)
    with pytest.raises(Invalid, match="unknown_event"):
        told(shanghai, Frequency(event="nothing"))


# --- the gate ---


@pytest.mark.parametrize(("ended", "value"), [(0, None), (9, None), (10, 10), (20, 20), (21, None), (30, None)])
def test_a_count_needs_k_with_an_end_and_k_without(history: Histories, ended: int, value: int | None) -> None:
    shanghai = history()
    shanghai.add_all(one for n in range(30) for one in did(f"s{n}", (0, A), *([(5, B)] if n < ended else [])))
    released = told(shanghai, ORDERED, k=10)
    # Of nine other events of the day all others than the starts would tell.
    starts = [30, 0] if ended != 9 else [None, None]
    assert counts(released) == [[starts[0], value, value, starts[1]]]
    assert bin_of(released, "median_s") == ((5, 7) if ended >= 10 else None)


def test_few_with_a_frequency_are_told_together(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(one for n in range(20) for one in did(f"s{n}", (0, A)))
    shanghai.add_all(one for n in range(20, 26) for one in did(f"s{n}", (0, A), (1, A)))
    shanghai.add_all(one for n in range(26, 31) for one in did(f"s{n}", (0, A), (1, A), (2, A)))
    released = told(shanghai, Frequency(), k=10)
    assert (values(released), released.totals["subjects"].value) == ({"1": 20, "other": 11}, 31)
    assert values(told(shanghai, Frequency(), k=10, as_of=local("2025-10-06 12:00:00"))) == {"other": 31}


# --- over HTTP ---


def test_the_answers_over_http(history: Histories) -> None:
    shanghai = history()
    shanghai.add_all(one for n in range(30) for one in did(f"s{n}", (0, A), *([(5, B)] if n < 12 else [])))
    body = {"from": DAY, "to": DAY, "start_event": A, "end_event": B, "bound_s": 3600, "mode": "first_to_first"}
    response = shanghai.program.post("reports/intervals", body)
    assert response.status_code == 200, response.content
    (row,) = response.json()["data"]
    assert [row[name] for name in ("date", "starts", "count", "median_s_bin", "open_starts")] == [
        DAY,
        30,
        12,
        [5, 7],
        0,
    ]
    msgspec.json.decode(response.content, type=IntervalsAnswered, strict=True)
    written = shanghai.program.post("reports/intervals", body, Accept="text/csv").content.decode()
    (line,) = csv.DictReader(io.StringIO(written, newline=""))
    assert [line[name] for name in ("date", "count", "p90_s_bin")] == [DAY, "12", "5-7"]
    by_events = {"from": DAY, "to": DAY, "by": "events", "event": A}
    response = shanghai.program.post("reports/frequency", by_events)
    msgspec.json.decode(response.content, type=FrequencyAnswered, strict=True)
    answer = response.json()
    assert ([(row["value"], row["subjects"]) for row in answer["data"]], answer["subjects"]) == ([("1", 30)], 30)
    written = shanghai.program.post("reports/frequency", by_events, Accept="text/csv").content.decode()
    assert written.startswith("value,value_other,subjects,closed,subjects_status")


@pytest.mark.parametrize(
    ("metric", "more", "code", "pointer"),
    [
        ("intervals", {"bound_s": 3601}, "window_unavailable", "/bound_s"),
        ("intervals", {"bound_s": 2_592_001}, "invalid", "/bound_s"),
        ("intervals", {"start_event": "nothing"}, "unknown_event", "/start_event"),
        ("intervals", {"end_event": "nothing"}, "unknown_event", "/end_event"),
        ("intervals", {"breakdown": "os"}, "breakdown_unavailable", "/breakdown"),
        ("intervals", {"mode": "last"}, "invalid", "/mode"),
        ("frequency", {"by": "weeks"}, "invalid", "/by"),
        ("frequency", {"by": "property"}, "unknown_property", "/property"),
        ("frequency", {"event": "nothing"}, "unknown_event", "/event"),
        ("frequency", {"interval": "day"}, "interval_unavailable", "/interval"),
    ],
)
def test_what_is_not_there_is_refused(
    history: Histories, metric: str, more: dict[str, Any], code: str, pointer: str
) -> None:
    needed = {"start_event": A, "end_event": B, "bound_s": 3600} if metric == "intervals" else {}
    response = history().program.post(f"reports/{metric}", {"from": DAY, "to": DAY} | needed | more)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["errors"][0]["pointer"]) == (422, code, pointer)


# --- the slow count ---

SAID: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": st.sampled_from([A, B, "payment", "payment"])},
    optional={
        "properties": st.fixed_dictionaries(
            {}, optional={"amount": st.sampled_from([0, 0.1, 0.9, 1, -5, 12.5, 999_999.99, "much", True])}
        ),
    },
)
BETWEEN = st.builds(
    Between,
    st.sampled_from([A, B]),
    st.sampled_from([A, B]),
    st.sampled_from([1, 60, 1800, 3600, 86_400]).map(lambda seconds: timedelta(seconds=seconds)),
    st.sampled_from(["next_after", "first_to_first"]),
)
FREQUENCY = st.one_of(
    st.builds(Frequency, st.sampled_from(["events", "days"]), st.sampled_from([None, A, "payment"])),
    st.just(Frequency("property", "payment", "amount")),
)


@pytest.mark.long
@drawing(90)
@pytest.mark.parametrize(("zone", "around"), [*ZONES.items(), ("America/New_York", AUTUMN)])
def test_any_history(history: Histories, zone: str, around: datetime, examples: int) -> None:
    there = history(zone)

    @settings(SHAPES, max_examples=examples)
    @given(data=st.data())
    def compared(data: st.DataObject) -> None:
        said = data.draw(st.lists(SAID, min_size=5, max_size=9))
        bare = data.draw(st.one_of(dense(around), histories(around)))
        happened = [
            Seen(one.subject, one.at, one.session, one.skew, **said[n % len(said)]) for n, one in enumerate(bare)
        ]
        first = around.date() + timedelta(days=data.draw(st.integers(-4, 1)))
        last = first + timedelta(days=data.draw(st.integers(0, 5)))
        there.clear()
        there.add_all(happened)
        check_intervals(there, happened, first, last, data)
        asked = data.draw(FREQUENCY)
        compare_frequency(there, happened, first, last, asked)

    compared()


def compare_frequency(there: History, happened: list[Seen], first: date, last: date, asked: Frequency) -> None:
    found = told(there, asked, first.isoformat(), last.isoformat())
    slow = oracle_intervals.frequency(happened, there.program.zone, first, last, asked)
    assert (values(found), found.totals["subjects"].value) == (slow, sum(slow.values()))


def check_intervals(history: History, happened: list[Seen], first: date, last: date, data: st.DataObject) -> None:
    by: Any = data.draw(st.sampled_from(["day", "day", "week"]))
    asked = data.draw(BETWEEN)
    as_of = local("2099-01-01 00:00:00")
    at_an_edge: bool = data.draw(st.booleans())
    if happened and at_an_edge:
        as_of = data.draw(st.sampled_from(happened)).at + asked.bound
    compare(history, happened, first, last, by, as_of, asked)


def compare(
    history: History, happened: list[Seen], first: date, last: date, by: Interval, as_of: datetime, asked: Between
) -> None:
    slow = oracle_intervals.between(happened, history.program.zone, first, last, by, as_of, asked)
    released = told(history, asked, first.isoformat(), last.isoformat(), interval=by, as_of=as_of)
    for row in released.tables["data"]:
        cells, expected = row.cells, slow[next(iter(row.keys.values()))]
        if cells["starts"].value is None:
            continue  # it has not begun
        took = expected["took"]
        found = [cells[name].value for name in ("starts", "count", "subjects", "open_starts")]
        assert found == [expected["starts"], len(took), len(expected["subjects"]), expected["open_starts"]]
        for name, q in QUANTILES.items():
            edges = cells[f"{name}_bin"].value
            if took:
                rank = -(-len(took) * round(q * 100) // 100)
                assert edges[0] <= took[rank - 1] < edges[1]
            else:
                assert edges is None
