"""The one thing an officer changes of the catalogue: an event type is retired at once, or activated again.

Each has a page that says what it does; a POST of it does it. What the event may say is changed in the mini-program's
repository.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from consent import edge
from consent.admin.base import Owned, officer
from consent.errors import Conflict, NotFound
from tracking.catalogue import set_status
from tracking.models import EventStatus, EventType

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

STATUS_PERMISSION = "tracking.change_eventtype"


@dataclass(frozen=True)
class Step:
    """A page's words, and the status it leads to."""

    name: str
    status: EventStatus
    title: "_StrPromise"
    told: "_StrPromise"
    done: "_StrPromise"
    icon: str
    variant: str


STEPS = (
    Step(
        "retire",
        EventStatus.RETIRED,
        _("Retire"),
        _(
            "Events of this type are refused from now on; what is stored stays, and is erased on request as before. An"
            " import of the catalogue does not activate it again: only an officer does."
        ),
        _("The event type is retired."),
        "block",
        "danger",
    ),
    Step(
        "activate",
        EventStatus.ACTIVE,
        _("Activate"),
        _(
            "Events of this type are accepted from now on, of those who have consented to its purpose. Write the status into"
            " the file of the catalogue too, or the next import takes it back."
        ),
        _("The event type is active."),
        "check",
        "primary",
    ),
)


def offered(event: EventType) -> list[Step]:
    """What would change the event type as it stands."""
    return [step for step in STEPS if step.status != event.status]


class StatusChanged(Owned):
    """The pages below an event type on which its status is set."""

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(f"<int:object_id>/{step.name}/", self._view(step), name=f"tracking_eventtype_{step.name}")
            for step in STEPS
        ]
        return [*own, *super().get_urls()]

    def _view(self, step: Step) -> Callable[..., HttpResponseBase]:
        def view(request: HttpRequest, object_id: int) -> HttpResponseBase:
            return self.admin_site.admin_view(self.status_view)(request, object_id, step)

        view.model_admin = self  # type: ignore[attr-defined]  # as Django marks its own, for OfficersProgram
        return view

    def status_view(self, request: HttpRequest, object_id: int, step: Step) -> HttpResponseBase:
        """What the step does; a POST takes it."""
        event = self.get_object(request, str(object_id))
        if not self.has_view_permission(request, event) or not request.user.has_perm(STATUS_PERMISSION):
            raise PermissionDenied
        if event is None:
            raise Http404
        if request.method == "POST":
            return self._set(request, event, step)
        context = {
            **self.admin_site.each_context(request),
            "title": step.title,
            "opts": self.opts,
            "original": event,
            "step": step,
        }
        return TemplateResponse(request, "tracking/admin/status.html", context)

    def _set(self, request: HttpRequest, event: EventType, step: Step) -> HttpResponseBase:
        try:
            set_status(
                program_id=event.program_id, type_id=event.pk, status=step.status, by=officer(request), now=edge.now()
            )
        except (Conflict, NotFound):
            messages.warning(request, str(_("It has been done meanwhile; nothing was changed.")))
        else:
            messages.success(request, str(step.done))
        return redirect(reverse("admin:tracking_eventtype_change", args=[event.pk]))
