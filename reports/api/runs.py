"""GET and POST /report-runs, GET /report-runs/{id}, POST /report-runs/{id}/cancel."""

import uuid
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api import paging
from consent.api.bodies import body
from consent.api.idempotency import idempotency_key
from consent.api.shapes import responses, schema
from consent.errors import invalid
from consent.programs.authentication import caller
from consent.programs.tenancy import tenant
from reports import runs, tasks
from reports.api import questions
from reports.api.answers import ANSWERED
from reports.api.shapes import ASKED
from reports.models import ReportRun


class RunAsked(msgspec.Struct, forbid_unknown_fields=True):
    """What is remembered of a body under its Idempotency-Key."""

    metric: str
    question: dict[str, Any]


class Progress(msgspec.Struct):
    """`done` of `parts`; `counting`: what the part under way counts."""

    done: int
    parts: int
    counting: str


class Trouble(msgspec.Struct):
    """What a run failed of."""

    code: str
    detail: str


class RunListed(msgspec.Struct):
    """A run. `state`: queued, running, done, failed or cancelled."""

    id: uuid.UUID
    metric: str
    question: dict[str, Any]
    state: str
    progress: Progress | None
    problem: Trouble | None
    asked_by: str
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime


class RunShown(RunListed):
    """A run; when it is done, with the answer that POST /reports/{metric} would have given at its `as_of`."""

    answer: msgspec.Raw | None


class RunList(msgspec.Struct):
    """`next_cursor` is null on the last page."""

    results: list[RunListed]
    next_cursor: str | None


def _asked_schema(shape: Any, metric: str) -> dict[str, Any]:
    """The body of the report's call with the name of the metric in it; or `range` in place of the dates."""
    found = schema(shape)
    named = {"metric": {"const": metric, "type": "string"}, questions.RANGE: {"enum": [*questions.RANGES]}}
    required = ["metric", *(name for name in found.get("required", []) if name not in ("from", "to"))]
    return found | {"properties": found["properties"] | named, "required": required}


_BODY = {"application/json": {"anyOf": [_asked_schema(shape, metric) for metric, shape in ASKED.items()]}}
_ANSWER = {"anyOf": [{"type": "null"}, *(schema(shape) for shape in ANSWERED.values())]}
_SHOWN = schema(RunShown)
_SHOWN["properties"]["answer"] = _ANSWER


def _responses(status: int) -> dict[Any, Any]:
    return {status: OpenApiResponse(response=_SHOWN, description="A run"), **responses()}


class ReportRuns(APIView):
    scope = "reports"

    @extend_schema(operation_id="run_report", request=_BODY, responses=_responses(202))
    def post(self, request: Request) -> Response:
        """Have a worker answer a report that takes longer than a call may. Ask for its state until it is `done`."""
        sent = body(request, dict[str, Any])
        metric = sent.pop("metric", None)
        if not isinstance(metric, str):
            raise invalid("invalid", "name the metric", "/metric")
        if metric not in ASKED:
            raise invalid("unknown_metric", f"metrics are {', '.join(ASKED)}", "/metric")
        backend, now = caller(request), edge.now()
        questions.refuse(
            metric, sent, program_id=backend.program_id, zone=backend.zone, sandbox=backend.sandbox, now=now
        )
        run = runs.ask(
            program_id=backend.program_id,
            metric=metric,
            question=questions.body(sent, now.astimezone(ZoneInfo(backend.zone)).date()),
            by=_by(request),
            on_asked=tasks.hint,
            idempotency_key=idempotency_key(request, RunAsked(metric, sent)),
        )
        return Response(_shown(run), status=202)

    @extend_schema(operation_id="report_runs", parameters=paging.PARAMETERS, responses=responses(s200=RunList))
    def get(self, request: Request) -> Response:
        """The runs that have not expired, the last asked first, without their answers."""
        limit, after = paging.limit(request), paging.after(request, _place)
        program_id = caller(request).program_id
        with tenant(program_id):
            found = runs.some(program_id, after=after, limit=limit + 1)
        rows, cursor = paging.page(found, limit, lambda row: f"{row.asked_at.isoformat()} {row.pk}")
        return Response(RunList([RunListed(**_listed(row)) for row in rows], cursor))


class OneReportRun(APIView):
    scope = "reports"

    @extend_schema(operation_id="report_run", responses=_responses(200))
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        """How far a run is, and its answer when it is done. It is kept for 24 hours."""
        return Response(_shown(_one(request, run_id)))


class ReportRunCancelled(APIView):
    scope = "reports"

    @extend_schema(operation_id="cancel_report_run", request=None, responses=_responses(200))
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        """Cancel a run that is not over; what the database is at for it ends too."""
        runs.cancel(program_id=caller(request).program_id, run_id=run_id, by=_by(request))
        return Response(_shown(_one(request, run_id)))


def _one(request: Request, run_id: uuid.UUID) -> ReportRun:
    program_id = caller(request).program_id
    with tenant(program_id):
        return runs.one(program_id, run_id)


def _listed(row: ReportRun) -> dict[str, Any]:
    names = ("metric", "question", "state", "asked_by", "asked_at", "started_at", "finished_at", "expires_at")
    return {
        "id": row.pk,
        "progress": Progress(row.done, row.parts, row.counting) if row.parts is not None else None,
        "problem": Trouble(**row.problem) if row.problem is not None else None,
        **{name: getattr(row, name) for name in names},
    }


def _shown(row: ReportRun) -> RunShown:
    answer = msgspec.Raw(row.answer.encode()) if row.answer is not None else None
    return RunShown(**_listed(row), answer=answer)


def _by(request: Request) -> str:
    return f"client:{caller(request).client_id}"


def _place(text: str) -> runs.Place:
    """Raises ValueError, OverflowError."""
    asked_at, _, run_id = text.partition(" ")
    moment = datetime.fromisoformat(asked_at)
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC), uuid.UUID(run_id)
