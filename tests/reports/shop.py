"""A shop that people visit for four weeks and two days: something for every report to tell, the same at each run.

The first day is the first that a page asks for by itself: whole ranges are told from the beginning of all days on.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.reports.events import History, Seen

HOME, SEARCH, ARTICLE, CART, PAY, DONE = (
    "pages/index", "pages/search", "pages/article", "pages/cart", "pages/pay", "pages/done",
)  # fmt: skip
WAYS: dict[str | None, list[tuple[str | None, int]]] = {
    None: [(HOME, 7), (ARTICLE, 3)],
    HOME: [(SEARCH, 4), (ARTICLE, 4), (None, 2)],
    SEARCH: [(ARTICLE, 6), (HOME, 2), (None, 2)],
    ARTICLE: [(CART, 4), (SEARCH, 3), (HOME, 1), (None, 2)],
    CART: [(PAY, 6), (ARTICLE, 2), (None, 2)],
    PAY: [(DONE, 7), (None, 3)],
    DONE: [(None, 1)],
}
ELEMENTS = {HOME: ["banner", "coupon"], SEARCH: ["result"], ARTICLE: ["buy", "favourite"], CART: ["pay"]}
RARE = "pages/<b>rare</b>"
"""A page of very few, whose name is markup."""


@dataclass(frozen=True)
class Visit:
    """One session of somebody's, from its first instant on."""

    who: str
    begins: datetime
    chance: random.Random
    number: int

    def events(self) -> Iterator[Seen]:
        at, page, seen = self.begins, self._next(None), 0
        yield self._event(at, "launch", scene=self.chance.choice(["1001", "1001", "1007", "1011", "1089"]))
        if self.chance.random() < 0.2:
            yield self._event(at, "expose", properties={"element": "banner"})
        while page is not None and seen < 12:
            at, seen = at + timedelta(seconds=self.chance.randint(3, 90)), seen + 1
            yield from self._on(page, at)
            page = self._next(page)
        yield self._event(at + timedelta(seconds=20), "hide")

    def _on(self, page: str, at: datetime) -> Iterator[Seen]:
        yield self._event(at, "page_view", page=page, dwell_ms=self.chance.randint(900, 60_000))
        load = {"load_ms": self.chance.randint(80, 2500), "scroll_depth": round(self.chance.random(), 2)}
        yield self._event(at + timedelta(seconds=1), "page_leave", page=page, properties=load)
        if page in ELEMENTS and self.chance.random() < 0.6:
            element = {"element": self.chance.choice(ELEMENTS[page])}
            yield self._event(at + timedelta(seconds=1), "tap", page=page, properties=element)
        done = {CART: "add_to_cart", PAY: "order", DONE: "payment"}.get(page)
        if done is not None:
            amount = {"amount": self.chance.randint(10, 400)} if done == "payment" else None
            yield self._event(at + timedelta(seconds=2), done, page=page, properties=amount)
        if page == ARTICLE and self.chance.random() < 0.15:
            yield self._event(at + timedelta(seconds=2), "share", page=page, properties={"channel": "friend"})

    def _next(self, page: str | None) -> str | None:
        names, weights = zip(*WAYS[page], strict=True)
        found: str | None = self.chance.choices(names, weights)[0]
        return found

    def _event(self, at: datetime, name: str, **more: Any) -> Seen:
        context = {"os": ("ios", "android")[self.number % 2], "app_version": f"3.{self.number % 4}"}
        return Seen(self.who, at, session=f"{self.who}-{self.begins:%m%d%H%M}", name=name, context=context, **more)


def visits(history: History, today: date, people: int, *, days: int = 30) -> None:
    """`people` come, fewer each day that has passed since they began; two of them saw a page nobody else saw."""
    chance, zone = random.Random(7), ZoneInfo(history.program.zone)
    found: list[Seen] = []
    for number in range(people):
        begins = chance.randint(0, days - 1)
        for day in range(begins, days):
            if day > begins and chance.random() > 0.5 / (1 + (day - begins) / 6):
                continue
            at = datetime.combine(today - timedelta(days=days - day), time(8 + chance.randint(0, 13)), zone)
            found += Visit(f"p{number}", at + timedelta(minutes=chance.randint(0, 59)), chance, number).events()
    rare = datetime.combine(today - timedelta(days=6), time(12), zone)
    found += [Seen(f"p{n}", rare, session=f"rare-{n}", name="page_view", page=RARE) for n in range(2)]
    history.add_all(found)


def regulars(history: History, today: date, people: int, *, days: int) -> None:
    """They come each day, more of them at weekends: a history long enough to foresee from."""
    zone = ZoneInfo(history.program.zone)
    found = []
    for ago in range(1, days):
        day = today - timedelta(days=ago)
        at = datetime.combine(day, time(9), zone)
        many = people * (2 if day.weekday() >= 5 else 1)
        found += [Seen(f"r{n}", at + timedelta(minutes=n), name="launch") for n in range(many)]
    history.add_all(found)
