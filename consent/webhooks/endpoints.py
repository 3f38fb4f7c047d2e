"""Where webhooks go: set up, rotated, switched off, removed, told again. Each leaves an audit entry that names no address."""

import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx
from django.db.models import F, Q, QuerySet

from consent.errors import Conflict, NotFound, invalid
from consent.ledger.audit import audit
from consent.programs.tenancy import tenant
from consent.records.queries import db_now
from consent.rights.models import ERASING, HolderRun, RequestSubject, RunStatus, SubjectRequest
from consent.vault import writing
from consent.vault.envelope import NOBODY, Cell, open_own, seal_own
from consent.vault.identities import Vault
from consent.vault.models import Subject
from consent.webhooks import queries, signing
from consent.webhooks.models import Event, WebhookEndpoint, WebhookMessage

LONGEST_URL = 2_000
OVERLAP = timedelta(hours=24)
"""For so long the secret before the newest signs as well."""
GIVEN_UP_AFTER = timedelta(days=4)
"""Longer than all attempts of a message take (consent.webhooks.delivery.PAUSES), unless the receiver asks for more patience."""
HOLDER = "consent.processors"
"""Whose part of an erasure waits for endpoints (consent.webhooks.holder)."""
SWITCHED_OFF, NEVER_TRIED, REMOVED = "switched_off", "never_tried", "removed"
ACTOR = "worker"


def add(
    *, vault: Vault, program_id: int, url: str, events: Collection[str], acknowledges: bool, plain: bool, by: str
) -> tuple[WebhookEndpoint, str]:
    """An endpoint and its secret, which is shown this once.

    `plain`: http is taken too, as it always is to loopback. Raises Invalid `invalid_url`, `unknown_event`,
    `erasure_not_told`.
    """
    checked = _checked_url(url, plain=plain)
    wanted = _checked_events(events, acknowledges=acknowledges)
    secret = signing.new_secret()
    with tenant(program_id):
        endpoint_id = uuid.uuid4()
        writing.hold(vault.keyring)
        made = WebhookEndpoint.objects.create(
            id=endpoint_id,
            program_id=program_id,
            url=checked,
            events=wanted,
            acknowledges=acknowledges,
            sealed=seal_own(vault.keyring, secret, cell(program_id, endpoint_id), vault.suite(program_id)),
            created_at=db_now(),
        )
        _audited(made, "added", by=by, events=wanted, acknowledges=acknowledges)
    return made, signing.written(secret)


def rotate(*, vault: Vault, program_id: int, endpoint_id: uuid.UUID, by: str) -> str:
    """A new secret, shown this once; the one before signs beside it for OVERLAP. Raises NotFound, Conflict `secret_rotating` as long
    as it does: the secret that the receiver may still verify by would sign no more."""
    secret = signing.new_secret()
    with tenant(program_id):
        endpoint, now = _locked(program_id, endpoint_id), db_now()
        if endpoint.previous_until is not None and now < endpoint.previous_until:
            raise Conflict(
                "secret_rotating", "the secret before this one still signs: rotate again when it does no more"
            )
        writing.hold(vault.keyring)
        endpoint.previous, endpoint.previous_until = endpoint.sealed, now + OVERLAP
        endpoint.sealed = seal_own(vault.keyring, secret, cell(program_id, endpoint_id), vault.suite(program_id))
        endpoint.save(update_fields=["sealed", "previous", "previous_until"])
        _audited(endpoint, "rotated", by=by)
    return signing.written(secret)


def secrets(vault: Vault, endpoint: WebhookEndpoint, *, now: datetime) -> tuple[bytes, ...]:
    """What signs now, the newest first. Raises DoesNotOpen, KeyringError."""
    sealed = [endpoint.sealed]
    if endpoint.previous is not None and endpoint.previous_until is not None and now < endpoint.previous_until:
        sealed.append(endpoint.previous)
    place = cell(endpoint.program_id, endpoint.id)
    return tuple(open_own(vault.keyring, bytes(each), place) for each in sealed)


def give_up_old(program_id: int, *, now: datetime) -> None:
    """Messages that were not taken in all the time in which they are tried, be it that their turn never came. Under the tenant.

    What an erasure waits for is tried without end.
    """
    waiting = WebhookMessage.objects.filter(program_id=program_id, delivered_at__isnull=True, dead_at__isnull=True)
    since = now - GIVEN_UP_AFTER
    old = waiting.filter(Q(queued_at=None) | Q(queued_at__lt=since), created_at__lt=since)
    awaited = {"event": Event.ERASED, "endpoint__acknowledges": True, "endpoint__released": False}
    _give_up(old.exclude(**awaited), why=NEVER_TRIED, now=now, by=ACTOR)


