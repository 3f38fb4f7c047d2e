"""What the officers' first page tells: each figure is how many rows a list has that it leads to."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, TextChoices
from django.utils.formats import number_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

MOST = 1_000
"""Beyond that it is told that there are more, whatever there is."""


class Section(TextChoices):
    """In the order they stand on the page."""

    REQUESTS = "requests", _("Requests")
    INCIDENTS = "incidents", _("Incidents")
    ERASURES = "erasures", _("Erasures and what expires")
    CONSENTS = "consents", _("Consents, last 30 days")
    REFUSED = "refused", _("Events refused, last 7 days")
    TERMS = "terms", _("Processors and recipients abroad")
    WEBHOOKS = "webhooks", _("Webhooks")
    LEDGER = "ledger", _("Ledger")
    KEYS = "keys", _("Keys")
    RISKS = "risks", _("Risk monitoring")


@dataclass(frozen=True)
class Figure:
    """`told`: the figure as it is shown; `href`: the list; none where there is no list. `colour` as a badge has it."""

    section: Section
    words: str
    told: str
    href: str = ""
    colour: str = ""
    note: str = ""


def counted(rows: QuerySet[Any]) -> int:
    """How many rows there are, or one more than MOST."""
    return rows.order_by()[: MOST + 1].count()


def as_text(count: int) -> str:
    """Of a count that ends at one more than MOST."""
    if count > MOST:
        return gettext("more than %(most)s") % {"most": number_format(MOST, use_l10n=True, force_grouping=True)}
    return str(count)


def waiting(section: Section, words: str, count: int, *, href: str = "", colour: str = "warning") -> Figure:
    """A figure that stands out in its colour unless it is nothing."""
    return Figure(section, words, as_text(count), href, colour if count else "")
