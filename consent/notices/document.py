"""The notice as an operator writes it (YAML) and as it is published: one JSON with all locales, hashed as RFC 8785."""

import hashlib
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
import rfc8785
import yaml

from consent.errors import Fault, Invalid
from consent.yaml_text import read, unreadable

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4000, pattern=r"\S")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"\S")]
Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,62}\Z")]
Codes = Annotated[list[Code], msgspec.Meta(max_length=100)]
SomeCodes = Annotated[list[Code], msgspec.Meta(min_length=1, max_length=100)]
Country = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]
Days = Annotated[int, msgspec.Meta(ge=1, le=36500)]
Localised = dict[Literal["zh-Hans", "en"], Text]
LOCALES = ("zh-Hans", "en")
# What may be done with personal information (PIPL 4), finer where the difference matters to a person.
Method = Literal[
    "collection",
    "storage",
    "use",
    "processing",
    "analysis",
    "aggregation",
    "profiling",
    "automated_decision",
    "transmission",
    "provision",
    "disclosure",
    "deletion",
]


class Mechanism(msgspec.Struct, forbid_unknown_fields=True):
    """What lets information go abroad (PIPL 38). `reference`: the number it was granted or filed under."""

    kind: Literal["assessment", "certification", "standard_contract", "exemption"]
    reference: Name | None = None
    ground: Localised | None = None


class Recipient(msgspec.Struct, forbid_unknown_fields=True):
    """Who else gets the information (PIPL 23), and abroad (39): how to exercise rights there, and the mechanism.

    `role`: controller for whom decides on purposes and means of their own (another personal information handler, PIPL 23),
    processor for an entrusted party (21). `country`: ISO 3166-1 alpha-2. Whatever is not CN is abroad: HK, MO and TW too.
    """

    name: Name
    role: Literal["controller", "processor"]
    contact: Text
    purpose: Localised
    method: Localised
    categories: SomeCodes
    country: Country = "CN"
    rights: Localised | None = None
    mechanism: Mechanism | None = None


class Storage(msgspec.Struct, forbid_unknown_fields=True):
    """Where the information is kept: a country (ISO 3166-1 alpha-2) and, where it is told, the place in it."""

    country: Country
    place: Localised | None = None


class Assessment(msgspec.Struct, forbid_unknown_fields=True):
    """The impact assessment (PIPL 55, 56) of a purpose as this version tells of it."""

    reference: Name
    assessed_on: date
    conclusion: Literal["acceptable", "with_measures", "not_acceptable"]
    document_sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")] | None = None


class PurposeText(msgspec.Struct, forbid_unknown_fields=True):
    """One purpose as the subject is told of it. `retention_days` counts from collection; `validity_days` from consent."""

    code: Code
    title: Localised
    description: Localised
    methods: Annotated[list[Method], msgspec.Meta(min_length=1, max_length=100)]
    categories: SomeCodes
    retention_days: Days
    after_retention: Localised
    recipients: Annotated[list[Recipient], msgspec.Meta(max_length=100)]
    storage: Annotated[list[Storage], msgspec.Meta(min_length=1, max_length=100)] | None = None
    disposal: Literal["deletion", "anonymisation"] = "deletion"
    necessary: bool = False
    justification: Localised | None = None
    separate_consent: Literal["23", "25", "26", "29", "39"] | None = None
    sensitive: bool = False
    necessity: Localised | None = None
    impact: Localised | None = None
    validity_days: Days | None = None
    attributes: Codes = []
    assessment: Assessment | None = None


class NoticeText(msgspec.Struct, forbid_unknown_fields=True):
    """A notice: who processes, how to reach them, how to exercise rights and withdraw, and each purpose."""

    controller: Name
    contact: Text
    title: Localised
    introduction: Localised
    rights: Localised
    withdrawal: Localised
    purposes: Annotated[list[PurposeText], msgspec.Meta(min_length=1, max_length=100)]
    audience: Literal["general", "minor"] = "general"


def said(text: str) -> Any:
    """What the YAML says, whatever its shape. Raises Invalid."""
    try:
        return read(text)
    except yaml.YAMLError as error:
        detail = f"the file is not YAML{unreadable(error)}"
        raise Invalid("invalid_notice", detail, [Fault("invalid_notice", detail)]) from None


def published(notice: NoticeText, *, program: str, version: int, effective_at: str) -> tuple[dict[str, Any], str]:
    """The body that is kept and answered, and the sha256 of its RFC 8785 form.

    Of an assessment the public learns that there is one: its number and date.
    """
    told = msgspec.to_builtins(notice)
    for purpose in told["purposes"]:
        if purpose["assessment"] is not None:
            purpose["assessment"] = {name: purpose["assessment"][name] for name in ("reference", "assessed_on")}
    body = {"program": program, "version": version, "effective_at": effective_at, **told}
    return body, hashlib.sha256(rfc8785.dumps(body)).hexdigest()
