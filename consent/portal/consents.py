"""What a data subject decided, purpose by purpose, as their page shows it, and what they decide there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from consent.errors import NotFound
from consent.notices import queries
from consent.notices.document import LOCALES
from consent.notices.models import Audience, Notice
from consent.notices.reading import reading
from consent.portal.sessions import Visit
from consent.programs.tenancy import tenant
from consent.records.actions import record_decisions
from consent.records.decisions import Act, Decision
from consent.records.models import AUTHORISING
from consent.records.queries import db_now
from consent.records.status import PurposeStatus, status
from consent.rights.languages import language
from consent.vault.identities import Vault
from consent.vault.models import Subject


@dataclass(frozen=True)
class PurposeShown:
    """`told`: what the notice in force says of it, in the reader's language. `on`: it is consented to, and so may be withdrawn;
    `renewal`: that consent no longer authorises; `askable`: the reader may consent here and now, `alone` on a page of its own."""

    code: str
    told: dict[str, Any]
    state: str
    on: bool
    renewal: bool
    expires_at: datetime | None
    askable: bool

    @property
    def alone(self) -> bool:
        return bool(self.told["separate_consent"] or self.told["sensitive"])

    @property
    def at_a_tap(self) -> str | None:
        """What the switch in the list decides; None where that takes the page of its own, or nobody may."""
        if self.on or (self.renewal and not self.askable):
            return "withdrawn"
        return "given" if self.askable and not self.alone else None


@dataclass(frozen=True)
class Consents:
    """`child`: a guardian decides. `notice`: None where none is in force."""

    purposes: list[PurposeShown]
    notice: Notice | None
    child: bool
    closed: str | None

    @property
    def some_on(self) -> bool:
        return any(purpose.on or purpose.renewal for purpose in self.purposes)


def consents(vault: Vault, visit: Visit, *, prompt_cooldown: timedelta) -> Consents:
    """Every purpose of the notice in force. Raises SessionOver's NotFound where the subject is gone."""
    with tenant(visit.program_id):
        subject = of(visit)
        audience = Audience.MINOR if subject.under_14 else Audience.GENERAL
        try:
            notice = queries.in_force(visit.program_id, audience, now=db_now())
        except NotFound:
            return Consents([], None, subject.under_14, _closed(subject))
    named = {"subject_id": str(subject.pseudonym)}
    found = status(
        vault=vault, program_id=visit.program_id, identifiers=named, purposes=None, prompt_cooldown=prompt_cooldown
    )
    read = reading(notice.body, locale(visit))["purposes"]
    told = {purpose["code"]: purpose for purpose in read}
    askable = not subject.under_14 and _closed(subject) is None
    shown = [_shown(one, told[one.purpose], askable=askable) for one in found if one.purpose in told]
    return Consents(shown, notice, subject.under_14, _closed(subject))


def _shown(one: PurposeStatus, told: dict[str, Any], *, askable: bool) -> PurposeShown:
    on = one.state in AUTHORISING
    return PurposeShown(
        code=one.purpose,
        told=told,
        state=one.state,
        on=on and not one.renewal_required,
        renewal=one.renewal_required,
        expires_at=one.expires_at if on else None,
        askable=askable,
    )


def decide(vault: Vault, visit: Visit, purposes: Sequence[str], decision: str, *, notice: str | None) -> None:
    """Give or withdraw. `notice`: the sha256 of what was read. Raises what `record_decisions` raises."""
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
