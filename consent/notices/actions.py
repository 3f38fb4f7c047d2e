"""Publishing a notice."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from consent.errors import Conflict, Fault, Invalid
from consent.ledger.audit import audit
from consent.notices import assessments, told
from consent.notices.difference import difference
from consent.notices.document import NoticeText, PurposeText, published
from consent.notices.linter import lint, several
from consent.notices.models import Notice, NoticeDraft, NoticePurpose, Purpose
from consent.notices.queries import latest, newest_told
from consent.processing import mechanisms
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.records.queries import db_now

SLACK = timedelta(seconds=5)
"""What a publication itself may take of the lead; the rest is what a batch takes that began under the version before."""

_LACKING = {"assessment": "assessment_missing", "recipients": "mechanism_not_valid"}
"""What a purpose lacks, by the field of the notice that asks for it."""


def publish_notice(
    *,
    program_id: int,
    text: NoticeText,
    effective_at: datetime | None,
    lead: timedelta,
    by: str,
    now: datetime,
    draft: NoticeDraft | None = None,
) -> Notice:
    """A new version, immutable from here on, with its purposes and the assessments that it names.

    `lead`: for how long a batch of events may still go by the versions it has read. A version that follows another takes
    effect no sooner than that from now, and then where `effective_at` is None. Only a program's first notice may be dated
    back. By the lead but for SLACK it follows the last statement here, or nothing is published. A purpose that needs an
    impact assessment and has none, or goes abroad and has no mechanism that is valid today, begins inactive; one that is
    active already would have to stop, so the version is refused. `draft`: that it was written in, locked, to be marked as published.

    Raises Invalid with every fault of the text, or for its time; Conflict `purpose_changed` where what is fixed for a
    purpose's life differs, `assessment_missing`, `mechanism_not_valid`, `assessment_recorded`, `publication_too_slow`.
    """
    after = msgspec.to_builtins(text)
    faults = lint(after)
    if faults:
        raise Invalid("invalid_notice", several(faults), faults)
    with tenant(program_id):
        program = MiniProgram.objects.select_for_update(no_key=True).get(id=program_id)
        before = latest(program_id, text.audience)
        change = difference(before.body if before else None, newest_told(program_id, text.audience), after)
        # All that waits for others' locks comes before the clock is read.
        today = now.astimezone(ZoneInfo(program.zone)).date()
        purposes = _purposes(program_id, text, after, by=by, today=today)
        effective = _effective(program_id, before, effective_at, lead, now)
        version = before.version + 1 if before else 1
        body, sha256 = published(
            text, program=f"{program.platform}:{program.app_id}", version=version, effective_at=effective.isoformat()
        )
        notice = Notice.objects.create(
            program=program, audience=text.audience, version=version, sha256=sha256, body=body, effective_at=effective
        )
        NoticePurpose.objects.bulk_create(
            _version(notice, purposes[item.code], item, material=item.code in change.material) for item in text.purposes
        )
        audit(
            program_id=program_id,
            actor=by,
            action="notice.published",
            target=f"notice:{sha256}",
            details={"material": change.material},
        )
        if draft is not None:
            draft.notice = notice
            draft.save(update_fields=["notice"])
        # Nothing is written after this look at the clock: a caller's transaction has only to end.
        if before is not None and effective < db_now() + lead - SLACK:
            detail = f"the publication took longer than {SLACK.seconds} s; nothing was published, send it again"
            raise Conflict("publication_too_slow", detail)
        return notice


def _effective(
    program_id: int, before: Notice | None, asked: datetime | None, lead: timedelta, now: datetime
) -> datetime:
    """When the version takes effect. Raises Invalid."""
    if asked is not None and asked < now and Notice.objects.filter(program_id=program_id).exists():
        raise Invalid("effective_in_the_past", "only a mini-program's first notice may be dated back")
    if before is None:
        return asked or now
    earliest = db_now() + lead
    effective = asked or max(earliest, before.effective_at)
    if effective < earliest:
        detail = f"take a time at least {lead.total_seconds():.0f} s from now, or none for the earliest one"
        raise Invalid("effective_too_soon", detail)
    if effective < before.effective_at:
        raise Invalid("effective_before_latest", "a version takes effect no sooner than the one before it")
    return effective


def _version(notice: Notice, purpose: Purpose, item: PurposeText, *, material: bool) -> NoticePurpose:
    return NoticePurpose(
        program_id=notice.program_id,
        notice=notice,
        purpose=purpose,
        categories=sorted(set(item.categories)),
        attributes=sorted(set(item.attributes)),
        retention_days=item.retention_days,
        validity_days=item.validity_days,
        material=material,
    )


def _purposes(
    program_id: int, text: NoticeText, after: Mapping[str, Any], *, by: str, today: date
) -> dict[str, Purpose]:
    """The purposes told of, by code, with their assessments recorded. New ones are active where they lack nothing."""
    known = set(Purpose.objects.filter(program_id=program_id).values_list("code", flat=True))
    purposes = {item.code: _purpose(program_id, item) for item in text.purposes}
    wanted = {item["code"]: told.grounds(item, text.audience) for item in after["purposes"]}
    kept = assessments.named_and_kept(program_id, text)
    for item in text.purposes:
        if item.assessment is not None:
            assessments.record(
                program_id=program_id,
                purpose=item.code,
                # What the one that is kept did not look at another may have; else it is missing below.
                covers=() if item.code in kept else wanted[item.code],
                by=by,
                today=today,
                **msgspec.structs.asdict(item.assessment),
            )
    missing = assessments.lacking(program_id, wanted)
    unlet = mechanisms.lacking(program_id, {item["code"]: told.going_to(item) for item in after["purposes"]})
    faults = []
    for place, item in enumerate(text.purposes):
        purpose, pointer = purposes[item.code], f"/purposes/{place}"
        lacks = [
            *([("assessment", assessments.missing_detail(missing[item.code]))] if item.code in missing else []),
            *([("recipients", mechanisms.missing_detail(unlet[item.code]))] if item.code in unlet else []),
        ]
        if item.code not in known and not lacks:
            purpose.active = True
            purpose.save(update_fields=["active"])
        elif item.code in known and purpose.active:
            faults += [Fault(_LACKING[name], detail, f"{pointer}/{name}") for name, detail in lacks]
    if faults:
        raise Conflict(faults[0].code, several(faults), faults)
    return purposes


def _purpose(program_id: int, item: PurposeText) -> Purpose:
    title = msgspec.to_builtins(item.title)
    purpose = Purpose.objects.select_for_update(no_key=True).filter(program_id=program_id, code=item.code).first()
    if purpose is None:
        return Purpose.objects.create(
            program_id=program_id,
            code=item.code,
            title=title,
            necessary=item.necessary,
            separate_consent=item.separate_consent,
            active=False,
        )
    if (purpose.necessary, purpose.separate_consent) != (item.necessary, item.separate_consent):
        raise Conflict(
            "purpose_changed", f"{item.code}: necessity and separate consent are fixed; take a new purpose code"
        )
    purpose.title = title
    purpose.save(update_fields=["title"])
    return purpose
