"""Everything that is missing or wrong in a notice, at once (PIPL 7, 16, 17, 23, 30, 38, 39): see docs/formats.md.

Details are marked for translation: officers read them in their language, the command prints them as they stand here.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec
from django.utils.translation import gettext_noop as _
from msgspec import inspect

from consent.errors import Fault, Invalid
from consent.notices import told
from consent.notices.document import LOCALES, NoticeText, said

MOST = 100
"""Entries of any list; what is beyond is one fault, and not looked at."""
_NOTICE = inspect.type_info(NoticeText)
# What to write, by the field's name.
_WANTED = {
    "controller": _("name the company that decides on purposes and means, in at most 200 characters (PIPL 17)"),
    "contact": _("say where they are reached: an address, telephone number or e-mail (PIPL 17)"),
    "audience": _("write general or minor"),
    "title": _("give a title"),
    "introduction": _("say in a few sentences what this is about"),
    "rights": _("say how to exercise the rights to see, copy, correct and delete (PIPL 17, 39)"),
    "withdrawal": _("say how to withdraw, as easily as consent is given (PIPL 15)"),
    "purposes": _("tell of 1 to 100 purposes, each under a code (PIPL 17)"),
    "code": _("give a code of lower-case letters, digits and _, beginning with a letter, 63 characters at most"),
    "description": _("say what the purpose is, in words a person understands (PIPL 17)"),
    "methods": _("list what is done, by the methods of docs/formats.md: collection, storage, use, … (PIPL 17)"),
    "categories": _("list the categories of information, 1 to 100 codes (PIPL 17)"),
    "retention_days": _("say for how many days from collection it is kept, 1 to 36500 (PIPL 17, 19)"),
    "after_retention": _("say what happens when the retention period is over (PIPL 17, 19)"),
    "storage": _("list where the information is kept, each with its country, or leave it out"),
    "place": _("name the place, or leave it out"),
    "disposal": _("write deletion or anonymisation"),
    "recipients": _("list who else gets the information; write [] where nobody does (PIPL 23)"),
    "necessary": _("write true or false"),
    "sensitive": _("write true or false"),
    "justification": _("justify in writing why the service needs the purpose (PIPL 16)"),
    "separate_consent": _('write the article in quotes: "23", "25", "26", "29" or "39"'),
    "necessity": _("say why sensitive information is necessary (PIPL 30)"),
    "impact": _("say how sensitive information affects the person (PIPL 30)"),
    "validity_days": _("say for how many days a consent counts, 1 to 36500, or leave it out"),
    "attributes": _("list the profile attributes, 100 codes at most"),
    "name": _("name the recipient, in at most 200 characters (PIPL 23)"),
    "role": _(
        "write controller (PIPL 23: it decides what it does with it) or processor (PIPL 21: it does what you say)"
    ),
    "purpose": _("say what the recipient does it for (PIPL 23)"),
    "method": _("say how the recipient processes it (PIPL 23)"),
    "country": _("write the country as two capital letters (ISO 3166-1); a recipient without one is in CN"),
    "mechanism": _("say by what it may go abroad: kind, and reference or ground (PIPL 38)"),
    "kind": _("write assessment, certification, standard_contract or exemption (PIPL 38)"),
    "ground": _("say on what ground it is exempt"),
    "assessment": _("give reference, assessed_on and conclusion of the impact assessment (PIPL 55)"),
    "reference": _("give the number it is filed under, in at most 200 characters"),
    "assessed_on": _("write the day of the assessment: 2026-10-01"),
    "conclusion": _("write acceptable, with_measures or not_acceptable"),
    "document_sha256": _("write the sha256 of the assessment's document, 64 hexadecimal digits"),
}
_SEPARATE = {
    "23": _('another controller gets it, which needs a consent of its own: write "23"'),
    "25": _('public disclosure needs a consent of its own: write "25"'),
    "39": _('a recipient abroad needs a consent of its own: write "39"'),
}
_UNKNOWN = _("this field is not known; see docs/formats.md")
_COMPUTED = _("leave it out: whether a change is material is computed from the fields")
_LOCALE = _("give the text in this language")
_LOCALES_ONLY = _("give a text in zh-Hans and one in en, and nothing else")
_EMPTY = _("the file holds no notice: start from docs/examples/notice.yaml")


def parse(text: str) -> NoticeText:
    """Raises Invalid with every fault."""
    return checked(said(text))


def checked(value: Any) -> NoticeText:
    """A notice from what was read. Raises Invalid with every fault."""
    faults = lint(value)
    if not faults:
        try:
            return msgspec.convert(value, NoticeText, strict=True)
        except msgspec.ValidationError as error:  # what the linter should have found
            faults = [Fault("invalid", str(error))]
    raise Invalid("invalid_notice", several(faults), faults)


def several(faults: list[Fault]) -> str:
    """A problem's own detail: the fault, or how many there are."""
    return f"{faults[0].pointer or '/'}: {faults[0].detail}" if len(faults) == 1 else f"{len(faults)} faults"