def forget_previous(program_id: int, *, now: datetime) -> int:
    """Delete the secrets that sign no more. Under the tenant."""
    over = WebhookEndpoint.objects.filter(program_id=program_id, previous_until__lte=now)
    return over.update(previous=None, previous_until=None)


def switch(*, program_id: int, endpoint_id: uuid.UUID, on: bool, by: str) -> bool:
    """Send there again, or no longer; answers whether that changed. Raises NotFound.

    Switched off, it is told nothing any more, what waits is given up, and no erasure waits for it: whoever does this has
    seen to it that the processor erases. That who answers there holds personal data is not forgotten: switched on, it is told of
    the erasures that are under way, and they wait for it again.
    """
    with tenant(program_id):
        endpoint = _locked(program_id, endpoint_id)
        if on == endpoint.active and (on or endpoint.released or not endpoint.acknowledges):
            return False
        mine = WebhookEndpoint.objects.filter(id=endpoint_id)
        if on:
            mine.update(active=True, released=False, not_before=None)
            _waiting(endpoint_id).update(next_attempt_at=db_now())
            if endpoint.acknowledges:
                _again(queries.of_erasures(endpoint_id).filter(dead_at__isnull=False))
                _wait_again(program_id)
        else:
            mine.update(active=False, released=True)
            _give_up(_waiting(endpoint_id), why=SWITCHED_OFF, now=db_now(), by=by)
        _audited(endpoint, "switched_on" if on else "switched_off", by=by)
    return True


def switch_off_gone(program_id: int, endpoint_id: uuid.UUID, *, by: str) -> None:
    """It answered 410 Gone. Under the tenant. An erasure that waits for its acknowledgement goes on waiting, for somebody
    to look: that a processor is gone does not say that it has erased."""
    endpoint = WebhookEndpoint.objects.select_for_update(no_key=True).filter(id=endpoint_id, active=True).first()
    if endpoint is None:
        return
    WebhookEndpoint.objects.filter(id=endpoint_id).update(active=False)
    left = _waiting(endpoint_id)
    given_up = left.exclude(event=Event.ERASED) if endpoint.acknowledges else left
    _give_up(given_up, why=SWITCHED_OFF, now=db_now(), by=by)
    _audited(endpoint, "gone", by=by)


def remove(*, program_id: int, endpoint_id: uuid.UUID, by: str) -> int:
    """Delete the endpoint with its secret and its messages; answers how many these were. Raises NotFound."""
    with tenant(program_id):
        endpoint = WebhookEndpoint.objects.select_for_update().filter(program_id=program_id, id=endpoint_id).first()
        if endpoint is None:
            raise _unknown()
        _give_up(_waiting(endpoint_id), why=REMOVED, now=db_now(), by=by)
        messages, _ = WebhookMessage.objects.filter(program_id=program_id, endpoint_id=endpoint_id).delete()
        WebhookEndpoint.objects.filter(id=endpoint_id).delete()
        _audited(endpoint, "removed", by=by, messages=messages)
    return messages


def replay(*, program_id: int, endpoint_id: uuid.UUID, since: datetime, delivered: bool, by: str) -> int:
    """Send again what was made since then and given up, and with `delivered` what was taken; answers how many.

    Under the same webhook-id. What an erasure was acknowledged by is not asked again. Raises NotFound; Conflict
    `switched_off`.
    """
    with tenant(program_id):
        endpoint = _locked(program_id, endpoint_id)
        if not endpoint.active:
            raise Conflict("switched_off", "nothing is sent to this endpoint: switch it on first")
        made = WebhookMessage.objects.filter(program_id=program_id, endpoint_id=endpoint_id, created_at__gte=since)
        count = _again(made.filter(dead_at__isnull=False))
        if delivered:
            count += _again(made.filter(delivered_at__isnull=False).exclude(event=Event.ERASED))
        _audited(endpoint, "replayed", by=by, messages=count)
    return count


def send_again(*, program_id: int, message_id: uuid.UUID, by: str) -> uuid.UUID:
    """One message that was given up; answers its endpoint. Raises NotFound; Conflict `not_given_up`, `switched_off`."""
    with tenant(program_id):
        message = WebhookMessage.objects.filter(program_id=program_id, id=message_id).first()
        if message is None:
            raise NotFound("not_found", "this mini-program has no such message, or no longer")
        endpoint = _locked(program_id, message.endpoint_id)
        if not endpoint.active:
            raise Conflict("switched_off", "nothing is sent to this endpoint: switch it on first")
        if not _again(WebhookMessage.objects.filter(id=message_id, dead_at__isnull=False)):
            raise Conflict("not_given_up", "the message is delivered, or is being tried")
        _audited(endpoint, "replayed", by=by, messages=1)
        return endpoint.id


