"""The notice as an operator writes it (YAML) and as it is published: one JSON with all locales, hashed as RFC 8785."""

import hashlib
from typing import Annotated, Any, Literal

import msgspec
import rfc8785
import yaml

from consent.errors import Fault, Invalid

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Localised = dict[Literal["zh-Hans", "en"], Text]
LOCALES = ("zh-Hans", "en")


class Recipient(msgspec.Struct, forbid_unknown_fields=True):
    """Who else gets the information (PIPL 23)."""

    name: Text
    contact: Text
    purpose: Localised
    method: Localised
    categories: list[Code]


class PurposeText(msgspec.Struct, forbid_unknown_fields=True):
    """One purpose as the subject is told of it. `retention_days` counts from collection; `validity_days` from consent."""

    code: Code
    title: Localised
    description: Localised
    methods: list[Text]
    categories: Annotated[list[Code], msgspec.Meta(min_length=1)]
    retention_days: Annotated[int, msgspec.Meta(ge=1, le=36500)]
    after_retention: Localised
    necessary: bool = False
    justification: Localised | None = None
    separate_consent: Literal["23", "25", "26", "29", "39"] | None = None
    validity_days: Annotated[int, msgspec.Meta(ge=1, le=36500)] | None = None
    recipients: list[Recipient] = []
    attributes: list[Code] = []
    material: bool = False


class NoticeText(msgspec.Struct, forbid_unknown_fields=True):
    """A notice: who processes, how to reach them, how to exercise rights and withdraw, and each purpose."""

    controller: Text
    contact: Text
    title: Localised
    introduction: Localised
    rights: Localised
    withdrawal: Localised
    purposes: Annotated[list[PurposeText], msgspec.Meta(min_length=1)]
    audience: Literal["general", "minor"] = "general"


def parse(text: str) -> NoticeText:
    """Raises Invalid, naming the place. Every text must stand in both locales."""
    try:
        notice = msgspec.convert(yaml.safe_load(text), NoticeText, strict=True)
    except yaml.YAMLError:
        raise Invalid("invalid_notice", "the file is not YAML") from None
    except msgspec.ValidationError as error:
        raise Invalid("invalid_notice", str(error)) from None
    faults = list(_faults(notice))
    if faults:
        raise Invalid("invalid_notice", "; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults), faults)
    return notice


def _faults(notice: NoticeText) -> list[Fault]:
    faults = [
        Fault("missing_locale", f"give the text in {' and '.join(LOCALES)}", pointer)
        for pointer, text in _texts(msgspec.to_builtins(notice), "")
        if set(text) != set(LOCALES)
    ]
    codes = [purpose.code for purpose in notice.purposes]
    for place, purpose in enumerate(notice.purposes):
        if codes.index(purpose.code) != place:
            faults.append(Fault("duplicate_purpose", "tell of each purpose once", f"/purposes/{place}/code"))
        if purpose.necessary and purpose.justification is None:
            detail = "a purpose necessary for the service needs a written justification (PIPL 16)"
            faults.append(Fault("missing_justification", detail, f"/purposes/{place}/justification"))
    return faults


def _texts(value: Any, pointer: str) -> list[tuple[str, dict[str, str]]]:
    if isinstance(value, dict):
        if value and set(value) <= set(LOCALES):
            return [(pointer, value)]
        return [found for key, item in value.items() for found in _texts(item, f"{pointer}/{key}")]
    if isinstance(value, list):
        return [found for place, item in enumerate(value) for found in _texts(item, f"{pointer}/{place}")]
    return []


def published(notice: NoticeText, *, program: str, version: int, effective_at: str) -> tuple[dict[str, Any], str]:
    """The body that is kept and answered, and the sha256 of its RFC 8785 form."""
    told = msgspec.to_builtins(notice)
    for purpose in told["purposes"]:
        del purpose["material"]
    body = {"program": program, "version": version, "effective_at": effective_at, **told}
    return body, hashlib.sha256(rfc8785.dumps(body)).hexdigest()
