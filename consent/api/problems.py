"""Every failure that leaves the REST API, as RFC 9457 problem+json. A value that was sent is never echoed."""

import logging
import uuid
from typing import Any

import psycopg
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponseBase, JsonResponse, UnreadablePostError
from rest_framework import exceptions
from rest_framework.views import set_rollback

from consent.errors import InternalError, Problem, Unavailable

logger = logging.getLogger("zhiqing.errors")
CONTENT_TYPE = "application/problem+json"
# A connection lost or refused, a server that ends or starts. COPY raises psycopg's own.
AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
_AWAY = ("database_away", "send the same again later", 1)
_BUSY = ("busy", "others hold what this call needs; send the same again later", 1)
_LONG = ("busy", "this took longer than a call may; send the same again later, or ask for less", 5)
_FULL = ("overloaded", "the database has no connection, memory or disk left; send the same again later", 5)
# By SQLSTATE, since some of these are neither of Django's two; all of them may pass.
_PASSING = {
    "55P03": _BUSY,  # lock_timeout
    "40P01": _BUSY,  # a deadlock
    "40001": _BUSY,  # a serialisation failure
    "57014": _LONG,  # statement_timeout
    "25P03": _LONG,  # idle_in_transaction_session_timeout
    "25P04": _LONG,  # transaction_timeout
    "25006": _AWAY,  # read-only: a standby that is to take over, or did not
    "53000": _FULL,
    "53100": _FULL,  # the disk
    "53200": _FULL,  # memory, that of locks included
    "53300": _FULL,  # connections
    "53400": _FULL,
}

_CODES = {
    400: ("malformed", "Malformed request", "the request cannot be read"),
    401: ("unauthenticated", "No valid API key", "send Authorization: Bearer zq_<key id>_<secret>"),
    403: ("insufficient_scope", "Not allowed", "this key does not have the scope that the call needs"),
    404: ("not_found", "Not found", "there is nothing at this address"),
    405: ("method_not_allowed", "Method not allowed", "this address does not take this method"),
    406: ("not_acceptable", "Not acceptable", "this call does not answer in the form that Accept asks for"),
    408: ("too_slow", "The body did not arrive", "send the same again, without a pause"),
    413: ("too_large", "Too large", "the body is larger than this call takes"),
    415: ("unsupported_media_type", "Unsupported media type", "send application/json"),
    429: ("rate_limited", "Too many requests", "wait as long as Retry-After says"),
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
    if isinstance(error, SuspiciousOperation):
        return of_status(400)  # too many parameters, say
    return internal_error(error)


def internal_error(error: BaseException) -> JsonResponse:
    """Of what nothing has caught."""
    return of_status(408) if isinstance(error, UnreadablePostError) else of_problem(uncaught(error))


def uncaught(error: BaseException) -> Problem:
    """What to tell of it, which the log has too: 503 where PostgreSQL is away or busy, since the same may succeed soon; else 500 with the
    number of the incident. A refusal that may pass tells itself; any other should have been caught where it could be told."""
    if isinstance(error, Problem) and error.retry_after is not None:
        return error
    incident = str(uuid.uuid4())
    if passing := passing_of(error):
        logger.warning("database away", exc_info=error, extra={"fields": {"incident": incident, "told": passing.code}})
        return passing
    logger.error("unhandled", exc_info=error, extra={"fields": {"incident": incident}})
    return InternalError(
        "internal_error", "the service failed; the log names this incident", extra={"incident": incident}
    )


def passing_of(error: BaseException) -> Unavailable | None:
    """What to tell of a database error that is nobody's fault."""
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    told = _PASSING.get(state or "", _AWAY if isinstance(error, AWAY) else None)
    return told and Unavailable(told[0], told[1], retry_after=told[2])
