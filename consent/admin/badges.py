"""Small coloured labels, the same in lists and on pages, and the words for codes that callers send."""

from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

REQUEST_STATES = {
    "received": "info",
    "verifying": "info",
    "in_review": "warning",
    "approved": "info",
    "in_progress": "info",
    "completed": "success",
    "partially_completed": "warning",
    "completed_no_data": "success",
    "rejected": "danger",
    "failed": "danger",
}
STANDINGS = {"overdue": "danger", "soon": "warning", "open": "success"}
RUN_STATUSES = {"running": "info", "done": "success", "failed": "danger", "held": "warning"}
CONSENT_STATES = {
    "given": "success",
    "renewed": "success",
    "refused": "warning",
    "withdrawn": "danger",
    "requested": "info",
}


def badge(text: str, colour: str = "") -> SafeString:
    """`colour`: info, success, warning, danger, or nothing for grey."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": colour})


WORDS = {
    # how a decision was taken
    "dialog": _("dialog"),
    "settings": _("settings page"),
    "portal": _("self-service pages"),
    "offline": _("offline"),
    "import": _("imported"),
    "objection": _("objection"),
    "cancellation": _("account cancellation"),
    "single": _("an act of its own"),
    "bundled": _("with others"),
    # by whom
    "self": _("the data subject"),
    "guardian": _("guardian"),
    "next_of_kin": _("next of kin"),
    "agent": _("agent"),
    "under_14": _("under 14"),
    "14_17": _("14 to 17"),
    "adult": _("adult"),
    "unknown": _("unknown"),
}


def word(code: str) -> str:
    """What a code of the API means; the code itself where it is new."""
    return str(WORDS.get(code, code))
