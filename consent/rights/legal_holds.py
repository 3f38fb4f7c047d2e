"""Legal holds: what a law obliges a holder to keep although its person asked to be erased (PIPL 47).

An erasure passes a held holder by and erases the rest; the subject stays restricted with its key, and its request ends
`partially_completed`. When the last hold on it is over, the erasure goes on by itself, without a new request.
What was collected under a consent that ended waits alike (consent.rights.collected). A hold is over after its last day in
the mini-program's zone, or when it is lifted. It does not prolong a retention period: that ends as the notice told.
"""

import logging
import uuid
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import F, Q, QuerySet
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext

from consent.errors import Conflict, NotFound, invalid
from consent.ledger.audit import audit
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.records.queries import db_now, today
from consent.rights import gate, runs
from consent.rights.holders import LAST_STAGE, UnknownHolder, holder_of
from consent.rights.languages import language
from consent.rights.models import (
    ERASING,
    HeldSubject,
    HolderRun,
    HoldGround,
    LegalHold,
    RequestState,
    RequestSubject,
    RunStatus,
    SubjectRequest,
)
from consent.vault.models import Subject
from consent.webhooks import actions as webhooks

LONGEST_LAW = 200

logger = logging.getLogger("zhiqing.rights")


def hold(
    *,
    program_id: int,
    holder: str,
    ground: HoldGround,
    law: str,
    until: date,
    request_id: uuid.UUID | None,
    by: str,
) -> LegalHold:
    """Keep what the holder has of the person a request is about, or of everybody (`request_id` None), to the end of a day.

    What is erased already stays so. Raises Invalid `unknown_holder`, `derived_holder`, `law_missing`, `law_too_long`, `until_past`; NotFound;
    Conflict `nobody_known`.
    """
    named = _checked(holder, law)
    with tenant(program_id):
        if until < today(program_id):
            raise invalid("until_past", "the last day of a hold is today or later", "/until")
        subject = _subject(program_id, request_id) if request_id is not None else None
        made = LegalHold.objects.create(
            program_id=program_id,
            holder=holder,
            ground=ground,
            law=named,
            until=until,
            everybody=subject is None,
            created_by=by,
            created_at=db_now(),
        )
        if subject is not None:
            HeldSubject.objects.create(subject=subject, hold_id=made.pk, program_id=program_id)
        details = {"holder": holder, "ground": ground.value, "until": until.isoformat(), "everybody": made.everybody}
        audit(program_id=program_id, actor=by, action="hold.made", target=f"hold:{made.pk}", details=details)
    return made


def lift(*, program_id: int, hold_id: int, by: str) -> None:
    """End a hold before its day. Raises NotFound; Conflict `already_lifted`."""
    with tenant(program_id):
        found = LegalHold.objects.select_for_update(no_key=True).filter(id=hold_id, program_id=program_id).first()
        if found is None:
            raise NotFound("not_found", "this mini-program has no legal hold of this number")
        if found.lifted_at is not None:
            raise Conflict("already_lifted", "the hold was lifted before")
        LegalHold.objects.filter(id=found.pk).update(lifted_at=db_now(), lifted_by=by)
        audit(program_id=program_id, actor=by, action="hold.lifted", target=f"hold:{found.pk}")


def standing(program_id: int, subject_id: int) -> dict[str, LegalHold]:
    """The hold on each held holder, the longest of several, as to one subject. Within the mini-program's tenant."""
    named = HeldSubject.objects.filter(subject_id=subject_id).values("hold_id")
    mine = _standing(program_id).filter(Q(everybody=True) | Q(id__in=named))
    return {held.holder: held for held in mine.order_by("until", "id")}


def _standing(program_id: int) -> QuerySet[LegalHold]:
    return LegalHold.objects.filter(program_id=program_id, lifted_at__isnull=True, until__gte=today(program_id))


def over_from(held: LegalHold) -> datetime:
    """When a hold that nobody lifts is over. Within the mini-program's tenant."""
    zone = MiniProgram.objects.get(id=held.program_id).zone
    return datetime.combine(held.until + timedelta(days=1), time(), tzinfo=ZoneInfo(zone))


def told(held: LegalHold, locale: str) -> str:
    """What the person is told of it, in the language of their request."""
    with translation.override(language(locale)):
        return gettext(
            "%(law)s obliges us to keep this information until %(until)s. Until then we store and secure it and do nothing"
            " else with it; then it is erased without a new request."
        ) % {"law": held.law, "until": date_format(held.until, "Y-m-d")}


