"""Telling webhooks: one call in the transaction of an act, which writes a message for each endpoint that wants to know.

With no such endpoint it is one statement that finds none. Nothing is sent here: a hint goes out after the commit, and
what it does not reach the next sweep finds (consent.webhooks.delivery).
"""

import uuid
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from consent.records.models import ConsentRecord
from consent.rights.models import ERASING, SubjectRequest
from consent.vault.models import Subject
from consent.webhooks import tasks
from consent.webhooks.models import Event

# The endpoint's row is held, so that one that is being removed at this moment is waited for rather than missed by the
# foreign key. An erasure is told to whoever acknowledges it, switched off or not.
_TELL = """
    INSERT INTO webhook_message
        (id, subject_id, program_id, endpoint_id, event, data, created_at, next_attempt_at, attempts, last_status)
    SELECT gen_random_uuid(), whom.subject_id, whom.program_id, endpoint.id, %(event)s::text, {data}, now(), now(), 0, ''
    FROM {whom} whom JOIN webhook_endpoint endpoint ON endpoint.program_id = whom.program_id
    WHERE {which} AND %(event)s::text = ANY(endpoint.events)
    FOR KEY SHARE OF endpoint
    RETURNING endpoint_id
"""
_OF_SUBJECT = _TELL.format(whom="subject", data="%(data)s", which="whom.subject_id = %(subject)s AND endpoint.active")
_OF_REQUEST = _TELL.format(
    whom="request_subject", data="%(data)s", which="whom.request_id = %(request)s AND endpoint.active"
)
_OF_ERASURE = _TELL.format(
    whom="request_subject",
    data="jsonb_build_object('request_id', whom.request_id)",
    which="""whom.subject_id = %(subject)s AND whom.open AND whom.scope = '' AND whom.kind = ANY(%(kinds)s)
      AND (endpoint.active OR (endpoint.acknowledges AND NOT endpoint.released))
      AND NOT EXISTS (
          SELECT FROM webhook_message told WHERE told.subject_id = whom.subject_id AND told.endpoint_id = endpoint.id
          AND told.event = %(event)s::text AND told.data ->> 'request_id' = whom.request_id::text
      )""",
)


def tell(subject: Subject, event: Event, data: dict[str, Any]) -> None:
    """`data`: ids and codes. The caller's transaction holds the subject's row, under the mini-program's tenant."""
    asked = {"event": event.value, "subject": subject.id, "data": Jsonb(data)}
    _written(subject.program_id, _OF_SUBJECT, asked)


def tell_consents(subject: Subject, records: Sequence[ConsentRecord]) -> None:
    """The records of one act. Their purposes are loaded."""
    if records:
        told = [{"record_id": str(record.record_id), "purpose": record.purpose.code} for record in records]
        tell(subject, Event.CONSENT_CHANGED, {"records": told})


def tell_request(request: SubjectRequest, state: str) -> None:
    """The request is in this state now, or its deadline moved. Of a request about nobody we know nobody is told.

    A refusal has a text that is to be handed over; that a webhook took the message does not mean that it was (PIPL 50).
    """
    _of_request(request, Event.REQUEST_UPDATED, {"state": str(state)})


def tell_rectified(request: SubjectRequest) -> None:
    _of_request(request, Event.RECTIFIED, {})


def tell_erasure(program_id: int, subject_id: int) -> bool:
    """That the subject's open erasure is being carried out, to whoever was not told yet; answers whether there was one."""
    asked = {"event": Event.ERASED.value, "subject": subject_id, "kinds": [kind.value for kind in ERASING]}
    return bool(_written(program_id, _OF_ERASURE, asked))


def _of_request(request: SubjectRequest, event: Event, more: dict[str, Any]) -> None:
    data = Jsonb({"request_id": str(request.id), **more})
    _written(request.program_id, _OF_REQUEST, {"event": event.value, "request": request.id, "data": data})


def _written(program_id: int, statement: str, asked: dict[str, Any]) -> Collection[uuid.UUID]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        endpoints: Iterable[uuid.UUID] = {row[0] for row in cursor.fetchall()}
    for endpoint_id in endpoints:
        transaction.on_commit(partial(tasks.hint, program_id, endpoint_id), robust=True)
    return list(endpoints)
