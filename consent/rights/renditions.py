"""What a package is read as: a page, the document itself, or its events as a table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import models
from django.utils.translation import gettext_lazy as _

from consent.rights import packages, page, table
from consent.rights.holders import fulfilling
from consent.rights.models import Package, SubjectRequest
from consent.vault.identities import Vault


class Form(models.TextChoices):
    """What the package is taken as."""

    PAGE = "page", _("a page to read (HTML)")
    DOCUMENT = "json", _("machine-readable (JSON)")
    TABLE = "csv", _("the events as a table (CSV)")


@dataclass(frozen=True)
class Rendition:
    """How a form is made, its media type, and how its file's name ends."""

    stream: Callable[[Vault, Package], Iterator[bytes]]
    media_type: str
    ending: str


RENDITIONS = {
    Form.PAGE: Rendition(page.stream, "text/html; charset=utf-8", "html"),
    Form.DOCUMENT: Rendition(packages.stream, "application/json", "json"),
    Form.TABLE: Rendition(table.stream, "text/csv; charset=utf-8", "csv"),
}


def given(request: SubjectRequest, form: Form) -> list[str]:
    """The holders whose rows are in it, for the log of disclosures."""
    return ["tracking.events"] if form is Form.TABLE else [holder.identifier for holder in fulfilling(request.kind)]
