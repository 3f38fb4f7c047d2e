"""Showing an officer the identifiers and the profile of one person: with a reason, audited, and never kept."""

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from consent import identifiers
from consent.errors import NotFound, RateLimited, invalid
from consent.ledger.audit import again_at, audit
from consent.ledger.disclosures import disclosed
from consent.ledger.models import Recipient
from consent.processing import incidents
from consent.programs.tenancy import tenant
from consent.records import profile
from consent.records.queries import db_now
from consent.rights import barrier, minor_access, queries
from consent.rights.models import Guarded
from consent.vault import identities
from consent.vault.identities import Vault
from consent.vault.models import Subject


class Reason(models.TextChoices):
    """Why an officer sees who somebody is: a code, because free words in the audit log would come to name people."""

    REQUEST = "request", _("to work on a request of theirs")
    IDENTITY = "identity", _("to make sure that who asks is this person")
    INCIDENT = "incident", _("to tell them of an incident")
    AUTHORITY = "authority", _("an authority asks for it by law")


REFERS: Mapping[Reason, str] = {
    Reason.REQUEST: "request_id",
    Reason.IDENTITY: "request_id",
    Reason.INCIDENT: "incident_id",
    Reason.AUTHORITY: "reference",
}
"""What each reason refers to, by the names of Cause."""
ACTION = "person.revealed"
LONGEST_REFERENCE = 64


@dataclass(frozen=True)
class Cause:
    """A reason with what it refers to, so that somebody else can look it up: a request of the person that is still to be
    answered, an incident of the mini-program that is open, or the reference of an authority's letter, which names no person."""

    reason: Reason
    request_id: uuid.UUID | None = None
    incident_id: int | None = None
    reference: str = ""

    def target(self, program_id: int) -> str:
        """As an audit entry names it."""
        if self.request_id is not None:
            return f"request:{self.request_id}"
        return f"program:{program_id}" if self.incident_id is None else f"incident:{self.incident_id}"

    def details(self) -> dict[str, str]:
        """As an audit entry keeps it."""
        told = {"reference": self.reference} if self.reference else {}
        return {"reason": self.reason.value, **told}


@dataclass(frozen=True)
class Revealed:
    """In plaintext: kind -> value, and name -> value."""

    identifiers: dict[str, str]
    attributes: dict[str, str]


def reveal(*, vault: Vault, program_id: int, subject_id: int, cause: Cause, most: int, by: str) -> Revealed | None:
    """None where another officer has to approve first, which is asked for. The entries are committed with the answer.

    `most`: how many people an officer may see so in an hour, whichever mini-programs they are of. Raises RateLimited
    `too_many_people`; Invalid `cause_missing`, `reference_too_long`, `identifier_in_reference`; NotFound where there is no such
    person, request of theirs or incident; Conflict while their data are closed to reading.
    """
    check_named(cause)
    with tenant(program_id):
        refuse_more(by=by, most=most, now=db_now())
        subject = Subject.objects.select_for_update(no_key=True).filter(program_id=program_id, id=subject_id).first()
        if subject is None:
            raise NotFound("not_found", "there is no such person any more")
        _check_there(cause, subject)
        barrier.refuse_opening(subject)
        reference = cause.reference or ("" if cause.incident_id is None else f"incident:{cause.incident_id}")
        if not minor_access.admitted(
            subject,
            what=Guarded.VALUES,
            reason=cause.reason,
            request_id=cause.request_id,
            reference=reference,
            by=by,
        ):
            return None
        note(cause, program_id=program_id, by=by)
        disclosed(
            program_id=program_id,
            recipient=Recipient.AUTHORITY if cause.reason == Reason.AUTHORITY else Recipient.OFFICER,
            ground=f"reveal.{cause.reason.value}",
            fields=("identifiers", "attributes"),
            subjects=1,
            target=cause.target(program_id),
            by=by,
        )
        return Revealed(identities.opened(vault, subject), profile.opened(vault, subject))


def refuse_more(*, by: str, most: int, now: datetime) -> None:
    """Raises RateLimited `too_many_people` where an officer saw so many people within an hour. In the transaction of the next."""
    again = again_at(actor=by, action=ACTION, most=most, now=now)
    if again is not None:
        detail = "an officer sees so many people an hour; wait as long as Retry-After says"
        raise RateLimited("too_many_people", detail, retry_after=math.ceil((again - now).total_seconds()))


def note(cause: Cause, *, program_id: int, by: str) -> None:
    """The audit entry that an officer sees a person, by which they are counted."""
    audit(program_id=program_id, actor=by, action=ACTION, target=cause.target(program_id), details=cause.details())


def check_named(cause: Cause) -> None:
    """That it names what its reason refers to, and nothing else. Raises Invalid as `reveal`."""
    named = [name for name in ("request_id", "incident_id", "reference") if getattr(cause, name) not in (None, "")]
    if named != [REFERS[cause.reason]]:
        raise invalid("cause_missing", "name what the reason refers to, and nothing else", f"/{REFERS[cause.reason]}")
    if len(cause.reference) > LONGEST_REFERENCE or not cause.reference.isprintable():
        detail = f"a reference has {LONGEST_REFERENCE} characters at most, in one line"
        raise invalid("reference_too_long", detail, "/reference")
    if identifiers.kind_of(cause.reference) is not None:
        raise invalid("identifier_in_reference", "name the letter, and nobody whom it is about", "/reference")


def _check_there(cause: Cause, subject: Subject) -> None:
    asked = queries.to_answer(subject.program_id, subject.id, now=db_now())
    if cause.request_id is not None and not asked.filter(id=cause.request_id).exists():
        raise NotFound("not_found", "this is no request of theirs that is still to be answered")
    if cause.incident_id is None:
        return
    if not incidents.still_open(subject.program_id).filter(id=cause.incident_id).exists():
        raise NotFound("not_found", "this mini-program has no open incident of this number")
