"""Links of five minutes to the data subject's own pages, and sessions of fifteen.

A link is `<mini-program>.<secret>`: the tenant is set by the first part, the row found by the hash of the second. Reading the
page behind it uses nothing, since messengers and proxies read links ahead; what it posts uses it, once. The edge signs a link,
so that one without a row is told from one that nobody made: it is somebody's of whom nothing is held.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from consent.errors import Forbidden, NotFound
from consent.platforms.calls import PlatformIdentity
from consent.platforms.login import matches
from consent.portal.models import PortalSession
from consent.programs.tenancy import role, tenant
from consent.records.queries import db_now
from consent.vault import identities
from consent.vault.identities import Vault
from consent.vault.lookup import Identifiers
from consent.vault.models import Subject

LINK = timedelta(minutes=5)
SESSION = timedelta(minutes=15)
FORGOTTEN_AT_ONCE = 1_000


class LinkOver(NotFound):
    """404: the link was used, or its five minutes are over."""

    def __init__(self) -> None:
        super().__init__("link_over", "the link was used or is over: open the page from the mini-program again")


class NobodyKnown(NotFound):
    """404: the link is of somebody of whom nothing is held."""

    def __init__(self) -> None:
        super().__init__("nobody_known", "nothing is held of whoever the link was made for")


class SessionOver(NotFound):
    """404: there is no session, or its fifteen minutes are over."""

    def __init__(self) -> None:
        super().__init__("session_over", "the session is over: open the page from the mini-program again")


@dataclass(frozen=True)
class Issued:
    """What a mini-program's web-view is to open."""

    link: str
    expires_at: datetime


@dataclass(frozen=True)
class Visit:
    """Whose pages these are, and in which language."""

    program_id: int
    subject_id: int
    link_hash: bytes
    client_id: int
    locale: str
    view: str
    stepped_up: bool


def issue(
    *,
    vault: Vault,
    program_id: int,
    identifiers: Identifiers,
    client_id: int,
    locale: str,
    view: str,
    identity: PlatformIdentity | None = None,
) -> Issued:
    """A link. One of a subject nobody knows looks the same, and opens nothing.

    `identity`: what a fresh login code came to; then the session is stepped up. Raises Invalid, Conflict `identity_conflict`, Forbidden
    `login_code_of_another`.
    """
    named, secret = identities.checked(identifiers), secrets.token_urlsafe(32)
    with tenant(program_id):
        until = db_now() + LINK
        subject_id = identities.resolve_many(vault, program_id, [named])[0]
        if identity is not None and not matches(
            vault=vault, program_id=program_id, subject_id=subject_id, identity=identity
        ):
            raise Forbidden("login_code_of_another", "the login code is of somebody else than the subject named")
        # Against an erasure under way, which deletes what is there.
        if subject_id is not None and _locked(subject_id):
            PortalSession.objects.create(
                subject_id=subject_id,
                link_hash=_hash(secret),
                program_id=program_id,
                client_id=client_id,
                locale=locale,
                view=view,
                stepped_up=identity is not None,
                link_until=until,
            )
    return Issued(f"{program_id}.{secret}", until)


def linked(link: str) -> Visit:
    """What a link leads to; uses nothing. Raises LinkOver, NobodyKnown."""
    program_id, secret = _parts(link, LinkOver)
    with tenant(program_id):
        return _visit(_unused(program_id, secret))


def open_link(link: str) -> tuple[Visit, str]:
    """Use the link; answers the cookie of the session that begins. Of two at once one is answered. Raises LinkOver, NobodyKnown."""
    program_id, secret = _parts(link, LinkOver)
    with tenant(program_id):
        found = _unused(program_id, secret)
        if not _locked(found.subject_id):
            raise NobodyKnown
        key = secrets.token_urlsafe(32)
        unused = PortalSession.objects.filter(
            subject_id=found.subject_id, link_hash=found.link_hash, secret_hash__isnull=True
        )
        if not unused.update(secret_hash=_hash(key), opened_until=db_now() + SESSION):
            raise LinkOver
        return _visit(found), f"{program_id}.{key}"


def visiting(cookie: str) -> Visit:
    """Whose session it is. Raises SessionOver."""
    program_id, secret = _parts(cookie, SessionOver)
    with tenant(program_id):
        sessions = PortalSession.objects.filter(program_id=program_id, secret_hash=_hash(secret))
        found = sessions.filter(opened_until__gt=db_now()).first()
        if found is None:
            raise SessionOver
        return _visit(found)


def speak(visit: Visit, locale: str) -> None:
    """Go on in another language."""
    with tenant(visit.program_id):
        _own(visit).update(locale=locale)


def fetched(visit: Visit, what: str) -> bool:
    """Note that the session took this; answers whether it had before. Under the tenant."""
    rows = _own(visit).select_for_update(no_key=True)
    before = rows.values_list("fetched", flat=True).get()
    if what not in before:
        _own(visit).update(fetched=[*before, what])
    return what in before


def end(visit: Visit) -> None:
    """From now on the cookie opens nothing."""
    with tenant(visit.program_id):
        _own(visit).update(opened_until=db_now())


def end_of(cookie: str) -> None:
    """The same of a session that may be over."""
    try:
        end(visiting(cookie))
    except SessionOver:
        return


def forget_over(program_id: int, *, now: datetime) -> int:
    """Delete sessions and links that are over for an hour; answers how many. As the worker."""
    over = now - timedelta(hours=1)
    with tenant(program_id):
        rows = PortalSession.objects.filter(program_id=program_id, link_until__lte=over)
        rows = rows.exclude(opened_until__gt=over)
        found = list(rows.values_list("subject_id", "link_hash")[:FORGOTTEN_AT_ONCE])
        with role("zq_erase"):
            for subject_id, link_hash in found:
                PortalSession.objects.filter(subject_id=subject_id, link_hash=link_hash).delete()
    return len(found)


def _locked(subject_id: int) -> bool:
    """Whether the subject is there; until the transaction ends it is not erased."""
    return Subject.objects.select_for_update(no_key=True).filter(id=subject_id).exists()


def _unused(program_id: int, secret: str) -> PortalSession:
    found = PortalSession.objects.filter(program_id=program_id, link_hash=_hash(secret)).first()
    if found is None:
        raise NobodyKnown
    if found.secret_hash is not None or found.link_until <= db_now():
        raise LinkOver
    return found


def _own(visit: Visit) -> QuerySet[PortalSession]:
    return PortalSession.objects.filter(subject_id=visit.subject_id, link_hash=visit.link_hash)


def _visit(found: PortalSession) -> Visit:
    return Visit(
        program_id=found.program_id,
        subject_id=found.subject_id,
        link_hash=bytes(found.link_hash),
        client_id=found.client_id,
        locale=found.locale,
        view=found.view,
        stepped_up=found.stepped_up,
    )


def _parts(text: str, over: type[NotFound]) -> tuple[int, str]:
    number, _, secret = text.partition(".")
    if not number.isascii() or not number.isdecimal() or len(number) > 9 or not secret:
        raise over
    return int(number), secret


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
