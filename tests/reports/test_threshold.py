"""The gate: what is told of a count, by k and by its period; and that figures have no other way out."""

import json
import pickle
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

from reports.metrics.registry import known, names
from reports.privacy.cells import Status
from reports.privacy.figures import Count, Figures, Period, Row
from reports.privacy.threshold import Released, release
from tests.reports.events import History, Seen, local

ROOT = Path(__file__).resolve().parent.parent.parent
DAY = Period(datetime(2025, 10, 4, 16, tzinfo=UTC), datetime(2025, 10, 5, 16, tzinfo=UTC))
CLOSED = DAY.ends + timedelta(hours=48)
NOT_YET_CLOSED = CLOSED - timedelta(microseconds=1)
BEGUN = DAY.begins
NOT_BEGUN = DAY.begins - timedelta(microseconds=1)


def told(count: Count, as_of: datetime, k: int = 10) -> tuple[float | None, str]:
    figures = Figures({"data": [Row(DAY, {"date": "2025-10-05"}, {"dau": count})]})
    (row,) = release(figures, k=k, as_of=as_of).tables["data"]
    return row.cells["dau"].value, row.cells["dau"].status


@pytest.mark.parametrize(
    ("subjects", "as_of", "cell"),
    [
        (0, CLOSED, (0, "ok")),
        (1, CLOSED, (None, "suppressed")),
        (9, CLOSED, (None, "suppressed")),
        (10, CLOSED, (10, "ok")),
        (0, NOT_YET_CLOSED, (None, "suppressed")),
        (9, NOT_YET_CLOSED, (None, "suppressed")),
        (10, NOT_YET_CLOSED, (10, "ok")),
        (0, BEGUN, (None, "suppressed")),
        (10, BEGUN, (10, "ok")),
        (0, NOT_BEGUN, (None, "not_observable")),
        (10, NOT_BEGUN, (None, "not_observable")),
    ],
)
def test_a_cell(subjects: int, as_of: datetime, cell: tuple[float | None, str]) -> None:
    assert told(Count(subjects), as_of) == cell


@pytest.mark.parametrize(
    ("as_of", "cell"), [(CLOSED, (0, "ok")), (BEGUN, (0, "ok")), (NOT_BEGUN, (None, "not_observable"))]
)
def test_a_sandbox_hides_nobody(as_of: datetime, cell: tuple[float | None, str]) -> None:
    assert told(Count(0), as_of, k=1) == cell
    assert told(Count(1), CLOSED, k=1) == (1, "ok")


def test_a_count_rests_on_its_subjects_not_on_its_size() -> None:
    assert told(Count(5000, subjects=9), CLOSED) == (None, "suppressed")
    assert told(Count(3, subjects=10), CLOSED) == (3, "ok")
    assert told(Count(0, subjects=9), CLOSED) == (None, "suppressed")


def test_suppressed_cells_are_counted_over_all_tables_and_totals() -> None:
    row = Row(DAY, {"date": "2025-10-05"}, {"few": Count(9), "none": Count(0), "many": Count(10)})
    figures = Figures({"data": [row, row], "weeks": [row]}, {"withdrawn_subjects": (DAY, Count(1))})
    released = release(figures, k=10, as_of=CLOSED)
    assert released.suppressed_cells == 4
    assert released.totals["withdrawn_subjects"].status is Status.SUPPRESSED


def test_k_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="k is 1 or more"):
        release(Figures({}), k=0, as_of=CLOSED)


def test_figures_have_no_form_outside_the_process() -> None:
    figures = Figures({"data": [Row(DAY, {"date": "2025-10-05"}, {"dau": Count(4711)})]}, {"all": (DAY, Count(4711))})
    for serialise in (json.dumps, msgspec.json.encode, msgspec.to_builtins, pickle.dumps):
        with pytest.raises(TypeError):
            serialise(figures)
        with pytest.raises(TypeError):
            serialise(Count(4711))
    for text in (repr(figures), str(figures), f"{figures.totals}", repr(Count(4711))):
        assert "4711" not in text


def test_only_the_privacy_package_opens_a_count() -> None:
    opening = re.compile(r"\bopened\b|\b(parted(_by)?|walked)\b|\._(number|blocks|told|parts|filled|nobody|paths)\b")
    for path in [*ROOT.glob("reports/**/*.py"), *ROOT.glob("config/*.py")]:
        if path.parent.name != "privacy":
            assert not opening.search(path.read_text()), (
                f"{path.name} opens a count: figures pass reports.privacy first"
            )


