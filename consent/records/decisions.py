"""What an act decides, and whether the notice it names lets it: checked before any lock is taken."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from consent.errors import Fault, Invalid, invalid
from consent.notices.models import NoticePurpose, Purpose
from consent.records.models import State

DECIDED = {
    "given": State.GIVEN,
    "refused": State.REFUSED,
    "deferred": State.REQUESTED,
    "withdrawn": State.WITHDRAWN,
}


@dataclass(frozen=True)
class Decision:
    """One purpose's code and given, refused, deferred or withdrawn."""

    purpose: str
    decision: str


@dataclass(frozen=True)
class Act:
    """How, when and by whom the decisions were made. Times as the sender's clock gave them; None: now."""

    method: str | None = None
    kind: str | None = None
    locale: str | None = None
    occurred_at: datetime | None = None
    sent_at: datetime | None = None
    age_band: str = "unknown"
    turns_14_on: date | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    guardian: dict[str, Any] | None = None


@dataclass(frozen=True)
class Told:
    """A decision with its purpose and what the notice says of it (None for a withdrawal without a notice)."""

    purpose: Purpose
    decided: State
    version: NoticePurpose | None


def purposes_ended(decisions: Sequence[Decision]) -> list[str]:
    """The codes of the purposes whose grants an act ends."""
    return [decision.purpose for decision in decisions if decision.decision in ("refused", "withdrawn")]


def told_of(program_id: int, notice: str | None, decisions: Sequence[Decision], act: Act) -> list[Told]:
    """Check the decisions against the purposes and the notice."""
    codes = [decision.purpose for decision in decisions]
    purposes = {p.code: p for p in Purpose.objects.filter(program_id=program_id, code__in=codes)}
    versions: dict[int, NoticePurpose] = {}
    if notice is not None:
        found = NoticePurpose.objects.filter(program_id=program_id, notice__sha256=notice).select_related("notice")
        versions = {version.purpose_id: version for version in found.defer("notice__body")}
        if not versions:
            raise invalid(
                "unknown_notice", "publish the notice first, or send the sha256 it was published under", "/notice"
            )
    faults = [
        fault
        for place, decision in enumerate(decisions)
        if (fault := _fault(place, decision, purposes, versions, act, codes)) is not None
    ]
    if faults:
        raise Invalid(faults[0].code, faults[0].detail, faults)
    return [Told(purposes[d.purpose], DECIDED[d.decision], versions.get(purposes[d.purpose].id)) for d in decisions]


def _fault(
    place: int,
    decision: Decision,
    purposes: dict[str, Purpose],
    versions: dict[int, NoticePurpose],
    act: Act,
    codes: list[str],
) -> Fault | None:
    purpose = purposes.get(decision.purpose)
    pointer = f"/decisions/{place}/purpose"
    if purpose is None:
        return Fault("unknown_purpose", "no notice of this mini-program names this purpose", pointer)
    if codes.index(decision.purpose) != place:
        return Fault("duplicate_purpose", "decide on each purpose once", pointer)
    if decision.decision == "withdrawn":
        return None
    if purpose.id not in versions:
        return Fault("purpose_not_in_notice", "send the notice in which the subject was told of this purpose", pointer)
    if decision.decision == "given" and not purpose.active:
        return Fault("purpose_inactive", "this purpose is not active; do not ask for it", pointer)
    bundled = act.kind != "single" or len(codes) > 1
    if decision.decision == "given" and purpose.separate_consent and bundled:
        return Fault(
            "separate_consent_required", "this purpose needs an act of its own: act single, one decision", pointer
        )
    return None
