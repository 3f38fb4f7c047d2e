"""Addresses below /admin/: the pages of ours, then those of the admin site."""

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import path
from django.views.i18n import set_language

from consent.admin import second_factor
from consent.admin.auditing import audit_report
from consent.admin.checkpoints import ledger_page
from consent.admin.find import find_person
from consent.admin.keys import keys_page
from consent.admin.pages import pick_program
from consent.admin.passwords import OwnPassword
from consent.admin.person import person_page, reveal_page
from consent.admin.record import record_json, record_page


def closed(request: HttpRequest) -> HttpResponseBase:
    """Unfold's search takes what an officer types as part of the address; it may be an identifier, so there is none."""
    raise Http404


urlpatterns = [
    path("program/", admin.site.admin_view(pick_program), name="admin_program"),
    path("person/", admin.site.admin_view(find_person), name="admin_find"),
    path("person/<str:reference>/", admin.site.admin_view(person_page), name="admin_person"),
    path("person/<str:reference>/reveal/", admin.site.admin_view(reveal_page), name="admin_reveal"),
    path("record/", admin.site.admin_view(record_page), name="admin_record"),
    path("record.json", admin.site.admin_view(record_json), name="admin_record_json"),
    path("audit-report/", admin.site.admin_view(audit_report), name="admin_audit_report"),
    path("ledger/", admin.site.admin_view(ledger_page), name="admin_ledger"),
    path("keys/", admin.site.admin_view(keys_page), name="admin_keys"),
    path("second-factor/", second_factor.ask, name="admin_second_factor"),
    path("second-factor/enrol/", second_factor.enrol, name="admin_enrol"),
    path("second-factor/recovery/", admin.site.admin_view(second_factor.renew), name="admin_recovery"),
    path("password_change/", admin.site.admin_view(OwnPassword.as_view()), name="admin_password"),
    path("language/", set_language, name="admin_language"),
    path("search/", closed),
    path("", admin.site.urls),
]
