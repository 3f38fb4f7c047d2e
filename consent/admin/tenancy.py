"""An officer works in one mini-program at a time, one they are assigned to, and sees no other's rows (I8).

Below /admin/ the picked mini-program is `zq.program` on the connection for the length of a request, and the domain's own
transactions stay as they are. It is set for the session rather than a transaction, so a pooler between this process and
PostgreSQL must keep a connection with its client (session pooling).
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from consent.admin.base import FORM_FIELD, REQUEST_ATTRIBUTE, Owned, picked
from consent.admin.second_factor import WITHOUT
from consent.admin.security import GetResponse, below_admin
from consent.programs.models import MiniProgram

logger = logging.getLogger("zhiqing.admin")
SESSION_KEY = "zq_program"
_ANYWHERE = (*WITHOUT, "admin_program")
"""Pages whose forms do the same whichever mini-program is entered, or enter one."""


def programs_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[MiniProgram]:
    """The mini-programs an officer may pick: those assigned to them, or any for a superuser."""
    programs = MiniProgram.objects.select_related("controller").order_by("controller__name", "name", "id")
    if not (user.is_active and getattr(user, "is_staff", False)):
        return programs.none()
    if getattr(user, "is_superuser", False):
        return programs
    return programs.filter(officerassignment__user_id=user.pk)


@contextmanager
def session_tenant(program_id: int) -> Iterator[None]:
    """Run under one mini-program on this connection, and leave none behind, however the block ends."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('zq.program', %s, false)", [str(program_id)])
        yield
    finally:
        _leave()


def _leave() -> None:
    """Ends the tenant; a connection on which that cannot be done is closed, for the next request may be another's."""
    if connection.connection is None:
        return
    left = False
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('zq.program', '', false)")
        left = True
    except Exception:
        logger.warning("closed a connection that would not leave its mini-program")
    finally:
        if not left:
            connection.close()


def _under(program_id: int, content: Iterable[Any]) -> Iterator[Any]:
    """A streamed answer is read after the middleware has returned, so it enters the mini-program again itself."""
    with session_tenant(program_id):
        yield from content


class OfficersProgram:
    """Verifies the picked mini-program on each request below /admin/ and runs the request under it, in its time zone."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not below_admin(request):
            return self.get_response(request)
        program = self._program(request)
        setattr(request, REQUEST_ATTRIBUTE, program)
        if program is None:
            return self.get_response(request)
        with session_tenant(program.pk), timezone.override(ZoneInfo(program.zone)):
            response = self.get_response(request)
        if isinstance(response, StreamingHttpResponse):
            response.streaming_content = _under(program.pk, response.streaming_content)  # type: ignore[arg-type]
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        """A form acts on the mini-program it was shown in, or not at all; a page of owned rows asks for one first."""
        if request.method == "POST" and _shown_elsewhere(request) and admin.site.has_permission(request):
            return _refused(request, 409)
        owned = isinstance(getattr(view, "model_admin", None), Owned)
        if not owned or getattr(request, REQUEST_ATTRIBUTE) is not None or not admin.site.has_permission(request):
            return None
        query = QueryDict(mutable=True)
        query["next"] = request.get_full_path()
        return redirect(f"{reverse('admin_program')}?{query.urlencode()}")

    def process_exception(self, request: HttpRequest, error: Exception) -> TemplateResponse | None:
        """What an officer may not see, or is not there, is told on a page; the API's handlers answer JSON."""
        if not isinstance(error, PermissionDenied | Http404):
            return None
        if not below_admin(request) or not admin.site.has_permission(request):
            return None
        return _refused(request, 403 if isinstance(error, PermissionDenied) else 404)

    def _program(self, request: HttpRequest) -> MiniProgram | None:
        chosen = request.session.get(SESSION_KEY)
        if chosen is None:
            return None
        program = programs_of(request.user).filter(pk=chosen).first()
        if program is None:
            del request.session[SESSION_KEY]
        return program


def _shown_elsewhere(request: HttpRequest) -> bool:
    """Whether the session has entered another mini-program since the form's page was shown, in another tab."""
    if not below_admin(request) or request.resolver_match is None or request.resolver_match.view_name in _ANYWHERE:
        return False
    program = picked(request)
    return request.POST.get(FORM_FIELD, "") != ("" if program is None else str(program.pk))


def _refused(request: HttpRequest, status: int) -> TemplateResponse:
    context = {**admin.site.each_context(request), "status": status}
    return TemplateResponse(request, "consent/admin/refused.html", context, status=status)
