"""What happened to a request and when, as the database has it: its own dates, its holders' runs, its package, what the audit log
and the log of disclosures say of it. A holder's beginning is kept nowhere; its end is.

What outlives its subject names a day and no time, and is shown so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import TextChoices
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent.admin.packages import package_of
from consent.ledger import actions
from consent.ledger.models import AuditEntry, Disclosure
from consent.rights.erasure import day_only
from consent.rights.holders import UnknownHolder, holder_of
from consent.rights.models import ExtensionReason, HolderRun, Requester, RunStatus, SubjectRequest
from consent.rights.requesters import Method

MOST = 100
"""Entries of a log that are read, the newest."""
FILED, DELIVERED, VERIFIED = "request.filed", "request.rejection_delivered", "request.verified"

_ENDS = {
    RunStatus.DONE: _("done"),
    RunStatus.HELD: _("kept by law"),
    RunStatus.FAILED: _("given up"),
}


class Kind(TextChoices):
    """What a moment is: it happened, or it is a date that comes or was set."""

    HAPPENED = "happened"
    DATE = "date"


@dataclass(frozen=True)
class Moment:
    """`who`: the actor as the audit log names them, if it does; `more`: codes and numbers in words."""

    at: datetime
    what: str
    who: str = ""
    more: str = ""
    kind: Kind = Kind.HAPPENED

    @property
    def when(self) -> str:
        """A UTC day where no more is kept."""
        return f"{self.at.astimezone(UTC):%Y-%m-%d}" if self.day else date_format(localtime(self.at), "Y-m-d H:i")

    @property
    def day(self) -> bool:
        return day_only(self.at)


def of_request(asked: SubjectRequest, *, entries: bool, disclosures: bool) -> list[Moment]:
    """Oldest first. `entries`, `disclosures`: whether those logs may be read."""
    logged = _logged(asked) if entries else []
    found = [*_dates(asked, {entry.action: entry.actor for entry in logged}), *_runs(asked), *_package(asked)]
    found += _acts(asked, logged)
    found += _disclosures(asked) if disclosures else []
    return sorted(found, key=lambda moment: (moment.at.astimezone(UTC).date(), not moment.day, moment.at))


def _logged(asked: SubjectRequest) -> list[AuditEntry]:
    entries = AuditEntry.objects.filter(program_id=asked.program_id, target=f"request:{asked.pk}")
    return list(reversed(entries.order_by("-id")[:MOST]))


def _dates(asked: SubjectRequest, actors: Mapping[str, str]) -> Iterator[Moment]:
    for at, what, kind, who in (
        (asked.received_at, gettext("received"), Kind.HAPPENED, asked.filed_by),
        (asked.undo_until, gettext("may be taken back until then"), Kind.DATE, ""),
        (asked.extended_from, gettext("was due at first"), Kind.DATE, ""),
        (asked.due_at, gettext("due"), Kind.DATE, ""),
        (asked.point_of_no_return_at, gettext("erasing began, which cannot be undone"), Kind.HAPPENED, ""),
        (asked.rejection_delivered_at, gettext("the refusal was delivered"), Kind.HAPPENED, actors.get(DELIVERED, "")),
        (asked.closed_at, asked.get_state_display(), Kind.HAPPENED, actors.get(f"request.{asked.state}", "")),
    ):
        if at is not None:
            yield Moment(at, what, who, kind=kind)


def _runs(asked: SubjectRequest) -> Iterator[Moment]:
    for run in HolderRun.objects.filter(request=asked, finished_at__isnull=False).order_by("stage", "holder"):
        if run.finished_at is not None and run.status in _ENDS:  # what was cancelled ended with the request
            yield Moment(run.finished_at, f"{title_of(run.holder)}: {_ENDS[RunStatus(run.status)]}", more=run.error)


def _package(asked: SubjectRequest) -> Iterator[Moment]:
    package = package_of(asked.program_id, asked.pk)
    if package is not None:
        yield Moment(package.created_at, gettext("the package was begun"))
        yield Moment(package.expires_at, gettext("the package expires"), kind=Kind.DATE)


def _acts(asked: SubjectRequest, logged: list[AuditEntry]) -> Iterator[Moment]:
    """Without those that a date of the request tells of."""
    dated = {FILED, DELIVERED} | ({f"request.{asked.state}"} if asked.closed_at is not None else set())
    for entry in logged:
        if entry.action not in dated:
            yield Moment(entry.at, actions.title(entry.action), entry.actor, "; ".join(_told(entry)))


def _told(entry: AuditEntry) -> Iterator[str]:
    """The details that say more than the request's page does."""
    details = entry.details
    if "method" in details:
        yield str(dict(Method.choices).get(details["method"], details["method"]))
    if "holder" in details:
        yield title_of(details["holder"])
    if "extension" in details:
        yield str(dict(ExtensionReason.choices).get(details["extension"], details["extension"]))
    if "reason" in details:
        yield str(details["reason"])


def _disclosures(asked: SubjectRequest) -> Iterator[Moment]:
    rows = Disclosure.objects.filter(program_id=asked.program_id, target=f"request:{asked.pk}")
    for row in rows.order_by("-id")[:MOST]:
        words = gettext("given to: %(recipient)s") % {"recipient": row.get_recipient_display()}
        yield Moment(row.at, words, row.actor, row.name)


def verified(asked: SubjectRequest) -> str:
    """How it was made sure who asks; empty where it was not, or where nobody else than the person asks."""
    if asked.requester == Requester.SELF:
        return ""
    entries = AuditEntry.objects.filter(program_id=asked.program_id, target=f"request:{asked.pk}", action=VERIFIED)
    entry = entries.order_by("-id").first()
    return "" if entry is None else "; ".join(_told(entry))


def title_of(holder: str) -> str:
    """In words; the identifier of one that is no longer there."""
    try:
        return str(holder_of(holder).title)
    except UnknownHolder:
        return holder
