"""What the pages of reports, of saved ones and of runs rest on."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

from consent.admin.base import Owned, Rows, picked
from consent.programs.models import MiniProgram

PERMISSION, KEEP_PERMISSION, QUALITY_PERMISSION = "reports.view_report", "reports.keep_report", "reports.view_quality"


class OfReports(Owned):
    """Seen by whoever may see reports, whatever of them it is about."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(PERMISSION)

    def own_page(self, view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        """A page beside Django's own, under the same rules."""

        def page(request: HttpRequest, **named: Any) -> HttpResponseBase:
            told: HttpResponseBase = self.admin_site.admin_view(view)(request, **named)
            return told

        page.model_admin = self  # type: ignore[attr-defined]  # as Django marks its own, for OfficersProgram
        return page

    def program(self, request: HttpRequest) -> MiniProgram:
        """The picked one. Raises PermissionDenied."""
        program = picked(request)
        if program is None or not self.has_view_permission(request):
            raise PermissionDenied
        return program

    def may_keep(self, request: HttpRequest) -> bool:
        """Whether they may save reports and have them made in the background, beside reading them."""
        return self.has_view_permission(request) and request.user.has_perm(KEEP_PERMISSION)

    def keeping(self, request: HttpRequest) -> MiniProgram:
        """The picked one, for whoever may keep something of it. Raises PermissionDenied."""
        program = self.program(request)
        if not self.may_keep(request):
            raise PermissionDenied
        return program

    def context(self, request: HttpRequest, program: MiniProgram) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "program": program,
            "may_list": self.has_view_permission(request),
            "may_keep": self.may_keep(request),
        }


class Opened(Rows):
    """A row leads to its own page rather than to Django's form."""

    def url_for_result(self, result: Model) -> str:
        return reverse(self.model_admin.opens, args=[result.pk])  # type: ignore[attr-defined]  # a Listed


class Listed(OfReports):
    """What has a row for each. `opens`: the name of a row's page."""

    opens: str

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Opened]:
        return Opened
