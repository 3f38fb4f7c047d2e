"""What people read for the names in consent's own rows: sections, fields by their path, and coded values as `field=value`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.db.models import Choices
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from consent.notices import words
from consent.notices.models import Purpose
from consent.records.models import State
from consent.rights.languages import localised
from consent.rights.models import Condition, ExtensionReason, HoldGround, RequestKind, RequestState
from consent.webhooks.models import Event

if TYPE_CHECKING:
    from consent.rights.holders import Word

SUBJECT: "Mapping[str, Word]" = {
    "subject": _("Your number here"),
    "subject_id": _("pseudonym"),
    "created_at": _("known since"),
    "restricted": _("stored only, used no further"),
    "erasure_pending": _("erasure asked for"),
    "under_14": _("under 14"),
    "turns_14_on": _("turns 14 on"),
    "identifiers": _("Identifiers"),
    "kind": _("kind"),
    "value": _("value"),
    "since": _("known since"),
    "holds": _("Kept by law"),
    "holder": _("what"),
    "ground": _("ground"),
    "law": _("law and article"),
    "until": _("last day"),
    **{f"ground={ground.value}": ground.label for ground in HoldGround},
    "kind=openid": "OpenID",
    "kind=unionid": "UnionID",
    "kind=external_id": _("account number"),
    "kind=phone": _("telephone number"),
}

REQUESTS = {
    "requests": _("Your requests"),
    "request_id": _("request"),
    "kind": _("kind"),
    "state": _("state"),
    "requester": _("asked by"),
    "requester=self": _("yourself"),
    "requester=guardian": _("guardian"),
    "requester=next_of_kin": _("next of kin"),
    "requester=agent": _("agent"),
    "locale": _("language"),
    "received_at": _("received at"),
    "due_at": _("due at"),
    "undo_until": _("may be taken back until"),
    "closed_at": _("closed at"),
    "extended_from": _("first due at"),
    "extension": _("reason of the extension"),
    "reviewed": _("sent to review"),
    "asked": _("what was asked"),
    "asked.changes": _("to be put right"),
    "asked.changes.attributes": _("Profile attributes"),
    "asked.changes.identifiers": _("Identifiers"),
    "asked.purposes": _("purposes"),
    "asked.records": _("records that were made"),
    "asked.recipient": _("to be passed on to"),
    "asked.recipient.name": _("name"),
    "asked.recipient.contact": _("contact"),
    "asked.recipient.formats": _("formats"),
    "check": _("how it was checked"),
    "check.by": _("by"),
    "check.how": _("how"),
    "check.how=caller": _("the mini-program vouches for it"),
    "check.how=portal": _("you say so on your own pages"),
    "check.how=review": _("an officer reviewed it"),
    "check.at": _("time"),
    "rectified": _("what was put right"),
    "rectified.of": _("of"),
    "rectified.of=attributes": _("profile"),
    "rectified.of=identifiers": _("identifiers"),
    "rectified.name": _("name"),
    "rectified.before": _("before"),
    "rectified.after": _("after"),
    "point_of_no_return_at": _("erasing since"),
    "unmet": _("conditions that are not met"),
    "verified": _("how we made sure who asks"),
    "verified.method": _("method"),
    "verified.reference": _("evidence"),
    "verified.at": _("at"),
    "asked.verification": _("how it was made sure who asks"),
    "asked.verification.method": _("method"),
    "asked.verification.at": _("time"),
    "asked.verification.evidence": _("evidence"),
    "rejection": _("Rejection"),
    "rejection.code": _("code"),
    "rejection.article": _("article of PIPL"),
    "rejection.detail": _("reason"),
    "rejection.text": _("What the person is told"),
    "rejection.delivered_at": _("refusal delivered at"),
    "packages": _("Packages made for you"),
    "created_at": _("made at"),
    "expires_at": _("expires at"),
}

CONSENTS = {
    "states": _("What it is used for, and what you decided"),
    "purpose": _("purpose"),
    "state": _("your decision"),
    "told": _("what the notice says"),
    "told.title": _("title"),
    "told.description": _("why"),
    "told.methods": _("Methods"),
    "told.categories": _("what"),
    **{f"told.methods={code}": word for code, word in words.METHODS.items()},
    **{f"told.categories={code}": word for code, word in words.CATEGORIES.items()},
    "told.attributes": _("Profile attributes"),
    "told.retention_days": _("kept for (days from collection)"),
    "told.after_retention": _("and then"),
    "told.necessity": _("why it is necessary (sensitive information)"),
    "told.impact": _("what it means for you (sensitive information)"),
    "told.recipients": _("shared with"),
    "told.recipients.name": _("name"),
    "told.recipients.contact": _("contact"),
    "told.recipients.purpose": _("why"),
    "told.recipients.method": _("method"),
    "told.recipients.categories": _("what"),
    "told.recipients.country": _("country"),
    "told.recipients.rights": _("your rights against them"),
    "notice": _("notice (SHA-256)"),
    "grant_from": _("recorded since"),
    "grant_until": _("consent valid until"),
    "barrier_at": _("nothing recorded before"),
    "asked_at": _("last asked at"),
    "restricted": _("stored only, used no further"),
    "erasure_pending": _("erasure asked for"),
    "guardian_pending": _("waits for a guardian"),
    "renewal_required": _("to be asked again"),
    "notice_in_force": _("The notice in force"),
    "controller": _("who processes"),
    "contact": _("contact"),
    "rights": _("your rights"),
    "withdrawal": _("how to withdraw"),
    "effective_at": _("in force since"),
    "rules": _("The rules, purpose by purpose"),
    "in_words": _("how it stands"),
    "recorded": _("recorded now"),
    "necessary": _("necessary for the service"),
    "separate_consent": _("needs an act of its own (article of PIPL)"),
    "records": _("Every decision, as it was recorded"),
    "record_id": _("record"),
    "version": _("version"),
    "act": _("act"),
    "act=single": _("an act of its own"),
    "act=bundled": _("with others"),
    "method": _("method"),
    "method=dialog": _("dialog"),
    "method=settings": _("settings page"),
    "method=portal": _("self-service pages"),
    "method=offline": _("offline"),
    "method=import": _("imported"),
    "method=objection": _("objection"),
    "method=cancellation": _("account cancellation"),
    "method=journal": _("carried out again after a backup was restored"),
    "locale": _("language"),
    "age_band": _("age band"),
    "age_band=under_14": _("under 14"),
    "age_band=14_17": _("14 to 17"),
    "age_band=adult": _("adult"),
    "age_band=unknown": _("unknown"),
    "turns_14_on": _("turns 14 on"),
    "occurred_at": _("decided at"),
    "corrected_at": _("decided at, by our clock"),
    "received_at": _("received at"),
    "authorises_from": _("authorises from"),
    "authorises_until": _("authorises until"),
    "answered": _("state answered"),
    "evidence": _("evidence"),
    "erasures": _("Erased because a consent ended"),
    "kept_days": _("only what is older than (days)"),
    "owed_from": _("due from"),
    "affected": _("rows erased"),
    "done_at": _("erased at"),
}

PROFILE = {
    "attributes": _("Profile attributes"),
    "name": _("name"),
    "value": _("value"),
    "purpose": _("purpose"),
    "updated_at": _("as of"),
}


MESSAGES = {
    "messages": _("What was told"),
    "created_at": _("at"),
    "event": _("what happened"),
    "told_to": _("told to"),
    "delivered_at": _("taken at"),
}


def choices(field: str, of: type[Choices]) -> dict[str, str]:
    """The labels of a field's coded values."""
    return {f"{field}={value}": str(label) for value, label in of.choices}


def purposes(program_id: int) -> dict[str, str]:
    """The titles of a mini-program's purposes, in the active language."""
    rows = Purpose.objects.filter(program_id=program_id).values_list("code", "title")
    return {f"purpose={code}": localised(title, get_language() or "") for code, title in rows}


def requests() -> "Mapping[str, Word]":
    coded = {**choices("kind", RequestKind), **choices("state", RequestState)}
    return {**REQUESTS, **coded, **choices("extension", ExtensionReason), **choices("unmet", Condition)}


def messages() -> "Mapping[str, Word]":
    return {**MESSAGES, **choices("event", Event)}


def consents(program_id: int) -> "Mapping[str, Word]":
    return {**CONSENTS, **choices("state", State), **purposes(program_id)}
