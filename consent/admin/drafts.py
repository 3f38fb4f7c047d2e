"""Where officers write a notice: everything that is missing is shown, it is seen as its readers see it, and published."""

from typing import Any

import msgspec
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from consent import edge
from consent.admin import reading, seen
from consent.admin.badges import badge
from consent.admin.base import Owned, at, officer, own_page, picked
from consent.admin.notices import link_to
from consent.admin.texts import FAULT
from consent.errors import Problem
from consent.notices import assessments, drafts
from consent.notices.models import Audience, NoticeDraft, Purpose
from consent.notices.queries import compared
from consent.notices.reading import readings
from consent.programs.tenancy import tenant

PUBLISH_PERMISSION = "consent.add_notice"
_REFUSED = seen.FAULTS | {
    "invalid_notice": _("Something is missing or wrong in it; nothing was published."),
    "draft_published": _("It has been published meanwhile."),
    "draft_changed": _("It was changed meanwhile; look at it again. Nothing was published."),
    "effective_too_soon": _("Take a later time, or none for the earliest one; nothing was published."),
    "publication_too_slow": _("It took too long; nothing was published. Try again."),
    "effective_in_the_past": _("Only a mini-program's first notice may be dated back; nothing was published."),
    "effective_before_latest": _("It would take effect before the version before it; nothing was published."),
    "purpose_changed": _(
        "Whether a purpose is necessary and which separate consent it needs are fixed for its life: take a new code."
        " Nothing was published."
    ),
    "assessment_missing": _(
        "A purpose in use would need an impact assessment that is not recorded: record it on the purpose's page first."
        " Nothing was published."
    ),
    "mechanism_not_valid": _(
        "A purpose in use goes abroad, and no cross-border mechanism that is valid today is recorded for a recipient: record"
        " it first. Nothing was published."
    ),
    "assessment_recorded": _("Another assessment is recorded under the same reference; nothing was published."),
}


class DraftForm(seen.SeenForm):
    """A draft may be kept unfinished: what it lacks is shown and refuses nothing. `by`: who fills it in."""

    by: str
    name = forms.CharField(label=capfirst(_("name")), max_length=200, widget=UnfoldAdminTextInputWidget)
    source = forms.CharField(
        label=capfirst(_("text")),
        max_length=drafts.LONGEST,
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 40, "spellcheck": "false", "style": "font-family: monospace"}),
        help_text=_("YAML, as docs/formats.md describes it. Begin with the version before and change what changes."),
    )

    class Meta:
        model = NoticeDraft
        fields = ("name", "source")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.initial["seen"] = drafts.mark(self.instance.name, self.instance.source)

    def _post_clean(self) -> None:
        """A draft that is there is written anew by the domain, whose faults are told here."""
        super()._post_clean()  # type: ignore[misc]  # the stubs do not know it
        if self.errors or self.instance.pk is None:
            return
        try:
            with transaction.atomic():  # what is refused leaves the page's own transaction whole
                drafts.revise(
                    program_id=self.instance.program_id,
                    draft_id=self.instance.pk,
                    by=self.by,
                    now=edge.now(),
                    **{name: self.cleaned_data[name] for name in ("seen", *self.Meta.fields)},
                )
        except Problem as problem:
            self.add_error(None, str(_REFUSED.get(problem.code, FAULT)))


class PublishForm(forms.Form):
    """When it takes effect, and which text was looked at."""

    effective_at = forms.DateTimeField(
        label=capfirst(_("effective at")),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
        help_text=_("In the mini-program's time zone; leave it empty for the earliest time."),
    )
    seen = forms.CharField(widget=forms.HiddenInput)


