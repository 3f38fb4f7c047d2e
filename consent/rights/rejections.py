"""Why a request may be rejected, and what the person is told then (PIPL 50): never without the ways to complain and to sue.

The catalogue holds no "repetitive" or "manifestly unfounded": PIPL knows no such ground. A request that repeats an open one
is answered by that one, and an erasure repeated finds nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent.notices import queries
from consent.notices.models import Audience
from consent.records.queries import db_now
from consent.rights.languages import language
from consent.rights.models import ERASING, RejectionReason, RequestKind, RequestSubject, SubjectRequest
from consent.vault.envelope import Cell, open_cell, seal
from consent.vault.identities import Vault
from consent.vault.models import Subject

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


@dataclass(frozen=True)
class Ground:
    """`article` of PIPL; `restricts`: the data stay, and nothing but storing and securing them is allowed (PIPL 47).

    `kinds`: of which requests; none named is of all.
    """

    article: str
    detail: "_StrPromise"
    restricts: bool = False
    kinds: tuple[RequestKind, ...] = ()

    def fits(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds


GROUNDS = {
    RejectionReason.IDENTITY: Ground(
        "50", _("We could not verify that the request comes from the person whose information it is about.")
    ),
    RejectionReason.SOMEBODY_ELSE: Ground(
        "44", _("The request came from somebody else than the person it is about, who may not act for that person.")
    ),
    RejectionReason.RETENTION: Ground(
        "47",
        _(
            "A law or administrative regulation obliges us to keep this information for a period that is not over."
            " Until then we store and secure it and do nothing else with it."
        ),
        restricts=True,
        kinds=ERASING,
    ),
    RejectionReason.INFEASIBLE: Ground(
        "47",
        _(
            "Erasing this information is technically hard to realise. We store and secure it and do nothing else with it."
        ),
        restricts=True,
        kinds=ERASING,
    ),
    RejectionReason.CONDITIONS: Ground(
        "45",
        _(
            "The conditions under which information may be passed on are not met: a verified identity, information"
            " collected on consent, a technically feasible way, and no harm to others."
        ),
        kinds=(RequestKind.PORTABILITY,),
    ),
}


@dataclass(frozen=True)
class Rejected:
    """What is told of a rejection; `text` is None once it went with its subject, or the subject is being erased.
    `delivered_at`: when the text was said to have reached the person."""

    code: str
    article: str
    detail: str
    text: str | None
    delivered_at: datetime | None


def seal_text(vault: Vault, request: SubjectRequest, subject: Subject, written: str) -> bytes:
    """The officer's words and the ways to complain, in the request's language. Raises NotFound without a notice."""
    text = worded(request, written)
    return seal(vault.data_key(subject.program_id, subject.id), text.encode(), _cell(request, subject.id))


def worded(request: SubjectRequest, written: str) -> str:
    """What the person reads: the officer's words, then the ways to complain. Raises NotFound without a notice."""
    return f"{written}\n\n{ways_to_complain(request)}"


def ways_to_complain(request: SubjectRequest) -> str:
    """What every rejection ends with. Raises NotFound where no notice is in force: nobody could be told whom to write to."""
    notice = queries.in_force(request.program_id, Audience.GENERAL, now=db_now())
    with translation.override(language(request.locale)):
        return gettext(
            "If you disagree with this decision, you may object to %(controller)s (%(contact)s), complain to a department"
            " responsible for the protection of personal information, such as the cyberspace administration (Personal"
            " Information Protection Law, Article 65), or bring an action before a people's court (Article 50)."
        ) % {"controller": notice.body["controller"], "contact": notice.body["contact"]}


def told(vault: Vault, request: SubjectRequest) -> Rejected | None:
    """The rejection in the request's language, or None where there is none. Within the mini-program's tenant."""
    if request.rejection is None:
        return None
    about = RequestSubject.objects.filter(request_id=request.id, program_id=request.program_id).first()
    closed = about is None or Subject.objects.filter(id=about.subject_id, erasure_pending=True).exists()
    return described(request, None if closed or about is None else opened(vault, request, about))


def opened(vault: Vault, request: SubjectRequest, about: RequestSubject) -> str | None:
    """The sealed text. Raises DoesNotOpen."""
    if about.rejection is None:
        return None
    data_key = vault.data_key(about.program_id, about.subject_id)
    return open_cell(data_key, bytes(about.rejection), _cell(request, about.subject_id)).decode()


def described(request: SubjectRequest, text: str | None) -> Rejected:
    """The code of a rejected request with its article and its short explanation."""
    return _described(request, RejectionReason(request.rejection or ""), text)


def previewed(request: SubjectRequest, reason: RejectionReason, written: str) -> Rejected:
    """What would be told, were the request rejected so. Raises NotFound without a notice."""
    return _described(request, reason, worded(request, written))


def _described(request: SubjectRequest, reason: RejectionReason, text: str | None) -> Rejected:
    ground = GROUNDS[reason]
    with translation.override(language(request.locale)):
        return Rejected(reason.value, ground.article, str(ground.detail), text, request.rejection_delivered_at)


def _cell(request: SubjectRequest, subject_id: int) -> Cell:
    return Cell(request.program_id, "request_subject", "rejection", str(request.id), subject_id)
