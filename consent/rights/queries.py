"""Reads of requests: what is open, and how far one has come. Within the mini-program's tenant."""

import uuid
from collections import Counter
from collections.abc import Collection
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from consent.errors import NotFound
from consent.rights import content
from consent.rights.models import HolderRun, Package, RequestState, RequestSubject, SubjectRequest
from consent.vault.identities import Vault

Position = tuple[datetime, uuid.UUID]


def open_requests(program_id: int, *, after: Position | None, limit: int) -> list[SubjectRequest]:
    """Oldest first, from behind `after`, the (received_at, id) of the last one seen."""
    rows = SubjectRequest.objects.filter(program_id=program_id, closed_at__isnull=True)
    if after is not None:
        received_at, request_id = after
        rows = rows.filter(Q(received_at__gt=received_at) | Q(received_at=received_at, id__gt=request_id))
    return list(rows.order_by("received_at", "id")[:limit])


def request_of(program_id: int, request_id: uuid.UUID) -> tuple[SubjectRequest, list[HolderRun]]:
    """The request and its holders' runs, in the order of an erasure. Raises NotFound."""
    request = SubjectRequest.objects.filter(id=request_id, program_id=program_id).first()
    if request is None:
        raise NotFound("not_found", "this mini-program has no request with this id")
    return request, list(HolderRun.objects.filter(request=request).select_related("hold").order_by("stage", "holder"))


def numbers(program_id: int) -> Counter[tuple[str, bool]]:
    """How many requests there are: (kind, whether it is open) -> their number."""
    is_open = Q(closed_at__isnull=True)
    rows = SubjectRequest.objects.filter(program_id=program_id).values_list("kind").order_by("kind")
    counts: Counter[tuple[str, bool]] = Counter()
    for kind, still, over in rows.annotate(still=Count("id", filter=is_open), over=Count("id", filter=~is_open)):
        counts[kind, True], counts[kind, False] = still, over
    return counts


def overdue(program_id: int, *, now: datetime) -> QuerySet[SubjectRequest]:
    """Requests whose deadline is over: open ones, and failed ones that no later one of their kind has taken up."""
    late = Q(closed_at__isnull=True) | _failed()
    return SubjectRequest.objects.filter(late, program_id=program_id, due_at__lte=now)


def given_up(program_id: int) -> QuerySet[SubjectRequest]:
    """Requests that failed, of somebody who is still here and has asked for nothing of the kind since."""
    return SubjectRequest.objects.filter(_failed(), program_id=program_id)


def _failed() -> Q:
    """Failed, of somebody who is still here and has asked for nothing of the kind since; a claim of somebody else's that
    nobody verified is nothing they asked."""
    since = SubjectRequest.objects.filter(
        id=OuterRef("request_id"), received_at__gt=OuterRef(OuterRef(OuterRef("received_at")))
    )
    others = RequestSubject.objects.filter(
        Exists(since), subject_id=OuterRef("subject_id"), kind=OuterRef("kind"), scope=""
    )
    return Q(
        Exists(RequestSubject.objects.filter(~Exists(others), request_id=OuterRef("id"))), state=RequestState.FAILED
    )


def undelivered(program_id: int, *, before: datetime) -> QuerySet[SubjectRequest]:
    """Requests refused before a time whose text nobody has said to have handed over. Not of those erased since: their
    text went with them."""
    texts = RequestSubject.objects.filter(request_id=OuterRef("id"), rejection__isnull=False)
    return SubjectRequest.objects.filter(
        Exists(texts),
        program_id=program_id,
        state=RequestState.REJECTED,
        rejection_delivered_at__isnull=True,
        closed_at__lte=before,
    )


def records_of(vault: Vault, request: SubjectRequest) -> list[uuid.UUID]:
    """The consent records that an objection made; none once its subject is gone."""
    about = RequestSubject.objects.filter(request_id=request.id, program_id=request.program_id).first()
    return [] if about is None else content.records_of(about, vault.data_key(about.program_id, about.subject_id))


def to_answer(program_id: int, subject_id: int, *, now: datetime) -> QuerySet[SubjectRequest]:
    """What somebody asked and still has to be given an answer to: what is open, or failed and was not asked again, a refusal
    that nobody handed over, a package that is still there. Newest first."""
    about = RequestSubject.objects.filter(subject_id=subject_id).values("request_id")
    there = Package.objects.filter(subject_id=subject_id, request_id=OuterRef("id"), expires_at__gt=now)
    left = Q(closed_at__isnull=True) | _failed() | Exists(there)
    refused = Q(state=RequestState.REJECTED, rejection_delivered_at__isnull=True)
    return SubjectRequest.objects.filter(left | refused, program_id=program_id, id__in=about).order_by(
        "-received_at", "id"
    )


def requests_of(program_id: int, subject_ids: Collection[int], *, limit: int | None = None) -> list[SubjectRequest]:
    """What these subjects asked, newest first."""
    about = RequestSubject.objects.filter(subject_id__in=subject_ids).values("request_id")
    rows = SubjectRequest.objects.filter(program_id=program_id, id__in=about).order_by("-received_at", "id")
    return list(rows[:limit])
