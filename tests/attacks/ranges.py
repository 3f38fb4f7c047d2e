"""Ranges that differ by a day, of reports that answer a range as a whole."""

from datetime import date, timedelta
from functools import partial
from typing import Any

from tests.attacks.registry import ATTACKS, DAYS, attack, less
from tests.attacks.world import MONDAY, SUNDAY, World, beyond, row, seen


def of_range(world: World, metric: str, column: str, first: date, last: date, **more: Any) -> float | None:
    told = world.ask(metric, first, last, **more)
    return told[column] if column in told else row(told["data"], page="home").get(column)


def a_day_more(world: World, metric: str, column: str, **more: Any) -> bool | None:
    """The last day is the group's alone; before and after it the crowd's."""
    world.common(*DAYS[:-1], SUNDAY + timedelta(days=1))
    world.group(SUNDAY, page="home")
    days = (SUNDAY, SUNDAY - timedelta(days=1))
    long, short = (of_range(world, metric, column, MONDAY, last, **more) for last in days)
    return beyond(less(long, short), len(world.accomplices))


TOTALS: list[tuple[str, str, dict[str, Any]]] = [
    ("pages", "views", {}),
    ("distributions", "sessions", {}),
    ("frequency", "subjects", {"by": "days"}),
    ("stickiness", "subjects", {}),
    ("contribution", "value_after", {"breakdown": "page"}),
]
for _metric, _column, _more in TOTALS:
    ATTACKS[f"a day more of {_metric}"] = partial(a_day_more, metric=_metric, column=_column, **_more)


@attack
def a_day_more_of_a_page(world: World) -> bool | None:
    world.common(*DAYS[:-1], SUNDAY + timedelta(days=1))
    world.group(SUNDAY, page="home")
    told = [world.ask("pages", MONDAY, day)["data"] for day in (SUNDAY, SUNDAY - timedelta(days=1))]
    long, short = (row(rows, page="home").get("views") for rows in told)
    return beyond(less(long, short), len(world.accomplices))


@attack
def a_day_more_of_a_path(world: World) -> bool | None:
    """Who comes once goes nowhere, and so does everybody here."""
    world.common(*DAYS[:-1], SUNDAY + timedelta(days=1))
    world.group(SUNDAY, page="home")
    told = [world.ask("paths", MONDAY, day)["data"]["nodes"] for day in (SUNDAY, SUNDAY - timedelta(days=1))]
    long, short = (row(rows, step=1, name="home").get("sessions") for rows in told)
    return beyond(less(long, short), len(world.accomplices))


@attack
def a_day_more_of_a_funnel(world: World) -> bool | None:
    """Every second of the crowd goes on, and all of the group."""
    days = [*DAYS[:-1], SUNDAY + timedelta(days=1)]
    for minute, name, some in ((0, "launch", world.crowd), (5, "order", world.crowd[::2])):
        world.history.add_all(seen(one, day, minute=minute, name=name) for one in some for day in days)
        world.history.add_all(seen(one, SUNDAY, minute=minute, name=name) for one in world.group_members())
    steps = [{"event": "launch"}, {"event": "order"}]
    told = [
        world.ask("funnel", MONDAY, day, steps=steps, window_s=3600)["data"]
        for day in (SUNDAY, SUNDAY - timedelta(days=1))
    ]
    return beyond(less(*(rows[1]["subjects"] for rows in told)), len(world.accomplices))


@attack
def a_day_earlier(world: World) -> bool | None:
    world.common(*DAYS[1:])
    world.common(MONDAY - timedelta(days=1))
    world.group(MONDAY, page="home")
    long, short = (of_range(world, "pages", "views", first, SUNDAY) for first in DAYS[:2])
    return beyond(less(long, short), len(world.accomplices))


@attack
def a_day_between(world: World) -> bool | None:
    """On no edge of the ranges that are asked is anybody of the group."""
    world.common(*DAYS[:2], *DAYS[3:])
    world.group(DAYS[2], page="home")
    ranges = [(DAYS[0], DAYS[5]), (DAYS[0], DAYS[1]), (DAYS[3], DAYS[5])]
    long, *parts = (of_range(world, "pages", "views", first, last) for first, last in ranges)
    return beyond(less(long, *parts), len(world.accomplices))