def lint(value: Any) -> list[Fault]:
    """All faults, one a place, in the order of the fields."""
    if not isinstance(value, dict):
        return [Fault("invalid", _EMPTY)]
    found: dict[str, Fault] = {}
    for fault in (*_shape(value, _NOTICE, "", ""), *_rules(value)):
        found.setdefault(fault.pointer, fault)
    return list(found.values())


def _shape(value: Any, kind: inspect.Type, pointer: str, name: str) -> Iterator[Fault]:
    """What is missing or of a wrong type below a place; `name`: the field it is the value of."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = (member for member in kind.types if not isinstance(member, inspect.NoneType))
        if value is None:
            return
    if isinstance(kind, inspect.StructType):
        yield from _struct(value, kind, pointer, name)
    elif isinstance(kind, inspect.ListType):
        yield from _list(value, kind, pointer, name)
    elif isinstance(kind, inspect.DictType):
        yield from _texts(value, kind.value_type, pointer, name)
    elif not _fits(value, kind):
        yield Fault("invalid", _WANTED[name], pointer)


def _struct(value: Any, kind: inspect.StructType, pointer: str, name: str) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield Fault("invalid", _WANTED[name], pointer)
        return
    for field in kind.fields:
        place = f"{pointer}/{field.name}"
        if value.get(field.name) is not None:
            yield from _shape(value[field.name], field.type, place, field.name)
        elif field.required or (field.name in value and not isinstance(field.type, inspect.UnionType)):
            yield Fault("missing", _WANTED[field.name], place)
    known = {field.name for field in kind.fields}
    for key in value:
        if key not in known:
            detail = _COMPUTED if key == "material" else _UNKNOWN
            yield Fault("unknown_field", detail, f"{pointer}/{_token(key)}")


def _list(value: Any, kind: inspect.ListType, pointer: str, name: str) -> Iterator[Fault]:
    least, most = kind.min_length or 0, kind.max_length
    if not isinstance(value, list) or len(value) < least or (most is not None and len(value) > most):
        yield Fault("invalid" if value else "missing", _WANTED[name], pointer)
        return
    for place, item in enumerate(value):
        yield from _shape(item, kind.item_type, f"{pointer}/{place}", name)


def _texts(value: Any, kind: inspect.Type, pointer: str, name: str) -> Iterator[Fault]:
    if not isinstance(value, dict) or not set(value) & set(LOCALES):
        yield Fault("invalid", _WANTED[name], pointer)
        return
    for locale in LOCALES:
        if not _fits(value.get(locale), kind):
            yield Fault("missing_locale", _LOCALE, f"{pointer}/{locale}")
    if set(value) - set(LOCALES):
        yield Fault("unknown_locale", _LOCALES_ONLY, pointer)


def _fits(value: Any, kind: inspect.Type) -> bool:
    """Whether a single value is of the type and within its bounds."""
    match kind:
        case inspect.StrType():
            bounds = (kind.min_length or 0) <= len(value) <= (kind.max_length or 4000) if _is_text(value) else False
            return bounds and (kind.pattern is None or re.search(kind.pattern, value) is not None)
        case inspect.IntType():
            return type(value) is int and (kind.ge or value) <= value <= (kind.le or value)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.LiteralType():
            return isinstance(value, str) and value in kind.values
        case inspect.DateType():
            return _is_day(value)
        case _:
            raise TypeError(f"the linter does not know {type(kind).__name__}")


def _is_text(value: Any) -> bool:
    """PostgreSQL keeps no NUL, and UTF-8 no half of a surrogate pair."""
    return isinstance(value, str) and "\0" not in value and not re.search("[\ud800-\udfff]", value)


def _is_day(value: Any) -> bool:
    if not isinstance(value, str):
        return type(value) is date
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _token(key: Any) -> str:
    """A name in a JSON pointer; one that no operator means is not repeated."""
    return key if isinstance(key, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", key) else "?"


def _rules(notice: dict[str, Any]) -> Iterator[Fault]:
    """What one field asks of another. Says nothing of what `_shape` has found."""
    codes: list[Any] = []
    for place, purpose in enumerate(told.entries(notice, "purposes")[:MOST]):
        if not isinstance(purpose, dict):
            continue
        pointer = f"/purposes/{place}"
        if purpose.get("code") in codes:
            yield Fault("duplicate_purpose", _("tell of each purpose once"), f"{pointer}/code")
        codes.append(purpose.get("code"))
        yield from _purpose_rules(purpose, notice.get("audience"), pointer)
        yield from _sharing_rules(purpose, pointer)
        for number, recipient in enumerate(told.entries(purpose, "recipients")[:MOST]):
            if isinstance(recipient, dict):
                yield from _recipient_rules(recipient, purpose, f"{pointer}/recipients/{number}")


def _purpose_rules(purpose: dict[str, Any], audience: Any, pointer: str) -> Iterator[Fault]:
    if purpose.get("necessary") is True and not purpose.get("justification"):
        yield Fault("missing_justification", _WANTED["justification"], f"{pointer}/justification")
    if told.sensitive(purpose, audience):
        for name in ("necessity", "impact"):
            if not purpose.get(name):
                yield Fault(f"missing_{name}", _WANTED[name], f"{pointer}/{name}")
    if purpose.get("sensitive") is True and purpose.get("separate_consent") is None:
        detail = _('sensitive information needs a consent of its own: write "29", or the article of who gets it')
        yield Fault("missing_separate_consent", detail, f"{pointer}/separate_consent")


def _sharing_rules(purpose: dict[str, Any], pointer: str) -> Iterator[Fault]:
    article = purpose.get("separate_consent")
    foreign = [recipient for recipient in told.recipients(purpose) if told.abroad(recipient)]
    if article == "23" and not told.recipients(purpose):
        yield Fault("missing_recipient", _("name who gets the information (PIPL 23)"), f"{pointer}/recipients")
    if article == "39" and not foreign:
        detail = _("name who gets the information abroad, with its country (PIPL 39)")
        yield Fault("missing_recipient", detail, f"{pointer}/recipients")
    needed = told.separate(purpose)
    if needed is not None and article != needed:
        yield Fault("missing_separate_consent", _SEPARATE[needed], f"{pointer}/separate_consent")
    reached = [recipient.get("country") for recipient in foreign]
    for number, country in enumerate(told.kept_in(purpose)[:MOST]):
        if country not in (told.HOME, *reached):
            detail = _("name who keeps it abroad as a recipient with this country (PIPL 39)")
            yield Fault("missing_recipient", detail, f"{pointer}/storage/{number}/country")
    names = [recipient.get("name") for recipient in told.recipients(purpose)[:MOST]]
    for number, name in enumerate(names):
        if names.index(name) != number:
            detail = _("name each recipient once")
            yield Fault("duplicate_recipient", detail, f"{pointer}/recipients/{number}/name")
    if "provision" in told.entries(purpose, "methods") and not names:
        detail = _("name who gets the information, or leave out the method provision")
        yield Fault("missing_recipient", detail, f"{pointer}/recipients")


def _recipient_rules(recipient: dict[str, Any], purpose: dict[str, Any], pointer: str) -> Iterator[Fault]:
    collected = told.entries(purpose, "categories")[:MOST]
    if any(category not in collected for category in told.entries(recipient, "categories")[:MOST]):
        detail = _("a recipient gets no category that the purpose does not name")
        yield Fault("undeclared_category", detail, f"{pointer}/categories")
    if not told.abroad(recipient):
        return
    if not recipient.get("rights"):
        detail = _("say how to exercise rights against the recipient abroad (PIPL 39)")
        yield Fault("missing_rights", detail, f"{pointer}/rights")
    mechanism = recipient.get("mechanism")
    if not mechanism:
        yield Fault("missing_mechanism", _WANTED["mechanism"], f"{pointer}/mechanism")
    elif isinstance(mechanism, dict):
        wanted = "ground" if mechanism.get("kind") == "exemption" else "reference"
        if not mechanism.get(wanted):
            yield Fault(f"missing_{wanted}", _WANTED[wanted], f"{pointer}/mechanism/{wanted}")
