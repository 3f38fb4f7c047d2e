"""Requests that somebody else than the data subject files: guardian, next of kin (PIPL 49), agent.

Such a request is open and its deadline runs, but nothing comes of it, not even an erasure's closed gate, before an officer
has made sure who asks: a stranger's claim must restrict nobody. From then on it is a request like any other, reviewed
where its kind is; what its filing would have ended ends then, and the time in which an erasure may be taken back begins.
"""

import logging
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db import connection, transaction
from django.db.models import TextChoices
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent.errors import Conflict, NotFound, invalid
from consent.notices.models import Purpose
from consent.programs.tenancy import tenant
from consent.records import minors
from consent.records.models import ConsentRecord
from consent.records.queries import db_now
from consent.rights import barrier, content, gate, rectification, review, runs
from consent.rights.languages import language
from consent.rights.models import (
    ERASING,
    PACKAGED,
    HolderRun,
    RejectionReason,
    Requester,
    RequestKind,
    RequestState,
    RequestSubject,
    RunStatus,
    SubjectRequest,
)
from consent.vault.envelope import Cell, SubjectKey
from consent.vault.identities import Vault, open_json, seal_json
from consent.vault.models import Subject
from consent.webhooks import actions as webhooks

LONGEST_REFERENCE = 200

logger = logging.getLogger("zhiqing.rights")

# Whose guardian's requests end: those known to be 14, or older by a consent of their own. Of whom no age was ever told an
# officer decides. Noon in UTC is when a day has begun everywhere on earth.
_GROWN = """
    SELECT request.id FROM subject_request request
    JOIN request_subject about ON about.request_id = request.id
    JOIN subject ON subject.subject_id = about.subject_id
    WHERE request.program_id = %s AND request.closed_at IS NULL AND request.requester = 'guardian'
      AND request.point_of_no_return_at IS NULL
      AND (subject.turns_14_on <= (clock_timestamp() AT TIME ZONE 'UTC' - interval '12 hours')::date
           OR NOT subject.under_14 AND EXISTS (
               SELECT FROM consent_record said
               WHERE said.subject_id = subject.subject_id AND said.age_band IN ('14_17', 'adult')))
      AND NOT EXISTS (SELECT FROM holder_run run WHERE run.request_id = request.id
                      AND (run.status <> 'pending' OR run.attempts > 0))
    ORDER BY request.id
"""


class Method(TextChoices):
    """How an officer made sure of a requester."""

    DOCUMENTS = "documents", _("identity documents seen")
    GUARDIANSHIP = "guardianship", _("identity and proof of guardianship seen")
    KINSHIP = "kinship", _("identity, kinship and death certificate seen")
    AUTHORITY = "authority", _("identity and written authority seen")
    CALLED_BACK = "called_back", _("called back on a known number")


def check_guardian(requester: str, subject: Subject, now: datetime) -> None:
    """A guardian asks for a child under 14: not where its consents say that it is none. Raises Conflict `guardian_not_needed`."""
    if requester == Requester.GUARDIAN and (minors.turned_14(subject, now) or _said_to_be_older(subject)):
        raise Conflict(
            "guardian_not_needed",
            "by its consents the data subject is not under 14: they ask themselves, or an agent does",
        )


def _said_to_be_older(subject: Subject) -> bool:
    """As `_GROWN` has it."""
    older = ConsentRecord.objects.filter(subject=subject, age_band__in=("14_17", "adult"))
    return not subject.under_14 and older.exists()


def verify(
    *,
    vault: Vault,
    program_id: int,
    request_id: uuid.UUID,
    method: Method,
    reference: str,
    undo: timedelta,
    by: str,
    on_due: Callable[[uuid.UUID], object],
) -> None:
    """Note how it was made sure who asks, and go on with the request as with the subject's own.

    `reference`: where the evidence is kept, sealed. What the kind ends at once ends now, and `undo` counts from now. `on_due` is
    called after the commit with a request that is due at once. Raises Invalid `reference_missing`, `reference_too_long`;
    NotFound; Conflict `not_verifying`, `guardian_not_needed`, `erasure_pending`, `request_open`, `restricted`, and what
    `rectification.rehearse` raises.
    """
    kept = _checked(reference)
    with gate.closing(program_id, request_id), tenant(program_id):
        subject = runs.locked_subject(program_id, request_id)
        request = _locked(program_id, request_id)
        if request.state != RequestState.VERIFYING:
            raise Conflict("not_verifying", "the request is not being verified, or no longer")
        ended: list[ConsentRecord] = []
        if subject is not None:
            check_guardian(request.requester, subject, db_now())
            _check_free(vault, subject, request)
            ended = _close(vault, subject, request)
            _keep(vault, request, subject, method, kept, by)
        runs.audited(request, "verified", by=by, day_only=request.kind in ERASING, method=method.value)
        if _go_on(request, subject, ended, undo, by):
            transaction.on_commit(partial(on_due, request.id), robust=True)


