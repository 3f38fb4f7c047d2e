"""Simulated subjects of a mini-program: who decides what, what they do, and what the service must answer to it.

Everything follows from a seed; shares are exact, so that two runs with as many subjects differ in their dates only.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

GIVEN, REFUSED, DEFERRED = "given", "refused", "deferred"
SHARES = {GIVEN: 0.80, REFUSED: 0.12}
WITHDRAWING = 0.05
REQUESTS = ("access", "rectification", "erasure")
ACTIVE = 0.35
DAYS = 5
STRANGERS = 20
LEAKS = 20
SCENES = ("1001", "1007", "1047", "1089", "1154")
PAGES = ("pages/index/index", "pages/list/list", "pages/item/item", "pages/cart/cart", "pages/pay/pay")

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """A subject. `asks`: the kind of request they will file; `withdraws`: they will take their consent back."""

    openid: str
    decision: str
    withdraws: bool = False
    asks: str | None = None

    @property
    def purposes(self) -> list[str]:
        """Who will have a profile to put right has agreed to one."""
        return ["analytics", "personalisation"] if self.asks == "rectification" else ["analytics"]


@dataclass
class Plan:
    """The people, the events in the order of their times, and the result each event must get."""

    people: list[Person]
    zone: ZoneInfo
    days: list[date]
    events: list[Event] = field(default_factory=list)
    expected: dict[str, str] = field(default_factory=dict)
    visited: dict[date, dict[str, int]] = field(default_factory=dict)

    def activity(self, without: set[str]) -> dict[str, tuple[int, int]]:
        """Local date -> (distinct subjects, events), leaving out these openids."""
        return {
            day.isoformat(): (
                len(self.visited[day].keys() - without),
                sum(count for openid, count in self.visited[day].items() if openid not in without),
            )
            for day in self.days
        }

    def consented_at(self) -> datetime:
        """Noon of the day before the first one."""
        return datetime.combine(self.days[0] - timedelta(days=1), time(12), self.zone)


def plan(*, subjects: int, requests: int, seed: int, today: date, zone: ZoneInfo) -> Plan:
    """`requests` of each kind; events on the five days before `today`."""
    rng = random.Random(seed)
    made = Plan(_people(subjects, requests, rng), zone, [today - timedelta(days=back) for back in range(DAYS, 0, -1)])
    for day in made.days:
        made.visited[day] = defaultdict(int)
        for person in made.people:
            if person.decision == GIVEN and rng.random() < ACTIVE:
                for number in range(rng.choice((1, 1, 1, 2))):
                    for event in _session(
                        f"{number_of(person.openid)}-{day:%m%d}-{number}", person.openid, day, zone, rng
                    ):
                        _add(made, event, "stored")
                        made.visited[day][person.openid] += 1
    for event, result in _unwelcome(made, rng):
        _add(made, event, result)
    made.events.sort(key=lambda event: event["occurred_at"])
    return made


def _add(made: Plan, event: Event, result: str) -> None:
    made.events.append(event)
    made.expected[event["event_id"]] = result


def _people(subjects: int, requests: int, rng: random.Random) -> list[Person]:
    given, refused = (round(subjects * share) for share in SHARES.values())
    asking = [kind for kind in REQUESTS for _ in range(requests)]
    leaving = round(given * WITHDRAWING)
    if given < len(asking) + leaving:
        raise ValueError("too few subjects for so many requests")
    openids = [f"sim-{number:06d}" for number in range(subjects)]
    rng.shuffle(openids)
    people = []
    for place, openid in enumerate(openids):
        if place < given:
            withdraws = len(asking) <= place < len(asking) + leaving
            people.append(Person(openid, GIVEN, withdraws, asking[place] if place < len(asking) else None))
        else:
            people.append(Person(openid, REFUSED if place < given + refused else DEFERRED))
    rng.shuffle(people)
    return people


def number_of(openid: str) -> str:
    """A person's number, for ids of their events: an event that repeats its subject's own identifier is refused."""
    return openid.rpartition("-")[2]


def _session(session: str, openid: str, day: date, zone: ZoneInfo, rng: random.Random) -> Iterator[Event]:
    """A visit between 08:00 and 23:00 of the local day, half an hour at most, so that it never crosses midnight."""
    moment = datetime.combine(day, time(8), zone) + timedelta(seconds=rng.randrange(14 * 3600))
    scene, pages = rng.choice(SCENES), rng.choices(PAGES, k=rng.randint(1, 5))
    steps: list[Event] = [{"name": "launch", "scene": scene}]
    for place, page in enumerate(pages):
        seen = {"referrer_page": pages[place - 1]} if place else {}
        steps.append({"name": "page_view", "page": page, "properties": seen})
        if rng.random() < 0.4:
            steps.append({"name": "tap", "page": page, "properties": {"element": rng.choice(("buy", "more", "back"))}})
        steps.append({"name": "page_leave", "page": page, "dwell_ms": rng.randint(800, 60_000), "properties": {}})
    if rng.random() < 0.1:
        steps.append({"name": "share", "properties": {"channel": rng.choice(("friend", "group"))}})
    steps.append({"name": "hide"})
    for number, step in enumerate(steps):
        moment += timedelta(seconds=rng.randint(1, 60))
        yield {
            "event_id": f"{session}-{number}",
            "subject": {"openid": openid},
            "occurred_at": moment,
            "session_id": session,
            "context": {"os": rng.choice(("ios", "android")), "app_version": "1.4.2"},
            **step,
        }


def _unwelcome(made: Plan, rng: random.Random) -> Iterator[tuple[Event, str]]:
    """What must be refused: events of people who did not agree, of people nobody asked, and a telephone number."""
    why = {REFUSED: "consent_refused", DEFERRED: "consent_missing"}
    without = [(person.openid, why[person.decision]) for person in made.people if person.decision != GIVEN]
    without += [(f"stranger-{number}", "consent_missing") for number in range(STRANGERS)]
    for openid, code in without:
        yield (
            view(openid, f"{number_of(openid)}-x", made.consented_at() + timedelta(hours=rng.randrange(12, 120))),
            code,
        )
    agreeing = [person.openid for person in made.people if person.decision == GIVEN][:LEAKS]
    for openid in agreeing:
        leaking = view(openid, f"{number_of(openid)}-leak", made.consented_at() + timedelta(days=1))
        yield leaking | {"properties": {"referrer_page": "pages/call/13800138000"}}, "identifier_in_property"


def view(openid: str, event_id: str, at: datetime) -> Event:
    """A page view."""
    return {
        "event_id": event_id,
        "name": "page_view",
        "subject": {"openid": openid},
        "occurred_at": at,
        "page": PAGES[0],
    }
