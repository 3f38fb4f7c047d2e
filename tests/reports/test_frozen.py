"""Figures that were told stand: whoever asks again after somebody left or came late is told the same."""

import csv
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import ProgrammingError, connection

from consent.programs.tenancy import tenant
from reports import frozen
from reports.metrics import registry
from reports.metrics.funnel import Funnel
from reports.metrics.registry import Question, answer
from reports.metrics.retention import Retention
from reports.models import FrozenLine
from reports.tasks import forget_frozen
from tests.cast import make_program
from tests.reports.events import ACCEPTED, History, Seen, local

DAY, NEXT = "2025-10-06", "2025-10-07"
BOTH = {"from": DAY, "to": NEXT}
K = 10
DEFINITIONS = Path(__file__).with_name("definitions.json")
"""Of each report: what its words hash to (SHA-256, eight bytes of it), and its `anew`."""


def ask(history: History, metric: str = "activity", **body: Any) -> dict[str, Any]:
    response = history.program.post(f"reports/{metric}", BOTH | body)
    assert response.status_code == 200, response.content
    told = response.json()
    del told["as_of"]
    return dict(told)


def daus(told: dict[str, Any]) -> list[int | None]:
    return [row["dau"] for row in told["data"]]


def leave(history: History, *subjects: int) -> None:
    for n in subjects:
        history.end_consent(f"s{n}")


def kept(owner: psycopg.Connection) -> int:
    row = owner.execute("SELECT count(*) FROM frozen_line").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def thirty(history: Callable[..., History]) -> History:
    """Thirty subjects with a session on each of two days."""
    shanghai = history()
    for day in (DAY, NEXT):
        shanghai.add_all(Seen(f"s{n}", local(f"{day} 12:00:00")) for n in range(30))
    return shanghai


GOING: dict[str, Callable[[History], None]] = {
    "withdrew": lambda history: history.end_consent("s0"),
    "is about to be erased": lambda history: history.flag("s0", "erasure_pending"),
    "is restricted": lambda history: history.flag("s0", "restricted"),
    "came late": lambda history: history.add(Seen("late", local(f"{DAY} 13:00:00"))),
    "more of one": lambda history: history.add(Seen("s0", local(f"{DAY} 13:00:00"))),
}


@pytest.mark.parametrize("who", GOING)
def test_one_who_goes_or_comes_late_changes_no_answer(thirty: History, who: str) -> None:
    first = ask(thirty)
    assert (daus(first), first["revision"]) == ([30, 30], 1)
    GOING[who](thirty)
    assert ask(thirty) == first


