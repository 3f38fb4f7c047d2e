"""Worlds in which an analyst tries to learn whether one person, the target, did something.

The analyst has a key with the scope `reports`. They know everything of some accomplices (fewer than k - 1), who make up, with the
target at most, a small group that alone does something: a page, a scene, an event, a weekday. They know nothing of the crowd, whose
members all do the common things at random. They see when the target leaves or comes. An attack answers True or False where the
answers leave no other explanation, and None where they do not: it never guesses.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from tests.reports.events import History, Seen, local
from tests.reports.test_threshold import withdraw

K = 10
MONDAY = date(2025, 10, 6)
RECENT = timedelta(days=364)
"""Later by so much, who is new is remembered."""
SUNDAY = MONDAY + timedelta(days=6)
TARGET = "target"


@dataclass
class World:
    """A week of a mini-program from MONDAY on. `did`: what the analyst wants to know."""

    history: History
    seed: int
    did: bool
    dice: random.Random = field(init=False)
    accomplices: list[str] = field(init=False)
    crowd: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(f"{self.seed}")
        self.accomplices = [f"accomplice{n}" for n in range(self.dice.randint(1, K - 2))]
        self.crowd = [f"c{n}" for n in range(self.dice.randint(3 * K, 5 * K))]

    def common(self, *days: date, **more: Any) -> None:
        """The crowd views the home page, from 1 to 3 times each."""
        self.history.add_all(
            seen(one, day, page="home", **more)
            for day in days or (MONDAY,)
            for one in self.crowd
            for _ in range(self.dice.randint(1, 3))
        )

    def group(self, day: date = MONDAY, each: int = 1, **what: Any) -> None:
        """The accomplices do it, so many times each, and the target once if it does."""
        self.history.add_all(seen(one, day, **what) for one in self.accomplices for _ in range(each))
        self.target(day, **what)

    def group_members(self) -> list[str]:
        return [*self.accomplices, *([TARGET] if self.did else [])]

    def withdraw(self, day: date, subjects: list[str]) -> None:
        for subject in subjects:
            withdraw(self.history, subject, seen(subject, day).at)

    def target(self, day: date = MONDAY, **what: Any) -> None:
        if self.did:
            self.history.add(seen(TARGET, day, **what))

    def ask(self, metric: str, first: date = MONDAY, last: date | None = None, **more: Any) -> dict[str, Any]:
        """As the analyst does, over HTTP."""
        response = self.call(metric, first, last, **more)
        assert response.status_code == 200, response.content
        return dict(response.json())

    def call(
        self, metric: str, first: date = MONDAY, last: date | None = None, accept: str = "application/json", **more: Any
    ) -> Any:
        body = {"from": str(first), "to": str(last or first)} | more
        return self.history.program.post(f"reports/{metric}", body, Accept=accept)


def seen(subject: str, day: date, minute: int = 0, name: str = "page_view", **more: Any) -> Seen:
    return Seen(subject, local(f"{day} 12:{minute:02}:00"), name=name, **more)


def beyond(number: float | None, known: float) -> bool | None:
    """Whether a number that only the group makes up is more than what the accomplices did."""
    return None if number is None else number > known


def row(rows: list[dict[str, Any]], **keys: Any) -> dict[str, Any]:
    """The row of these keys; where there is none, one that tells nothing."""
    found = [one for one in rows if all(one.get(name) == value for name, value in keys.items())]
    return found[0] if found else {}


Attack = Callable[[World], bool | None]
