"""A question that is kept to be asked later: REST's body for its metric, in which a `range` relative to the day it is asked on
may stand in place of `from` and `to`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from consent import identifiers
from consent.api.bodies import described
from consent.errors import Invalid, invalid
from reports.api.asking import question
from reports.api.shapes import ASKED, ReportAsked
from reports.metrics.registry import known

RANGE = "range"
LAST = {f"last_{days}_days": days for days in (7, 28, 30, 90)}
THIS_MONTH, LAST_MONTH = "this_month", "last_month"
RANGES = (*LAST, THIS_MONTH, LAST_MONTH)

CLOSED_AFTER = timedelta(days=3)
"""A day is closed 48 h after its end: the last days end with the last that is, whose figures stand."""

LARGEST = 16 * 1024
"""Bytes of a question as JSON: one with all its filters is smaller."""

_DAY = timedelta(days=1)
_DATES = {"from", "to", "compare_from"}


def dates(name: str, today: date) -> tuple[date, date]:
    """The first and the last day. The last days are closed ones; a month begins on its 1st, and this one ends today."""
    month = today.replace(day=1)
    if name == THIS_MONTH:
        return month, today
    if name == LAST_MONTH:
        return (month - _DAY).replace(day=1), month - _DAY
    last = today - CLOSED_AFTER
    return last - (LAST[name] - 1) * _DAY, last


def body(kept: Mapping[str, Any], today: date) -> dict[str, Any]:
    """REST's body, as of a day in the mini-program's zone. Raises Invalid."""
    if RANGE not in kept:
        return dict(kept)
    if _DATES & kept.keys():
        raise invalid("range_or_dates", "give a range, or dates, not both", f"/{RANGE}")
    if kept[RANGE] not in RANGES:
        raise invalid("invalid_range", f"a range is one of {', '.join(RANGES)}", f"/{RANGE}")
    first, last = dates(kept[RANGE], today)
    rest = {name: value for name, value in kept.items() if name != RANGE}
    return {"from": first.isoformat(), "to": last.isoformat(), **rest}


def asked(metric: str, kept: Mapping[str, Any], *, zone: str, now: datetime) -> ReportAsked:
    """What it asks now, strictly as REST's call takes it. Raises Invalid; NotFound for a metric that there is no more."""
    known(metric)
    sent = body(kept, now.astimezone(ZoneInfo(zone)).date())
    try:
        return msgspec.convert(sent, ASKED[metric])
    except msgspec.ValidationError as error:
        detail, pointer = described(error)
        raise invalid("invalid", detail, pointer) from None


def refuse(metric: str, kept: Mapping[str, Any], *, program_id: int, zone: str, sandbox: bool, now: datetime) -> None:
    """Raises Invalid for what REST's call would refuse before it looks at figures, for what is too large to keep, and for a text that looks like an
    identifier: what is kept here would be found by nobody who looks for a person's data."""
    found = asked(metric, kept, zone=zone, now=now)
    question(found, program_id=program_id, zone=zone, sandbox=sandbox, now=now, csv=False)
    if len(msgspec.json.encode(kept)) > LARGEST:
        raise invalid("question_too_large", f"a question has {LARGEST} bytes at most as JSON", "")
    for pointer, text in _texts(kept, ""):
        if identifiers.kind_of(text) is not None:
            detail = "this looks like a person's number or address; ask without it"
            raise invalid("identifier_in_question", detail, pointer)


@contextmanager
def within(pointer: str) -> Iterator[None]:
    """Tell of the place in the body that a question stands in."""
    try:
        yield
    except Invalid as error:
        error.errors = [replace(fault, pointer=f"{pointer}{fault.pointer}") for fault in error.errors]
        raise


def _texts(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """Every text and number but dates, with its place."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name not in _DATES:
                yield from _texts(item, f"{pointer}/{name}")
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _texts(item, f"{pointer}/{place}")
    elif isinstance(value, str | int):
        yield pointer, str(value)