def _wait_again(program_id: int) -> None:
    """Have the processors' part of every erasure under way done again where it was done: it writes what was never told, and waits.

    With the subjects held: a run that ends after this sees that the endpoint is on, and one that ended before is found.
    """
    about = RequestSubject.objects.filter(program_id=program_id, open=True, scope="", kind__in=ERASING)
    begun = SubjectRequest.objects.filter(program_id=program_id, kind__in=ERASING, closed_at__isnull=True)
    begun = begun.filter(point_of_no_return_at__isnull=False)
    subjects = about.filter(request_id__in=begun.values("id")).values("subject_id")
    list(Subject.objects.select_for_update(no_key=True).filter(id__in=subjects).order_by("id"))
    done = HolderRun.objects.filter(request_id__in=begun.values("id"), holder=HOLDER, status=RunStatus.DONE)
    done.update(status=RunStatus.PENDING, not_before=db_now(), finished_at=None, attempts=0)


def _again(rows: QuerySet[WebhookMessage]) -> int:
    now = db_now()
    return rows.update(attempts=0, queued_at=now, next_attempt_at=now, delivered_at=None, dead_at=None, last_status="")


def _waiting(endpoint_id: uuid.UUID) -> QuerySet[WebhookMessage]:
    return WebhookMessage.objects.filter(endpoint_id=endpoint_id, delivered_at__isnull=True, dead_at__isnull=True)


def _give_up(rows: QuerySet[WebhookMessage], *, why: str, now: datetime, by: str) -> None:
    """Rows that wait. Of who acknowledges no erasure is noted: it waits, or somebody has seen to it that they erase."""
    erasures = rows.filter(event=Event.ERASED, endpoint__acknowledges=False)
    untold = set(erasures.values_list("program_id", "endpoint_id"))
    rows.filter(last_status="").update(last_status=why)
    rows.update(dead_at=now, lease_until=None, lease_token=None, next_attempt_at=F("created_at"))
    for program_id, endpoint_id in untold:
        note_untold(program_id, endpoint_id, status=why, now=now, by=by)


def note_untold(program_id: int, endpoint_id: uuid.UUID, *, status: str, now: datetime, by: str) -> None:
    """The erasure goes on; that this endpoint was not told of it stays known, to the day. Under the tenant."""
    audit(
        program_id=program_id,
        actor=by,
        action="webhook.erasure_not_told",
        target=f"webhook:{endpoint_id}",
        details={"status": status},
        at=now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0),
    )


def _locked(program_id: int, endpoint_id: uuid.UUID) -> WebhookEndpoint:
    rows = WebhookEndpoint.objects.select_for_update(no_key=True).filter(program_id=program_id, id=endpoint_id)
    endpoint = rows.first()
    if endpoint is None:
        raise _unknown()
    return endpoint


def _unknown() -> NotFound:
    return NotFound("not_found", "this mini-program has no webhook endpoint of this id")


def cell(program_id: int, endpoint_id: uuid.UUID) -> Cell:
    return Cell(program_id, "webhook_endpoint", "sealed", str(endpoint_id), NOBODY)


def _audited(endpoint: WebhookEndpoint, what: str, *, by: str, **details: object) -> None:
    audit(
        program_id=endpoint.program_id,
        actor=by,
        action=f"webhook.{what}",
        target=f"webhook:{endpoint.id}",
        details=details,
    )


def _checked_url(url: str, *, plain: bool) -> str:
    """Raises Invalid `invalid_url`."""
    fault = invalid("invalid_url", "give an https address of a host, without a user, a password or a fragment", "/url")
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
        # As it is looked up when a message is sent.
        httpx.URL(url).host.encode("idna")
    except (ValueError, httpx.InvalidURL):
        raise fault from None
    printable = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    secure = parts.scheme == "https" or (parts.scheme == "http" and (plain or _loopback(host)))
    if not (printable and secure and host) or "@" in parts.netloc or "#" in url or len(url) > LONGEST_URL:
        raise fault
    return url


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked_events(events: Collection[str], *, acknowledges: bool) -> list[str]:
    if not events or not set(events) <= set(Event.values):
        raise invalid("unknown_event", f"name one or more of {', '.join(Event.values)}", "/events")
    if acknowledges and Event.ERASED not in events:
        raise invalid("erasure_not_told", f"who acknowledges erasures is told of them: add {Event.ERASED}", "/events")
    return [event for event in Event.values if event in events]
