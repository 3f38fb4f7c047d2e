"""What the catalogue's audit entries say, by their codes."""

from django.utils.translation import gettext_lazy as _

from consent.ledger import actions

actions.declare(
    {
        "catalogue.imported": _("event catalogue imported"),
        "event_type.activated": _("event type activated"),
        "event_type.retired": _("event type retired"),
    }
)
