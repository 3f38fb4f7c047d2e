"""What is told of one type of events, less all events."""

from datetime import date, timedelta
from typing import Any

from tests.attacks.registry import attack, less, quotient, times
from tests.attacks.world import MONDAY, SUNDAY, World, beyond, row, seen
from tests.cast import now

LONGEST = 30 * 24 * 3600
"""Seconds of the longest window."""


def others(world: World, told: float | None, name: str = "page_view") -> bool | None:
    """All events of the day less those of the crowd's one event, as some report tells or gives away how many: the group's."""
    (every,) = world.ask("activity")["data"]
    return beyond(less(every["events"], told), len(world.accomplices))


def one_event_and_another(world: World, name: str = "page_view", **more: Any) -> None:
    """The crowd's event and, of the group alone, another; each in a session of its own."""
    world.history.add_all(seen(one, MONDAY, name=name, page="home", **more) for one in world.crowd)
    world.group(name="order", scene="1001")


@attack
def others_than_views_at_a_glance(world: World) -> bool | None:
    one_event_and_another(world)
    return others(world, world.ask("overview")["data"][0]["views"])


@attack
def others_than_views_the_day_before(world: World) -> bool | None:
    one_event_and_another(world)
    return others(world, world.ask("overview", MONDAY + timedelta(days=1))["day_before"][0]["views"])


@attack
def others_than_views_by_the_depth_at_a_glance(world: World) -> bool | None:
    one_event_and_another(world)
    (told,) = world.ask("overview")["data"]
    return others(world, times(told["mean_depth"], told["opens"]))


@attack
def others_than_views_by_the_depth(world: World) -> bool | None:
    one_event_and_another(world)
    (told,) = world.ask("sessions")["data"]
    return others(world, times(told["mean_depth"], told["sessions"]))


@attack
def others_than_views_by_the_depth_of_all_days(world: World) -> bool | None:
    one_event_and_another(world)
    told = world.ask("sessions")
    return others(world, times(told["mean_depth"], told["sessions"]))


@attack
def others_than_views_of_pages(world: World) -> bool | None:
    one_event_and_another(world)
    return others(world, world.ask("pages")["views"])


@attack
def others_than_views_of_each_page(world: World) -> bool | None:
    one_event_and_another(world)
    world.common(scene="1001")
    rows = [one["views"] for one in world.ask("pages")["data"]]
    return others(world, less(0, *(None if one is None else -one for one in rows)))


@attack
def others_than_views_by_a_pages_share(world: World) -> bool | None:
    one_event_and_another(world)
    *_, told = world.ask("pages")["data"]
    return others(world, quotient(told["views"], told["share"]))


@attack
def others_than_views_by_a_pages_exits(world: World) -> bool | None:
    """Of the only page that was seen."""
    one_event_and_another(world)
    world.history.add_all(seen(one, MONDAY, minute=1, name="page_view", page="home") for one in world.crowd)
    *_, told = world.ask("pages")["data"]
    return others(world, quotient(told["exits"], told["exit_rate"]))


@attack
def others_than_shares(world: World) -> bool | None:
    one_event_and_another(world, "share", scene="1007")
    return others(world, world.ask("shares")["data"][0]["shares"])


@attack
def others_than_shares_by_their_returns(world: World) -> bool | None:
    one_event_and_another(world, "share", scene="1007")
    world.history.add_all(seen(f"x{n}", MONDAY, name="share", scene="1001") for n in range(len(world.crowd)))
    (told,) = world.ask("shares")["data"]
    return others(world, quotient(told["sessions_from_share"], told["returns_per_share"]))


@attack
def others_than_exposures(world: World) -> bool | None:
    one_event_and_another(world)
    return others(world, world.ask("conversion", exposure="page_view", goal="share")["data"][0]["exposures"])


