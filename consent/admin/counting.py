"""How many requests there are of each kind and how they stand, without any one of them: for whoever sees no more."""

from collections import Counter
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from consent import edge
from consent.admin.base import picked
from consent.admin.decisions import Decided
from consent.admin.standing import standings
from consent.rights.models import RequestKind
from consent.rights.queries import numbers

PERMISSION = "consent.view_request_statistics"


def may_see(request: HttpRequest) -> bool:
    return request.user.has_perm(PERMISSION)


class Counted(Decided):
    """The page beside the list of requests."""

    def get_urls(self) -> list[URLPattern]:
        def view(request: HttpRequest) -> HttpResponseBase:
            return self.admin_site.admin_view(require_safe(self.numbers_view))(request)

        view.model_admin = self  # type: ignore[attr-defined]  # as Django marks its own, for OfficersProgram
        return [path("statistics/", view, name="consent_subjectrequest_statistics"), *super().get_urls()]

    def numbers_view(self, request: HttpRequest) -> HttpResponseBase:
        """A row a kind, a column for the open and one for each outcome."""
        program = picked(request)
        if program is None or not may_see(request):
            raise PermissionDenied
        counts = numbers(program.pk)
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": gettext("Requests by kind"),
            "opts": self.opts,
            "standings": standings(program, now=edge.now()),
            "lines": [(kind.label, *_cells(counts, kind)) for kind in RequestKind],
        }
        return TemplateResponse(request, "consent/admin/request_numbers.html", context)


def _cells(counts: Counter[tuple[str, bool]], kind: RequestKind) -> tuple[int, int]:
    return counts[kind, True], counts[kind, False]
