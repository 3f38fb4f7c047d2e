"""funnel once more, slowly and another way: attempt by attempt in plain Python, by the words of its definition."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from reports.metrics.funnel import Funnel
from tests.reports.events import Seen


@dataclass
class Found:
    """`steps`: (value of the breakdown, step from 1) -> seconds that each subject took. `open`: attempts by subject."""

    steps: dict[tuple[str | None, int], list[float]]
    open: Counter[str]


def funnel(seen: list[Seen], zone: str, first: date, last: date, as_of: datetime, asked: Funnel) -> Found:
    found = Found(defaultdict(list), Counter())
    by_subject: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        by_subject[one.subject].append(one)
    for subject, own in by_subject.items():
        own.sort(key=lambda one: (one.at, one.event_id))
        best: list[Seen] = []
        for opening in own:
            opens = asked.steps if asked.mode == "unordered" else asked.steps[:1]
            if opening.name in opens and first <= opening.at.astimezone(ZoneInfo(zone)).date() <= last:
                if opening.at + asked.window >= as_of:
                    found.open[subject] += 1
                    continue
                chain = (_any_order if asked.mode == "unordered" else _in_order)(own, opening, asked)
                if len(chain) > len(best):
                    best = chain
        if best:
            value = _touched(best, asked)
            for n, one in enumerate(best, start=1):
                found.steps[value, n].append((one.at - best[0].at).total_seconds())
    return found


def _in_order(own: list[Seen], opening: Seen, asked: Funnel) -> list[Seen]:
    chain = [opening]
    for step in asked.steps[1:]:
        left = [
            one for one in own if one.name == step and one.at >= chain[-1].at and all(one is not it for it in chain)
        ]
        if not left or not _in_time(own, opening, left[0], asked):
            break
        if asked.mode == "strict" and any(chain[-1].at < one.at < left[0].at for one in own):
            break
        chain.append(left[0])
    return chain


def _any_order(own: list[Seen], opening: Seen, asked: Funnel) -> list[Seen]:
    wanted, chain = Counter(asked.steps), []
    for one in sorted(own, key=lambda one: (one.at, asked.steps.index(one.name) if one.name in asked.steps else -1)):
        if one.at >= opening.at and wanted[one.name or ""] and _in_time(own, opening, one, asked):
            wanted[one.name or ""] -= 1
            chain.append(one)
    return chain


def _in_time(own: list[Seen], opening: Seen, one: Seen, asked: Funnel) -> bool:
    excluded = any(opening.at < it.at <= one.at for it in own if it.name in asked.exclusions)
    return one.at - opening.at <= asked.window and not excluded


def _touched(chain: list[Seen], asked: Funnel) -> str | None:
    values: list[Any] = [_said(one, asked.field) for one in chain]
    said = [value for value in values if value is not None]
    if not said:
        return None
    return str(said[0] if asked.touch == "first_touch" else said[-1])


def _said(one: Seen, field: str | None) -> str | None:
    if field is None or field in ("scene", "page"):
        return {None: None, "scene": one.scene, "page": one.page}[field]
    return (one.context or {}).get(field)
