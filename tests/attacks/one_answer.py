"""What one answer tells by itself."""

import csv
import io
from typing import Any

from tests.attacks.registry import attack, less
from tests.attacks.world import MONDAY, SUNDAY, TARGET, World, beyond, row, seen


@attack
def rare_value_of_a_breakdown(world: World) -> bool | None:
    world.common(scene="1001")
    world.group(scene="rare")
    told = world.ask("trends", breakdown="scene")["data"]
    return beyond(row(told, value="rare").get("events"), len(world.accomplices))


@attack
def rare_value_of_a_filter(world: World) -> bool | None:
    world.common(scene="1001")
    world.group(scene="rare")
    (told,) = world.ask("trends", filters=[{"field": "scene", "op": "eq", "value": "rare"}])["data"]
    return beyond(told["events"], len(world.accomplices))


@attack
def rare_event(world: World) -> bool | None:
    world.common()
    world.group(name="share")
    (told,) = world.ask("trends", event="share")["data"]
    return beyond(told["events"], len(world.accomplices))


@attack
def rare_page(world: World) -> bool | None:
    world.common()
    world.group(page="secret")
    return beyond(row(world.ask("pages")["data"], page="secret").get("views"), len(world.accomplices))


@attack
def conversion_of_0_or_100_percent(world: World) -> bool | None:
    """The target is known to be exposed, and the crowd to go on."""
    world.history.add_all(seen(one, MONDAY, name=name) for one in world.crowd for name in ("launch", "order"))
    world.history.add(seen(TARGET, MONDAY, name="launch"))
    world.target(name="order")
    (told,) = world.ask("conversion", exposure="launch", goal="order")["data"]
    return None if told["conversion"] is None else told["conversion"] == 1


def funnel(world: World) -> list[dict[str, Any]]:
    steps = [{"event": "launch"}, {"event": "order"}]
    return list(world.ask("funnel", steps=steps, window_s=3600)["data"])


@attack
def small_funnel(world: World) -> bool | None:
    world.common()
    world.history.add_all(seen(one, MONDAY, name="launch") for one in [*world.accomplices, TARGET])
    world.history.add_all(seen(one, MONDAY, minute=5, name="order") for one in world.group_members())
    return beyond(funnel(world)[1]["subjects"], len(world.accomplices))


@attack
def step_difference(world: World) -> bool | None:
    """Everybody of the crowd and the accomplices goes on; whoever is lost at the step is the target."""
    everybody = [*world.crowd, *world.accomplices, TARGET]
    world.history.add_all(seen(one, MONDAY, name="launch") for one in everybody)
    going_on = everybody if world.did else everybody[:-1]
    world.history.add_all(seen(one, MONDAY, minute=5, name="order") for one in going_on)
    first, second = funnel(world)
    lost = less(first["subjects"], second["subjects"])
    return None if lost is None else lost == 0


@attack
def median_of_few(world: World) -> bool | None:
    """The accomplices' orders are small; a large one is the target's."""
    world.common()
    world.history.add_all(seen(one, MONDAY, name="payment", properties={"amount": 1}) for one in world.accomplices)
    world.target(name="payment", properties={"amount": 1_000_000})
    (told,) = world.ask("trends", event="payment", property="amount")["data"]
    return None if told["p90_bin"] is None else bool(told["p90_bin"][0] > 1)


@attack
def sum_of_few(world: World) -> bool | None:
    world.common()
    world.history.add_all(seen(one, MONDAY, name="payment", properties={"amount": 1}) for one in world.accomplices)
    world.target(name="payment", properties={"amount": 1000})
    (told,) = world.ask("trends", event="payment", property="amount")["data"]
    return beyond(told["sum"], len(world.accomplices))


@attack
def path_of_few(world: World) -> bool | None:
    world.common()
    for minute, page in ((1, "home"), (2, "secret")):
        world.history.add_all(seen(one, MONDAY, minute=minute, page=page) for one in world.group_members())
    links = world.ask("paths")["data"]["links"]
    return beyond(row(links, source="home", target="secret").get("transitions"), len(world.accomplices))


@attack
def csv_beside_json(world: World) -> bool | None:
    world.common(SUNDAY)
    world.group()
    response = world.call("activity", accept="text/csv")
    (told,) = csv.DictReader(io.StringIO(response.content.decode(), newline=""))
    return beyond(float(told["events"]) if told["events"] else None, len(world.accomplices))
