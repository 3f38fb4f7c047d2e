"""What is a minor's is shown to an officer once, after another officer approved it (MOR 36). All within the mini-program's tenant.

if not minor_access.admitted(subject, what=Guarded.PACKAGE, reason="delivery", request_id=…, by=…): it waits for the other officer
if not minor_access.list_admitted(entry, by=…): so does the list of those whom an incident affects, with minors among them
"""

import uuid
from datetime import datetime
from typing import TypeVar

from django.db.models import QuerySet, TextChoices
from django.utils.translation import gettext_lazy as _

from consent.errors import Conflict, NotFound
from consent.ledger.audit import audit
from consent.processing.models import IncidentAccess, IncidentEntry
from consent.programs.tenancy import tenant
from consent.records.minors import is_minor
from consent.records.queries import db_now
from consent.rights.models import USABLE, WAITS, Access, Guarded, MinorAccess
from consent.vault.models import Subject

A = TypeVar("A", bound=Access)


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
    used = _used(same)
    if used is not None:
        _noted(used, "used", by)
        return True
    # Against an erasure under way, which deletes what is there, and against the same asked twice at once.
    if Subject.objects.select_for_update(no_key=True).filter(id=subject.id).first() is None:
        raise NotFound("not_found", "the person was erased meanwhile")
    access = MinorAccess(program_id=subject.program_id, **asked)
    if _asked(access, same):
        _noted(access, "asked", by)
    return False


def list_admitted(entry: IncidentEntry, *, by: str) -> bool:
    """Whether an officer takes along now, in the caller's transaction, the pseudonyms of those whom an incident affects by this
    entry, minors among them: what another officer approved, once. Otherwise it is asked for here, and waits.

    The caller sees to it that nobody asks for the same meanwhile.
    """
    same = IncidentAccess.objects.filter(entry=entry, asked_by=by, used_at__isnull=True)
    if _used(same) is not None:
        return True
    access = IncidentAccess(program_id=entry.program_id, entry=entry, asked_by=by)
    if _asked(access, same):
        _list_noted(access, "asked", by)
    return False


class Standing(TextChoices):
    """What becomes of an access by the clock."""

    WAITING = "waiting", _("waits for another officer")
    USABLE = "usable", _("approved")
    USED = "used", _("used")
    OVER = "over", _("over")


def standing(access: Access, now: datetime) -> Standing:
    if access.used_at is not None:
        return Standing.USED
    if access.approved_at is None:
        return Standing.WAITING if now < access.asked_at + WAITS else Standing.OVER
    return Standing.USABLE if now < access.approved_at + USABLE else Standing.OVER


def over(program_id: int, *, now: datetime) -> QuerySet[MinorAccess]:
    """Those by which nothing can be seen any more, whatever became of them."""
    return MinorAccess.objects.filter(program_id=program_id, asked_at__lt=now - WAITS - USABLE)


def still_waiting(asked: QuerySet[A], *, now: datetime) -> QuerySet[A]:
    """What nobody has approved of what officers ask to see."""
    return asked.filter(approved_at__isnull=True, asked_at__gt=now - WAITS)


def lists_waiting(program_id: int, *, now: datetime) -> QuerySet[IncidentAccess]:
    """The lists of people that officers ask for and nobody has approved, the first first."""
    return still_waiting(IncidentAccess.objects.filter(program_id=program_id), now=now).order_by("asked_at", "id")


def approve(*, program_id: int, access_id: uuid.UUID, by: str) -> None:
    """Raises NotFound; Conflict `own_access` for the officer who asks, `not_waiting` where it was approved or is over."""
    with tenant(program_id):
        _noted(_approved(MinorAccess.objects.filter(program_id=program_id, id=access_id), by), "approved", by)


def approve_list(*, program_id: int, access_id: uuid.UUID, by: str) -> None:
    """Raises as `approve`."""
    with tenant(program_id):
        _list_noted(_approved(IncidentAccess.objects.filter(program_id=program_id, id=access_id), by), "approved", by)


def _used(same: QuerySet[A]) -> A | None:
    """One of those that are approved, used now. Of two at once the second waits for the row, and then finds it used."""
    for access in same.filter(approved_at__isnull=False).select_for_update():
        now = db_now()
        if standing(access, now) == Standing.USABLE:
            access.used_at = now
            access.save(update_fields=["used_at"])
            return access
    return None


def _asked(access: A, same: QuerySet[A]) -> bool:
    """Whether it waits from now on; else the same waits already."""
    now = db_now()
    if any(standing(other, now) == Standing.WAITING for other in same):
        return False
    access.asked_at = now
    access.save(force_insert=True)
    return True


def _approved(asked: QuerySet[A], by: str) -> A:
    access = asked.select_for_update().first()
    if access is None:
        raise NotFound("not_found", "nobody asks to see this any more")
    if access.asked_by == by:
        raise Conflict("own_access", "another officer than the one who asks has to approve")
    now = db_now()
    if standing(access, now) != Standing.WAITING:
        raise Conflict("not_waiting", "it was approved meanwhile, or has waited for too long")
    access.approved_by, access.approved_at = by, now
    access.save(update_fields=["approved_by", "approved_at"])
    return access


def _noted(access: MinorAccess, deed: str, by: str) -> None:
    """Of the mini-program: that a request was a minor's is not to be known when the person is erased."""
    audit(
        program_id=access.program_id,
        actor=by,
        action=f"minor_access.{deed}",
        target=f"program:{access.program_id}",
        details={"what": access.what, "reason": access.reason},
    )


def _list_noted(access: IncidentAccess, deed: str, by: str) -> None:
    """Of the incident, by whose own entry it is known that the list was taken."""
    target = f"incident:{access.entry.incident_id}"
    audit(program_id=access.program_id, actor=by, action=f"incident.list_{deed}", target=target)