def test_every_metric_answers_figures() -> None:
    for name in names():
        assert get_type_hints(known(name).run)["return"] is Figures


# --- activity through the gate ---


def crowd(number: int, at: datetime, name: str = "s") -> list[Seen]:
    return [Seen(f"{name}{n}", at) for n in range(number)]


def statuses(released: Released, row: int = 0) -> dict[str, str]:
    return {name: str(cell.status) for name, cell in released.tables["data"][row].cells.items()}


def test_activity_below_k_and_at_k(history: Callable[..., History]) -> None:
    shanghai = history()
    shanghai.add_all(crowd(9, local("2025-10-05 12:00:00")))
    few = shanghai.ask("2025-10-05", "2025-10-05", k=10)
    assert set(statuses(few).values()) == {"suppressed"}
    assert few.suppressed_cells == 7  # five of the day, the week, the month; nobody withdrew: 0
    shanghai.add(Seen("s9", local("2025-10-05 12:00:00")))
    (row,) = shanghai.ask("2025-10-05", "2025-10-05", k=10).tables["data"]
    assert {name: cell.value for name, cell in row.cells.items()} == {
        "dau": 10,
        "wau_rolling": 10,
        "mau_rolling": 10,
        "events": 10,
        "sessions": 10,
    }


def test_events_and_sessions_are_suppressed_with_the_days_subjects(history: Callable[..., History]) -> None:
    shanghai = history()
    shanghai.add_all(crowd(9, local("2025-10-05 12:00:00")) * 100)
    shanghai.add_all(crowd(12, local("2025-10-04 12:00:00")))
    cells = statuses(shanghai.ask("2025-10-05", "2025-10-05", k=10))
    assert cells["dau"] == cells["events"] == cells["sessions"] == "suppressed"
    assert cells["wau_rolling"] == cells["mau_rolling"] == "ok"


def test_sessions_rest_on_those_who_began_one(history: Callable[..., History]) -> None:
    """Eleven were there; ten of them since the evening before."""
    shanghai = history()
    shanghai.add_all(crowd(10, local("2025-10-04 23:50:00")) + crowd(10, local("2025-10-05 00:10:00")))
    (row,) = shanghai.ask("2025-10-05", "2025-10-05", k=10).tables["data"]
    assert (row.cells["dau"].value, row.cells["sessions"].value) == (10, 0)
    shanghai.add(Seen("late", local("2025-10-05 12:00:00")))
    (row,) = shanghai.ask("2025-10-05", "2025-10-05", k=10).tables["data"]
    assert (row.cells["dau"].value, row.cells["sessions"].status) == (11, "suppressed")


def test_sessions_are_not_told_as_0_where_the_day_is_suppressed(history: Callable[..., History]) -> None:
    shanghai = history()
    shanghai.add_all(crowd(9, local("2025-10-04 23:50:00")) + crowd(9, local("2025-10-05 00:10:00")))
    assert statuses(shanghai.ask("2025-10-05", "2025-10-05", k=10))["sessions"] == "suppressed"


def test_days_close_48_hours_after_they_ended_in_the_zone(history: Callable[..., History]) -> None:
    york = history("America/New_York")
    # November 2 has 25 hours and ends at 05:00 UTC on the 3rd.
    at = datetime(2025, 11, 5, 5, tzinfo=UTC)
    released = york.ask("2025-11-02", "2025-11-03", k=10, as_of=at)
    assert [row.closed for row in released.tables["data"]] == [True, False]
    assert [row.cells["dau"].value for row in released.tables["data"]] == [0, None]
    before = york.ask("2025-11-02", "2025-11-03", k=10, as_of=at - timedelta(microseconds=1))
    assert [row.closed for row in before.tables["data"]] == [False, False]


def test_open_days_and_unfinished_periods_are_totals_so_far(history: Callable[..., History]) -> None:
    shanghai = history()
    shanghai.add_all(crowd(10, local("2025-10-08 08:00:00")))  # a Wednesday
    released = shanghai.ask("2025-10-08", "2025-10-09", k=10, as_of=local("2025-10-08 12:00:00"))
    today, tomorrow = released.tables["data"]
    assert {cell.value for cell in today.cells.values()} == {10}
    assert {str(cell.status) for cell in tomorrow.cells.values()} == {"not_observable"}
    assert [(row.cells["wau"].value, row.closed) for row in released.tables["weeks"]] == [(10, False)]
    assert [(row.cells["mau"].value, row.closed) for row in released.tables["months"]] == [(10, False)]


