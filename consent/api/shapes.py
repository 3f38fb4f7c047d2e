"""Bodies shared by the calls, and the schema of a msgspec shape for the OpenAPI document."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from drf_spectacular.utils import OpenApiResponse

IdentifierText = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class SubjectNamed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Who it is about: one or more kinds of identifier of one person."""

    openid: IdentifierText | None = None
    unionid: IdentifierText | None = None
    external_id: IdentifierText | None = None
    subject_id: UUID | None = None

    def identifiers(self) -> dict[str, str]:
        if self.unionid is None and self.external_id is None and self.subject_id is None and self.openid is not None:
            return {"openid": self.openid}
        return {kind: str(value) for kind in self.__struct_fields__ if (value := getattr(self, kind)) is not None}


class ProblemShape(msgspec.Struct):
    """RFC 9457. `incident` with a 500; `request_id` where a request of the kind is open already."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, str]]
    incident: str | None = None
    request_id: str | None = None


def schema(shape: Any) -> dict[str, Any]:
    """JSON Schema of a shape, with what it refers to put in its place."""
    (root,), components = msgspec.json.schema_components([shape], ref_template="{name}")
    inlined: dict[str, Any] = _inline(root, components)
    return inlined


def _inline(node: Any, components: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline(item, components) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inline(components[node["$ref"]], components)
    return {key: _inline(value, components) for key, value in node.items()}


def request_body(shape: Any) -> dict[str, Any]:
    return {"application/json": schema(shape)}


def responses(*, keyed: bool = True, **by_status: Any) -> dict[Any, Any]:
    """`responses(s201=Shape)`, with the problems every call may answer; `keyed`: with an API key, whose calls are limited."""
    answers: dict[Any, Any] = {
        int(status.removeprefix("s")): OpenApiResponse(response=schema(shape), description=_summary(shape))
        for status, shape in by_status.items()
    }
    answers["4XX", "application/problem+json"] = OpenApiResponse(
        response=schema(ProblemShape), description="A problem (RFC 9457)"
    )
    if keyed:
        answers[429, "application/problem+json"] = OpenApiResponse(
            response=schema(ProblemShape), description="More than a client may have: send it after Retry-After"
        )
    answers[503, "application/problem+json"] = OpenApiResponse(
        response=schema(ProblemShape),
        description="The service is overloaded or its database away: send the same again after Retry-After",
    )
    return answers


def _summary(shape: Any) -> str:
    return (getattr(shape, "__doc__", None) or "").split("\n")[0]
