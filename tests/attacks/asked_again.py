"""The same question before and after somebody left or came late."""

import csv
import io
from datetime import timedelta
from functools import partial
from typing import Any

from tests.attacks.registry import ATTACKS, Ask, Change, attack, less
from tests.attacks.world import MONDAY, SUNDAY, TARGET, World, row, seen


def asked_again(world: World, change: Change, first: Ask, second: Ask) -> bool | None:
    """The analyst sees the target alone go, or come late: a figure that moves then tells that it is in it."""
    world.common(scene="1001")
    world.history.add_all(seen(one, MONDAY, page="home", scene="1001") for one in world.accomplices)
    if change is not came_late:
        world.target(page="home", scene="1001")
    before = first(world)
    change(world)
    after = second(world)
    return True if less(after, before) else None


def erased(world: World) -> None:
    if TARGET in world.history.ids:
        world.history.flag(TARGET, "erasure_pending")


def withdrew(world: World) -> None:
    if TARGET in world.history.ids:
        world.history.end_consent(TARGET)


def came_late(world: World) -> None:
    world.target(page="home", scene="1001")


def a_day(world: World) -> float | None:
    return cell(world.ask("trends"), "events")


def the_day_in_a_longer_range(world: World) -> float | None:
    return cell(world.ask("trends", MONDAY - timedelta(days=2), SUNDAY), "events")


def the_day_as_the_one_before(world: World) -> float | None:
    told = world.ask("trends", MONDAY + timedelta(days=1), compare="previous")
    return cell(told | {"data": told["previous"]}, "events")


def the_day_in_csv(world: World) -> float | None:
    (told,) = csv.DictReader(io.StringIO(world.call("trends", accept="text/csv").content.decode(), newline=""))
    return float(told["events"])


def the_day_at_a_glance(world: World) -> float | None:
    return cell(world.ask("overview"), "visitors")


def the_day_beside_the_next(world: World) -> float | None:
    told = world.ask("overview", MONDAY + timedelta(days=1))
    return float(told["day_before"][0]["visitors"])


def a_scene(world: World) -> float | None:
    return cell(world.ask("trends", breakdown="scene"), "events", value="1001")


def a_page(world: World) -> float | None:
    return cell(world.ask("pages"), "views", page="home")


def a_week(world: World) -> float | None:
    return cell(world.ask("trends", SUNDAY, interval="week"), "events", week=str(MONDAY))


def visits_of_days_that_stay(world: World) -> float | None:
    """The total of the days told before, and of days on which nobody was."""
    return (
        float(world.ask("sessions", MONDAY - timedelta(days=world.dice.randint(0, 3)), SUNDAY)["sessions"] or 0) or None
    )


def cell(told: dict[str, Any], column: str, **keys: Any) -> float | None:
    value = row(told["data"], **(keys or {"date": str(MONDAY)})).get(column)
    return None if value is None else float(value)


PAIRS: list[tuple[Ask, Ask]] = [
    (a_day, a_day),
    (a_day, the_day_in_a_longer_range),
    (the_day_in_a_longer_range, a_day),
    (a_day, the_day_as_the_one_before),
    (a_day, the_day_in_csv),
    (the_day_at_a_glance, the_day_at_a_glance),
    (the_day_at_a_glance, the_day_beside_the_next),
    (a_scene, a_scene),
    (a_page, a_page),
    (a_week, a_week),
    (visits_of_days_that_stay, visits_of_days_that_stay),
]
for _change in (erased, withdrew, came_late):
    for _first, _second in PAIRS:
        ATTACKS[f"{_change.__name__}: {_first.__name__}, {_second.__name__}"] = partial(
            asked_again, change=_change, first=_first, second=_second
        )


@attack
def asked_many_times(world: World) -> bool | None:
    """Each time with one more accomplice gone, so that the target's going is not the first change."""
    world.common()
    world.group(page="home")
    told = {cell(world.ask("activity"), "events")}
    for one in world.accomplices[1:]:
        world.history.end_consent(one)
        told.add(cell(world.ask("activity"), "events"))
    withdrew(world)
    known = {*told}
    after = cell(world.ask("activity"), "events")
    return True if len(known) == len(world.accomplices) and after not in known else None
