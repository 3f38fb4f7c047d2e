"""A notice that officers write before it is published."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

import yaml

from consent.errors import Conflict, Fault, Invalid, NotFound
from consent.notices.actions import publish_notice
from consent.notices.document import NoticeText
from consent.notices.linter import parse
from consent.notices.models import Audience, Notice, NoticeDraft
from consent.notices.queries import latest
from consent.programs.tenancy import tenant

LONGEST = 200_000
"""Characters of a draft."""
_NOT_WRITTEN = ("program", "version", "effective_at")


def examined(source: str) -> tuple[NoticeText | None, list[Fault]]:
    """The notice, or else everything that is missing or wrong in it."""
    try:
        return parse(source), []
    except Invalid as problem:
        return None, problem.errors


def mark(*said: str) -> str:
    """What tells one text from another: an officer publishes, or writes anew, the one that they have seen."""
    return hashlib.sha256("\0".join(said).encode()).hexdigest()


def revise(*, program_id: int, draft_id: int, seen: str, name: str, source: str, by: str, now: datetime) -> None:
    """Write a draft anew. `seen`: the `mark` of the name and the text that the officer began with.

    Raises NotFound, Conflict (`draft_published`, `changed_meanwhile`): then it stays as it is.
    """
    with tenant(program_id):
        draft = _unpublished(program_id, draft_id)
        # Of two officers with the form before them the second would take back what the first has written.
        if mark(draft.name, draft.source) not in (seen, mark(name, source)):
            raise Conflict("changed_meanwhile", "somebody else has changed the draft: read it first")
        draft.name, draft.source, draft.edited_by, draft.updated_at = name, source, by, now
        draft.save(update_fields=["name", "source", "edited_by", "updated_at"])


def publish(
    *, program_id: int, draft_id: int, seen: str, effective_at: datetime | None, lead: timedelta, by: str, now: datetime
) -> Notice:
    """Publish a draft, which then stays as it is. `seen`: the `mark` of the text that the officer decided on.

    Raises NotFound, Conflict (`draft_published`, `draft_changed`), and what publishing raises.
    """
    with tenant(program_id):
        draft = _unpublished(program_id, draft_id)
        if mark(draft.source) != seen:
            raise Conflict("draft_changed", "the draft was changed meanwhile; look at it again")
        return publish_notice(
            program_id=program_id,
            text=parse(draft.source),
            effective_at=effective_at,
            lead=lead,
            by=by,
            now=now,
            draft=draft,
        )


def _unpublished(program_id: int, draft_id: int) -> NoticeDraft:
    """Locked. Raises NotFound, Conflict `draft_published`."""
    rows = NoticeDraft.objects.select_for_update(no_key=True)
    draft = rows.filter(program_id=program_id, id=draft_id).first()
    if draft is None:
        raise NotFound("not_found", "there is no such draft")
    if draft.notice_id is not None:
        raise Conflict("draft_published", "the draft is published already; write another for the next version")
    return draft


def beginning(program_id: int, audience: str) -> str:
    """The text to write the next version for an audience from: its newest, or else the other audience's; empty without one."""
    before = latest(program_id, audience) or next(
        (found for other in Audience.values if (found := latest(program_id, other)) is not None), None
    )
    return as_source(before.body | {"audience": str(audience)}) if before else ""


def as_source(body: dict[str, Any]) -> str:
    """A published version as a text to write the next from. Its assessments are recorded, so it names none."""
    told = {name: value for name, value in body.items() if name not in _NOT_WRITTEN}
    told["purposes"] = [
        {name: value for name, value in purpose.items() if name != "assessment"} for purpose in told["purposes"]
    ]
    return yaml.safe_dump(_said(told), allow_unicode=True, sort_keys=False, width=120)


def _said(value: Any) -> Any:
    """Without what says nothing."""
    if isinstance(value, dict):
        return {name: _said(item) for name, item in value.items() if item is not None and item is not False}
    return [_said(item) for item in value] if isinstance(value, list) else value