def test_a_week_and_a_month_not_begun_are_not_observable(history: Callable[..., History]) -> None:
    released = history().ask("2025-09-30", "2025-11-03", k=1, as_of=local("2025-10-30 12:00:00"))
    assert [str(row.cells["wau"].status) for row in released.tables["weeks"]] == ["ok"] * 5 + ["not_observable"]
    assert [str(row.cells["mau"].status) for row in released.tables["months"]] == ["ok", "ok", "not_observable"]


# --- how many withdrew ---


def withdraw(
    history: History, subject: str, at: datetime, state: str = "withdrawn", purpose: str = "analytics"
) -> None:
    history.owner.execute(
        "WITH l AS (INSERT INTO leaf (program_id, type, hash, subject_version)"
        "           VALUES (%(program)s, 0, %(hash)s, 1) RETURNING id)"
        " INSERT INTO consent_record (subject_id, program_id, record_id, purpose_id, version, state, act, method, age_band,"
        " occurred_at, corrected_at, received_at, leaf_id, salt)"
        " SELECT %(subject)s, %(program)s, gen_random_uuid(), p.id, 1, %(state)s, 'single', 'settings', 'unknown',"
        " %(at)s, %(at)s, %(at)s, l.id, %(hash)s FROM l, purpose p"
        " WHERE p.program_id = %(program)s AND p.code = %(purpose)s",
        {
            "program": history.program.id,
            "subject": history.ids[subject],
            "state": state,
            "purpose": purpose,
            "at": at,
            "hash": bytes(32),
        },
    )


def withdrew(history: History, first: str, last: str, k: int = 1) -> tuple[float | None, str]:
    cell = history.ask(first, last, k=k).totals["withdrawn_subjects"]
    return cell.value, str(cell.status)


def test_withdrawn_subjects_are_distinct_and_by_the_servers_time(history: Callable[..., History]) -> None:
    shanghai = history()
    shanghai.add_all(crowd(6, local("2025-10-01 12:00:00")))
    withdraw(shanghai, "s0", local("2025-10-05 00:00:00"))
    withdraw(shanghai, "s0", local("2025-10-05 12:00:00"), purpose="personalisation")
    withdraw(shanghai, "s1", local("2025-10-06 23:59:59"))
    withdraw(shanghai, "s2", local("2025-10-04 23:59:59"))
    withdraw(shanghai, "s3", local("2025-10-07 00:00:00"))
    withdraw(shanghai, "s4", local("2025-10-05 12:00:00"), state="refused")
    withdraw(shanghai, "s5", local("2025-10-05 12:00:00"))
    shanghai.flag("s5", "erasure_pending")
    assert withdrew(shanghai, "2025-10-05", "2025-10-06") == (2, "ok")
    other = history()
    assert withdrew(other, "2025-10-05", "2025-10-06") == (0, "ok")


def test_a_purpose_that_gets_its_first_event_changes_no_day_of_the_withdrawn(history: Callable[..., History]) -> None:
    """A week asked before it less the days asked after it would be those who had ended that purpose alone."""
    shanghai = history()
    shanghai.add_all(crowd(23, local("2025-10-01 12:00:00")))
    of_purpose = "purpose_id = (SELECT id FROM purpose WHERE program_id = %s AND code = 'personalisation')"
    shanghai.owner.execute(f"DELETE FROM event_type WHERE {of_purpose}", [shanghai.program.id])
    for n in range(20):
        withdraw(shanghai, f"s{n}", local(f"2025-10-0{4 + n % 2} 12:00:00"))
    for n in range(20, 23):
        withdraw(shanghai, f"s{n}", local("2025-10-05 12:00:00"), purpose="personalisation")
    assert withdrew(shanghai, "2025-10-04", "2025-10-05", k=10) == (23, "ok")
    shanghai.add(Seen("s0", local("2025-10-01 13:00:00"), purpose="personalisation"))
    assert [withdrew(shanghai, f"2025-10-0{day}", f"2025-10-0{day}", k=10) for day in (4, 5)] == [
        (10, "ok"),
        (13, "ok"),
    ]


def test_withdrawn_subjects_pass_the_gate_too(history: Callable[..., History]) -> None:
    shanghai = history()
    shanghai.add_all(crowd(10, local("2025-10-01 12:00:00")))
    for n in range(9):
        withdraw(shanghai, f"s{n}", local("2025-10-05 12:00:00"))
    assert withdrew(shanghai, "2025-10-05", "2025-10-05", k=10) == (None, "suppressed")
    withdraw(shanghai, "s9", local("2025-10-05 12:00:00"))
    assert withdrew(shanghai, "2025-10-05", "2025-10-05", k=10) == (10, "ok")
