"""The officers' own pages beside the model ones: picking a mini-program, and the side bar and header of every page."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from consent import edge
from consent.admin import auditing, counting, home, record, statistics
from consent.admin.base import going_on, officer, picked
from consent.admin.figures import MOST
from consent.admin.find import may_find
from consent.admin.standing import late
from consent.admin.tenancy import SESSION_KEY, programs_of
from consent.ledger.audit import audit
from consent.programs.tenancy import tenant
from consent.rights.models import SubjectRequest

APPS = ("consent", "tracking", "reports", "auth")


@require_http_methods(["GET", "HEAD", "POST"])
def pick_program(request: HttpRequest) -> HttpResponseBase:
    """Lists the mini-programs an officer may enter; a POST enters one, which the audit log keeps."""
    programs = programs_of(request.user)
    if request.method == "POST":
        chosen = request.POST.get("program", "")
        program = programs.filter(pk=chosen).first() if chosen.isascii() and chosen.isdecimal() else None
        if program is None:
            raise PermissionDenied
        with tenant(program.pk):
            audit(
                program_id=program.pk,
                actor=officer(request),
                action="program.entered",
                target=f"program:{program.pk}",
            )
        request.session[SESSION_KEY] = program.pk
        return redirect(going_on(request.POST.get("next", "")))
    context = {
        **admin.site.each_context(request),
        "title": _("Choose a mini-program"),
        "programs": list(programs),
        "current": picked(request),
        "next": going_on(request.GET.get("next", "")),
    }
    return TemplateResponse(request, "consent/admin/pick.html", context)


def chrome(request: HttpRequest) -> dict[str, Any]:
    """What the header of every page shows (UNFOLD's GLOBAL_CALLBACK); `redirect_to`: where the language switch returns."""
    return {"picked_program": picked(request), "redirect_to": request.get_full_path()}


def _ranked(request: HttpRequest) -> list[dict[str, Any]]:
    """The apps with the models this officer may see, the most used first."""
    apps = admin.site.get_app_list(request)
    for app in apps:
        app["models"].sort(key=lambda model: _of(model, "rank", 50))
    return sorted(apps, key=lambda app: APPS.index(app["app_label"]) if app["app_label"] in APPS else len(APPS))


def _of(model: dict[str, Any], attribute: str, default: Any) -> Any:
    return getattr(admin.site.get_model_admin(model["model"]), attribute, default)


def index(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The first page: what needs an officer now (UNFOLD's DASHBOARD_CALLBACK). The side bar leads everywhere else."""
    return context | {"title": _("Overview"), "sections": home.sections(request)}


def _own(request: HttpRequest) -> list[dict[str, Any]]:
    """Pages of consent's that show no model."""
    pages = (
        (_("Find a person"), "admin_find", "person_search", may_find(request)),
        (_("Record of processing"), "admin_record", "menu_book", record.may_see(request)),
        (_("Requests by kind"), "admin:consent_subjectrequest_statistics", "monitoring", counting.may_see(request)),
        (_("Consents by day"), "admin:consent_consentrecord_statistics", "bar_chart", statistics.may_see(request)),
        (_("Compliance audit report"), "admin_audit_report", "fact_check", auditing.may_make(request)),
    )
    return [{"title": title, "link": reverse(name), "icon": icon} for title, name, icon, may in pages if may]


def _late(request: HttpRequest) -> str | None:
    """How many requests are overdue, or refused and nobody was told; None where there is none."""
    program = picked(request)
    count = late(program.pk, now=edge.now()) if program is not None else 0
    return (str(count) if count <= MOST else f"{MOST}+") if count else None


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The models this officer may see, by app, with each one's icon (UNFOLD's SIDEBAR navigation)."""
    return [
        {
            "title": app["name"],
            "separator": place > 0,
            "items": [
                {
                    "title": model["name"],
                    "link": model["admin_url"],
                    "icon": _of(model, "icon", "table_rows"),
                    "badge": _late(request) if model["model"] is SubjectRequest else None,
                }
                for model in app["models"]
                if model["admin_url"]
            ]
            + (_own(request) if app["app_label"] == "consent" else []),
        }
        for place, app in enumerate(_ranked(request))
    ]
