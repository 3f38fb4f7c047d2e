"""What a transfer of data to the subject or to another handler rests on (PIPL 45, NDR 25): four conditions, kept with the
request. Where one is not met an officer decides.

| condition | is met where |
|---|---|
| identity_verified | the caller said how it verified who asks (`verification`), or an officer does before it goes on |
| consent_basis | the subject agreed to something, so that there is something collected on consent |
| technically_feasible | no recipient is named, or one that says no formats, or takes json; or csv, where there is no profile |
| no_harm_to_others | the data subject asks: what is handed over is theirs, and identifiers of others were refused at ingest |
"""

from collections.abc import Mapping, Sequence
from typing import Any

from consent.records.models import ConsentRecord, ProfileAttribute
from consent.rights.models import Condition, Requester
from consent.vault.models import Subject

WHOLE, EVENTS = "json", "csv"
"""What a package can be handed over as: all of it, and its events alone."""


def unmet(
    subject: Subject | None,
    *,
    requester: str,
    verification: Mapping[str, Any] | None,
    recipient: Mapping[str, Any] | None,
) -> list[Condition]:
    """The conditions that are not met; about nobody we know as about somebody who agreed to nothing."""
    formats: Sequence[str] = (recipient or {}).get("formats") or (WHOLE,)
    met = {
        Condition.IDENTITY: verification is not None or requester != Requester.SELF,
        Condition.BASIS: subject is not None and _agreed(subject),
        Condition.FEASIBLE: WHOLE in formats or (EVENTS in formats and not _has_profile(subject)),
        Condition.HARMLESS: requester == Requester.SELF,
    }
    return [condition for condition, is_met in met.items() if not is_met]


def _has_profile(subject: Subject | None) -> bool:
    return subject is not None and ProfileAttribute.objects.filter(subject=subject).exists()


def _agreed(subject: Subject) -> bool:
    return ConsentRecord.objects.filter(subject=subject, authorises_from__isnull=False).exists()
