"""A subject's records, as its mini-program's backend may read them: what was decided, and never the evidence itself."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, Case, OuterRef, Q, Subquery, Value, When

from consent.notices.models import NoticePurpose, Purpose
from consent.programs.tenancy import tenant
from consent.records import status
from consent.records.grants import expiry
from consent.records.models import ConsentRecord
from consent.vault import identities
from consent.vault.identities import Vault
from consent.vault.lookup import Identifiers
from consent.vault.models import Subject

Place = tuple[int, int]
"""A record's version and purpose id: of one subject each pair is there once, and newer records have greater ones."""


@dataclass(frozen=True)
class Decided:
    """One record; `notice` by its sha256. `evidence`: whether some is kept with it. `authorises_until` by the notice's
    validity alone: a birthday that ends it sooner is not told."""

    place: Place
    record_id: uuid.UUID
    purpose: str
    state: str
    notice: str | None
    act: str | None
    method: str | None
    locale: str | None
    age_band: str
    occurred_at: datetime
    received_at: datetime
    authorises_from: datetime | None
    authorises_until: datetime | None
    evidence: bool


_COLUMNS = (
    "version", "purpose_id", "record_id", "purpose__code", "state", "notice__sha256", "act", "method", "locale", "age_band",
    "occurred_at", "received_at", "authorises_from", "kept", "corrected_at", "validity_days",
)  # fmt: skip


def history(
    *,
    vault: Vault,
    program_id: int,
    identifiers: Identifiers,
    purposes: Sequence[str] | None,
    after: Place | None,
    limit: int,
) -> list[Decided]:
    """Newest first, from behind `after`; nothing of a subject nobody knows.

    Raises Invalid `unknown_purpose`; Conflict `identity_conflict`, and `erasure_pending` or `restricted` where the
    subject's data are stored and read no more.
    """
    named = identities.checked(identifiers)
    with tenant(program_id):
        subject_id = identities.resolve_many(vault, program_id, [named])[0]
        known = dict(Purpose.objects.filter(program_id=program_id).values_list("code", "id"))
        status.refuse_unknown(purposes, set(known))
        subject = None if subject_id is None else Subject.objects.filter(id=subject_id).first()
        if subject is None:
            return []
        identities.refuse_closed(subject)
        rows = ConsentRecord.objects.filter(subject=subject)
        if purposes is not None:
            rows = rows.filter(purpose_id__in=[known[code] for code in purposes])
        if after is not None:
            version, purpose_id = after
            # Said twice, so that the index of versions is begun at the right place.
            rows = rows.filter(Q(version__lt=version) | Q(purpose_id__lt=purpose_id), version__lte=version)
        kept = Case(When(evidence__isnull=False, then=Value(True)), default=Value(False), output_field=BooleanField())
        told = NoticePurpose.objects.filter(purpose_id=OuterRef("purpose_id"), notice_id=OuterRef("notice_id"))
        found = rows.annotate(kept=kept, validity_days=Subquery(told.values("validity_days")))
        found = found.order_by("-version", "-purpose_id")
        return [_decided(*row) for row in found.values_list(*_COLUMNS)[:limit]]


def _decided(version: int, purpose_id: int, *told: Any) -> Decided:
    *shown, since, kept, corrected_at, validity_days = told
    until = None if since is None else expiry(corrected_at, validity_days)
    fields = [*shown, since, until, kept]
    return Decided((version, purpose_id), *fields)
