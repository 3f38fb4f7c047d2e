"""activity, worked out by hand: what lies in which day, week and month."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from reports.privacy.threshold import Released
from tests.reports.events import History, Seen, local

Histories = Callable[..., History]


def counts(history: History, first: str, last: str) -> dict[str, tuple[float | None, ...]]:
    """Date -> (dau, events)."""
    return {day: (row[0], row[1]) for day, row in history.table(first, last, "dau", "events").items()}


def test_a_day_runs_from_midnight_to_midnight_of_the_zone(history: Histories) -> None:
    shanghai = history("Asia/Shanghai")
    shanghai.add(
        Seen("ann", local("2025-10-04 23:59:59.999999")),
        Seen("ann", local("2025-10-05 00:00:00")),  # 16:00 UTC of the 4th
        Seen("bob", local("2025-10-05 23:59:59.999999")),
        Seen("cem", local("2025-10-06 00:00:00")),
    )
    assert counts(shanghai, "2025-10-03", "2025-10-07") == {
        "2025-10-03": (0, 0),
        "2025-10-04": (1, 1),
        "2025-10-05": (2, 2),
        "2025-10-06": (1, 1),
        "2025-10-07": (0, 0),
    }


def test_a_half_hour_zone(history: Histories) -> None:
    tehran = history("Asia/Tehran")  # +03:30, no daylight saving since 2022
    tehran.add(
        Seen("ann", local("2025-10-04 20:29:59", "UTC")),
        Seen("ann", local("2025-10-04 20:30:00", "UTC")),
        Seen("bob", local("2025-10-05 20:29:59", "UTC")),
    )
    assert counts(tehran, "2025-10-04", "2025-10-05") == {"2025-10-04": (1, 1), "2025-10-05": (2, 2)}


def test_west_of_utc_on_the_day_of_23_hours(history: Histories) -> None:
    york = history("America/New_York")  # 2025-03-09: 02:00 EST is 03:00 EDT
    york.add(
        Seen("ann", local("2025-03-09 04:59:59", "UTC")),  # the 8th, 23:59:59 EST
        Seen("ann", local("2025-03-09 05:00:00", "UTC")),  # midnight EST
        Seen("bob", local("2025-03-10 03:59:59", "UTC")),  # the 9th, 23:59:59 EDT
        Seen("cem", local("2025-03-10 04:00:00", "UTC")),  # midnight EDT
    )
    assert counts(york, "2025-03-08", "2025-03-10") == {
        "2025-03-08": (1, 1),
        "2025-03-09": (2, 2),
        "2025-03-10": (1, 1),
    }


def test_west_of_utc_on_the_day_of_25_hours(history: Histories) -> None:
    york = history("America/New_York")  # 2025-11-02: 02:00 EDT is 01:00 EST
    york.add(
        Seen("ann", local("2025-11-02 03:59:59", "UTC")),  # the 1st, 23:59:59 EDT
        Seen("ann", local("2025-11-02 01:30:00", "America/New_York")),
        Seen("bob", local("2025-11-02 01:30:00", "America/New_York", fold=1)),
        Seen("cem", local("2025-11-03 04:59:59", "UTC")),  # the 2nd, 23:59:59 EST
        Seen("dee", local("2025-11-03 05:00:00", "UTC")),
    )
    assert counts(york, "2025-11-01", "2025-11-03") == {
        "2025-11-01": (1, 1),
        "2025-11-02": (3, 3),
        "2025-11-03": (1, 1),
    }


def test_a_zone_that_jumps_over_midnight(history: Histories) -> None:
    santiago = history("America/Santiago")  # 2025-09-07: 00:00 -04 is 01:00 -03
    santiago.add(
        Seen("ann", local("2025-09-07 03:59:59", "UTC")),
        Seen("ann", local("2025-09-07 04:00:00", "UTC")),
        Seen("bob", local("2025-09-08 02:59:59", "UTC")),
        Seen("cem", local("2025-09-08 03:00:00", "UTC")),
    )
    assert counts(santiago, "2025-09-06", "2025-09-08") == {
        "2025-09-06": (1, 1),
        "2025-09-07": (2, 2),
        "2025-09-08": (1, 1),
    }


def test_a_wrong_clock_moves_no_event_to_another_day(history: Histories) -> None:
    """Stored under the UTC date as sent, up to 24 h away on either side; reported by the corrected time."""
    shanghai = history("Asia/Shanghai")
    shanghai.add(
        Seen("fast", local("2025-10-05 00:00:00"), skew=timedelta(hours=24)),
        Seen("slow", local("2025-10-05 23:59:59"), skew=-timedelta(hours=24)),
        Seen("slow", local("2025-10-05 00:00:00"), skew=-timedelta(hours=24)),
        Seen("fast", local("2025-10-05 23:59:59.999999"), skew=timedelta(hours=24)),
    )
    assert counts(shanghai, "2025-10-04", "2025-10-06") == {
        "2025-10-04": (0, 0),
        "2025-10-05": (2, 4),
        "2025-10-06": (0, 0),
    }


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Africa/Lagos", "UTC", "Atlantic/Cape_Verde", "Etc/GMT+12"])
def test_the_outermost_events_of_a_month_whatever_the_clock(history: Histories, zone: str) -> None:
    """Its first and last instant, sent with a clock that is right, 24 h fast and 24 h slow."""
    there = history(zone)
    for skew in (-24, 0, 24):
        first, last = local("2025-10-01 00:00:00", zone), local("2025-10-31 23:59:59.999999", zone)
        there.add(
            Seen(f"ann {skew}", first, skew=timedelta(hours=skew)),
            Seen(f"bob {skew}", last, skew=timedelta(hours=skew)),
        )
    assert counts(there, "2025-10-01", "2025-10-01") == {"2025-10-01": (3, 3)}
    assert counts(there, "2025-10-31", "2025-10-31") == {"2025-10-31": (3, 3)}
    for asked in ("2025-10-15", "2025-10-31"):  # the scan ends with the last of the month, begins with the first
        assert there.table(asked, asked, "mau", table="months") == {"2025-10-01": [6]}


def test_a_late_event_counts_on_the_day_it_happened(history: Histories, owner: object) -> None:
    shanghai = history("Asia/Shanghai")
    shanghai.add(Seen("ann", local("2025-10-05 12:00:00")))
    shanghai.owner.execute("UPDATE event SET received_at = received_at + interval '6 days'")
    assert counts(shanghai, "2025-10-05", "2025-10-11")["2025-10-05"] == (1, 1)
    assert counts(shanghai, "2025-10-05", "2025-10-11")["2025-10-11"] == (0, 0)


def test_rolling_windows_end_with_the_day_and_reach_before_the_range(history: Histories) -> None:
    shanghai = history("Asia/Shanghai")
    shanghai.add(
        Seen("thirty", local("2025-09-06 00:00:00")),  # the 30th day counted back from October 5
        Seen("too old", local("2025-09-05 23:59:59")),
        Seen("seven", local("2025-09-29 00:00:00")),  # the 7th day counted back
        Seen("eight", local("2025-09-28 23:59:59")),
        Seen("today", local("2025-10-05 10:00:00")),
        Seen("seven", local("2025-10-05 11:00:00")),
        Seen("tomorrow", local("2025-10-06 00:00:00")),
    )
    assert shanghai.table("2025-10-05", "2025-10-06", "dau", "wau_rolling", "mau_rolling") == {
        "2025-10-05": [2, 2, 4],
        "2025-10-06": [1, 3, 4],
    }


def test_weeks_start_on_monday_and_count_whole(history: Histories) -> None:
    shanghai = history("Asia/Shanghai")
    shanghai.add(
        Seen("sunday before", local("2025-10-05 23:59:59")),
        Seen("monday", local("2025-10-06 00:00:00")),
        Seen("wednesday", local("2025-10-08 12:00:00")),
        Seen("monday", local("2025-10-08 12:00:00")),
        Seen("sunday", local("2025-10-12 23:59:59")),
        Seen("monday after", local("2025-10-13 00:00:00")),
    )
    assert shanghai.table("2025-10-08", "2025-10-09", "wau", table="weeks") == {"2025-10-06": [3]}
    assert shanghai.table("2025-10-05", "2025-10-13", "wau", table="weeks") == {
        "2025-09-29": [1],
        "2025-10-06": [3],
        "2025-10-13": [1],
    }


def test_months_count_whole(history: Histories) -> None:
    shanghai = history("Asia/Shanghai")
    shanghai.add(
        Seen("january", local("2024-01-31 23:59:59")),
        Seen("first", local("2024-02-01 00:00:00")),
        Seen("leap day", local("2024-02-29 23:59:59")),
        Seen("first", local("2024-02-29 10:00:00")),
        Seen("march", local("2024-03-01 00:00:00")),
        Seen("end of march", local("2024-03-31 23:59:59")),
    )
    assert shanghai.table("2024-02-14", "2024-02-14", "mau", table="months") == {"2024-02-01": [2]}
    assert shanghai.table("2024-01-31", "2024-03-01", "mau", table="months") == {
        "2024-01-01": [1],
        "2024-02-01": [2],
        "2024-03-01": [2],
    }
    # The 31st is the day on which the month reaches further back than 30 rolling days.
    assert shanghai.table("2024-03-31", "2024-03-31", "mau", table="months") == {"2024-03-01": [2]}


def test_an_empty_program_has_zeros(history: Histories) -> None:
    shanghai = history("Asia/Shanghai")
    nothing = shanghai.ask("2025-10-05", "2025-10-06")
    assert [cell.value for row in nothing.tables["data"] for cell in row.cells.values()] == [0] * 10
    assert nothing.suppressed_cells == 0


def test_another_program_never_counts(history: Histories) -> None:
    mine, theirs = history("Asia/Shanghai"), history("Asia/Shanghai")
    theirs.add(Seen("ann", local("2025-10-05 12:00:00")))
    mine.add(Seen("bob", local("2025-10-05 12:00:00")), Seen("bob", local("2025-10-05 13:00:00")))
    assert counts(mine, "2025-10-05", "2025-10-05") == {"2025-10-05": (1, 2)}
    assert counts(theirs, "2025-10-05", "2025-10-05") == {"2025-10-05": (1, 1)}


@pytest.mark.parametrize("flag", ["restricted", "erasure_pending"])
def test_who_may_not_be_read_is_in_no_figure(history: Histories, flag: str) -> None:
    shanghai = history("Asia/Shanghai")
    shanghai.add(Seen("ann", local("2025-10-05 12:00:00")), Seen("bob", local("2025-10-05 12:00:00")))
    shanghai.flag("bob", flag)
    assert all_values(shanghai.ask("2025-10-05", "2025-10-05")) == [1, 1, 1, 1, 1, 1, 1]


def test_a_grant_that_waits_for_a_guardian_counts_nowhere(history: Histories) -> None:
    shanghai = history("Asia/Shanghai")
    shanghai.add(Seen("ann", local("2025-10-05 12:00:00")), Seen("bob", local("2025-10-05 12:00:00")))
    shanghai.owner.execute(
        "UPDATE consent_state SET guardian_pending = true WHERE subject_id = %s", [shanghai.ids["bob"]]
    )
    assert all_values(shanghai.ask("2025-10-05", "2025-10-05")) == [1, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("state", ["withdrawn", "refused", "invalidated"])
def test_events_leave_with_the_consent_to_their_purpose(history: Histories, state: str) -> None:
    shanghai = history("Asia/Shanghai")
    shanghai.add(Seen("ann", local("2025-10-05 12:00:00")), Seen("bob", local("2025-10-05 12:00:00")))
    shanghai.end_consent("bob", state)
    shanghai.end_consent("ann", state, purpose="personalisation")
    assert all_values(shanghai.ask("2025-10-05", "2025-10-05")) == [1, 1, 1, 1, 1, 1, 1]


def test_a_renewed_consent_stands(history: Histories) -> None:
    shanghai = history("Asia/Shanghai")
    shanghai.add(Seen("ann", local("2025-10-05 12:00:00")))
    shanghai.end_consent("ann", "renewed")
    assert all_values(shanghai.ask("2025-10-05", "2025-10-05")) == [1, 1, 1, 1, 1, 1, 1]


def all_values(released: Released) -> list[float | None]:
    """Of every table, in order."""
    return [cell.value for rows in released.tables.values() for row in rows for cell in row.cells.values()]
