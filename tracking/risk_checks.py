"""What risk monitoring looks at here: how many of the events that backends send have an identifier where none belongs."""

from django.db.models import Q, Sum
from django.utils.translation import gettext_lazy as _

from consent.monitoring.checks import Check, Kind, Looked, declare
from tracking.models import Answer, IngestCount

ENOUGH = 100
"""A share of fewer events says little."""


def _with_identifier(looked: Looked) -> int:
    """Of a thousand events in a day, rounded up."""
    rows = IngestCount.objects.filter(program_id=looked.program_id, hour__gt=looked.since)
    refused = Q(answer=Answer.REFUSED, code="identifier_in_property")
    found = rows.aggregate(every=Sum("events"), of_these=Sum("events", filter=refused))
    every, of_these = found["every"] or 0, found["of_these"] or 0
    return -(-1000 * of_these // every) if every >= ENOUGH else 0


declare(
    Check(
        "events.identifiers",
        _("of a thousand events in a day, those refused for an identifier"),
        10,
        _with_identifier,
        Kind.HAPPENING,
    )
)
