"""Every failure that leaves the REST API, as RFC 9457 problem+json. A value that was sent is never echoed."""

import logging
import uuid
from typing import Any

import psycopg
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponseBase, JsonResponse
from rest_framework import exceptions
from rest_framework.views import set_rollback

from consent.errors import Problem, Unavailable

logger = logging.getLogger("zhiqing.errors")
CONTENT_TYPE = "application/problem+json"
# A connection lost or refused, a server that ends or starts, a lock waited for too long. COPY raises psycopg's own.
AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)

_CODES = {
    400: ("malformed", "Malformed request", "the request cannot be read"),
    401: ("unauthenticated", "No valid API key", "send Authorization: Bearer zq_<key id>_<secret>"),
    403: ("insufficient_scope", "Not allowed", "this key does not have the scope that the call needs"),
    404: ("not_found", "Not found", "there is nothing at this address"),
    405: ("method_not_allowed", "Method not allowed", "this address does not take this method"),
    406: ("not_acceptable", "Not acceptable", "this call does not answer in the form that Accept asks for"),
    413: ("too_large", "Too large", "the body is larger than this call takes"),
    415: ("unsupported_media_type", "Unsupported media type", "send application/json"),
    429: ("rate_limited", "Too many requests", "wait as long as Retry-After says"),
    500: ("internal_error", "Internal error", "the service failed; the log names this incident"),
}


def problem(
    status: int, code: str, title: str, detail: str, errors: list[dict[str, str]] | None = None, **extra: Any
) -> JsonResponse:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    return JsonResponse(body | {"errors": errors or []} | extra, status=status, content_type=CONTENT_TYPE)


def of_problem(error: Problem) -> JsonResponse:
    faults = [{"code": fault.code, "detail": fault.detail, "pointer": fault.pointer} for fault in error.errors]
    response = problem(error.status, error.code, error.title, error.detail, faults, **error.extra)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def of_status(status: int) -> JsonResponse:
    code, title, detail = _CODES.get(status, _CODES[400])
    return problem(status, code, title, detail)


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponseBase:
    """DRF's hook: nothing is raised past the API, so nothing but this shape is ever answered."""
    set_rollback()
    if isinstance(error, Problem):
        return of_problem(error)
    if isinstance(error, exceptions.APIException):
        response = of_status(error.status_code)
        if error.status_code == 401:
            response["WWW-Authenticate"] = "Bearer"
        if error.status_code == 405:
            response["Allow"] = ", ".join(context["view"].allowed_methods)
        return response
    if isinstance(error, Http404):
        return of_status(404)
    if isinstance(error, PermissionDenied):
        return of_status(403)
    return internal_error(error)


def internal_error(error: BaseException) -> JsonResponse:
    """500 with an incident number that the log has too; 503 where PostgreSQL is away, since the same may succeed soon."""
    incident = str(uuid.uuid4())
    if isinstance(error, AWAY):
        logger.warning("database away", exc_info=error, extra={"fields": {"incident": incident}})
        return of_problem(Unavailable("database_away", "send the same again later", retry_after=1))
    logger.error("unhandled", exc_info=error, extra={"fields": {"incident": incident}})
    code, title, detail = _CODES[500]
    return problem(500, code, title, detail, incident=incident)