@admin.register(NoticeDraft)
class NoticeDrafts(Owned):
    """The last changed first."""

    icon, rank = "edit_note", 31
    form = DraftForm
    list_display = ["name", "shown_state", at("updated_at", _("updated at"))]
    ordering = ["-updated_at"]
    fieldsets = [(None, {"fields": ["name", "source"]})]
    change_form_outer_before_template = "consent/admin/draft_state.html"
    change_form_before_template = seen.TEMPLATE
    change_form_outer_after_template = "consent/admin/difference.html"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("consent.add_noticedraft")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("consent.change_noticedraft") and (obj is None or obj.notice_id is None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("consent.delete_noticedraft") and (obj is None or obj.notice_id is None)

    @admin.display(description=_("state"))  # what it lacks is told on its page: to examine all of a list takes long
    def shown_state(self, draft: NoticeDraft) -> SafeString:
        if draft.notice is not None:
            return link_to(draft.notice)
        return badge(gettext("draft"), "info")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What the newest version for `?audience=` says, to begin with; nothing where there is none at all."""
        program = picked(request)
        audience = Audience.MINOR if request.GET.get("audience") == Audience.MINOR else Audience.GENERAL
        return {"source": drafts.beginning(program.pk, audience) if program else ""}

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made: Any = super().get_form(request, obj, change, **kwargs)
        made.by = officer(request)  # Django makes the class for this page alone
        return made

    def save_model(self, request: HttpRequest, obj: NoticeDraft, form: Any, change: Any) -> None:
        """One that is there is written already."""
        if not change:
            program = picked(request)
            assert program is not None  # OfficersProgram asks for one before it shows an owned page
            obj.program, obj.edited_by, obj.updated_at = program, officer(request), edge.now()
            super().save_model(request, obj, form, change)
        messages.success(request, gettext("The draft is saved."))

    def response_add(self, request: HttpRequest, obj: NoticeDraft, post_url_continue: Any = None) -> HttpResponse:
        return self.response_change(request, obj)

    def response_change(self, request: HttpRequest, obj: NoticeDraft) -> HttpResponse:
        """Back to the draft, where its faults stand."""
        return HttpResponseRedirect(reverse("admin:consent_noticedraft_change", args=[obj.pk]))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().add_view(request, form_url, (extra_context or {}) | {"audiences": Audience.choices})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        draft = self.get_object(request, object_id)
        context = _state(draft) if draft is not None and draft.notice_id is None else {}
        # There is one way on from a draft: back to it, with what it lacks.
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        context["may_publish"] = request.user.has_perm(PUBLISH_PERMISSION)
        return super().change_view(request, object_id, form_url, (extra_context or {}) | context)

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("<int:object_id>/preview/", own_page(self, self.preview_view), name="consent_noticedraft_preview"),
            path("<int:object_id>/publish/", own_page(self, self.publish_view), name="consent_noticedraft_publish"),
        ]
        return [*own, *super().get_urls()]

    def _draft(self, request: HttpRequest, object_id: int, permission: str | None = None) -> NoticeDraft:
        """Raises PermissionDenied, Http404."""
        draft: NoticeDraft | None = self.get_object(request, str(object_id))
        if not self.has_view_permission(request, draft) or (permission and not request.user.has_perm(permission)):
            raise PermissionDenied
        if draft is None:
            raise Http404
        return draft

    def preview_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """The notice as its readers see it: both languages, as wide as a telephone."""
        draft = self._draft(request, object_id)
        text, found = drafts.examined(draft.source)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Preview"),
            "opts": self.opts,
            "original": draft,
            "readings": readings(msgspec.to_builtins(text)) if text else [],
            "faults": reading.faults(found),
            "phone": True,
        }
        return TemplateResponse(request, "consent/admin/draft_preview.html", context)

    def publish_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """What publishing would do; a POST publishes the text that was shown."""
        draft = self._draft(request, object_id, PUBLISH_PERMISSION)
        if draft.notice_id is not None or drafts.examined(draft.source)[1]:
            messages.warning(request, str(_REFUSED["draft_published" if draft.notice_id else "invalid_notice"]))
            return redirect(_address(draft))
        form = PublishForm(request.POST if request.method == "POST" else None)
        form.initial = {"seen": drafts.mark(draft.source)}
        if form.is_valid():
            return self._publish(request, draft, form.cleaned_data)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Publish"),
            "opts": self.opts,
            "original": draft,
            "form": form,
            **_state(draft),
        }
        return TemplateResponse(request, "consent/admin/draft_publish.html", context)

    def _publish(self, request: HttpRequest, draft: NoticeDraft, given: dict[str, Any]) -> HttpResponseBase:
        try:
            notice = drafts.publish(
                program_id=draft.program_id,
                draft_id=draft.pk,
                seen=given["seen"],
                effective_at=given["effective_at"],
                lead=edge.notice_lead(),
                by=officer(request),
                now=edge.now(),
            )
        except Problem as problem:
            messages.warning(request, str(_REFUSED.get(problem.code, FAULT)))
            return redirect(_address(draft))
        messages.success(request, gettext("The notice is published."))
        return redirect(reverse("admin:consent_notice_change", args=[notice.pk]))


def _state(draft: NoticeDraft) -> dict[str, Any]:
    """What is missing in a draft, or else what it would change."""
    text, found = drafts.examined(draft.source)
    if text is None:
        return {"faults": reading.faults(found), "difference": None, "open": True}
    with tenant(draft.program_id):
        change = compared(draft.program_id, text)
        lacking = assessments.wanting(draft.program_id, text)
        unlet = assessments.wanting_mechanism(draft.program_id, text)
        active = Purpose.objects.filter(program_id=draft.program_id, active=True)
        in_use = set(active.values_list("code", flat=True))
    return {
        "faults": [],
        "difference": reading.shown(change, lacking=lacking, unlet=unlet, in_use=in_use),
        "open": True,
    }


def _address(draft: NoticeDraft) -> str:
    return reverse("admin:consent_noticedraft_change", args=[draft.pk])
