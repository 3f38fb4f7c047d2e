"""Filing a request of a data subject."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction

from consent.errors import Conflict, Fault, Invalid, invalid
from consent.ledger.audit import OFFICER
from consent.notices.models import Purpose
from consent.programs.idempotency import IdempotencyKey, claim, used
from consent.programs.models import IdempotencyRecord, MiniProgram
from consent.programs.tenancy import tenant
from consent.records.intents import announce, retract
from consent.records.models import ConsentRecord
from consent.records.queries import db_now
from consent.rights import barrier, content, erasure_rate, gate, portability, queries, rectification, runs
from consent.rights.content import Content
from consent.rights.deadlines import Deadlines, due_at
from consent.rights.holders import Changes, fulfilling
from consent.rights.models import (
    ERASING,
    PACKAGED,
    TWO_OFFICERS,
    Condition,
    HolderRun,
    Requester,
    RequestKind,
    RequestState,
    RequestSubject,
    ReviewRule,
    SubjectRequest,
)
from consent.vault import identities, writing
from consent.vault.identities import Vault
from consent.vault.lookup import Identifiers
from consent.vault.models import Subject
from consent.webhooks import actions as webhooks


@dataclass(frozen=True)
class Asked:
    """What is asked, by whom, and in which language it is to be answered.

    `changes` with a rectification, `purposes` (codes) with an objection, `recipient` with a portability.
    `vouched`: who says that a rectification is right, where no officer reviews it: caller, or portal for the subject themselves.
    """

    kind: str
    locale: str
    requester: str = Requester.SELF
    changes: Changes | None = None
    purposes: Sequence[str] = ()
    recipient: dict[str, Any] | None = None
    verification: dict[str, Any] | None = None
    vouched: str = "caller"

    @property
    def verifying(self) -> bool:
        """An officer makes sure who asks before anything comes of it."""
        return self.requester != Requester.SELF

    @property
    def closes(self) -> bool:
        """The filing itself ends something."""
        return self.kind in gate.CLOSING and not self.verifying


@dataclass(frozen=True)
class Filed:
    """The answer to a filing: the same for a subject we know and for one we do not.

    `records`: of the consents that an objection ended, which for a subject nobody knows are none; None of other kinds.
    """

    request_id: uuid.UUID
    kind: str
    received_at: datetime
    due_at: datetime
    undo_until: datetime | None
    state: str
    records: list[uuid.UUID] | None = None


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
    client_id: int | None = None,
    idempotency: IdempotencyKey | None = None,
) -> Filed:
    """File a request; from its commit on it is carried out or in review, and what it ends at once has ended. One by
    somebody else than the subject waits until an officer has made sure of them (consent.rights.requesters).

    `on_filed` is called after the commit with a request that is due at once: a hint, whose loss costs a sweep's time.
    `client_id` is kept with the consent records that the request makes.
    Raises Invalid for what is wrong with the changes, and `unknown_purpose`; Conflict `request_open` (with the open one's
    `request_id`), `erasure_pending`, `restricted`, `identity_conflict`.
    """
    named = identities.checked(identifiers)
    announced = _announce(vault, program_id, named, asked, idempotency) if asked.closes else None
    try:
        with tenant(program_id):
            if idempotency is not None and not claim(idempotency):
                if announced is not None:
                    # Announced before the same call, sent twice, was seen to be done.
                    retract(program_id, announced, purposes=asked.purposes or None)
                return _filed_before(vault, program_id, idempotency)
            asked, purposes = _checked(program_id, asked)
            subject = _locked(vault, program_id, named)
            ended: list[ConsentRecord] = []
            if subject is not None:
                _check(vault, subject, asked)
                if asked.closes:
                    ended = barrier.close(
                        vault, subject, asked.kind, purposes=purposes, locale=asked.locale, client_id=client_id
                    )
            # After the gate's locks: the time of receipt is later than every batch that came before it.
            request = _stub(program_id, subject, asked, terms, idempotency, by)
            if subject is not None:
                _concern(vault, request, subject, asked, ended, by)
            _audit_filed(request, by)
            webhooks.tell_request(request, request.state)
            if not asked.verifying and barrier.begin(request, subject, ended, by=by):
                transaction.on_commit(partial(on_filed, request.id), robust=True)
            return _filed(vault, request)
    except Exception:
        if announced is not None:
            retract(program_id, announced, purposes=asked.purposes or None)
        raise


def _checked(program_id: int, asked: Asked) -> tuple[Asked, list[Purpose]]:
    """What is asked with its changes normalised, and the purposes an objection is about. Raises Invalid."""
    if asked.kind == RequestKind.RECTIFICATION:
        return replace(asked, changes=rectification.checked(asked.changes, program_id)), []
    if asked.kind != RequestKind.OBJECTION:
        return asked, []
    if not asked.purposes:
        raise invalid("scope_missing", "name the purposes that are objected to", "/scope")
    known = {row.code: row for row in Purpose.objects.filter(program_id=program_id, code__in=asked.purposes)}
    detail = "no notice of this mini-program names this purpose"
    faults = [
        Fault("unknown_purpose", detail, f"/scope/purposes/{place}")
        for place, code in enumerate(asked.purposes)
        if code not in known
    ]
    if faults:
        raise Invalid("unknown_purpose", detail, faults)
    return asked, [known[code] for code in dict.fromkeys(asked.purposes)]


def _announce(
    vault: Vault, program_id: int, named: dict[str, str], asked: Asked, idempotency: IdempotencyKey | None
) -> int | None:
    """Commit the intent to close the gate before waiting for its locks, so that ingest cannot starve it; answers whose.

    Not for what will be refused or was done before: an intent left behind makes ingest answer `retry` until it is swept.
    """
    with tenant(program_id):
        if idempotency is not None and used(idempotency):
            return None
        _checked(program_id, asked)
        subject_id = identities.resolve_many(vault, program_id, [named])[0]
        if subject_id is not None:
            _check_open(subject_id, asked)
            _check_pending(subject_id, asked)
            announce(subject_id, purposes=asked.purposes or None)
        return subject_id


def _filed_before(vault: Vault, program_id: int, idempotency: IdempotencyKey) -> Filed:
    # A key used again after its 24 hours is on an older request too, until that is housekept.
    before = SubjectRequest.objects.filter(program_id=program_id, idempotency__in=idempotency.hashes)
    request = before.order_by("-received_at", "id").first()
    if request is None:
        raise Conflict("request_gone", "what this Idempotency-Key filed is no longer kept; take a new key")
    return _filed(vault, request)


def forget_calls(program_id: int) -> int:
    """Take the hashes of Idempotency-Keys that are forgotten off the requests they made; answers how many."""
    known = IdempotencyRecord.objects.filter(program_id=program_id).values("key_hash")
    rows = SubjectRequest.objects.filter(program_id=program_id, idempotency__isnull=False)
    return rows.exclude(idempotency__in=known).update(idempotency=None)


def _locked(vault: Vault, program_id: int, named: dict[str, str]) -> Subject | None:
    """The subject with its row locked, or None for one nobody knows (or knows any more). Raises Unavailable `keyring_behind` where
    nobody can be told to be unknown: by another keyring they may be found."""
    subject_id = identities.resolve_many(vault, program_id, [named])[0]
    if subject_id is None:
        writing.hold(vault.keyring)
        return None
    return Subject.objects.select_for_update(no_key=True).filter(id=subject_id).first()


def _check(vault: Vault, subject: Subject, asked: Asked) -> None:
    """A claim of somebody else is told nothing of the person before it is verified (requesters.verify checks then)."""
    _check_open(subject.id, asked)
    if asked.verifying:
        return
    _check_pending(subject.id, asked)
    if asked.kind in PACKAGED:
        barrier.refuse_reading(subject)
    if asked.kind == RequestKind.RECTIFICATION and asked.changes is not None:
        rectification.rehearse(vault, subject, asked.changes)


def _check_pending(subject_id: int, asked: Asked) -> None:
    pending = Subject.objects.filter(id=subject_id, erasure_pending=True)
    if asked.kind not in ERASING and pending.exists():
        raise Conflict("erasure_pending", "the subject asked to be erased; take that request back first")


def _check_open(subject_id: int, asked: Asked) -> None:
    """One open request of a kind, one that erases, one restriction that stands; constraints say so too."""
    kinds = ERASING if asked.kind in ERASING else (asked.kind,)
    about = RequestSubject.objects.filter(subject_id=subject_id, kind__in=kinds, scope=_scope(asked), open=True)
    first = about.first()
    if first is not None:
        raise Conflict(
            "request_open",
            "a request of this kind is open already, or stands: follow that one",
            extra={"request_id": str(first.request_id)},
        )


def _scope(asked: Asked) -> str:
    return asked.requester if asked.verifying else ""


def _stub(
    program_id: int, subject: Subject | None, asked: Asked, terms: Terms, idempotency: IdempotencyKey | None, by: str
) -> SubjectRequest:
    """The request with a run for every holder, alike whether we know the subject or not: it names none."""
    program, now = MiniProgram.objects.get(id=program_id), db_now()
    unmet = _unmet(subject, asked)
    reviewed = _goes_to_review(program_id, asked, terms, by, now) or bool(unmet)
    undo_until = now + terms.undo if asked.kind in ERASING and not asked.verifying else None
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
        unmet=unmet,
        handler_named=asked.recipient is not None,
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
        for holder in fulfilling(asked.kind)
        if holder.concerned(program_id=program_id)
    )
    return request


def _unmet(subject: Subject | None, asked: Asked) -> list[Condition] | None:
    """The conditions of a portability that are not met, so that an officer decides; None of other kinds."""
    if asked.kind != RequestKind.PORTABILITY:
        return None
    return portability.unmet(
        subject, requester=asked.requester, verification=asked.verification, recipient=asked.recipient
    )


def _goes_to_review(program_id: int, asked: Asked, terms: Terms, by: str, now: datetime) -> bool:
    """By the mini-program's rules; what an officer files and another approves; erasures beyond an hour's number."""
    erasing = asked.kind in ERASING and terms.erasures is not None and not asked.verifying
    beyond = erasing and erasure_rate.beyond(program_id, by=by, limit=terms.erasures or 0, now=now)
    officers = by.startswith(OFFICER) and asked.kind in TWO_OFFICERS
    return beyond or officers or ReviewRule.objects.filter(program_id=program_id, kind=asked.kind).exists()


def _first_state(requester: str, reviewed: bool) -> RequestState:
    if requester != Requester.SELF:
        return RequestState.VERIFYING
    return RequestState.IN_REVIEW if reviewed else RequestState.APPROVED


def _concern(
    vault: Vault, request: SubjectRequest, subject: Subject, asked: Asked, ended: Sequence[ConsentRecord], by: str
) -> None:
    """Link the request to its subject, with what it asks sealed."""
    check = (
        rectification.vouched(by, asked.vouched, request.received_at)
        if request.kind == RequestKind.RECTIFICATION
        else None
    )
    objected = request.kind == RequestKind.OBJECTION and not asked.verifying
    made = [record.record_id for record in ended] if objected else None
    sealed = content.seal(
        Content(asked.changes, asked.verification, asked.purposes, made, asked.recipient, check),
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


def _audit_filed(request: SubjectRequest, by: str) -> None:
    told = {} if request.unmet is None else {"unmet": ",".join(request.unmet)}
    runs.audited(request, "filed", by=by, day_only=request.kind in ERASING, **told)


def _filed(vault: Vault, request: SubjectRequest) -> Filed:
    """The answer of the first call, whatever became of the request since."""
    state, records = _first_state(request.requester, request.reviewed), None
    if request.kind == RequestKind.OBJECTION and state != RequestState.VERIFYING:
        state, records = RequestState.COMPLETED, queries.records_of(vault, request)
    due = request.extended_from or request.due_at
    undo_until = None if state == RequestState.VERIFYING else request.undo_until
    return Filed(request.id, request.kind, request.received_at, due, undo_until, state.value, records)
