"""POST /reports/{metric}."""

from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api.bodies import JSONRenderer, body
from consent.api.shapes import responses, schema
from consent.programs.authentication import Caller, caller
from reports.api.answers import ANSWERED
from reports.api.rendering import CSVRenderer, about, rendered
from reports.api.shapes import ASKED
from reports.metrics.registry import Question, answer, known, names

_METRIC = OpenApiParameter("metric", str, OpenApiParameter.PATH, enum=names(), description="The metric's name")
_BODY = {JSONRenderer.media_type: {"anyOf": [schema(shape) for shape in ASKED.values()]}}
_ANSWER = OpenApiResponse(
    response={"anyOf": [schema(shape) for shape in ANSWERED.values()]}, description="The metric's figures"
)
_CSV = OpenApiResponse(
    response=str,
    description="The rows of data alone: no other table, which JSON has. What is no "
    "table, as JSON in the header Zhiqing-Report",
)
_RESPONSES: dict[Any, Any] = {
    (200, JSONRenderer.media_type): _ANSWER,
    (200, CSVRenderer.media_type): _CSV,
    **responses(),
}


class Reports(APIView):
    scope = "reports"
    renderer_classes = [JSONRenderer, CSVRenderer]

    @extend_schema(
        operation_id="report",
        parameters=[_METRIC],
        request=_BODY,
        responses=_RESPONSES,
    )
    def post(self, request: Request, metric: str) -> Response:
        """Answer a metric over a range of local days. No cell rests on fewer than k subjects."""
        known(metric)
        asked = body(request, ASKED[metric])
        csv = request.accepted_renderer.format == CSVRenderer.format
        asked.refuse_unavailable(csv=csv)
        backend, now = caller(request), edge.now()
        if not backend.sandbox:
            asked.refuse_custom()
        question = Question(
            backend.program_id,
            ZoneInfo(backend.zone),
            asked.from_,
            asked.to,
            now,
            asked.interval or "day",
            asked.options(),
        )
        told = rendered(answer(metric, question, k=k_of(backend)), zone=backend.zone, as_of=now)
        return Response(told, headers={"Zhiqing-Report": about(told)} if csv else None)


def k_of(backend: Caller) -> int:
    """A sandbox holds synthetic data only: nobody is to be hidden there."""
    return 1 if backend.sandbox else settings.ZHIQING_K
