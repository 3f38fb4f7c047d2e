"""Saving a report's question under a name, renaming and deleting it: each stands in the audit log, by the row's id alone.

Whose edge calls has checked the question (reports.api.questions).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from consent import identifiers
from consent.errors import Conflict, Fault, NotFound, invalid
from consent.ledger.audit import audit
from consent.programs import idempotency
from consent.programs.idempotency import IdempotencyKey
from consent.programs.tenancy import tenant
from reports.models import LONGEST_NAME, SavedReport

Place = tuple[datetime, UUID]
"""Where a page of the list begins: behind the row saved then, with this id."""


def save(
    *,
    program_id: int,
    name: str,
    metric: str,
    question: Mapping[str, Any],
    by: str,
    idempotency_key: IdempotencyKey | None = None,
) -> SavedReport:
    """Raises Invalid; Conflict `name_taken`; NotFound where what the key made before was deleted since."""
    refuse_name(name)
    with tenant(program_id):
        if idempotency_key is not None and not idempotency.claim(idempotency_key):
            return _made_before(program_id, idempotency_key)
        saved, made = SavedReport.objects.get_or_create(
            program_id=program_id,
            name=name,
            defaults={
                "metric": metric,
                "question": dict(question),
                "saved_by": by,
                "idempotency": idempotency_key.key_hash if idempotency_key else None,
            },
        )
        if not made:
            raise _taken()
        saved.refresh_from_db(fields=["saved_at"])
        _audited(saved, "saved", by)
    return saved


def rename(*, program_id: int, saved_id: UUID, name: str, by: str) -> None:
    """Raises Invalid; Conflict `name_taken`; NotFound."""
    refuse_name(name)
    with tenant(program_id):
        saved = one(program_id, saved_id)
        try:
            with transaction.atomic():
                SavedReport.objects.filter(program_id=program_id, id=saved_id).update(name=name)
        except IntegrityError:
            raise _taken() from None
        _audited(saved, "renamed", by)


def delete(*, program_id: int, saved_id: UUID, by: str) -> None:
    """Raises NotFound."""
    with tenant(program_id):
        saved = SavedReport.objects.select_for_update().filter(program_id=program_id, id=saved_id).first()
        if saved is None:
            raise _unknown()
        SavedReport.objects.filter(program_id=program_id, id=saved_id).delete()
        _audited(saved, "deleted", by)


def one(program_id: int, saved_id: UUID) -> SavedReport:
    """Under the tenant. Raises NotFound."""
    saved = SavedReport.objects.filter(program_id=program_id, id=saved_id).first()
    if saved is None:
        raise _unknown()
    return saved


def some(program_id: int, *, after: Place | None, limit: int) -> list[SavedReport]:
    """The last saved first. Under the tenant."""
    rows = SavedReport.objects.filter(program_id=program_id).order_by("-saved_at", "-id")
    if after is not None:
        saved_at, saved_id = after
        rows = rows.filter(Q(saved_at__lt=saved_at) | Q(saved_at=saved_at, id__lt=saved_id))
    return list(rows[:limit])


def forget_keys(program_id: int, *, before: datetime) -> None:
    """An Idempotency-Key is remembered for so long, and here no longer. Under the tenant."""
    SavedReport.objects.filter(program_id=program_id, idempotency__isnull=False, saved_at__lt=before).update(
        idempotency=None
    )


def refuse_name(name: str) -> None:
    """Raises Invalid: a name is read in lists and would be found by nobody who looks for a person's data."""
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
        detail = f"a name has 1 to {LONGEST_NAME} printable characters, and no space before or behind them"
        raise invalid("invalid_name", detail, "/name")
    if identifiers.kind_of(name) is not None:
        raise invalid(
            "identifier_in_name", "this looks like a person's number or address; take a name without", "/name"
        )


def _made_before(program_id: int, key: IdempotencyKey) -> SavedReport:
    rows = SavedReport.objects.filter(program_id=program_id, idempotency__in=key.hashes)
    saved = rows.order_by("-saved_at").first()
    if saved is None:
        raise _unknown()
    return saved


def _unknown() -> NotFound:
    return NotFound("not_found", "there is no such saved report; see GET /saved-reports")


def _taken() -> Conflict:
    detail = "another saved report has this name; take another, or delete that one first"
    return Conflict("name_taken", detail, [Fault("name_taken", detail, "/name")])


def _audited(saved: SavedReport, what: str, by: str) -> None:
    audit(
        program_id=saved.program_id,
        actor=by,
        action=f"saved_report.{what}",
        target=f"saved_report:{saved.pk}",
        details={"report": saved.metric},
    )