@attack
def others_than_exposures_of_each_page(world: World) -> bool | None:
    one_event_and_another(world)
    told = world.ask("conversion", exposure="page_view", goal="share", breakdown="page")["data"]
    return others(world, row(told, value="home").get("exposures"))


@attack
def others_than_views_of_each_page_as_they_went(world: World) -> bool | None:
    one_event_and_another(world)
    told = world.ask("trends", event="page_view", breakdown="page")["data"]
    return others(world, row(told, value="home").get("events"))


@attack
def others_than_views_of_some_pages(world: World) -> bool | None:
    one_event_and_another(world)
    home = {"field": "page", "op": "eq", "value": "home"}
    (told,) = world.ask("trends", event="page_view", filters=[home])["data"]
    return others(world, told["events"])


@attack
def others_than_starts(world: World) -> bool | None:
    one_event_and_another(world)
    (told,) = world.ask("intervals", start_event="page_view", end_event="share", bound_s=60)["data"]
    return others(world, told["starts"])


@attack
def others_than_views_by_their_event(world: World) -> bool | None:
    one_event_and_another(world)
    (told,) = world.ask("trends", event="page_view", breakdown="event")["data"]
    return others(world, told["events"])


@attack
def others_than_views_filtered_by_their_event(world: World) -> bool | None:
    one_event_and_another(world)
    own = {"field": "event", "op": "eq", "value": "page_view"}
    (told,) = world.ask("trends", event="page_view", filters=[own])["data"]
    return others(world, told["events"])


def of_late(world: World, metric: str, figure: str, **asked: Any) -> bool | None:
    """Of a day whose windows of thirty days are all open."""
    day = now().date() - timedelta(days=10)
    world.history.add_all(seen(one, day, name="page_view", page="home") for one in world.crowd)
    world.group(day, name="order")
    told = world.ask(metric, day, **asked)
    (every,) = world.ask("activity", day)["data"]
    return beyond(less(every["events"], told["data"][0].get(figure, told.get(figure))), len(world.accomplices))


@attack
def others_than_attempts_that_are_open(world: World) -> bool | None:
    steps = [{"event": "page_view"}, {"event": "share"}]
    return of_late(world, "funnel", "open_attempts", steps=steps, window_s=LONGEST)


@attack
def others_than_attempts_in_any_order_that_are_open(world: World) -> bool | None:
    steps = [{"event": "share"}, {"event": "page_view"}]
    return of_late(world, "funnel", "open_attempts", steps=steps, window_s=LONGEST, mode="unordered")


@attack
def others_than_starts_that_are_open(world: World) -> bool | None:
    return of_late(world, "intervals", "open_starts", start_event="page_view", end_event="share", bound_s=LONGEST)


@attack
def month_less_a_week_beside_all_events(world: World) -> bool | None:
    """Of the first full week so many others are told of, that it is told itself, and the day of the group's is all that is left."""
    month = [date(MONDAY.year, MONDAY.month, n) for n in range(1, 32)]
    for day in month:
        world.history.add_all(seen(one, day, page="home") for one in world.crowd)
    for n in range(10):
        world.history.add(seen(f"x{n}", MONDAY + timedelta(days=n % 2), name="order"))
    last = MONDAY + timedelta(days=7)
    world.group(last, name="order")

    def views(first: date, until: date, interval: str) -> dict[str, float | None]:
        told = world.ask("trends", first, until, event="page_view", interval=interval)["data"]
        return {str(one.get("date") or one.get(interval)): one["events"] for one in told}

    (whole,) = views(month[0], month[-1], "month").values()
    week = views(MONDAY, SUNDAY, "week")[str(MONDAY)]
    days = views(month[0], month[-1], "day")
    rest = [told for day, told in days.items() if not str(MONDAY) <= day <= str(SUNDAY) and day != str(last)]
    (every,) = world.ask("activity", last)["data"]
    return beyond(less(every["events"], less(whole, week, *rest)), len(world.accomplices))


