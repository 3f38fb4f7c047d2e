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
from consent.admin.figures import counted
from consent.programs.models import MiniProgram
from consent.records import coming_of_age
from consent.rights import collected, deadlines, queries, tasks, transfers
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
            ("later", _("due later")),
            ("undelivered", _("refusal not delivered")),
            ("failed", _("failed, and not asked again")),
            ("owed", _("transfers to be passed on")),
            ("open", _("open")),
            ("closed", _("closed")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        program, key = picked(request), self.value()
        if program is None or key is None or key not in dict(self.lookups(request, None)):
            return queryset
        now = edge.now()
        dated = _dated(key, now)
        return queryset.filter(Q(id__in=rows(program.pk, key, now=now).values("id")) if dated is None else dated)


def rows(program_id: int, key: str, *, now: datetime) -> QuerySet[SubjectRequest]:
    """A mini-program's requests that stand so; `key`: one of StandingFilter's."""
    if key == "overdue":
        return queries.overdue(program_id, now=now)
    if key == "undelivered":
        return queries.undelivered(program_id, before=_refused_before(now))
    if key == "failed":
        return queries.given_up(program_id)
    if key == "owed":
        return transfers.owed(program_id, now=now)
    return SubjectRequest.objects.filter(_dated(key, now) or Q(), program_id=program_id)


def _dated(key: str, now: datetime) -> Q | None:
    """Those that a request's own dates tell of."""
    unfinished = Q(closed_at__isnull=True)
    return {
        "soon": unfinished & Q(due_at__gt=now, due_at__lte=_soon(now)),
        "later": unfinished & Q(due_at__gt=_soon(now)),
        "open": unfinished,
        "closed": ~unfinished,
    }.get(key)


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
    """How many requests are overdue, or refused and not told; of many, that they are many."""
    return counted(rows(program_id, "overdue", now=now)) + counted(rows(program_id, "undelivered", now=now))


def standings(program: MiniProgram, *, now: datetime) -> Standings:
    """Counts of one mini-program's requests."""
    unfinished = SubjectRequest.objects.filter(program=program, closed_at__isnull=True)
    dues = unfinished.values_list("due_at", flat=True)
    last = dues.order_by("-due_at").first()
    estimated = last is not None and deadlines.is_estimate(last, zone=program.zone)
    return Standings(
        overdue=rows(program.pk, "overdue", now=now).count(),
        soon=rows(program.pk, "soon", now=now).count(),
        undelivered=rows(program.pk, "undelivered", now=now).count(),
        estimates=sum(deadlines.is_estimate(due, zone=program.zone) for due in dues) if estimated else 0,
    )


def _soon(now: datetime) -> datetime:
    """In the zone of the mini-program that is shown (consent.admin.tenancy)."""
    return tasks.patience().soon(now, zone=timezone.get_current_timezone_name())


def _refused_before(now: datetime) -> datetime:
    return now - tasks.patience().delivery
