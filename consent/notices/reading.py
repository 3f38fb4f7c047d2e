"""A notice as people read it, in each of its languages."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import override

from consent.notices import told, words
from consent.notices.document import LOCALES

TEXTS = ("title", "introduction", "rights", "withdrawal")
PURPOSE_TEXTS = ("title", "description", "after_retention", "justification", "necessity", "impact")
RECIPIENT_TEXTS = ("purpose", "method", "rights")
LANGUAGES = {"zh-Hans": "简体中文", "en": "English"}


def readings(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The body as one reading a language, so that a template can show them side by side."""
    return [reading(body, locale) for locale in LOCALES]


def reading(body: Mapping[str, Any], locale: str) -> dict[str, Any]:
    """In one of the notice's languages."""
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
