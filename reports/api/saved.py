"""GET and POST /saved-reports, GET and DELETE /saved-reports/{id}, POST /saved-reports/{id}/run."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api import paging
from consent.api.bodies import JSONRenderer, body
from consent.api.idempotency import idempotency_key
from consent.api.shapes import request_body, responses
from consent.errors import invalid
from consent.programs.authentication import caller
from consent.programs.tenancy import tenant
from reports import saved
from reports.api import questions
from reports.api.rendering import CSVRenderer
from reports.api.reports import RESPONSES, told
from reports.api.shapes import ASKED
from reports.models import LONGEST_NAME, SavedReport


class ReportSaving(msgspec.Struct, forbid_unknown_fields=True):
    """A question of a report, under a name of its own. `question`: as POST /reports/{metric} takes it; a `range` may stand in
    place of `from` and `to`: last_7_days, last_28_days, last_30_days, last_90_days (closed ones), this_month, last_month."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
    metric: str
    question: dict[str, Any]


class ReportSaved(msgspec.Struct):
    """A saved report. `saved_by`: `client:` or `officer:` and a number."""

    id: uuid.UUID
    name: str
    metric: str
    question: dict[str, Any]
    saved_by: str
    saved_at: datetime


class SavedList(msgspec.Struct):
    """`next_cursor` is null on the last page."""

    results: list[ReportSaved]
    next_cursor: str | None


class SavedReports(APIView):
    scope = "reports"

    @extend_schema(
        operation_id="save_report", request=request_body(ReportSaving), responses=responses(s201=ReportSaved)
    )
    def post(self, request: Request) -> Response:
        """Save a report's question. It is checked as if it were asked now; officers see it too."""
        asked = body(request, ReportSaving)
        backend = caller(request)
        if asked.metric not in ASKED:
            raise invalid("unknown_metric", f"metrics are {', '.join(ASKED)}", "/metric")
        with questions.within("/question"):
            questions.refuse(
                asked.metric,
                asked.question,
                program_id=backend.program_id,
                zone=backend.zone,
                sandbox=backend.sandbox,
                now=edge.now(),
            )
        made = saved.save(
            program_id=backend.program_id,
            name=asked.name,
            metric=asked.metric,
            question=asked.question,
            by=_by(request),
            idempotency_key=idempotency_key(request, asked),
        )
        return Response(_shown(made), status=201)

    @extend_schema(operation_id="saved_reports", parameters=paging.PARAMETERS, responses=responses(s200=SavedList))
    def get(self, request: Request) -> Response:
        """The saved reports, the last saved first."""
        limit, after = paging.limit(request), paging.after(request, _place)
        program_id = caller(request).program_id
        with tenant(program_id):
            found = saved.some(program_id, after=after, limit=limit + 1)
        rows, cursor = paging.page(found, limit, lambda row: f"{row.saved_at.isoformat()} {row.pk}")
        return Response(SavedList([_shown(row) for row in rows], cursor))


class OneSavedReport(APIView):
    scope = "reports"

    @extend_schema(operation_id="saved_report", responses=responses(s200=ReportSaved))
    def get(self, request: Request, saved_id: uuid.UUID) -> Response:
        """A saved report."""
        return Response(_shown(_one(request, saved_id)))

    @extend_schema(
        operation_id="delete_saved_report",
        responses={204: OpenApiResponse(description="It is deleted"), **responses()},
    )
    def delete(self, request: Request, saved_id: uuid.UUID) -> Response:
        """Delete a saved report, whoever saved it."""
        saved.delete(program_id=caller(request).program_id, saved_id=saved_id, by=_by(request))
        return Response(status=204)


class SavedReportRun(APIView):
    scope = "reports"
    renderer_classes = [JSONRenderer, CSVRenderer]

    @extend_schema(operation_id="run_saved_report", request=None, responses=RESPONSES)
    def post(self, request: Request, saved_id: uuid.UUID) -> Response:
        """Ask a saved report's question now: what POST /reports/{metric} would answer."""
        kept = _one(request, saved_id)
        asked = questions.asked(kept.metric, kept.question, zone=caller(request).zone, now=edge.now())
        return told(request, kept.metric, asked)


def _one(request: Request, saved_id: uuid.UUID) -> SavedReport:
    program_id = caller(request).program_id
    with tenant(program_id):
        return saved.one(program_id, saved_id)


def _shown(row: SavedReport) -> ReportSaved:
    return ReportSaved(row.pk, row.name, row.metric, row.question, row.saved_by, row.saved_at)


def _by(request: Request) -> str:
    return f"client:{caller(request).client_id}"


def _place(text: str) -> saved.Place:
    """Raises ValueError, OverflowError."""
    saved_at, _, saved_id = text.partition(" ")
    moment = datetime.fromisoformat(saved_at)
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC), uuid.UUID(saved_id)
