"""What the first page tells of requests, and of what is owed without one."""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext

from consent.admin.figures import Figure, Section, as_text, counted, waiting
from consent.admin.packages import expiring
from consent.admin.standing import rows
from consent.programs.models import MiniProgram
from consent.records import coming_of_age
from consent.rights import collected
from consent.rights.models import RequestState


def of_requests(program: MiniProgram, *, now: datetime) -> Iterator[Figure]:
    """Each leads to the list with its filter."""
    undone = rows(program.pk, "open", now=now)
    lines = [
        (gettext("overdue"), rows(program.pk, "overdue", now=now), {"standing": "overdue"}, "danger"),
        (gettext("due soon"), rows(program.pk, "soon", now=now), {"standing": "soon"}, "warning"),
        (gettext("due later"), rows(program.pk, "later", now=now), {"standing": "later"}, "info"),
        (
            gettext("in review"),
            undone.filter(state=RequestState.IN_REVIEW),
            {"state__exact": RequestState.IN_REVIEW.value},
            "warning",
        ),
        (
            gettext("to be verified"),
            undone.filter(state=RequestState.VERIFYING),
            {"state__exact": RequestState.VERIFYING.value},
            "warning",
        ),
        (gettext("refusals not delivered"), rows(program.pk, "undelivered", now=now), {"standing": "undelivered"}, "danger"),
        (gettext("failed, and not asked again"), rows(program.pk, "failed", now=now), {"standing": "failed"}, "danger"),
        (gettext("transfers to be passed on"), rows(program.pk, "owed", now=now), {"standing": "owed"}, "warning"),
    ]  # fmt: skip
    for words, found, asked, colour in lines:
        yield waiting(Section.REQUESTS, words, counted(found), href=_list(asked), colour=colour)
    yield from _unasked(program, now)
    packages = counted(expiring(program.pk, now=now))
    words, href = gettext("packages that are erased within a day"), _list({"package": "expiring"})
    yield Figure(Section.ERASURES, words, as_text(packages), href)


def of_numbers(program: MiniProgram, *, now: datetime) -> Iterator[Figure]:
    """Each leads to the page that tells how many there are and shows none."""
    href = reverse("admin:consent_subjectrequest_statistics")
    for words, key, colour in (
        (gettext("overdue"), "overdue", "danger"),
        (gettext("due soon"), "soon", "warning"),
        (gettext("refusals not delivered"), "undelivered", "danger"),
    ):
        yield waiting(Section.REQUESTS, words, counted(rows(program.pk, key, now=now)), href=href, colour=colour)


def _unasked(program: MiniProgram, now: datetime) -> Iterator[Figure]:
    """What is late stands above the list of requests."""
    late = counted(collected.late_in(program.pk, now=now, within=settings.ZHIQING_WITHDRAWAL_ERASURE))
    turned = coming_of_age.overdue(program.pk, now=now)
    href, left = f"{_list({})}#overdue", f"{_list({})}#owed"
    words = gettext("erasures after the end of a consent, overdue")
    yield waiting(Section.ERASURES, words, late, href=href if late else left, colour="danger")
    if turned:
        words = gettext("people who turned 14, and the guardian's consents are not ended")
        yield waiting(Section.ERASURES, words, turned, href=href, colour="danger")
    note = gettext("The workers do this by themselves.")
    owed = as_text(counted(collected.owed_in(program.pk)))
    yield Figure(Section.ERASURES, gettext("erasures after the end of a consent, still to do"), owed, left, note=note)


def _list(asked: dict[str, str]) -> str:
    address = reverse("admin:consent_subjectrequest_changelist")
    return f"{address}?{urlencode(asked)}" if asked else address
