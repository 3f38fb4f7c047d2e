"""What is a minor's is shown to an officer once, after another officer approved it (MOR 36). All within the mini-program's tenant.

if not minor_access.admitted(subject, what=Guarded.PACKAGE, reason="delivery", request_id=…, by=…): it waits for the other officer
"""

import uuid
from datetime import datetime

from django.db.models import QuerySet, TextChoices
from django.utils.translation import gettext_lazy as _

from consent.errors import Conflict, NotFound
from consent.ledger.audit import audit
from consent.programs.tenancy import tenant
from consent.records.minors import is_minor
from consent.records.queries import db_now
from consent.rights.models import USABLE, WAITS, Guarded, MinorAccess
from consent.vault.models import Subject


def admitted(
    subject: Subject, *, what: Guarded, reason: str, request_id: uuid.UUID | None, by: str, reference: str = ""
) -> bool:
    """Whether an officer sees this now, in the caller's transaction: anything of an adult, and of a minor what another officer
    approved for this reason and what it refers to, once. Otherwise it is asked for here, and waits.

    Raises NotFound where the subject was erased meanwhile.
    """
    if not is_minor(subject, db_now()):
        return True
    asked = {
        "subject": subject,
        "what": what,
        "reason": reason,
        "request_id": request_id,
        "reference": reference,
        "asked_by": by,
    }
    same = MinorAccess.objects.filter(**asked, used_at__isnull=True)
    # Of two at once the second waits for the row, and then finds it used.
    for access in same.filter(approved_at__isnull=False).select_for_update():
        now = db_now()
        if standing(access, now) == Standing.USABLE:
            access.used_at = now
            access.save(update_fields=["used_at"])
            _noted(access, "used", by)
            return True
    _ask(MinorAccess(program_id=subject.program_id, **asked), same)
    return False


class Standing(TextChoices):
    """What becomes of an access by the clock."""

    WAITING = "waiting", _("waits for another officer")
    USABLE = "usable", _("approved")
    USED = "used", _("used")
    OVER = "over", _("over")


def standing(access: MinorAccess, now: datetime) -> Standing:
    if access.used_at is not None:
        return Standing.USED
    if access.approved_at is None:
        return Standing.WAITING if now < access.asked_at + WAITS else Standing.OVER
    return Standing.USABLE if now < access.approved_at + USABLE else Standing.OVER


def over(program_id: int, *, now: datetime) -> QuerySet[MinorAccess]:
    """Those by which nothing can be seen any more, whatever became of them."""
    return MinorAccess.objects.filter(program_id=program_id, asked_at__lt=now - WAITS - USABLE)


def approve(*, program_id: int, access_id: uuid.UUID, by: str) -> None:
    """Raises NotFound; Conflict `own_access` for the officer who asks, `not_waiting` where it was approved or is over."""
    with tenant(program_id):
        access = MinorAccess.objects.select_for_update().filter(program_id=program_id, id=access_id).first()
        if access is None:
            raise NotFound("not_found", "nobody asks to see this any more")
        if access.asked_by == by:
            raise Conflict("own_access", "another officer than the one who asks has to approve")
        now = db_now()
        if standing(access, now) != Standing.WAITING:
            raise Conflict("not_waiting", "it was approved meanwhile, or has waited for too long")
        access.approved_by, access.approved_at = by, now
        access.save(update_fields=["approved_by", "approved_at"])
        _noted(access, "approved", by)


def _ask(access: MinorAccess, same: QuerySet[MinorAccess]) -> None:
    # Against an erasure under way, which deletes what is there, and against the same asked twice at once.
    if Subject.objects.select_for_update(no_key=True).filter(id=access.subject_id).first() is None:
        raise NotFound("not_found", "the person was erased meanwhile")
    now = db_now()
    if any(standing(other, now) == Standing.WAITING for other in same):
        return
    access.asked_at = now
    access.save(force_insert=True)
    _noted(access, "asked", access.asked_by)


def _noted(access: MinorAccess, deed: str, by: str) -> None:
    """Of the mini-program: that a request was a minor's is not to be known when the person is erased."""
    audit(
        program_id=access.program_id,
        actor=by,
        action=f"minor_access.{deed}",
        target=f"program:{access.program_id}",
        details={"what": access.what, "reason": access.reason},
    )