def go_on(program_id: int, *, within: timedelta) -> list[uuid.UUID]:
    """Go on with the erasures of which some hold is over; answers which requests. They are due `within` from now.

    A transaction each, under the subject's lock: a killed one is found again the next time.
    """
    with tenant(program_id):
        over = HolderRun.objects.filter(program_id=program_id, status=RunStatus.HELD).exclude(
            hold_id__in=_standing(program_id).values("id")
        )
        found = list(over.order_by("request_id").values_list("request_id", flat=True).distinct())
    return [request_id for request_id in found if _try_to_go_on(program_id, request_id, within)]


def _try_to_go_on(program_id: int, request_id: uuid.UUID, within: timedelta) -> bool:
    """One that cannot go on now holds up no other."""
    try:
        return _go_on(program_id, request_id, within)
    except Exception:
        logger.exception("an erasure does not go on", extra={"fields": {"request": str(request_id)}})
        return False


def _go_on(program_id: int, request_id: uuid.UUID, within: timedelta) -> bool:
    with gate.closing(program_id, request_id), tenant(program_id):
        subject = runs.locked_subject(program_id, request_id)
        rows = SubjectRequest.objects.select_for_update(no_key=True)
        request = rows.filter(id=request_id, state=RequestState.PARTIALLY_COMPLETED).first()
        if subject is None or request is None:
            return False
        if RequestSubject.objects.filter(subject=subject, kind__in=ERASING, scope="", open=True).exists():
            return False  # that one erases what is no longer held
        holds = standing(program_id, subject.id)
        free = _free(request, holds)
        if not free:
            return False
        gate.close_for_erasure(subject)
        _begin_again(request, free, db_now(), within)
        return True


def _free(request: SubjectRequest, holds: dict[str, LegalHold]) -> list[int]:
    """The runs to do now, the last one among them; those still held name the hold that stands. Empty where all are."""
    held = list(HolderRun.objects.filter(request=request, status=RunStatus.HELD).order_by("stage", "id"))
    free = []
    for run in held:
        if run.holder in holds:
            HolderRun.objects.filter(id=run.pk).update(hold=holds[run.holder])
        else:
            free.append(run)
    waiting = any(run.stage < LAST_STAGE for run in held if run not in free)
    if all(run.stage >= LAST_STAGE for run in free) and waiting:
        # Only the subject itself is free, and it stays as long as anything of it does.
        longest = max(holds.values(), key=lambda hold: hold.until)
        HolderRun.objects.filter(id__in=[run.pk for run in free]).update(hold=longest)
        return []
    last = [run.pk for run in held if run.stage >= LAST_STAGE]
    return [run.pk for run in free] + last if free else []


def _begin_again(request: SubjectRequest, run_ids: list[int], now: datetime, within: timedelta) -> None:
    HolderRun.objects.filter(id__in=run_ids).update(
        status=RunStatus.PENDING, hold=None, not_before=now, finished_at=None, attempts=0
    )
    SubjectRequest.objects.filter(id=request.id).update(
        state=RequestState.IN_PROGRESS,
        closed_at=None,
        due_at=now + within,
        extended_from=None,
        extension=None,
        reopened=F("reopened") + 1,
    )
    RequestSubject.objects.filter(request_id=request.id).update(open=True)
    runs.audited(request, "resumed", by="system", day_only=True)
    webhooks.tell_request(request, RequestState.IN_PROGRESS)


def _subject(program_id: int, request_id: uuid.UUID) -> Subject:
    if not SubjectRequest.objects.filter(id=request_id, program_id=program_id).exists():
        raise NotFound("not_found", "this mini-program has no request with this id")
    subject = runs.locked_subject(program_id, request_id)
    if subject is None:
        raise Conflict("nobody_known", "nothing is held about the person of this request")
    return subject


def _checked(holder: str, law: str) -> str:
    try:
        found = holder_of(holder)
    except UnknownHolder:
        raise invalid("unknown_holder", "no holder of personal data has this name", "/holder") from None
    if found.derived:
        raise invalid("derived_holder", "this is worked out of what others hold: hold that instead", "/holder")
    named = law.strip()
    if not named:
        raise invalid("law_missing", "name the law and its article", "/law")
    if len(named) > LONGEST_LAW:
        raise invalid("law_too_long", f"a law's name has {LONGEST_LAW} characters at most", "/law")
    return named
