"""Addresses below /admin/: the pages of ours, then those of the admin site."""

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import path
from django.views.i18n import set_language

from consent.admin import second_factor
from consent.admin.auditing import audit_report
from consent.admin.pages import pick_program
from consent.admin.phone import find_by_phone


def closed(request: HttpRequest) -> HttpResponseBase:
    """Unfold's search takes what an officer types as part of the address; it may be an identifier, so there is none."""
    raise Http404


urlpatterns = [
    path("program/", admin.site.admin_view(pick_program), name="admin_program"),
    path("phone/", admin.site.admin_view(find_by_phone), name="admin_phone"),
    path("audit-report/", admin.site.admin_view(audit_report), name="admin_audit_report"),
    path("second-factor/", second_factor.ask, name="admin_second_factor"),
    path("second-factor/enrol/", second_factor.enrol, name="admin_enrol"),
    path("language/", set_language, name="admin_language"),
    path("search/", closed),
    path("", admin.site.urls),
]