def _close(vault: Vault, subject: Subject, request: SubjectRequest) -> list[ConsentRecord]:
    """What the filing would have ended, had the subject asked; answers the records of the consents that it withdrew."""
    about = RequestSubject.objects.get(subject=subject, request_id=request.id)
    data_key = vault.data_key(subject.program_id, subject.id)
    codes = content.purposes_of(about, data_key)
    purposes = list(Purpose.objects.filter(program_id=request.program_id, code__in=codes).order_by("id"))
    ended = barrier.close(vault, subject, request.kind, purposes=purposes, locale=request.locale, client_id=None)
    if request.kind == RequestKind.OBJECTION:
        content.add(about, data_key, records=[str(record.record_id) for record in ended])
    return ended


def _go_on(
    request: SubjectRequest, subject: Subject | None, ended: Sequence[ConsentRecord], undo: timedelta, by: str
) -> bool:
    """Approved, or in review, or done with what it ended; answers whether its runs are due at once."""
    now = db_now()
    request.undo_until = now + undo if request.kind in ERASING else None
    request.state = RequestState.IN_REVIEW if request.reviewed else RequestState.APPROVED
    request.save(update_fields=["state", "undo_until"])
    webhooks.tell_request(request, request.state)
    if not request.reviewed:
        due = request.undo_until or now
        HolderRun.objects.filter(request=request, status=RunStatus.PENDING).update(not_before=due)
    return barrier.begin(request, subject, ended, by=by)


def _check_free(vault: Vault, subject: Subject, request: SubjectRequest) -> None:
    """What could not be filed now cannot go on now either."""
    if subject.erasure_pending and request.kind not in ERASING:
        raise Conflict("erasure_pending", "the subject is being erased: nothing else can be carried out meanwhile")
    kinds = ERASING if request.kind in ERASING else (request.kind,)
    others = RequestSubject.objects.filter(subject=subject, kind__in=kinds, scope="", open=True)
    if others.exclude(request_id=request.id).exists():
        raise Conflict("request_open", "a request of this kind is being carried out for the same person")
    if request.kind in PACKAGED:
        barrier.refuse_reading(subject)
    if request.kind == RequestKind.RECTIFICATION:
        about = RequestSubject.objects.get(subject=subject, request_id=request.id)
        changes = content.changes_of(about, vault.data_key(subject.program_id, subject.id))
        rectification.rehearse(vault, subject, changes)


def _keep(vault: Vault, request: SubjectRequest, subject: Subject, method: Method, reference: str, by: str) -> None:
    told = {"method": method.value, "reference": reference, "by": by, "at": db_now().isoformat()}
    data_key = vault.data_key(subject.program_id, subject.id)
    sealed = seal_json(data_key, told, _cell(request, subject.id))
    RequestSubject.objects.filter(subject=subject, request_id=request.id).update(verified=sealed, scope="")


def verified(request: SubjectRequest, about: RequestSubject, data_key: SubjectKey) -> dict[str, str] | None:
    """How the requester was verified: method, reference, when; not by whom. Raises DoesNotOpen."""
    if about.verified is None:
        return None
    told = open_json(data_key, bytes(about.verified), _cell(request, about.subject_id))
    return {name: told[name] for name in ("method", "reference", "at")}


def end_guardians_requests(vault: Vault, program_id: int) -> list[uuid.UUID]:
    """Refuse what guardians asked and nobody has begun, of whoever is 14 by now (PIPL 31); answers which requests.

    A transaction each; one that cannot be ended now holds up no other.
    """
    with tenant(program_id), connection.cursor() as cursor:
        cursor.execute(_GROWN, [program_id])
        found = [row[0] for row in cursor.fetchall()]
    return [request_id for request_id in found if _end(vault, program_id, request_id)]


def _end(vault: Vault, program_id: int, request_id: uuid.UUID) -> bool:
    try:
        with gate.reopening(program_id, request_id), tenant(program_id):
            subject = runs.locked_subject(program_id, request_id)
            request = runs.locked_open(program_id, request_id)
            if subject is None or request is None or _begun(request):
                return False
            with translation.override(language(request.locale)):
                text = gettext(
                    "The person this request is about has turned 14. A guardian's request ends then; the person may file"
                    " it themselves, or authorise somebody to."
                )
            review.refuse(vault, request, subject, RejectionReason.SOMEBODY_ELSE, text, by="system")
            return True
    except Exception:
        # Whatever it is, a damaged key too: it is found again the next time.
        logger.exception("a guardian's request stays", extra={"fields": {"request": str(request_id)}})
        return False


def _begun(request: SubjectRequest) -> bool:
    """Locks the runs, so that none begins before this transaction ends."""
    held = list(HolderRun.objects.select_for_update(no_key=True).filter(request=request).order_by("id"))
    return any(run.status != RunStatus.PENDING or run.attempts for run in held)


def _locked(program_id: int, request_id: uuid.UUID) -> SubjectRequest:
    rows = SubjectRequest.objects.select_for_update(no_key=True)
    request = rows.filter(id=request_id, program_id=program_id).first()
    if request is None:
        raise NotFound("not_found", "this mini-program has no request with this id")
    return request


def _checked(reference: str) -> str:
    kept = reference.strip()
    if not kept:
        raise invalid("reference_missing", "say where the evidence is kept", "/reference")
    if len(kept) > LONGEST_REFERENCE:
        raise invalid("reference_too_long", f"a reference has {LONGEST_REFERENCE} characters at most", "/reference")
    return kept


def _cell(request: SubjectRequest, subject_id: int) -> Cell:
    return Cell(request.program_id, "request_subject", "verified", str(request.id), subject_id)
