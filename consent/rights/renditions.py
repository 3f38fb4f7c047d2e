"""What a package is read as: a page, the document itself, or its events as a table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import models
from django.utils.translation import gettext_lazy as _

from consent.errors import Conflict
from consent.rights import packages, page, table
from consent.rights.holders import fulfilling
from consent.rights.models import Package, SubjectRequest
from consent.vault.identities import Vault

PAGE_MOST, TABLE_MOST = 30_000_000, 200_000_000
"""What is made while it is read is made in half of the time after which a web process is ended (config.gunicorn.timeout): a page
goes through 2 MB of the document a second, a table through 13 (docs/performance.md, "Packages")."""


TOO_LARGE = _("It is too large to be had as a page or a table. The JSON has everything.")


class PackageTooLarge(Conflict):
    """409: this form of it would take longer than a call may; the document has everything, in ranges too."""

    def __init__(self) -> None:
        super().__init__(
            "package_too_large",
            "it is too large to be had in this form: take the document (JSON), which has everything",
        )


class Form(models.TextChoices):
    """What the package is taken as."""

    PAGE = "page", _("a page to read (HTML)")
    DOCUMENT = "json", _("machine-readable (JSON)")
    TABLE = "csv", _("the events as a table (CSV)")


@dataclass(frozen=True)
class Rendition:
    """How a form is made, its media type, and how its file's name ends; `most`: of so many bytes of the document at most."""

    stream: Callable[[Vault, Package], Iterator[bytes]]
    media_type: str
    ending: str
    most: int | None = None


RENDITIONS = {
    Form.PAGE: Rendition(page.stream, "text/html; charset=utf-8", "html", PAGE_MOST),
    Form.DOCUMENT: Rendition(packages.stream, "application/json", "json"),
    Form.TABLE: Rendition(table.stream, "text/csv; charset=utf-8", "csv", TABLE_MOST),
}


def rendered(vault: Vault, package: Package, form: Form) -> Iterator[bytes]:
    """The package in this form, in pieces. Raises PackageTooLarge, and what `packages.stream` raises, before the first piece."""
    rendition = RENDITIONS[form]
    if rendition.most is not None and packages.document(vault, package).length > rendition.most:
        raise PackageTooLarge
    return rendition.stream(vault, package)


def forms(vault: Vault, package: Package) -> list[Form]:
    """Those that it may be had in. Raises what `packages.document` raises."""
    length = packages.document(vault, package).length
    return [form for form, made in RENDITIONS.items() if made.most is None or length <= made.most]


def given(request: SubjectRequest, form: Form) -> list[str]:
    """The holders whose rows are in it, for the log of disclosures."""
    return ["tracking.events"] if form is Form.TABLE else [holder.identifier for holder in fulfilling(request.kind)]
