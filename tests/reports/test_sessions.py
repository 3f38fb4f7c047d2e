"""The session, worked out by hand: where one ends, where the next begins, and on which day it counts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.reports.events import History, Seen, local

Histories = Callable[..., History]
NOON = local("2025-10-05 12:00:00")


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def sessions(history: History, first: str, last: str) -> list[float | None]:
    return [row[0] for row in history.table(first, last, "sessions").values()]


def test_a_pause_of_30_minutes_goes_on_and_one_of_more_begins_anew(history: Histories) -> None:
    shanghai = history()
    shanghai.add(Seen("ann", NOON), Seen("ann", NOON + minutes(30)), Seen("ann", NOON + minutes(60)))
    assert sessions(shanghai, "2025-10-05", "2025-10-05") == [1]
    shanghai.add(Seen("ann", NOON + minutes(90) + timedelta(microseconds=1)))
    assert sessions(shanghai, "2025-10-05", "2025-10-05") == [2]


def test_each_subject_has_sessions_of_their_own(history: Histories) -> None:
    shanghai = history()
    shanghai.add(Seen("ann", NOON), Seen("bob", NOON + minutes(1)), Seen("ann", NOON + minutes(2)))
    assert sessions(shanghai, "2025-10-05", "2025-10-05") == [2]


def test_events_at_one_instant_are_one_moment(history: Histories) -> None:
    shanghai = history()
    shanghai.add(*[Seen("ann", NOON)] * 3, *[Seen("ann", NOON + minutes(40))] * 2)
    assert sessions(shanghai, "2025-10-05", "2025-10-05") == [2]


def test_the_clients_session_outlasts_pauses_and_is_apart_from_other_ids(history: Histories) -> None:
    shanghai = history()
    shanghai.add(
        Seen("ann", NOON, "one"),
        Seen("ann", NOON + minutes(1), "two"),
        Seen("ann", NOON + hours(5), "one"),
        Seen("bob", NOON, "one"),
        Seen("ann", NOON + minutes(2)),
    )
    assert sessions(shanghai, "2025-10-05", "2025-10-05") == [4]


def test_a_session_belongs_to_the_day_of_its_first_event(history: Histories) -> None:
    shanghai = history()
    shanghai.add(
        Seen("ann", local("2025-10-05 23:50:00")),
        Seen("ann", local("2025-10-06 00:10:00")),
        Seen("bob", local("2025-10-05 20:00:00"), "night"),
        Seen("bob", local("2025-10-06 09:00:00"), "night"),
    )
    assert sessions(shanghai, "2025-10-05", "2025-10-06") == [2, 0]
    assert sessions(shanghai, "2025-10-06", "2025-10-06") == [0], "what began before the range is no new session"
    assert shanghai.table("2025-10-06", "2025-10-06", "dau") == {"2025-10-06": [2]}


def test_a_clients_session_is_cut_after_24_hours(history: Histories) -> None:
    shanghai = history()
    shanghai.add(*(Seen("ann", NOON + hours(at), "long") for at in (0, 10, 20, 23.999)))
    assert sessions(shanghai, "2025-10-05", "2025-10-06") == [1, 0]
    shanghai.add(Seen("ann", NOON + hours(24), "long"), Seen("ann", NOON + hours(25), "long"))
    assert sessions(shanghai, "2025-10-05", "2025-10-06") == [1, 1]


def test_an_id_used_again_after_more_than_24_hours_begins_a_new_run(history: Histories) -> None:
    shanghai = history()
    again = NOON + hours(24.5)  # 12:30, and midnight UTC is at 08:00
    shanghai.add(Seen("ann", NOON, "id"), *(Seen("ann", again + hours(at), "id") for at in (0, 8, 23)))
    assert sessions(shanghai, "2025-10-05", "2025-10-07") == [1, 1, 0]


def test_an_endless_run_is_cut_after_24_hours_and_then_at_midnight_utc(history: Histories) -> None:
    shanghai = history()
    begins = datetime(2025, 10, 5, 5, tzinfo=UTC)
    shanghai.add_all(Seen("ann", begins + minutes(20 * n)) for n in range(3 * 24 * 4))  # until the 9th, 04:40 UTC
    # 5th 05:00, 6th 05:00, then midnight UTC of the 7th, 8th and 9th: 08:00 in Shanghai.
    whole = sessions(shanghai, "2025-10-05", "2025-10-09")
    assert whole == [1, 1, 1, 1, 1]
    by_day = [sessions(shanghai, f"2025-10-0{day}", f"2025-10-0{day}")[0] for day in range(5, 10)]
    assert by_day == whole, "a day has the same sessions in whatever range it is asked"


def test_the_three_days_before_the_range_tell_a_session_that_goes_on(history: Histories) -> None:
    """The longest look back there is: pauses of nearly 24 h, in a zone whose midnight lies just before that of UTC."""
    lagos = history("Africa/Lagos")  # +01:00
    midnight = local("2025-10-05 00:00:00", "Africa/Lagos")
    run = [-hours(70) - minutes(1), -hours(46) - minutes(2), -hours(23) + minutes(1), minutes(30)]
    lagos.add_all(Seen("ann", midnight + at, "id") for at in run)
    # The third lies beyond the cut and after a midnight UTC; the fourth on the third's UTC date, so it goes on.
    assert sessions(lagos, "2025-10-02", "2025-10-05") == [1, 0, 1, 0]
    assert sessions(lagos, "2025-10-05", "2025-10-05") == [0]


def test_an_event_whose_consent_was_withdrawn_holds_no_session_together(history: Histories) -> None:
    shanghai = history()
    shanghai.add(
        Seen("ann", NOON),
        Seen("ann", NOON + minutes(20), purpose="personalisation"),
        Seen("ann", NOON + minutes(40)),
    )
    assert sessions(shanghai, "2025-10-05", "2025-10-05") == [1]
    shanghai.end_consent("ann", purpose="personalisation")
    assert sessions(shanghai, "2025-10-05", "2025-10-05") == [2]
