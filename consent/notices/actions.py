"""Publishing a notice."""

from datetime import datetime

import msgspec

from consent.errors import Conflict, Invalid
from consent.ledger.audit import audit
from consent.notices.document import NoticeText, PurposeText, published
from consent.notices.models import Notice, NoticePurpose, Purpose
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant


def publish_notice(
    *, program_id: int, text: NoticeText, effective_at: datetime | None, by: str, now: datetime
) -> Notice:
    """A new version, immutable from here on, with its purposes. Only a program's first notice may be dated back.

    Raises Invalid for a date back or before the latest version's, Conflict `purpose_changed` where what is fixed for a purpose's life differs.
    """
    with tenant(program_id):
        program = MiniProgram.objects.select_for_update(no_key=True).get(id=program_id)
        latest = Notice.objects.filter(program=program, audience=text.audience).order_by("-version").first()
        if effective_at is not None and effective_at < now and Notice.objects.filter(program=program).exists():
            raise Invalid("effective_in_the_past", "only a mini-program's first notice may be dated back")
        effective = effective_at or now
        if latest is not None and effective < latest.effective_at:
            raise Invalid("effective_before_latest", "a version takes effect no sooner than the one before it")
        version = latest.version + 1 if latest else 1
        body, sha256 = published(
            text, program=f"{program.platform}:{program.app_id}", version=version, effective_at=effective.isoformat()
        )
        notice = Notice.objects.create(
            program=program, audience=text.audience, version=version, sha256=sha256, body=body, effective_at=effective
        )
        NoticePurpose.objects.bulk_create(_version(notice, told) for told in text.purposes)
        audit(program_id=program_id, actor=by, action="notice.published", target=f"notice:{sha256}")
        return notice


def _version(notice: Notice, told: PurposeText) -> NoticePurpose:
    return NoticePurpose(
        program_id=notice.program_id,
        notice=notice,
        purpose=_purpose(notice, told),
        categories=sorted(set(told.categories)),
        attributes=sorted(set(told.attributes)),
        retention_days=told.retention_days,
        validity_days=told.validity_days,
        material=told.material,
    )


def _purpose(notice: Notice, told: PurposeText) -> Purpose:
    purpose, _ = Purpose.objects.update_or_create(
        program_id=notice.program_id,
        code=told.code,
        defaults={"title": msgspec.to_builtins(told.title)},
        create_defaults={
            "title": msgspec.to_builtins(told.title),
            "necessary": told.necessary,
            "separate_consent": told.separate_consent,
        },
    )
    if (purpose.necessary, purpose.separate_consent) != (told.necessary, told.separate_consent):
        raise Conflict(
            "purpose_changed", f"{told.code}: necessity and separate consent are fixed; take a new purpose code"
        )
    return purpose
