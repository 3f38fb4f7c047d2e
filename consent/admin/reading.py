"""What a notice changes and what is wrong with it, as officers read it."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from django.utils.translation import gettext

from consent.admin.base import localised
from consent.errors import Fault
from consent.notices import told
from consent.notices.difference import Change, Difference, Standing
from consent.notices.document import LOCALES
from consent.notices.models import Ground

STANDINGS = {Standing.NEW: "info", Standing.CHANGED: "warning", Standing.LEFT_OUT: "danger"}


def faults(found: Iterable[Fault]) -> list[tuple[str, str]]:
    """(place, what to do), in the reader's language."""
    return [(fault.pointer or "/", gettext(fault.detail)) for fault in found]


def shown(
    change: Difference,
    *,
    lacking: Mapping[str, Iterable[str]] = MappingProxyType({}),
    unlet: Mapping[str, Iterable[str]] = MappingProxyType({}),
    in_use: Collection[str] = (),
) -> dict[str, Any]:
    """A difference for the template, in the reader's language.

    `lacking`: purpose code -> grounds that no impact assessment covers; `unlet`: -> recipients abroad that no mechanism
    lets have it today; `in_use`: the codes of active purposes.
    """
    return {
        "since": change.since,
        "material": change.material,
        "changes": [_change(item) for item in change.changes],
        "purposes": [
            {
                "code": purpose.code,
                "standing": _standing(purpose.standing),
                "colour": STANDINGS.get(purpose.standing, ""),
                "material": purpose.material,
                "changes": [_change(item) for item in purpose.changes],
                "lacking": [str(Ground(ground).label) for ground in lacking.get(purpose.code, ())],
                "unlet": list(unlet.get(purpose.code, ())),
                "in_use": purpose.code in in_use,
            }
            for purpose in change.purposes
        ],
    }


def _standing(standing: Standing) -> str:
    return {
        Standing.NEW: gettext("new"),
        Standing.CHANGED: gettext("changed"),
        Standing.UNCHANGED: gettext("unchanged"),
        Standing.LEFT_OUT: gettext("left out"),
    }[standing]


def _change(change: Change) -> dict[str, Any]:
    before, after = _value(change.before), _value(change.after)
    return {
        "field": change.field,
        "before": before,
        "after": after,
        "material": change.material,
        "why": gettext(change.why),
    }


def _value(value: Any) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, dict):
        if set(value) <= set(LOCALES):
            return localised(value)
        return value.get("name") or value.get("kind") or " ".join(map(_value, told.said(value)))
    return str(value)
