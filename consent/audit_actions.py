"""What consent's audit entries say, by their codes."""

from django.utils.translation import gettext_lazy as _

from consent.ledger import actions

actions.declare(
    {
        "program.entered": _("mini-program entered"),
        "statistics.exported": _("consents by day taken along"),
        "audit_log.exported": _("audit log taken along"),
        "audit_report.made": _("compliance audit report made"),
        "officer.assigned": _("officer assigned"),
        "officer.unassigned": _("officer no longer assigned"),
        "phone.looked_up": _("telephone number looked for"),
        "package.downloaded": _("package downloaded"),
        "rectification.opened": _("corrected values opened"),
        "request.filed": _("request filed"),
        "request.verified": _("requester verified"),
        "request.approved": _("request approved"),
        "request.extended": _("deadline extended"),
        "request.rejection_delivered": _("refusal delivered"),
        "request.undo_waived": _("time to take back waived"),
        "request.resumed": _("request resumed after a legal hold"),
        "request.due_soon": _("request due soon"),
        "request.overdue": _("request overdue"),
        "request.undelivered": _("refusal not delivered in time"),
        "request.completed": _("request completed"),
        "request.partially_completed": _("request partially completed"),
        "request.completed_no_data": _("request completed, no data held"),
        "request.rejected": _("request rejected"),
        "request.withdrawn": _("request taken back"),
        "request.failed": _("request failed"),
        "review.switched_on": _("review switched on"),
        "review.switched_off": _("review switched off"),
        "hold.made": _("legal hold made"),
        "hold.lifted": _("legal hold lifted"),
        "breach.listed": _("people affected by a breach listed"),
        "consent.turned_14": _("consents ended on turning 14"),
        "identifiers.added": _("identifiers added"),
        "identifiers.removed": _("identifiers removed"),
        "platform.credentials_set": _("platform credentials set"),
        "platform.credentials_removed": _("platform credentials removed"),
        "notice.published": _("notice published"),
        "purpose.assessed": _("impact assessment recorded"),
        "purpose.activated": _("purpose activated"),
        "purpose.deactivated": _("purpose ended"),
        "webhook.added": _("webhook endpoint added"),
        "webhook.rotated": _("webhook secret replaced"),
        "webhook.switched_on": _("webhook endpoint switched on"),
        "webhook.switched_off": _("webhook endpoint switched off"),
        "webhook.gone": _("webhook endpoint gone for good"),
        "webhook.removed": _("webhook endpoint removed"),
        "webhook.replayed": _("webhook messages sent again"),
        "webhook.erasure_not_told": _("webhook endpoint not told of an erasure"),
    }
)
actions.declare(
    {
        "account.made": _("account made"),
        "account.changed": _("account changed"),
        "account_log.exported": _("log of accounts taken along"),
        "sign_in.paused": _("sign-in paused after failures"),
        "second_factor.enrolled": _("second factor set up"),
        "second_factor.recovered": _("recovery code used"),
        "second_factor.reset": _("second factor reset"),
    },
    of_accounts=True,
)
