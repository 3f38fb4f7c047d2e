"""What is known of webhooks: a subject's messages, and for whom an erasure still waits. Under the mini-program's tenant."""

import uuid
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet, TextField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from consent.rights.models import ERASING, RequestSubject
from consent.webhooks.models import Event, WebhookEndpoint, WebhookMessage


def of_subject(subject_id: int) -> QuerySet[WebhookMessage]:
    """All but those that tell of the erasure that is under way: they go with the subject itself."""
    messages = WebhookMessage.objects.filter(subject_id=subject_id)
    return messages.exclude(event=Event.ERASED, data__request_id__in=_erasure(subject_id))


def of_erasure(subject_id: int) -> QuerySet[WebhookMessage]:
    """Those that tell of the erasure that is under way."""
    messages = WebhookMessage.objects.filter(subject_id=subject_id, event=Event.ERASED)
    return messages.filter(data__request_id__in=_erasure(subject_id))


def awaited(subject_id: int) -> int:
    """How many endpoints the erasure under way still waits for: a 2xx of who acknowledges, one attempt at any other."""
    not_taken = Q(endpoint__acknowledges=True, endpoint__released=False, delivered_at__isnull=True)
    not_tried = Q(
        endpoint__acknowledges=False,
        endpoint__active=True,
        delivered_at__isnull=True,
        dead_at__isnull=True,
        last_status="",
    )
    return of_erasure(subject_id).filter(not_taken | not_tried).count()


def of_erasures(endpoint_id: uuid.UUID) -> QuerySet[WebhookMessage]:
    """Those that tell the endpoint of erasures that are under way, and were not taken."""
    told = WebhookMessage.objects.filter(endpoint_id=endpoint_id, event=Event.ERASED, delivered_at__isnull=True)
    rows = RequestSubject.objects.filter(subject_id__in=told.values("subject_id"))
    under_way = rows.filter(open=True, scope="", kind__in=ERASING).values_list("request_id", flat=True)
    return told.filter(data__request_id__in=[str(request_id) for request_id in under_way])


def waiting_for(endpoint_id: uuid.UUID) -> int:
    """How many erasures under way wait for the endpoint's 2xx."""
    return of_erasures(endpoint_id).filter(endpoint__acknowledges=True, endpoint__released=False).count()


def _erasure(subject_id: int) -> list[str]:
    """The open request that erases the subject; one at most."""
    rows = RequestSubject.objects.filter(subject_id=subject_id, open=True, scope="", kind__in=ERASING)
    return [str(request_id) for request_id in rows.values_list("request_id", flat=True)]


def endpoints(program_id: int) -> list[WebhookEndpoint]:
    return list(WebhookEndpoint.objects.filter(program_id=program_id).order_by("created_at", "id"))


def over(program_id: int, *, delivered_before: datetime, dead_before: datetime) -> QuerySet[WebhookMessage]:
    """Messages that are kept no longer. Those of an erasure that is under way are all that tells who knows of it already."""
    messages = WebhookMessage.objects.filter(program_id=program_id).annotate(told=KT("data__request_id"))
    ended = messages.filter(Q(delivered_at__lt=delivered_before) | Q(dead_at__lt=dead_before))
    erasures = RequestSubject.objects.filter(subject_id=OuterRef("subject_id"), open=True, scope="", kind__in=ERASING)
    under_way = erasures.annotate(id_as_told=Cast("request_id", TextField())).filter(id_as_told=OuterRef("told"))
    return ended.exclude(Exists(under_way), event=Event.ERASED)
