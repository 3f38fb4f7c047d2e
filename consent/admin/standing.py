"""What is overdue. How a request stands to its deadline: overdue, due soon, or with time left; closed ones stand nowhere,
but a refusal that nobody was told of does. And what nobody asked for and should have been done by now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from consent import edge
from consent.admin.base import picked
from consent.programs.models import MiniProgram
from consent.records import coming_of_age
from consent.rights import collected, deadlines, queries, tasks
from consent.rights.models import SubjectRequest


def standing(request: SubjectRequest, *, now: datetime) -> tuple[str, str]:
    """A key (overdue, soon, open, closed) and its words."""
    if request.closed_at is not None:
        return "closed", gettext("closed")
    left = request.due_at - now
    if left < timedelta(0):
        days = (-left).days
        words = (
            ngettext("overdue by %(days)d day", "overdue by %(days)d days", days) if days else gettext("overdue today")
        )
        return "overdue", words % {"days": days}
    days = left.days
    words = ngettext("%(days)d day left", "%(days)d days left", days) if days else gettext("due today")
    return ("soon" if request.due_at <= _soon(now) else "open"), words % {"days": days}


def overdue_unasked(program_id: int, *, now: datetime) -> list[str]:
    """In words, what the service owes without a request and is late with; empty where it is late with nothing."""
    erasures = collected.overdue_in(program_id, now=now, within=settings.ZHIQING_WITHDRAWAL_ERASURE)
    turned = coming_of_age.overdue(program_id, now=now)
    told = [
        (
            erasures,
            ngettext(
                "%(count)d erasure after the end of a consent is overdue.",
                "%(count)d erasures after the end of a consent are overdue.",
                erasures,
            ),
        ),
        (
            turned,
            ngettext(
                "%(count)d person turned 14 more than a day ago, and the guardian's consents are not ended.",
                "%(count)d people turned 14 more than a day ago, and the guardians' consents are not ended.",
                turned,
            ),
        ),
    ]
    return [words % {"count": count} for count, words in told if count]


class StandingFilter(admin.SimpleListFilter):
    """Open requests, by their deadline."""

    title = _("deadline")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("overdue", _("overdue")),
            ("soon", _("due soon")),
            ("undelivered", _("refusal not delivered")),
            ("open", _("open")),
            ("closed", _("closed")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now, unfinished = edge.now(), Q(closed_at__isnull=True)
        if self.value() == "undelivered":
            program = picked(request)
            refused = queries.undelivered(program.pk, before=_refused_before(now)) if program else queryset.none()
            return queryset.filter(id__in=refused.values("id"))
        if self.value() == "overdue":
            program = picked(request)
            late = queries.overdue(program.pk, now=now) if program else queryset.none()
            return queryset.filter(id__in=late.values("id"))
        wanted = {
            "soon": unfinished & Q(due_at__gte=now, due_at__lte=_soon(now)),
            "open": unfinished,
            "closed": ~unfinished,
        }
        asked = wanted.get(self.value() or "")
        return queryset if asked is None else queryset.filter(asked)


@dataclass(frozen=True)
class Standings:
    """What an officer should look at now; `estimates`: open requests whose deadline lies in a year without a calendar."""

    overdue: int
    soon: int
    undelivered: int
    estimates: int

    @property
    def late(self) -> int:
        return self.overdue + self.undelivered


def late(program_id: int, *, now: datetime) -> int:
    """How many requests are overdue, or refused and not told."""
    undelivered = queries.undelivered(program_id, before=_refused_before(now))
    return queries.overdue(program_id, now=now).count() + undelivered.count()


def standings(program: MiniProgram, *, now: datetime) -> Standings:
    """Counts of one mini-program's requests."""
    unfinished = SubjectRequest.objects.filter(program=program, closed_at__isnull=True)
    dues = unfinished.values_list("due_at", flat=True)
    last = dues.order_by("-due_at").first()
    estimated = last is not None and deadlines.is_estimate(last, zone=program.zone)
    return Standings(
        overdue=queries.overdue(program.pk, now=now).count(),
        soon=unfinished.filter(due_at__gt=now, due_at__lte=_soon(now)).count(),
        undelivered=queries.undelivered(program.pk, before=_refused_before(now)).count(),
        estimates=sum(deadlines.is_estimate(due, zone=program.zone) for due in dues) if estimated else 0,
    )


def _soon(now: datetime) -> datetime:
    """In the zone of the mini-program that is shown (consent.admin.tenancy)."""
    return tasks.patience().soon(now, zone=timezone.get_current_timezone_name())


def _refused_before(now: datetime) -> datetime:
    return now - tasks.patience().delivery
