"""A notice as people read it, in each of its languages, and what one changes."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from django.utils.translation import gettext, override

from consent.admin.base import localised
from consent.errors import Fault
from consent.notices import told, words
from consent.notices.difference import Change, Difference, Standing
from consent.notices.document import LOCALES
from consent.notices.models import Ground

TEXTS = ("title", "introduction", "rights", "withdrawal")
PURPOSE_TEXTS = ("title", "description", "after_retention", "justification", "necessity", "impact")
RECIPIENT_TEXTS = ("purpose", "method", "rights")
LANGUAGES = {"zh-Hans": "简体中文", "en": "English"}
STANDINGS = {Standing.NEW: "info", Standing.CHANGED: "warning", Standing.LEFT_OUT: "danger"}


def readings(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The body as one reading a language, so that a template can show them side by side."""
    return [_reading(body, locale) for locale in LOCALES]


def _reading(body: Mapping[str, Any], locale: str) -> dict[str, Any]:
    with override(locale.lower()):
        purposes = [_purpose(purpose, body.get("audience"), locale) for purpose in body.get("purposes", [])]
    language = {"locale": locale, "code": locale.lower(), "language": LANGUAGES[locale]}
    told_by = {"controller": body["controller"], "contact": body["contact"]}
    return language | told_by | _in(body, TEXTS, locale) | {"purposes": purposes}


def _in(texts: Mapping[str, Any], names: Iterable[str], locale: str) -> dict[str, str]:
    return {name: (texts.get(name) or {}).get(locale, "") for name in names}


def _purpose(purpose: Mapping[str, Any], audience: Any, locale: str) -> dict[str, Any]:
    return {
        **purpose,
        **_in(purpose, PURPOSE_TEXTS, locale),
        "methods": [str(words.METHODS.get(method, method)) for method in purpose["methods"]],
        "categories": _categories(purpose),
        "storage": [_place(place, locale) for place in told.entries(purpose, "storage")],
        "sensitive": told.sensitive(purpose, audience),
        "recipients": [_recipient(recipient, locale) for recipient in told.recipients(purpose)],
    }


def _categories(told_of: Mapping[str, Any]) -> list[str]:
    return [str(words.CATEGORIES.get(category, category)) for category in told_of["categories"]]


def _place(place: Mapping[str, Any], locale: str) -> str:
    return f"{place['country']} {(place.get('place') or {}).get(locale, '')}".strip()


def _recipient(recipient: Mapping[str, Any], locale: str) -> dict[str, Any]:
    mechanism = recipient.get("mechanism") or {}
    named = str(words.MECHANISMS.get(mechanism.get("kind", ""), ""))
    why = mechanism.get("reference") or (mechanism.get("ground") or {}).get(locale, "")
    texts = _in(recipient, RECIPIENT_TEXTS, locale)
    return {
        **recipient,
        **texts,
        "role": str(words.ROLES.get(recipient.get("role", ""), "")),
        "categories": _categories(recipient),
        "abroad": told.abroad(recipient),
        "mechanism": f"{named} {why}".strip(),
    }


def faults(found: Iterable[Fault]) -> list[tuple[str, str]]:
    """(place, what to do), in the reader's language."""
    return [(fault.pointer or "/", gettext(fault.detail)) for fault in found]


def shown(
    change: Difference, *, lacking: Mapping[str, Iterable[str]] = MappingProxyType({}), in_use: Collection[str] = ()
) -> dict[str, Any]:
    """A difference for the template, in the reader's language.

    `lacking`: purpose code -> grounds that no impact assessment covers; `in_use`: the codes of active purposes.
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
