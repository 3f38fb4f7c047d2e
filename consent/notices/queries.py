"""Reads of notices."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from consent.errors import NotFound
from consent.notices import told
from consent.notices.difference import Difference, difference
from consent.notices.document import NoticeText
from consent.notices.models import Audience, Notice


def in_force(program_id: int, audience: str, *, now: datetime) -> Notice:
    """The newest version whose time has come. Raises NotFound."""
    notice = (
        Notice.objects.filter(program_id=program_id, audience=audience, effective_at__lte=now)
        .order_by("-effective_at", "-version")
        .first()
    )
    if notice is None:
        raise NotFound("not_found", "this mini-program has no notice in force for this audience")
    return notice


def latest(program_id: int, audience: str) -> Notice | None:
    """The newest version, be it in force or not."""
    return Notice.objects.filter(program_id=program_id, audience=audience).order_by("-version").first()


def newest_told(program_id: int, audience: str, *, before: int | None = None) -> dict[str, dict[str, Any]]:
    """Purpose code -> what the newest version that tells of it says, as published. `before`: of those before a version."""
    found: dict[str, dict[str, Any]] = {}
    bodies = Notice.objects.filter(program_id=program_id, audience=audience).order_by("-version")
    bodies = bodies if before is None else bodies.filter(version__lt=before)
    for body in bodies.values_list("body", flat=True).iterator():
        for purpose in body["purposes"]:
            found.setdefault(purpose["code"], purpose)
    return found


def categories_named(program_id: int) -> set[str]:
    """The categories of information that the newest version of any purpose names."""
    return {code for said in _all_told(program_id) for code in told.entries(said, "categories")}


def recipients_abroad(program_id: int) -> set[str]:
    """The recipients abroad that the newest version of any purpose names."""
    return {name for said in _all_told(program_id) for name in told.going_to(said)}


def _all_told(program_id: int) -> Iterator[dict[str, Any]]:
    for audience in Audience.values:
        yield from newest_told(program_id, audience).values()


def changed(notice: Notice) -> Difference:
    """What a published version changed."""
    before = Notice.objects.filter(
        program_id=notice.program_id, audience=notice.audience, version=notice.version - 1
    ).first()
    told_before = newest_told(notice.program_id, notice.audience, before=notice.version)
    return difference(before.body if before else None, told_before, notice.body)


def compared(program_id: int, text: NoticeText) -> Difference:
    """What the notice would change, were it published now."""
    before = latest(program_id, text.audience)
    told_before = newest_told(program_id, text.audience)
    return difference(before.body if before else None, told_before, msgspec.to_builtins(text))
