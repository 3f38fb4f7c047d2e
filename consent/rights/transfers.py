"""Passing a portability's package on to the handler that the person named (PIPL 45): an officer does, or tells them why not.

No state of its own: the log of disclosures says that it was given to a handler, and the audit log that the person was told why not.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, TextChoices, TextField, Value
from django.db.models.functions import Cast, Concat
from django.utils.translation import gettext_lazy as _

from consent.errors import Conflict, NotFound
from consent.ledger.audit import audit
from consent.ledger.models import AuditEntry, Disclosure, Recipient
from consent.programs.tenancy import tenant
from consent.rights import content
from consent.rights.models import RequestState, RequestSubject, SubjectRequest
from consent.vault.identities import Vault

KNOWN_FOR = timedelta(days=3 * 365)
"""So long the log of disclosures says that it was passed on (consent.ledger.disclosures)."""
DECLINED = "transfer.declined"


class Passing(TextChoices):
    """How a completed transfer to a handler stands."""

    OWED = "owed", _("to be passed on to the handler that the person named")
    PASSED_ON = "passed_on", _("passed on to the handler that the person named")
    DECLINED = "declined", _("not passed on; the person was told why")


def owed(program_id: int, *, now: datetime) -> QuerySet[SubjectRequest]:
    """Completed transfers that are not passed on and not declined, of people who are still known."""
    target = Concat(Value("request:"), Cast(OuterRef("pk"), TextField()))
    given = Disclosure.objects.filter(program_id=program_id, target=target, recipient=Recipient.HANDLER)
    declined = AuditEntry.objects.filter(program_id=program_id, target=target, action=DECLINED)
    about = RequestSubject.objects.filter(request_id=OuterRef("pk"), sealed__isnull=False)
    named = SubjectRequest.objects.filter(
        program_id=program_id, handler_named=True, state=RequestState.COMPLETED, closed_at__gt=now - KNOWN_FOR
    )
    return named.filter(Exists(about), ~Exists(given), ~Exists(declined))


def passing(request: SubjectRequest, *, now: datetime) -> Passing | None:
    """None where no handler was named, nothing is ready, or nobody can say any more. Under the tenant."""
    if not request.handler_named or request.state != RequestState.COMPLETED:
        return None
    target = f"request:{request.pk}"
    given = Disclosure.objects.filter(program_id=request.program_id, target=target, recipient=Recipient.HANDLER)
    if given.exists():
        return Passing.PASSED_ON
    if AuditEntry.objects.filter(program_id=request.program_id, target=target, action=DECLINED).exists():
        return Passing.DECLINED
    return Passing.OWED if owed(request.program_id, now=now).filter(pk=request.pk).exists() else None


def decline(*, program_id: int, request_id: uuid.UUID, by: str, now: datetime) -> None:
    """It is not passed on, and the person was told why. Raises NotFound; Conflict `not_owed` where it is not to be passed on."""
    with tenant(program_id):
        rows = SubjectRequest.objects.select_for_update(no_key=True)
        request = rows.filter(program_id=program_id, id=request_id).first()
        if request is None:
            raise NotFound("not_found", "this mini-program has no request with this id")
        if passing(request, now=now) != Passing.OWED:
            raise Conflict("not_owed", "this is not to be passed on, or was dealt with already")
        audit(program_id=program_id, actor=by, action=DECLINED, target=f"request:{request_id}")


def handler(vault: Vault, about: RequestSubject) -> dict[str, Any]:
    """`name`, and where they were said `contact` and `formats`. Under the tenant. Raises NotFound where nobody is named."""
    named = content.opened(about, vault.data_key(about.program_id, about.subject_id)).get("recipient")
    if named is None:
        raise NotFound("not_found", "this request names no handler")
    found: dict[str, Any] = named
    return found
