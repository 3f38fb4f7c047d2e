"""What a data subject decided, purpose by purpose, as their page shows it, and what they decide there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from consent.errors import Conflict, NotFound
from consent.notices import queries
from consent.notices.document import LOCALES
from consent.notices.models import Audience, Notice
from consent.notices.reading import reading
from consent.portal.sessions import Visit
from consent.programs.tenancy import tenant
from consent.records.actions import record_decisions
from consent.records.decisions import Act, Decision
from consent.records.models import AUTHORISING, ConsentState, State
from consent.records.queries import db_now
from consent.records.status import PurposeStatus, status
from consent.rights.languages import language
from consent.vault.identities import Vault
from consent.vault.models import Subject

COLLECTED = (*AUTHORISING, State.EXPIRED)
"""States in which something may be held that goes with a withdrawal."""


@dataclass(frozen=True)
class PurposeShown:
    """`told`: what the notice in force says of it, or the one it was consented to, in the reader's language. `on`: it is consented to;
    `withdrawable`: there is something to withdraw, be it on or not; `renewal`: the consent no longer authorises; `guardian`: it waits for a
    guardian; `askable`: the reader may consent here and now, `alone` on a page of its own."""

    code: str
    told: dict[str, Any]
    state: str
    on: bool
    withdrawable: bool
    renewal: bool
    guardian: bool
    expires_at: datetime | None
    askable: bool

    @property
    def alone(self) -> bool:
        return bool(self.told["separate_consent"] or self.told["sensitive"])

    @property
    def at_a_tap(self) -> str | None:
        """What the switch in the list decides; None where that takes the page of its own, or nobody may."""
        if self.on or (self.withdrawable and not self.askable):
            return "withdrawn"
        return "given" if self.askable and not self.alone else None


@dataclass(frozen=True)
class Consents:
    """`child`: a guardian decides. `notice`: None where none is in force. `closed`: why no consent can be given."""

    purposes: list[PurposeShown]
    notice: Notice | None
    child: bool
    closed: str | None

    @property
    def withdrawable(self) -> list[str]:
        return [purpose.code for purpose in self.purposes if purpose.withdrawable]


def consents(vault: Vault, visit: Visit, *, prompt_cooldown: timedelta) -> Consents:
    """Every active purpose of the notice in force, and whatever else can be withdrawn. Raises NotFound `nobody_known`."""
    with tenant(visit.program_id):
        subject = of(visit)
        audience = Audience.MINOR if subject.under_14 else Audience.GENERAL
        try:
            notice = queries.in_force(visit.program_id, audience, now=db_now())
        except NotFound:
            notice = None
        rows = ConsentState.objects.filter(subject=subject, state__in=COLLECTED).select_related("purpose", "notice")
        held = {state.purpose.code: state for state in rows}
    told = _told(notice, visit)
    for code, state in held.items():
        if code not in told:
            told |= {code: _told(state.notice, visit)[code]}
    named = {"subject_id": str(subject.pseudonym)}
    asked = partial(
        status, vault=vault, program_id=visit.program_id, identifiers=named, prompt_cooldown=prompt_cooldown
    )
    active = [one for one in asked(purposes=None) if one.purpose in told]
    others = sorted(set(held) - {one.purpose for one in active})
    found = [*active, *(asked(purposes=others) if others else [])]
    may = not subject.under_14 and _closed(subject) is None
    in_force = set(_told(notice, visit)) & {one.purpose for one in active}
    shown = [
        _shown(one, told[one.purpose], held.get(one.purpose), askable=may and one.purpose in in_force) for one in found
    ]
    return Consents(shown, notice, subject.under_14, _closed(subject))


def _told(notice: Notice | None, visit: Visit) -> dict[str, dict[str, Any]]:
    """By purpose."""
    if notice is None:
        return {}
    return {purpose["code"]: purpose for purpose in reading(notice.body, locale(visit))["purposes"]}


def _shown(one: PurposeStatus, told: dict[str, Any], held: ConsentState | None, *, askable: bool) -> PurposeShown:
    guardian = held is not None and held.guardian_pending
    on = one.state in AUTHORISING and not one.renewal_required and not guardian
    return PurposeShown(
        code=one.purpose,
        told=told,
        state=one.state,
        on=on,
        withdrawable=held is not None,
        renewal=one.renewal_required,
        guardian=guardian,
        expires_at=one.expires_at if on else None,
        askable=askable,
    )


def give(vault: Vault, visit: Visit, purpose: PurposeShown, *, notice: str | None) -> None:
    """`notice`: the sha256 of what was read. Raises Conflict `not_askable`, and what `record_decisions` raises."""
    if not purpose.askable:
        raise Conflict("not_askable", "a consent to this cannot be given here now")
    _decide(vault, visit, [purpose.code], "given", notice=notice)


def withdraw(vault: Vault, visit: Visit, purposes: Sequence[str]) -> None:
    """Raises what `record_decisions` raises."""
    _decide(vault, visit, purposes, "withdrawn", notice=None)


def _decide(vault: Vault, visit: Visit, purposes: Sequence[str], decision: str, *, notice: str | None) -> None:
    with tenant(visit.program_id):
        named = {"subject_id": str(of(visit).pseudonym)}
    record_decisions(
        vault=vault,
        program_id=visit.program_id,
        identifiers=named,
        notice=notice,
        decisions=[Decision(code, decision) for code in purposes],
        act=Act(method="portal", kind="single" if len(purposes) == 1 else "bundled", locale=locale(visit)),
        client_id=visit.client_id,
        may_import=False,
    )


def of(visit: Visit) -> Subject:
    """Within the tenant. Raises NotFound where the subject was erased meanwhile."""
    subject = Subject.objects.filter(id=visit.subject_id).first()
    if subject is None:
        raise NotFound("nobody_known", "nothing is held of you any more")
    return subject


def locale(visit: Visit) -> str:
    """The notice's name of the reader's language."""
    return "zh-Hans" if language(visit.locale) == "zh-hans" else LOCALES[1]


def _closed(subject: Subject) -> str | None:
    """Why no consent can be given now."""
    if subject.erasure_pending:
        return "erasure_pending"
    return "restricted" if subject.restricted else None
