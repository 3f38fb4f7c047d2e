"""Notices that tell of more than the example, shared by the tests of what such a purpose needs."""

from typing import Any

import msgspec

from consent.notices.actions import publish_notice
from consent.notices.document import NoticeText
from tests.cast import AT_ONCE, Program, example_notice, now

REFERENCE = {"reference": "PIA-7", "assessed_on": "2026-10-01", "conclusion": "acceptable"}
RECIPIENT = {
    "name": "Partner Ltd",
    "role": "processor",
    "contact": "dpo@partner.example",
    "purpose": {"zh-Hans": "字", "en": "text"},
    "method": {"zh-Hans": "字", "en": "text"},
    "categories": ["location"],
}
CONTROLLER = RECIPIENT | {"role": "controller"}
ABROAD = RECIPIENT | {
    "country": "SG",
    "rights": RECIPIENT["purpose"],
    "mechanism": {"kind": "standard_contract", "reference": "SCC-1"},
}


def text_with(code: str = "health", **more: Any) -> NoticeText:
    """The example notice with one more purpose, like precise_location but for what is said."""
    text = example_notice()
    like = msgspec.to_builtins(text.purposes[2]) | {"code": code, "assessment": None} | more
    return msgspec.structs.replace(text, purposes=[*text.purposes, msgspec.convert(like, type(text.purposes[0]))])


def publish(program: Program, text: NoticeText) -> None:
    made = publish_notice(program_id=program.id, text=text, effective_at=None, lead=AT_ONCE, by="test", now=now())
    program.notice = made.sha256


def separately(code: str, article: str) -> NoticeText:
    """With a purpose that the article of PIPL asks a separate consent for."""
    recipients = {"23": [CONTROLLER], "39": [ABROAD]}.get(article, [])
    more = {"sensitive": article in ("29", "39"), "recipients": recipients}
    return text_with(code, separate_consent=article, assessment=REFERENCE, **more)