@attack
def others_than_views_by_how_many_visits_had(world: World) -> bool | None:
    """The group views a page, too, so that no visit has none."""
    one_event_and_another(world)
    world.group(name="page_view", page="home")
    depths = [one for one in world.ask("distributions")["data"] if one["dimension"] == "depth_band"]
    views = [times(one["sessions"], None if one["value"] is None else int(one["value"])) for one in depths]
    return others(world, less(0, *(None if one is None else -one for one in views)))


def pages_of_a_week(world: World) -> None:
    """On the last day two of three pages, and of the group alone another event."""
    week = [MONDAY + timedelta(days=n) for n in range(7)]
    viewed = {"home": world.crowd, "cart": world.crowd[:20], "help": world.crowd[:12]}
    for day in week:
        for page, viewers in viewed.items():
            if page != "help" or day != week[-1]:
                world.history.add_all(seen(one, day, page=page) for one in viewers)
    world.group(SUNDAY, name="order")


@attack
def others_than_views_of_pages_in_two_ranges(world: World) -> bool | None:
    """What the last day hides of a page the range with it tells, less that without it."""
    pages_of_a_week(world)
    ranges = [(MONDAY, SUNDAY), (MONDAY, SUNDAY - timedelta(days=1))]
    both = [row(world.ask("pages", *dates)["data"], page="cart").get("views") for dates in ranges]
    home = row(world.ask("pages", SUNDAY)["data"], page="home").get("views")
    cart = less(*both)
    (every,) = world.ask("activity", SUNDAY)["data"]
    return beyond(less(every["events"], home, cart), len(world.accomplices))


@attack
def others_than_exposures_of_pages_by_the_week(world: World) -> bool | None:
    """The week's less the days' on which they are told."""
    pages_of_a_week(world)
    asked: dict[str, Any] = {"exposure": "page_view", "goal": "share", "breakdown": "page"}
    week = row(world.ask("conversion", SUNDAY, interval="week", **asked)["data"], value="cart").get("exposures")
    days = world.ask("conversion", MONDAY, SUNDAY, **asked)["data"]
    told = [row(days, value="cart", date=str(MONDAY + timedelta(days=n))).get("exposures") for n in range(6)]
    home = row(days, value="home", date=str(SUNDAY)).get("exposures")
    (every,) = world.ask("activity", SUNDAY)["data"]
    return beyond(less(every["events"], home, less(week, *told)), len(world.accomplices))


@attack
def others_than_what_changed(world: World) -> bool | None:
    one_event_and_another(world)
    return others(world, world.ask("contribution", event="page_view", breakdown="page")["value_after"])


@attack
def others_than_what_there_was(world: World) -> bool | None:
    one_event_and_another(world)
    day = MONDAY + timedelta(days=1)
    return others(world, world.ask("contribution", day, event="page_view", breakdown="page")["value_before"])


@attack
def others_than_the_denominator(world: World) -> bool | None:
    """And the numerator: of more than one half of the crowd, so that these and the others are k."""
    one_event_and_another(world)
    world.history.add_all(seen(one, MONDAY, name="share", page="home") for one in world.crowd[: len(world.crowd) // 2])
    (told,) = world.ask("contribution", measure="ratio", event="share", per="page_view", breakdown="page")["data"]
    two = [told[f"{name}_after"] for name in ("numerator", "denominator")]
    return others(world, None if None in two else sum(two))


@attack
def others_than_what_is_judged(world: World) -> bool | None:
    one_event_and_another(world)
    (told,) = world.ask("anomalies", measure="events", event="page_view")["data"]
    return others(world, told["value"])


@attack
def others_than_the_history(world: World) -> bool | None:
    days = [MONDAY - timedelta(days=n) for n in range(60)]
    world.common(*days[1:], scene="1001")
    one_event_and_another(world)
    told = world.ask("forecast", days[-1], MONDAY, measure="events", event="page_view", horizon=1)
    return others(world, row(told["history"], date=str(MONDAY), filled=False).get("value"))
