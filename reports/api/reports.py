"""POST /reports/{metric}."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api.bodies import JSONRenderer, body
from consent.api.shapes import responses, schema
from consent.programs.authentication import caller
from reports.api.answers import ANSWERED
from reports.api.asking import answered
from reports.api.rendering import CSVRenderer, about
from reports.api.shapes import ASKED, ReportAsked
from reports.deadline import ANSWER_S, deadline
from reports.metrics.registry import known, names

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
RESPONSES: dict[Any, Any] = {
    (200, JSONRenderer.media_type): _ANSWER,
    (200, CSVRenderer.media_type): _CSV,
    **responses(),
}
"""Of any answer of a report."""


class Reports(APIView):
    scope = "reports"
    renderer_classes = [JSONRenderer, CSVRenderer]

    @extend_schema(
        operation_id="report",
        parameters=[_METRIC],
        request=_BODY,
        responses=RESPONSES,
    )
    def post(self, request: Request, metric: str) -> Response:
        """Answer a metric over a range of local days. No cell rests on fewer than k subjects."""
        known(metric)
        return told(request, metric, body(request, ASKED[metric]))


def told(request: Request, metric: str, asked: ReportAsked) -> Response:
    """The answer in the form that the caller accepts. Raises Invalid, NotFound."""
    csv = request.accepted_renderer.format == CSVRenderer.format
    backend = caller(request)
    with deadline(ANSWER_S):
        found = answered(
            metric,
            asked,
            program_id=backend.program_id,
            zone=backend.zone,
            sandbox=backend.sandbox,
            now=edge.now(),
            csv=csv,
        )
    return Response(found, headers={"Zhiqing-Report": about(found)} if csv else None)
