"""Data-subject requests: what is asked, by when, and how far each holder of personal data has come."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent import edge
from consent.admin import needs, rectified, timeline, transfers
from consent.admin.badges import REQUEST_STATES, RUN_STATUSES, STANDINGS, badge, word
from consent.admin.base import OwnedInline, at, officer, own_page, picked
from consent.admin.counting import Counted, may_see
from consent.admin.decisions import ERASE_PERMISSION, offered
from consent.admin.figures import Figure, as_text, counted
from consent.admin.minor_access import TOLD_WAITING
from consent.admin.packages import DECLINED, PACKAGE_PERMISSION, PackageFilter, Reason, ReleaseForm, release, status_of
from consent.admin.standing import StandingFilter, overdue_unasked, standing, standings
from consent.errors import Conflict, Invalid, NotFound, RateLimited
from consent.programs.models import MiniProgram
from consent.rights import collected, rejections, retrying, tasks
from consent.rights.deadlines import is_estimate
from consent.rights.models import (
    ERASING,
    PACKAGED,
    Condition,
    HolderRun,
    RequestKind,
    RequestState,
    RunStatus,
    SubjectRequest,
)
from consent.rights.renditions import TOO_LARGE, Form, PackageTooLarge
from consent.rights.transfers import decline, passing

RETRY_PERMISSION = "consent.change_holderrun"
_NOT_RETRIED = {
    "run_running": _("A worker is at it; nothing was changed."),
    "run_done": _("The holder has done all there was to do; nothing was changed."),
    "run_held": _("A law keeps what is left. It goes on when the hold is over; nothing was changed."),
    "run_not_stopped": _("The holder has not stopped, or goes on already; nothing was changed."),
    "nobody_known": _("Nothing is held about this person any more; nothing was changed."),
    "asked_again": _("The person has asked for this again since, or taken it back: see to that request."),
    "erasure_pending": _("The person is being erased; nothing was changed."),
    "restricted": _("The data are restricted at the person's request; nothing was changed."),
    "guardian_not_needed": _("By its consents the data subject is not under 14: no guardian asks for them."),
}

_GONE = _("There is no package to download: it is not ready, or has expired.")
_DECLINED = _("The person was told that this is not passed on: it is given to no handler any more.")
RECEIVED, DUE = at("received_at", _("received at")), at("due_at", _("due at"))


class HolderRuns(OwnedInline):
    """Each holder's part of the request, in the order they work."""

    model = HolderRun
    verbose_name_plural = _("progress of the holders of personal data")
    ordering = ["stage", "holder"]
    fields = ["named", "stage", "shown_status", "attempts", "affected", "error", "next_attempt", "finished_at"]

    @admin.display(description=_("holder"))
    def named(self, run: HolderRun) -> str:
        return timeline.title_of(run.holder)

    @admin.display(description=_("next attempt"))
    def next_attempt(self, run: HolderRun) -> str:
        """Of one that waits, and is tried at a time that is known."""
        if run.status != RunStatus.PENDING or run.not_before is None:
            return "–"
        return date_format(localtime(run.not_before), "Y-m-d H:i")

    @admin.display(description=_("status"))
    def shown_status(self, run: HolderRun) -> SafeString:
        return badge(run.get_status_display(), RUN_STATUSES.get(run.status, ""))


