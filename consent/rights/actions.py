"""Filing a request of a data subject, and taking it back."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction

from consent.errors import Conflict, Fault, Invalid, NotFound
from consent.ledger.audit import OFFICER
from consent.programs.idempotency import IdempotencyKey, claim, used
from consent.programs.models import IdempotencyRecord, MiniProgram
from consent.programs.tenancy import tenant
from consent.records.intents import announce
from consent.records.queries import db_now
from consent.rights import content, erasure_rate, gate, rectification, requesters, runs
from consent.rights.content import Content
from consent.rights.deadlines import Deadlines, due_at
from consent.rights.holders import Changes, holders
from consent.rights.models import (
    TWO_OFFICERS,
    HolderRun,
    Requester,
    RequestKind,
    RequestState,
    RequestSubject,
    ReviewRule,
    RunStatus,
    SubjectRequest,
)
from consent.vault import identities
from consent.vault.identities import Vault
from consent.vault.lookup import Identifiers
from consent.vault.models import Subject

_INSTEAD = {
    RequestKind.COPY: "file an access request: its package is a copy",
    RequestKind.PORTABILITY: "file an access request: its package is machine-readable",
    RequestKind.RESTRICTION: "withdraw the consents with POST /api/v1/consents: nothing is recorded from then on",
    RequestKind.OBJECTION: "withdraw the consent to the purpose with POST /api/v1/consents",
    RequestKind.CANCELLATION: "file an erasure: it removes the subject with everything held",
    RequestKind.EXPLANATION: "show the notice of GET /api/v1/notices/current and answer by its contact",
}


@dataclass(frozen=True)
class Asked:
    """What is asked, by whom, and in which language it is to be answered."""

    kind: str
    locale: str
    requester: str = Requester.SELF
    changes: Changes | None = None
    verification: dict[str, Any] | None = None

    @property
    def verifying(self) -> bool:
        """An officer makes sure who asks before anything comes of it."""
        return self.requester != Requester.SELF

    @property
    def closes(self) -> bool:
        """The filing itself closes the gate."""
        return self.kind == RequestKind.ERASURE and not self.verifying


@dataclass(frozen=True)
class Filed:
    """The answer to a filing: the same for a subject we know and for one we do not."""

    request_id: uuid.UUID
    kind: str
    received_at: datetime
    due_at: datetime
    undo_until: datetime | None
    state: str


@dataclass(frozen=True)
class Terms:
    """`undo`: how long an erasure may be taken back before it runs; `erasures`: how many of them an actor may file in an
    hour before an officer decides on the others, None: any."""

    undo: timedelta
    erasures: int | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)


def file_request(
    *,
    vault: Vault,
    program_id: int,
    identifiers: Identifiers,
    asked: Asked,
    terms: Terms,
    by: str,
    on_filed: Callable[[uuid.UUID], object],
    idempotency: IdempotencyKey | None = None,
) -> Filed:
    """File a request; from its commit on it is carried out or in review, and an erasure has closed the gate. One by
    somebody else than the subject waits until an officer has made sure of them (consent.rights.requesters).

    `on_filed` is called after the commit with a request that is due at once: a hint, whose loss costs a sweep's time.
    Raises Invalid `kind_not_available`, or what is wrong with the changes; Conflict `request_open` (with the open one's
    `request_id`), `erasure_pending`, `identity_conflict`, `guardian_not_needed`.
    """
    named = identities.checked(identifiers)
    _check_available(asked)
    if asked.closes:
        _announce(vault, program_id, named, asked, idempotency)
    with tenant(program_id):
        if idempotency is not None and not claim(idempotency):
            return _filed_before(program_id, idempotency)
        if asked.kind == RequestKind.RECTIFICATION:
            asked = _with_changes(asked, rectification.checked(asked.changes, program_id))
        subject = _locked(vault, program_id, named)
        if subject is not None:
            _check(vault, subject, asked)
            if asked.closes:
                gate.close_for_erasure(subject)
        # After the gate's locks: the time of receipt is later than every batch that came before it.
        request = _stub(program_id, asked, terms, idempotency, by)
        if subject is not None:
            _concern(vault, request, subject, asked)
        _audit_filed(request, by)
        carried_out = request.state == RequestState.APPROVED
        if carried_out and (request.undo_until is None or request.undo_until <= request.received_at):
            transaction.on_commit(partial(on_filed, request.id), robust=True)
        return _filed(request)


def _check_available(asked: Asked) -> None:
    if asked.kind in _INSTEAD:
        detail = f"this kind comes later; until then: {_INSTEAD[RequestKind(asked.kind)]}"
        raise Invalid("kind_not_available", detail, [Fault("kind_not_available", detail, "/kind")])


def _announce(
    vault: Vault, program_id: int, named: dict[str, str], asked: Asked, idempotency: IdempotencyKey | None
) -> None:
    """Commit the intent to close the gate before waiting for its locks, so that ingest cannot starve it.

    Not for what will be refused or was done before: an intent left behind makes ingest answer `retry` until it is swept.
    """
    with tenant(program_id):
        if idempotency is not None and used(idempotency):
            return
        subject_id = identities.resolve_many(vault, program_id, [named])[0]
        if subject_id is not None:
            _check_open(subject_id, asked)
            announce(subject_id)


def _filed_before(program_id: int, idempotency: IdempotencyKey) -> Filed:
    # A key used again after its 24 hours is on an older request too, until that is housekept.
    before = SubjectRequest.objects.filter(program_id=program_id, idempotency=idempotency.key_hash)
    request = before.order_by("-received_at", "id").first()
    if request is None:
        raise Conflict("request_gone", "what this Idempotency-Key filed is no longer kept; take a new key")
    return _filed(request)


def forget_calls(program_id: int) -> int:
    """Take the hashes of Idempotency-Keys that are forgotten off the requests they made; answers how many."""
    known = IdempotencyRecord.objects.filter(program_id=program_id).values("key_hash")
    rows = SubjectRequest.objects.filter(program_id=program_id, idempotency__isnull=False)
    return rows.exclude(idempotency__in=known).update(idempotency=None)


def _locked(vault: Vault, program_id: int, named: dict[str, str]) -> Subject | None:
    """The subject with its row locked, or None for one nobody knows (or knows any more)."""
    subject_id = identities.resolve_many(vault, program_id, [named])[0]
    if subject_id is None:
        return None
    return Subject.objects.select_for_update(no_key=True).filter(id=subject_id).first()


def _check(vault: Vault, subject: Subject, asked: Asked) -> None:
    _check_open(subject.id, asked)
    requesters.check_guardian(asked.requester, subject, db_now())
    if subject.erasure_pending and asked.kind != RequestKind.ERASURE:
        raise Conflict("erasure_pending", "the subject asked to be erased; take that request back first")
    if asked.kind == RequestKind.RECTIFICATION and asked.changes is not None:
        rectification.rehearse(vault, subject, asked.changes)


def _check_open(subject_id: int, asked: Asked) -> None:
    """One open request of a kind; a constraint says so too."""
    scopes = ("", _scope(asked)) if asked.verifying else ("",)
    first = RequestSubject.objects.filter(subject_id=subject_id, kind=asked.kind, scope__in=scopes, open=True).first()
    if first is not None:
        raise Conflict(
            "request_open",
            "a request of this kind is open already: follow that one",
            extra={"request_id": str(first.request_id)},
        )


def _scope(asked: Asked) -> str:
    return asked.requester if asked.verifying else ""


def _stub(program_id: int, asked: Asked, terms: Terms, idempotency: IdempotencyKey | None, by: str) -> SubjectRequest:
    """The request with a run for every holder, alike whether we know the subject or not: it names none."""
    program, now = MiniProgram.objects.get(id=program_id), db_now()
    reviewed = _goes_to_review(program_id, asked, terms, by, now)
    undo_until = now + terms.undo if asked.closes else None
    request = SubjectRequest.objects.create(
        id=uuid.uuid4(),
        program=program,
        kind=asked.kind,
        state=_first_state(asked.requester, reviewed),
        filed_by=by,
        reviewed=reviewed,
        requester=asked.requester,
        locale=asked.locale,
        received_at=now,
        due_at=due_at(now, terms.deadlines, zone=program.zone),
        undo_until=undo_until,
        idempotency=idempotency.key_hash if idempotency else None,
    )
    HolderRun.objects.bulk_create(
        HolderRun(
            request=request,
            program=program,
            holder=holder.identifier,
            stage=holder.stage,
            not_before=None if reviewed or asked.verifying else undo_until or now,
        )
        for holder in holders()
    )
    return request


def _goes_to_review(program_id: int, asked: Asked, terms: Terms, by: str, now: datetime) -> bool:
    """By the mini-program's rules; what an officer files and another approves; erasures beyond an hour's number."""
    erasing = asked.kind == RequestKind.ERASURE and terms.erasures is not None
    beyond = erasing and erasure_rate.beyond(program_id, by=by, limit=terms.erasures or 0, now=now)
    officers = by.startswith(OFFICER) and asked.kind in TWO_OFFICERS
    return beyond or officers or ReviewRule.objects.filter(program_id=program_id, kind=asked.kind).exists()


def _first_state(requester: str, reviewed: bool) -> RequestState:
    if requester != Requester.SELF:
        return RequestState.VERIFYING
    return RequestState.IN_REVIEW if reviewed else RequestState.APPROVED


def _concern(vault: Vault, request: SubjectRequest, subject: Subject, asked: Asked) -> None:
    """Link the request to its subject, with what it asks sealed."""
    sealed = content.seal(
        Content(asked.changes, asked.verification),
        vault.data_key(subject.program_id, subject.id),
        program_id=subject.program_id,
        subject_id=subject.id,
        request_id=request.id,
    )
    RequestSubject.objects.create(
        subject=subject,
        request_id=request.id,
        program_id=subject.program_id,
        kind=asked.kind,
        scope=_scope(asked),
        sealed=sealed,
    )


def take_back(*, program_id: int, request_id: uuid.UUID, by: str) -> SubjectRequest:
    """Withdraw a request while nothing of it has been done; an erasure's gate opens again from now on.

    An erasure that has failed may be taken back too, whatever of it was done: its gate would stay closed for ever.
    Once taken back it stays so: a second call answers the same. Raises NotFound, Conflict `not_undoable`.
    """
    with gate.reopening(program_id, request_id):
        return _take_back(program_id, request_id, by)


def _take_back(program_id: int, request_id: uuid.UUID, by: str) -> SubjectRequest:
    with tenant(program_id):
        subject = runs.locked_subject(program_id, request_id)
        request = (
            SubjectRequest.objects.select_for_update(no_key=True).filter(id=request_id, program_id=program_id).first()
        )
        if request is None:
            raise NotFound("not_found", "this mini-program has no request with this id")
        if request.state == RequestState.WITHDRAWN:
            return request
        if not (_given_up(request, subject) or _undoable(request)):
            raise Conflict("not_undoable", "the request is being carried out or closed; it can no longer be taken back")
        runs.end_runs(request, RunStatus.CANCELLED)
        closed_by_it = request.kind == RequestKind.ERASURE and request.state != RequestState.VERIFYING
        if subject is not None and subject.erasure_pending and closed_by_it:
            gate.reopen_after_erasure(subject)
        runs.close(request, RequestState.WITHDRAWN, by=by)
        request.refresh_from_db()
        return request


def _undoable(request: SubjectRequest) -> bool:
    """Locks the runs: none has begun, and none can begin before this transaction ends."""
    held = list(HolderRun.objects.select_for_update(no_key=True).filter(request=request).order_by("id"))
    begun = any(run.status != RunStatus.PENDING or run.attempts for run in held)
    late = request.undo_until is not None and db_now() >= request.undo_until
    if request.state == RequestState.IN_REVIEW:
        late = False  # nothing is done before an officer approves
    return request.closed_at is None and not begun and not late


def _given_up(request: SubjectRequest, subject: Subject | None) -> bool:
    """A failed erasure of somebody still here, with no later erasure that keeps the gate closed."""
    if request.kind != RequestKind.ERASURE or request.state != RequestState.FAILED or subject is None:
        return False
    erasures = RequestSubject.objects.filter(subject=subject, kind=RequestKind.ERASURE)
    later = SubjectRequest.objects.filter(
        id__in=list(erasures.values_list("request_id", flat=True)), received_at__gt=request.received_at
    )
    return not later.exclude(state__in=(RequestState.WITHDRAWN, RequestState.REJECTED)).exists()


def _with_changes(asked: Asked, changes: Changes) -> Asked:
    return Asked(asked.kind, asked.locale, asked.requester, changes, asked.verification)


def _audit_filed(request: SubjectRequest, by: str) -> None:
    runs.audited(request, "filed", by=by, day_only=request.kind == RequestKind.ERASURE)


def _filed(request: SubjectRequest) -> Filed:
    """The answer of the first call, whatever became of the request since."""
    state = _first_state(request.requester, request.reviewed)
    due = request.extended_from or request.due_at
    undo_until = None if state == RequestState.VERIFYING else request.undo_until
    return Filed(request.id, request.kind, request.received_at, due, undo_until, state.value)
