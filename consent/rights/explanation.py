"""The rules in force for one subject in plain words (PIPL 48): made from the notices as they were told, and its decisions."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.utils import translation
from django.utils.translation import gettext_lazy as _

from consent.errors import NotFound
from consent.notices import queries
from consent.notices.document import LOCALES
from consent.notices.models import Audience, Notice, Purpose
from consent.records.grants import Covered, Grant
from consent.records.models import AUTHORISING, ConsentState
from consent.records.queries import coverage, db_now, standing
from consent.rights.holders import Row
from consent.rights.languages import language, localised
from consent.vault.models import Subject

_ALLOWED = _("You agreed to this. It is recorded and used as described here, until you withdraw your consent.")
_ENDED = _("This purpose is no longer pursued: nothing is recorded for it, and what was collected is erased.")
_REFUSED = {
    "consent_missing": _("You have not agreed to this: nothing is recorded or used for it."),
    "consent_refused": _("You refused this: nothing is recorded or used for it."),
    "consent_withdrawn": _("You withdrew your consent: nothing more is recorded, and what was collected is erased."),
    "consent_expired": _("The time for which you agreed is over: nothing more is recorded, unless you agree again."),
    "guardian_required": _("You are under 14, and your guardian has not agreed: nothing is recorded for this."),
    "renewal_required": _("What you agreed to has changed since: nothing more is recorded, unless you agree again."),
    "outside_consent": _("Your consent takes effect later: nothing is recorded for this yet."),
    "restricted": _("Your data are restricted: they are stored, and neither added to nor used."),
    "erasure_pending": _("You asked to be erased: nothing more is recorded."),
}


def rows(subject: Subject) -> Iterator[Row]:
    """The notice in force for the subject, then each purpose: what the subject was told of it and how it stands."""
    now = db_now()
    current = _in_force(subject, now)
    if current is not None:
        yield "notice_in_force", _notice(current)
    states = list(ConsentState.objects.filter(subject=subject).select_related("purpose"))
    covered = coverage(subject.program_id)
    grants = standing(states, covered, now)
    told_in = Notice.objects.in_bulk({grant.notice_id for grant in grants.values() if grant.notice_id is not None})
    for purpose in Purpose.objects.filter(program_id=subject.program_id).order_by("id"):
        grant = grants.get(purpose.pk)
        if grant is None and not purpose.active:
            continue
        agreed = grant is not None and grant.state in AUTHORISING and grant.notice_id is not None
        notice = told_in[grant.notice_id] if agreed and grant is not None and grant.notice_id else current
        yield "rules", _rule(purpose, grant, notice, covered, now)


def _in_force(subject: Subject, now: datetime) -> Notice | None:
    """The minors' notice for who is under 14, where there is one."""
    for audience in (Audience.MINOR, Audience.GENERAL) if subject.under_14 else (Audience.GENERAL,):
        try:
            return queries.in_force(subject.program_id, audience, now=now)
        except NotFound:
            continue
    return None


def _notice(notice: Notice) -> dict[str, Any]:
    body = notice.body
    return {
        "notice": notice.sha256,
        "version": notice.version,
        "effective_at": notice.effective_at,
        **{name: body[name] for name in ("controller", "contact")},
        **{name: {locale: localised(body[name], locale) for locale in LOCALES} for name in ("rights", "withdrawal")},
    }


def _rule(
    purpose: Purpose, grant: Grant | None, notice: Notice | None, covered: Covered, now: datetime
) -> dict[str, Any]:
    """`recorded`: whether what happens now is stored for this purpose."""
    refusal = "consent_missing" if grant is None else grant.refusal(now, grant.told(covered))
    words = _ENDED if not purpose.active else _ALLOWED if refusal is None else _REFUSED[refusal]
    return {
        "purpose": purpose.code,
        "state": "unknown" if grant is None else grant.as_told(refusal),
        "recorded": purpose.active and refusal is None,
        "in_words": {locale: _in(locale, words) for locale in LOCALES},
        "necessary": purpose.necessary,
        "separate_consent": purpose.separate_consent,
        "grant_from": grant.grant_from if grant is not None else None,
        "grant_until": grant.grant_until if grant is not None else None,
        "notice": notice.sha256 if notice is not None else None,
        "version": notice.version if notice is not None else None,
        "told": told_in_all(notice, purpose.code) if notice is not None else None,
    }


def _in(locale: str, words: Any) -> str:
    with translation.override(language(locale)):
        return str(words)


def told_in_all(notice: Notice, code: str) -> dict[str, Any]:
    """What the notice told of the purpose, by language."""
    return {locale: told(notice, code, locale) for locale in LOCALES}


def told(notice: Notice, code: str, locale: str) -> dict[str, Any] | None:
    """What the notice told of the purpose in one language: why, what, how long, and who else gets it (PIPL 17, 23)."""
    purpose = next((item for item in notice.body["purposes"] if item["code"] == code), None)
    if purpose is None:
        return None
    others = [
        {
            "name": other["name"],
            "contact": other["contact"],
            "purpose": other["purpose"].get(locale),
            "method": other["method"].get(locale),
            "categories": other["categories"],
            "country": other.get("country"),
            "rights": (other.get("rights") or {}).get(locale),
        }
        for other in purpose.get("recipients", [])
    ]
    texts = {name: purpose[name].get(locale) for name in ("title", "description", "after_retention")}
    return {
        "title": texts["title"],
        "description": texts["description"],
        "methods": purpose["methods"],
        "categories": purpose["categories"],
        "attributes": purpose.get("attributes", []),
        "retention_days": purpose["retention_days"],
        "after_retention": texts["after_retention"],
        **{name: (purpose.get(name) or {}).get(locale) for name in ("necessity", "impact")},
        "recipients": others,
    }