@admin.register(SubjectRequest)
class SubjectRequests(Counted):
    """The open ones first, by deadline."""

    icon, rank = "assignment_ind", 10
    list_display = ["number", "kind", "shown_state", RECEIVED, DUE, "shown_standing", "progress"]
    list_filter = [StandingFilter, "state", "kind", PackageFilter]
    ordering = [F("closed_at").desc(nulls_first=True), "due_at", "id"]
    inlines = [HolderRuns]
    fieldsets = [
        (None, {"fields": ["shown_id", ("kind", "shown_requester"), ("shown_state", "shown_standing"), "locale"]}),
        (_("Dates"), {"fields": [("received_at", "due_at"), ("undo_until", "closed_at"), "shown_calendar"]}),
    ]
    readonly_fields = [
        "shown_id",
        "shown_state",
        "shown_standing",
        "shown_requester",
        "shown_rejection",
        "shown_calendar",
        "shown_unmet",
    ]
    list_before_template = "consent/admin/request_standings.html"
    change_form_outer_before_template = "consent/admin/request_decisions.html"
    change_form_outer_after_template = "consent/admin/request_package.html"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What most requests have none of is shown only where there is some."""
        more: list[Any] = []
        if obj is not None and obj.point_of_no_return_at is not None:
            more.append((_("Point of no return"), {"fields": ["point_of_no_return_at"]}))
        if obj is not None and obj.extended_from is not None:
            more.append((_("Extension"), {"fields": [("extended_from", "extension")]}))
        if obj is not None and obj.unmet is not None:
            more.append((_("Conditions of the transfer"), {"fields": ["shown_unmet"]}))
        if obj is not None and obj.rejection is not None:
            more.append((_("Rejection"), {"fields": ["shown_rejection", "rejection_delivered_at"]}))
        return [*self.fieldsets, *more]

    def figures(self, request: HttpRequest, program: MiniProgram) -> Iterator[Figure]:
        """To whoever sees no request what its page of numbers tells."""
        now = edge.now()
        if self.has_view_permission(request):
            yield from needs.of_requests(program, now=now)
        elif may_see(request):
            yield from needs.of_numbers(program, now=now)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SubjectRequest]:
        runs = HolderRun.objects.only("request_id", "status")
        return super().get_queryset(request).prefetch_related(Prefetch("runs", runs, to_attr="progressing"))

    @admin.display(description=_("request"))
    def number(self, request: SubjectRequest) -> str:
        return str(request.id)[:8]

    @admin.display(description=_("request"))
    def shown_id(self, request: SubjectRequest) -> str:
        return str(request.id)

    @admin.display(description=_("state"))
    def shown_state(self, request: SubjectRequest) -> SafeString:
        return badge(request.get_state_display(), REQUEST_STATES.get(request.state, ""))

    @admin.display(description=_("deadline"))
    def shown_standing(self, request: SubjectRequest) -> SafeString:
        key, words = standing(request, now=edge.now())
        return badge(words, STANDINGS.get(key, ""))

    @admin.display(description=_("reckoned by"))
    def shown_calendar(self, request: SubjectRequest) -> str:
        if is_estimate(request.due_at, zone=request.program.zone):
            return gettext("weekends alone: the holiday calendar of that year is not published yet")
        return gettext("the PRC holiday calendar")

    @admin.display(description=_("requester"))
    def shown_requester(self, request: SubjectRequest) -> str:
        return word(request.requester)

    @admin.display(description=_("reason of the rejection"))
    def shown_rejection(self, request: SubjectRequest) -> str:
        told = rejections.described(request, None)
        article = gettext("PIPL Art. %(article)s") % {"article": told.article}
        return f"{request.get_rejection_display()} ({article})"

    @admin.display(description=_("conditions that are not met"))
    def shown_unmet(self, request: SubjectRequest) -> str:
        why = {
            Condition.FEASIBLE: gettext("the handler takes no form that has all of it: a table (CSV) has no profile")
        }
        codes = [Condition(code) for code in request.unmet or ()]
        told = (f"{code.label} ({why[code]})" if code in why else str(code.label) for code in codes)
        return "; ".join(told) or gettext("none")

    @admin.display(description=_("holders done"))
    def progress(self, request: Any) -> SafeString | str:
        statuses = [run.status for run in request.progressing]
        if not statuses:
            return "–"
        done = f"{statuses.count(RunStatus.DONE)} / {len(statuses)}"
        return badge(done, "danger") if RunStatus.FAILED in statuses else done

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        program = picked(request)
        shown: dict[str, Any] = {}
        if program is not None and self.has_view_permission(request):
            now = edge.now()
            shown = {
                "standings": standings(program, now=now),
                "overdue_unasked": overdue_unasked(program.pk, now=now),
                "owed": as_text(counted(collected.owed_in(program.pk))),
            }
        return super().changelist_view(request, (extra_context or {}) | shown)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        asked = self.get_object(request, object_id)
        shown = asked is not None and asked.kind in PACKAGED
        package = status_of(asked.program_id, asked.pk, now=edge.now()) if asked and shown else None
        context = {
            "package": package,
            "may_open": asked is not None
            and asked.kind == RequestKind.RECTIFICATION
            and request.user.has_perm(PACKAGE_PERMISSION),
            "passing": passing(asked, now=edge.now()) if asked else None,
            "log_target": object_id,
            "may_download": request.user.has_perm(PACKAGE_PERMISSION),
            "decisions": _linked(request, asked) if asked else [],
            "stopped": _stopped(request, asked) if asked else [],
            "timeline": _timeline(request, asked) if asked else [],
            "verified": timeline.verified(asked) if asked else "",
        }
        return super().change_view(request, object_id, form_url, (extra_context or {}) | context)

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(f"<uuid:object_id>/{name}/", own_page(self, view), name=f"consent_subjectrequest_{name}")
            for name, view in (
                ("package", self.package_view),
                ("rectified", self.rectified_view),
                ("transfer", self.transfer_view),
            )
        ]
        retry = path(
            "runs/<int:object_id>/retry/", own_page(self, self.retry_view), name="consent_subjectrequest_retry"
        )
        return [retry, *own, *super().get_urls()]

    def retry_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """A page that says what it comes to; a POST has the holder try again. `object_id`: the run's."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        program = picked(request)
        runs = HolderRun.objects.filter(pk=object_id, program_id=program.pk if program else None)
        run = runs.select_related("request").first()
        if run is None:
            raise Http404
        if not _may_retry(request, run.request):
            raise PermissionDenied
        back = reverse("admin:consent_subjectrequest_change", args=[run.request_id])
        if request.method == "POST":
            try:
                retrying.retry(
                    program_id=run.program_id,
                    run_id=run.pk,
                    package_kept=settings.ZHIQING_PACKAGE_KEPT,
                    by=officer(request),
                    on_due=tasks.hint,
                )
            except (NotFound, Conflict) as problem:
                messages.warning(request, str(_NOT_RETRIED.get(problem.code, problem.detail)))
            else:
                messages.success(request, gettext("The holder is tried again now."))
            return redirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Have it tried again"),
            "opts": self.opts,
            "original": run.request,
            "run": run,
            "holder": timeline.title_of(run.holder),
            "offered": retrying.stopped(run, run.request, now=edge.now()),
            "back": back,
        }
        return TemplateResponse(request, "consent/admin/request_retry.html", context)

    def rectified_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """A page that says what will be shown; a POST shows it."""
        asked = self.get_object(request, str(object_id))
        if not self.has_view_permission(request, asked) or not request.user.has_perm(PACKAGE_PERMISSION):
            raise PermissionDenied
        if asked is None or asked.kind != RequestKind.RECTIFICATION:
            raise Http404
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("What was put right"),
            "opts": self.opts,
            "original": asked,
        }
        if request.method == "POST":
            try:
                context["opened"] = rectified.opened(
                    program_id=asked.program_id, request_id=asked.pk, by=officer(request), vault=edge.vault()
                )
            except (NotFound, Conflict) as problem:
                messages.warning(request, problem.detail)
                return redirect(reverse("admin:consent_subjectrequest_change", args=[asked.pk]))
            if context["opened"] is None:
                return _waits(request, asked)
        response = TemplateResponse(request, "consent/admin/rectified.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def transfer_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """A page that says what will be shown; a POST shows to whom it goes, or, with `declined`, that the person was told why it
        is not passed on."""
        asked = self.get_object(request, str(object_id))
        if not self.has_view_permission(request, asked) or not request.user.has_perm(PACKAGE_PERMISSION):
            raise PermissionDenied
        if asked is None or not asked.handler_named:
            raise Http404
        back, at = reverse("admin:consent_subjectrequest_change", args=[asked.pk]), edge.now()
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("To whom it goes"),
            "opts": self.opts,
            "original": asked,
            "passing": passing(asked, now=at),
        }
        if request.method == "POST":
            who = {"program_id": asked.program_id, "request_id": asked.pk, "by": officer(request)}
            try:
                if "declined" in request.POST:
                    decline(**who, now=at)
                    return redirect(back)
                context["handler"] = transfers.opened(**who, vault=edge.vault())
            except (NotFound, Conflict) as problem:
                messages.warning(request, problem.detail)
                return redirect(back)
            if context["handler"] is None:
                return _waits(request, asked)
        response = TemplateResponse(request, "consent/admin/transfer.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def package_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """A page that asks for the reason; a POST with one answers the package itself."""
        asked = self.get_object(request, str(object_id))
        if not self.has_view_permission(request, asked) or not request.user.has_perm(PACKAGE_PERMISSION):
            raise PermissionDenied
        if asked is None or asked.kind not in PACKAGED:
            raise Http404
        form = ReleaseForm(request.POST or None, handler_named=asked.handler_named)
        answered = self._download(request, asked, form) if request.method == "POST" and form.is_valid() else None
        if answered is not None:
            return answered
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Download the package"),
            "opts": self.opts,
            "original": asked,
            "form": form,
            "package": status_of(asked.program_id, asked.pk, now=edge.now()),
        }
        return TemplateResponse(request, "consent/admin/package.html", context)

    def _download(self, request: HttpRequest, asked: SubjectRequest, form: ReleaseForm) -> HttpResponseBase | None:
        """None where the form says why not."""
        rendition, most = Form(form.cleaned_data["form"]), settings.ZHIQING_PERSON_REVEALS
        try:
            pieces = release(
                program_id=asked.program_id,
                request_id=asked.pk,
                form=rendition,
                by=officer(request),
                reason=Reason(form.cleaned_data["reason"]),
                reference=form.cleaned_data["reference"],
                most=most,
                vault=edge.vault(),
            )
        except PackageTooLarge:
            messages.warning(request, str(TOO_LARGE))
            return redirect(reverse("admin:consent_subjectrequest_package", args=[asked.pk]))
        except RateLimited as problem:
            form.too_many(problem, most=most)
            return None
        except Invalid as problem:
            form.refused(problem)
            return None
        except (NotFound, Conflict) as problem:
            messages.warning(request, str(_DECLINED if problem.code == DECLINED else _GONE))
            return redirect(reverse("admin:consent_subjectrequest_change", args=[asked.pk]))
        return _waits(request, asked) if pieces is None else edge.attachment(pieces, asked.pk, rendition)


def _waits(request: HttpRequest, asked: SubjectRequest) -> HttpResponseBase:
    messages.info(request, str(TOLD_WAITING))
    return redirect(reverse("admin:consent_subjectrequest_change", args=[asked.pk]))


def _linked(request: HttpRequest, asked: SubjectRequest) -> list[dict[str, Any]]:
    """The decisions that may be taken now, each with its page's address."""
    return [
        {
            "title": decision.title,
            "icon": decision.icon,
            "variant": decision.variant,
            "href": reverse(f"admin:consent_subjectrequest_{decision.name}", args=[asked.pk]),
        }
        for decision in offered(request, asked, now=edge.now())
    ]


def _may_retry(request: HttpRequest, asked: SubjectRequest) -> bool:
    """An erasure that was given up is taken up again by who may approve one."""
    erases = asked.kind in ERASING and asked.state == RequestState.FAILED
    return request.user.has_perms([RETRY_PERMISSION, *([ERASE_PERMISSION] if erases else [])])


def _stopped(request: HttpRequest, asked: SubjectRequest) -> list[dict[str, Any]]:
    """The holders that stopped, each with the address of the page that has it tried again, for whoever may."""
    if not _may_retry(request, asked):
        return []
    now = edge.now()
    found = HolderRun.objects.filter(request=asked).order_by("stage", "holder")
    return [
        {
            "holder": timeline.title_of(run.holder),
            "run": run,
            "href": reverse("admin:consent_subjectrequest_retry", args=[run.pk]),
        }
        for run in found
        if retrying.stopped(run, asked, now=now)
    ]


def _timeline(request: HttpRequest, asked: SubjectRequest) -> list[timeline.Moment]:
    return timeline.of_request(
        asked,
        entries=request.user.has_perm("consent.view_auditentry"),
        disclosures=request.user.has_perm("consent.view_disclosure"),
    )
