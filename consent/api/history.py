"""POST /consents/history."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api import paging
from consent.api.bodies import body
from consent.api.consents import PurposeCode
from consent.api.shapes import SubjectNamed, request_body, responses
from consent.programs.authentication import caller
from consent.records.history import Decided, Place, history

MOST = 2**31
"""Versions and purposes are numbered below it."""


class HistoryAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Records about every purpose, unless some are named."""

    subject: SubjectNamed
    purposes: Annotated[list[PurposeCode], msgspec.Meta(max_length=100)] | None = None


class RecordShown(msgspec.Struct):
    """A decision as it was recorded; `evidence` says whether some is kept, which is never answered."""

    record_id: UUID
    purpose: str
    state: str
    notice: str | None
    act: str | None
    method: str | None
    locale: str | None
    age_band: str
    occurred_at: datetime
    received_at: datetime
    authorises_from: datetime | None
    authorises_until: datetime | None
    evidence: bool


class History(msgspec.Struct):
    """A page of records, newest first; none of a subject nobody knows."""

    results: list[RecordShown]
    next_cursor: str | None


class ConsentHistory(APIView):
    scope = "consents"

    @extend_schema(
        operation_id="consent_history",
        parameters=paging.PARAMETERS,
        request=request_body(HistoryAsked),
        responses=responses(s200=History),
    )
    def post(self, request: Request) -> Response:
        """What a subject decided, newest first."""
        asked = body(request, HistoryAsked)
        limit = paging.limit(request)
        found = history(
            vault=edge.vault(),
            program_id=caller(request).program_id,
            identifiers=asked.subject.identifiers(),
            purposes=asked.purposes,
            after=paging.after(request, _place),
            limit=limit + 1,
        )
        rows, cursor = paging.page(found, limit, lambda row: f"{row.place[0]} {row.place[1]}")
        return Response(History([_shown(row) for row in rows], cursor))


def _place(text: str) -> Place:
    """Raises ValueError."""
    version, purpose_id = map(int, text.split(" "))
    if not (0 <= version < MOST and 0 <= purpose_id < MOST):
        raise ValueError
    return version, purpose_id


def _shown(row: Decided) -> RecordShown:
    return RecordShown(**{name: getattr(row, name) for name in RecordShown.__struct_fields__})
