"""The OpenAPI document of the REST API, and pages to read it by; both public, like the contract itself."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response

# Swagger UI sets styles inline and draws with data: images; its script comes from a file of its own.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


_RETRY_AFTER = {"required": True, "schema": {"type": "integer", "minimum": 1}, "description": "Seconds"}


def with_retry_after(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook: whoever is told to come back is told when."""
    for path in result["paths"].values():
        for operation in path.values():
            for status in {"429", "503"} & operation["responses"].keys():
                operation["responses"][status]["headers"] = {"Retry-After": _RETRY_AFTER}
    return result


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the library has no types
    """How the document describes the API key; drf-spectacular finds it by being defined."""

    target_class = "consent.programs.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "zq_<key id>_<secret>"}


class Schema(SpectacularAPIView):
    renderer_classes = [OpenApiJsonRenderer, OpenApiYamlRenderer]


class Docs(SpectacularSwaggerSplitView):
    renderer_classes = [TemplateHTMLRenderer]
    schema = None

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response["Content-Security-Policy"] = _POLICY
        return response
