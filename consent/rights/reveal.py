"""Showing an officer the identifiers and the profile of one person: with a reason, audited, and never kept."""

import uuid
from dataclasses import dataclass

from django.db import models
from django.utils.translation import gettext_lazy as _

from consent.errors import NotFound
from consent.ledger.audit import audit
from consent.ledger.disclosures import disclosed
from consent.ledger.models import Recipient
from consent.programs.tenancy import tenant
from consent.records import profile
from consent.rights import barrier, minor_access
from consent.rights.models import Guarded, RequestSubject
from consent.vault import identities
from consent.vault.identities import Vault
from consent.vault.models import Subject


class Reason(models.TextChoices):
    """Why an officer sees who somebody is: a code, because free words in the audit log would come to name people."""

    REQUEST = "request", _("to work on a request of theirs")
    IDENTITY = "identity", _("to make sure that who asks is this person")
    INCIDENT = "incident", _("to tell them of an incident")
    AUTHORITY = "authority", _("an authority asks for it by law")


@dataclass(frozen=True)
class Revealed:
    """In plaintext: kind -> value, and name -> value."""

    identifiers: dict[str, str]
    attributes: dict[str, str]


def reveal(
    *, vault: Vault, program_id: int, subject_id: int, reason: Reason, request_id: uuid.UUID | None, by: str
) -> Revealed | None:
    """None where another officer has to approve first, which is asked for. The entries are committed with the answer.

    `request_id`: a request of theirs that it is for. Raises NotFound where there is no such person or no such request of theirs;
    Conflict while their data are closed to reading.
    """
    with tenant(program_id):
        subject = Subject.objects.select_for_update(no_key=True).filter(program_id=program_id, id=subject_id).first()
        if subject is None:
            raise NotFound("not_found", "there is no such person any more")
        if (
            request_id is not None
            and not RequestSubject.objects.filter(subject=subject, request_id=request_id).exists()
        ):
            raise NotFound("not_found", "this is no request of theirs")
        barrier.refuse_opening(subject)
        if not minor_access.admitted(subject, what=Guarded.VALUES, reason=reason, request_id=request_id, by=by):
            return None
        target = f"request:{request_id}" if request_id else f"program:{program_id}"
        audit(
            program_id=program_id, actor=by, action="person.revealed", target=target, details={"reason": reason.value}
        )
        disclosed(
            program_id=program_id,
            recipient=Recipient.AUTHORITY if reason == Reason.AUTHORITY else Recipient.OFFICER,
            ground=f"reveal.{reason.value}",
            fields=("identifiers", "attributes"),
            subjects=1,
            target=target,
            by=by,
        )
        return Revealed(identities.opened(vault, subject), profile.opened(vault, subject))