def test_a_definition_in_other_words_leaves_what_was_told_and_one_of_another_meaning_does_not(
    thirty: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worked out anew beside what was told, figures would differ by the one who left in between."""
    activity = registry.known("activity")
    first = ask(thirty)
    leave(thirty, 0)
    monkeypatch.setitem(registry._METRICS, "activity", replace(activity, definition="The same, better put."))
    again = ask(thirty)
    assert again.pop("definition") != first.pop("definition")
    assert again == first
    monkeypatch.setitem(registry._METRICS, "activity", replace(activity, anew=activity.anew + 1))
    assert daus(ask(thirty)) == [29, 29]


def test_whoever_words_a_definition_anew_says_whether_it_means_the_same() -> None:
    """What was told stands under the new words, unless `anew` rose with them."""
    known = {name: registry.known(name) for name in registry.names()}
    words = {
        name: f"{hashlib.sha256(one.definition.encode()).hexdigest()[:16]} {one.anew}" for name, one in known.items()
    }
    assert words == json.loads(DEFINITIONS.read_text()), (
        "Raise the report's `anew` if its figures mean something else now; then write what it is into definitions.json."
    )


@pytest.mark.parametrize(("gone", "dau", "revision"), [(K - 1, 30, 1), (K, 20, 2), (K + 1, 19, 2)])
def test_k_who_go_make_a_new_revision(thirty: History, gone: int, dau: int, revision: int) -> None:
    ask(thirty, to=DAY)
    leave(thirty, *range(gone))
    told = ask(thirty, to=DAY)
    assert (daus(told), told["data"][0]["events"]) == ([dau], dau)
    # The day, its week and its month.
    assert told["revision"] == 1 + 3 * (revision - 1)
    assert ask(thirty, to=DAY) == told


def test_k_who_come_late_do(thirty: History) -> None:
    ask(thirty, to=DAY)
    thirty.add_all(Seen(f"late{n}", local(f"{DAY} 13:00:00")) for n in range(K))
    assert daus(ask(thirty, to=DAY)) == [40]


def test_changes_add_up_from_what_was_told_and_not_from_the_last_question(thirty: History) -> None:
    ask(thirty, to=DAY)
    for n in range(K - 1):
        leave(thirty, n)
        assert daus(ask(thirty, to=DAY)) == [30]
    leave(thirty, K - 1)
    assert daus(ask(thirty, to=DAY)) == [20]


def test_as_many_who_come_as_go_change_nothing(thirty: History) -> None:
    """Who knows how many they were? Sizes alone do not, so the figure stays."""
    first = ask(thirty, to=DAY)
    leave(thirty, *range(K))
    thirty.add_all(Seen(f"late{n}", local(f"{DAY} 13:00:00")) for n in range(K))
    thirty.add(Seen("s20", local(f"{DAY} 14:00:00")))
    assert ask(thirty, to=DAY) == first


def test_a_line_stays_while_one_of_its_figures_changed_by_few(history: Callable[..., History]) -> None:
    """Ten more on the day, of whom nine were there in the week: the day's ten would come with the week's one."""
    shanghai = history()
    shanghai.add_all(Seen(f"s{n}", local(f"{DAY} 12:00:00")) for n in range(30))
    shanghai.add_all(Seen(f"w{n}", local("2025-10-03 12:00:00")) for n in range(K - 1))
    assert daus(ask(shanghai, to=DAY)) == [30]
    shanghai.add_all(Seen(f"w{n}", local(f"{DAY} 13:00:00")) for n in range(K))
    assert daus(ask(shanghai, to=DAY)) == [30]


def test_a_line_with_a_hidden_figure_stays(history: Callable[..., History]) -> None:
    """Nothing is kept of what is hidden; the rest less what is told anew could tell of it."""
    shanghai = history()
    shanghai.add_all(Seen(f"s{n}", local(f"{DAY} 12:00:00"), scene="a" if n < 30 else "b") for n in range(60))
    shanghai.add_all(Seen(f"s{n}", local(f"{DAY} 12:30:00"), name="share") for n in range(3))
    first = ask(shanghai, "overview", to=DAY)
    assert first["data"][0]["status"]["shares"] == "suppressed"
    leave(shanghai, *range(20, 40))
    assert ask(shanghai, "overview", to=DAY)["data"] == first["data"]


def test_rows_that_come_or_go_wait(history: Callable[..., History]) -> None:
    shanghai = history()
    shanghai.add_all(Seen(f"s{n}", local(f"{DAY} 12:00:00"), scene="a" if n < 30 else "b") for n in range(41))
    first = ask(shanghai, "trends", to=DAY, breakdown="scene")
    assert [row["value"] for row in first["data"]] == ["a", "b"]
    leave(shanghai, 40, 39)  # b has nine left, and would be a part of other
    assert ask(shanghai, "trends", to=DAY, breakdown="scene") == first


def test_where_nobody_was_k_may_come(history: Callable[..., History]) -> None:
    shanghai = history()
    assert ask(shanghai, "trends", to=DAY, breakdown="scene")["data"] == []
    shanghai.add_all(Seen(f"s{n}", local(f"{DAY} 12:00:00"), scene="a") for n in range(K))
    told = ask(shanghai, "trends", to=DAY, breakdown="scene")
    assert ([row["events"] for row in told["data"]], told["revision"]) == ([K], 2)


def test_a_day_is_the_same_in_every_range_table_and_form(thirty: History) -> None:
    days = [row["events"] for row in ask(thirty, "trends")["data"]]
    ask(thirty, "overview")
    leave(thirty, 0)
    assert days == [30, 30]
    for first, last in ((DAY, DAY), (NEXT, NEXT), ("2025-10-01", NEXT)):
        told = ask(thirty, "trends", **{"from": first, "to": last})["data"]
        assert {row["events"] for row in told if row["date"] >= DAY} == {30}
    later = {"from": "2025-10-08", "to": "2025-10-09", "compare": "previous"}
    assert [row["events"] for row in ask(thirty, "trends", **later)["previous"]] == [30, 30]
    of_overview = ask(thirty, "overview", **{"from": "2025-10-08", "to": "2025-10-08"})
    assert of_overview["day_before"][0]["visitors"] == 30
    response = thirty.program.post("reports/trends", BOTH, Accept="text/csv")
    rows = list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))
    assert [row["events"] for row in rows] == ["30", "30"]


FILTER = {"filters": [{"field": "event", "op": "eq", "value": "ab_exposure"}]}
CHANGE = {"from": NEXT, "breakdown": "event"}
ALIKE: dict[str, tuple[str, str, Any, Any]] = {
    "an event is named, or let through": ("trends", "events", {"event": "ab_exposure"}, FILTER),
    "an event is let through, or named too": ("trends", "events", FILTER, {"event": "ab_exposure", **FILTER}),
    "another scale": ("anomalies", "value", {"scale": "sqrt"}, {"scale": "log"}),
    "the same earlier day": ("contribution", "value_before", CHANGE, {"compare_from": DAY, **CHANGE}),
}


@pytest.mark.parametrize("how", ALIKE)
def test_what_is_asked_in_another_way_stands_too(thirty: History, how: str) -> None:
    metric, column, first, second = ALIKE[how]

    def told(more: Any) -> Any:
        answer = ask(thirty, metric, **more)
        return answer.get(column, answer["data"][-1].get(column))

    assert told(first) == 30
    leave(thirty, 0)
    assert told(second) == 30


def test_all_who_ever_came_are_one_figure_wherever_the_range_begins(thirty: History) -> None:
    last, soon = date.fromisoformat(DAY), local("2025-10-20 00:00:00")

    def ever(first: date) -> Any:
        question = Question(thirty.program.id, ZoneInfo(thirty.program.zone), first, last, soon, accepted=ACCEPTED)
        return answer("overview", question, k=K).released.totals["cumulative_visitors"].value

    assert ever(last) == 30
    leave(thirty, 0)
    assert ever(last - timedelta(days=16)) == 30


def test_other_questions_are_other_figures(thirty: History) -> None:
    """What is not claimed (docs/threat-model.md): it is about the same people, asked when one has left."""
    ask(thirty)
    leave(thirty, 0)
    assert ask(thirty, "trends", to=DAY)["data"][0]["subjects"] == 29


def test_the_withdrawn_are_one_figure_of_all_reports(thirty: History) -> None:
    first = ask(thirty)["withdrawn_subjects"]
    assert first == 0
    assert ask(thirty, "trends")["withdrawn_subjects"] == 0
    with tenant(thirty.program.id):
        assert FrozenLine.objects.filter(told__contains="withdrawn_subjects").count() == 1


def test_a_total_beside_lines_that_stay_is_not_told(thirty: History) -> None:
    """The total of three days less two that stand and one that is new would be without the one who left."""
    assert ask(thirty, "sessions")["sessions"] == 60
    thirty.add_all(Seen(f"s{n}", local("2025-10-08 12:00:00")) for n in range(30))
    leave(thirty, 0)
    told = ask(thirty, "sessions", to="2025-10-08")
    assert [row["sessions"] for row in told["data"]] == [30, 30, 29]
    assert (told["sessions"], told["status"]["sessions"]) == (None, "suppressed")
    assert ask(thirty, "sessions")["sessions"] == 60
    leave(thirty, *range(1, K))
    told = ask(thirty, "sessions")
    assert ([row["sessions"] for row in told["data"]], told["sessions"]) == ([20, 20], 40)


def test_a_total_stays_with_a_line_that_nobody_is_in_any_more(history: Callable[..., History]) -> None:
    """All bounced, which is hidden: the page stays as it was told, and so do all views."""
    shanghai = history()
    shanghai.add_all(Seen(f"s{n}", local(f"{DAY} 12:00:00"), name="page_view", page="home") for n in range(K))
    first = ask(shanghai, "pages", to=DAY)
    assert (first["views"], first["data"][0]["status"]["bounce_rate"]) == (K, "suppressed")
    leave(shanghai, *range(K))
    assert ask(shanghai, "pages", to=DAY) == first


def test_a_total_stays_with_a_table_that_nobody_was_in(history: Callable[..., History]) -> None:
    shanghai = history()
    first = ask(shanghai, "pages", to=DAY)
    assert (first["views"], first["data"]) == (0, [])
    shanghai.add_all(Seen(f"s{n}", local(f"{DAY} 12:00:00"), name="page_view", page="home") for n in range(K))
    assert ask(shanghai, "pages", to=DAY) == first


def test_another_earlier_day_is_another_figure(thirty: History) -> None:
    days = (DAY, "2025-10-05", DAY)
    told = [ask(thirty, "contribution", **CHANGE, compare_from=day)["value_before"] for day in days]
    assert told == [30, 0, 30]


def test_a_day_that_is_not_over_is_told_as_it_is(history: Callable[..., History]) -> None:
    shanghai = history()
    today = datetime.now(UTC) + timedelta(hours=8)
    shanghai.add_all(Seen(f"s{n}", datetime.now(UTC) - timedelta(minutes=1)) for n in range(12))
    body = {"from": str(today.date() - timedelta(days=1)), "to": str(today.date())}
    assert sum(row["dau"] or 0 for row in ask(shanghai, **body)["data"]) == 12
    leave(shanghai, 0)
    assert sum(row["dau"] or 0 for row in ask(shanghai, **body)["data"]) == 11


def test_cells_of_a_cohort_are_kept_as_their_periods_close(thirty: History) -> None:
    def told(day: int, periods: int = 3) -> list[int | None]:
        question = Question(
            thirty.program.id, ZoneInfo("Asia/Shanghai"), date(2025, 10, 6), date(2025, 10, 6),
            datetime(2025, 10, day, tzinfo=UTC), options=Retention(mode="on_or_after", periods=periods),
            accepted=ACCEPTED,
        )  # fmt: skip
        (cohort,) = answer("retention", question, k=K).released.cohorts["data"]
        return [cohort.size.value, *(cell.value for cell in cohort.values)]

    thirty.add_all(Seen(f"s{n}", local("2025-10-08 12:00:00")) for n in range(15))
    told(9)
    before = told(20)
    assert before == [30, 30, None, 15]
    leave(thirty, 29)
    assert told(20) == before
    assert told(20, periods=4)[:4] == before


def test_open_attempts_stand_once_their_windows_are_over(history: Callable[..., History]) -> None:
    shanghai = history()
    shanghai.add_all(Seen(f"s{n}", local(f"{DAY} 12:00:00"), name="page_view") for n in range(15))

    def told(day: int) -> tuple[Any, Any]:
        question = Question(
            shanghai.program.id, ZoneInfo("Asia/Shanghai"), date(2025, 10, 6), date(2025, 10, 6),
            datetime(2025, 10, day, tzinfo=UTC), options=Funnel(("page_view", "share"), timedelta(days=7)),
            accepted=ACCEPTED,
        )  # fmt: skip
        totals = answer("funnel", question, k=K).released.totals
        return totals["open_attempts"].value, totals["open_subjects"].value

    assert told(10) == (15, 15)
    assert told(16) == (0, 0)
    shanghai.add_all(Seen(f"late{n}", local(f"{DAY} 13:00:00"), name="page_view") for n in range(3))
    assert told(17) == (0, 0)


SHARED = {"filters": [{"field": "event", "op": "eq", "value": "share"}]}


@pytest.mark.parametrize("first", [{"event": "share"}, SHARED], ids=["named", "let through"])
def test_an_event_that_nobody_had_is_0_however_it_is_named(thirty: History, first: dict[str, Any]) -> None:
    for more in (first, {"event": "share"}, SHARED):
        assert [row["events"] for row in ask(thirty, "trends", **more)["data"]] == [0, 0]


def test_a_cell_that_is_not_over_is_told_later(thirty: History) -> None:
    def told(day: int) -> float | None:
        question = Question(
            thirty.program.id, ZoneInfo("Asia/Shanghai"), date(2025, 10, 6), date(2025, 10, 6),
            datetime(2025, 10, day, tzinfo=UTC), options=Retention(periods=4), accepted=ACCEPTED,
        )  # fmt: skip
        (cohort,) = answer("retention", question, k=K).released.cohorts["data"]
        value: float | None = cohort.values[3].value
        return value

    thirty.add_all(Seen(f"s{n}", local("2025-10-09 12:00:00")) for n in range(15))
    assert (told(9), told(20)) == (None, 15)


def test_a_sandbox_keeps_nothing(history: Callable[..., History], owner: psycopg.Connection) -> None:
    synthetic = history(sandbox=True)
    synthetic.add(Seen("s0", local(f"{DAY} 12:00:00")))
    assert daus(ask(synthetic)) == [1, 0]
    leave(synthetic, 0)
    assert daus(ask(synthetic)) == [0, 0]
    assert kept(owner) == 0


def test_another_k_is_another_figure(thirty: History, settings: Any) -> None:
    ask(thirty)
    leave(thirty, 0)
    settings.ZHIQING_K = 3
    assert daus(ask(thirty)) == [29, 29]


# --- At once ---------------------------------------------------------------------------------------------------------


@contextmanager
def held_before_settling(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[History], tuple[Future[Any], threading.Event]]]:
    """`start(history)`: a request of its own thread that has its figures and waits for the event to settle them."""
    local_to = threading.local()
    original = frozen.settled

    def waiting(answer: Any) -> Any:
        if events := getattr(local_to, "events", None):
            events[0].set()
            assert events[1].wait(30)
        return original(answer)

    monkeypatch.setattr(frozen, "settled", waiting)
    with ThreadPoolExecutor(4) as pool:

        def start(history: History) -> tuple[Future[Any], threading.Event]:
            computed, go = threading.Event(), threading.Event()

            def run() -> Any:
                local_to.events = computed, go
                try:
                    return ask(history, to=DAY)
                finally:
                    connection.close()

            future = pool.submit(run)
            assert computed.wait(30)
            return future, go

        yield start


def test_of_two_who_ask_first_both_are_told_the_same(
    thirty: History, monkeypatch: pytest.MonkeyPatch, owner: psycopg.Connection
) -> None:
    with held_before_settling(monkeypatch) as start:
        with_all, first = start(thirty)
        leave(thirty, 0)
        without_one, second = start(thirty)
        first.set()
        second.set()
        told = with_all.result(30)
        assert without_one.result(30) == told
    assert daus(told) in ([30], [29])
    assert ask(thirty, to=DAY) == told
    row = owner.execute("SELECT max(revision), count(*) FROM frozen_line").fetchone()
    assert row == (1, 4)


def test_two_who_revise_at_once_make_one_revision(thirty: History, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(thirty, to=DAY)
    leave(thirty, *range(K))
    with held_before_settling(monkeypatch) as start:
        one, first = start(thirty)
        leave(thirty, K)
        other, second = start(thirty)
        first.set()
        second.set()
        told = one.result(30)
        assert other.result(30) == told
    assert told["revision"] == 4
    assert daus(told) in ([20], [19])


def test_what_was_computed_before_a_revision_does_not_undo_it(thirty: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be told again, and beside the newer one of few."""
    ask(thirty, to=DAY)
    leave(thirty, *range(K))
    with held_before_settling(monkeypatch) as start:
        slow, go = start(thirty)
        leave(thirty, *range(K, 2 * K))
        newest = ask(thirty, to=DAY)
        assert daus(newest) == [K]
        go.set()
        assert slow.result(30) == newest
    assert ask(thirty, to=DAY) == newest


# --- The table -------------------------------------------------------------------------------------------------------


def test_figures_are_forgotten_when_nothing_is_left_to_work_them_out(
    thirty: History, owner: psycopg.Connection, as_worker: Any
) -> None:
    ask(thirty)
    some = kept(owner)
    owner.execute("UPDATE notice_purpose SET retention_days = 100")
    for days, left in ((399, some), (401, 0)):
        owner.execute("UPDATE frozen_line SET ends = now() - %s", [timedelta(days=days)])
        with as_worker():
            forget_frozen()
        assert kept(owner) == left


def test_while_events_may_be_kept_so_are_figures(thirty: History, owner: psycopg.Connection, as_worker: Any) -> None:
    ask(thirty)
    some = kept(owner)
    owner.execute("UPDATE notice_purpose SET retention_days = 1000")
    for days, left in ((990, some), (1001, 0)):
        owner.execute("UPDATE frozen_line SET ends = now() - %s", [timedelta(days=days)])
        with as_worker():
            forget_frozen()
        assert kept(owner) == left


def test_one_mini_programs_failure_keeps_no_others_figures(
    thirty: History, owner: psycopg.Connection, as_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(thirty)
    owner.execute("UPDATE frozen_line SET ends = now() - interval '401 days'")
    other = make_program().id
    forget = frozen.forget

    def failing(program_id: int, **more: Any) -> int:
        if program_id == other:
            raise RuntimeError("no")
        return forget(program_id, **more)

    monkeypatch.setattr(frozen, "forget", failing)
    with as_worker():
        forget_frozen()
    assert kept(owner) == 0


def test_a_web_process_cannot_forget(thirty: History) -> None:
    ask(thirty)
    with pytest.raises(ProgrammingError, match="permission denied"), tenant(thirty.program.id):
        FrozenLine.objects.all().delete()
