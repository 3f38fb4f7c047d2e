"""What the reports' audit entries say, by their codes."""

from django.utils.translation import gettext_lazy as _

from consent.ledger import actions

actions.declare(
    {
        "report.exported": _("report taken along"),
        "report_run.asked": _("report asked for"),
        "report_run.cancelled": _("report cancelled"),
        "saved_report.saved": _("report saved"),
        "saved_report.renamed": _("saved report renamed"),
        "saved_report.deleted": _("saved report deleted"),
    }
)
