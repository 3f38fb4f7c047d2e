"""Two answers of one moment, the one less the other."""

from datetime import date, timedelta
from typing import Any

from tests.attacks.registry import DAYS, attack, less, times
from tests.attacks.world import MONDAY, RECENT, SUNDAY, TARGET, K, World, beyond, row, seen


@attack
def total_less_parts(world: World) -> bool | None:
    world.common(scene="1001")
    world.group(scene="rare")
    (whole,) = world.ask("trends")["data"]
    parts = world.ask("trends", breakdown="scene")["data"]
    return beyond(less(whole["events"], row(parts, value="1001").get("events")), len(world.accomplices))


@attack
def difference_of_two_reports(world: World) -> bool | None:
    """All events less those of the one event that the crowd sends."""
    world.common()
    world.group(name="share")
    (every,) = world.ask("activity")["data"]
    (one,) = world.ask("trends", event="page_view")["data"]
    return beyond(less(every["events"], one["events"]), len(world.accomplices))


@attack
def total_of_days_less_days(world: World) -> bool | None:
    world.common(*DAYS[:-1])
    world.group(SUNDAY)
    told = world.ask("sessions", MONDAY, SUNDAY)
    days = [one["sessions"] for one in told["data"] if date.fromisoformat(one["date"]) < SUNDAY]
    return beyond(less(told["sessions"], *days), len(world.accomplices))


def week_less_days(world: World, metric: str, column: str, **more: Any) -> bool | None:
    world.common(*DAYS[:-1])
    world.group(SUNDAY)
    (week,) = world.ask(metric, MONDAY, SUNDAY, interval="week", **more)["data"]
    days = world.ask(metric, MONDAY, SUNDAY, **more)["data"]
    before = [one[column] for one in days if date.fromisoformat(one["date"]) < SUNDAY]
    return beyond(less(week[column], *before), len(world.accomplices))


@attack
def week_of_trends_less_days(world: World) -> bool | None:
    return week_less_days(world, "trends", "events")


@attack
def week_of_an_event_less_days(world: World) -> bool | None:
    return week_less_days(world, "trends", "events", event="page_view")


@attack
def week_of_an_event_less_days_beside_all_events(world: World) -> bool | None:
    """All share on the first days, the group on SUNDAY: views of the week less those of its days leave SUNDAY's."""
    world.common()
    world.common(*DAYS)
    world.history.add_all(seen(one, day, name="share") for one in world.crowd for day in DAYS[:-1])
    world.group(SUNDAY, name="share")
    (week,) = world.ask("trends", MONDAY, SUNDAY, interval="week", event="page_view")["data"]
    days = world.ask("trends", MONDAY, SUNDAY, event="page_view")["data"]
    (every,) = world.ask("activity", SUNDAY)["data"]
    views = less(week["events"], *(one["events"] for one in days[:-1]))
    return beyond(less(every["events"], views), len(world.accomplices))


@attack
def week_by_its_mean_less_days(world: World) -> bool | None:
    world.common(*DAYS[:-1])
    world.group(SUNDAY)
    (week,) = world.ask("trends", MONDAY, SUNDAY, interval="week")["data"]
    days = world.ask("trends", MONDAY, SUNDAY)["data"]
    events = times(week["events_per_subject"], week["subjects"])
    return beyond(less(events, *(one["events"] for one in days[:-1])), len(world.accomplices))


@attack
def month_less_weeks(world: World) -> bool | None:
    """On two days of one week few were there, together enough for the week to be told; on the month's first the group."""
    days = [date(2025, 10, 1) + timedelta(days=n) for n in range(31)]
    thin = {days[7]: world.crowd[: K - 2], days[8]: world.crowd[K : 2 * K - 2]}
    world.common(*(day for day in days[1:] if day not in thin))
    world.history.add_all(seen(one, day) for day, some in thin.items() for one in some)
    world.group(days[0])
    (month,) = world.ask("trends", days[0], interval="month")["data"]
    weeks = world.ask("trends", MONDAY, MONDAY + timedelta(days=20), interval="week")["data"]
    edges = [*world.ask("trends", days[1], days[4])["data"], *world.ask("trends", days[26], days[30])["data"]]
    return beyond(less(month["events"], *(one["events"] for one in (*weeks, *edges))), len(world.accomplices))


@attack
def week_of_sessions_less_days(world: World) -> bool | None:
    return week_less_days(world, "sessions", "sessions")


def every_report(world: World) -> list[float | None]:
    """How much of something was on a day, wherever it is told."""
    columns = {"activity": "events", "trends": "events", "overview": "views", "pages": "views"}
    told = [one[column] for metric, column in columns.items() for one in world.ask(metric)["data"]]
    return [*told, world.ask("frequency", by="days")["subjects"]]


@attack
def the_same_by_different_reports(world: World) -> bool | None:
    world.common(SUNDAY)
    world.group(page="home")
    told = [one for one in every_report(world) if one is not None]
    return beyond(told[0], len(world.accomplices)) if told else None


@attack
def ranges_of_the_withdrawn(world: World) -> bool | None:
    """Many withdrew on MONDAY; on SUNDAY the accomplices, and perhaps the target."""
    world.common()
    world.history.add_all(seen(one, MONDAY) for one in [*world.accomplices, TARGET])
    world.withdraw(MONDAY, world.crowd[: 2 * K])
    world.withdraw(SUNDAY, world.group_members())
    days = SUNDAY - timedelta(days=1)
    long, short = (world.ask("activity", MONDAY, last)["withdrawn_subjects"] for last in (SUNDAY, days))
    return beyond(less(long, short), len(world.accomplices))


@attack
def cumulative_visitors_of_two_days(world: World) -> bool | None:
    """Of two ranges that end a day apart; who is new on the later day is of the group."""
    early, late = MONDAY + RECENT, SUNDAY + RECENT
    world.common(early)
    world.group(late)
    told = [world.ask("overview", early, last)["cumulative_visitors"] for last in (late - timedelta(days=1), late)]
    return beyond(less(told[1], told[0]), len(world.accomplices))
