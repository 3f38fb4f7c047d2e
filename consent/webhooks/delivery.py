"""Delivering messages: claimed with a lease, sent outside of any transaction, and what came of it written down.

At least once: a worker that dies after the answer and before its own commit leaves a message that is sent again, under the
same webhook-id. In no certain order: each message is tried again at its own times.
"""

import json
import logging
import random
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import connection

from consent.ledger.disclosures import disclosed
from consent.ledger.models import Recipient
from consent.programs.tenancy import tenant, without_tenant
from consent.records.queries import db_now
from consent.vault.identities import Vault
from consent.vault.models import Subject
from consent.webhooks import endpoints, sending, signing
from consent.webhooks.endpoints import ACTOR
from consent.webhooks.models import Event, WebhookEndpoint, WebhookMessage
from consent.webhooks.sending import Outcome

LEASE = timedelta(seconds=45)
"""Longer than an attempt may take (sending.WHOLE_S, and a slow name server)."""
LOOKED_AT_ONCE = 20
AT_ONCE = 2
"""Attempts under way to one endpoint: however slow it is, it keeps no more workers."""
UNANSWERED_PAUSE = timedelta(seconds=15)
"""Nobody answered: the endpoint's other messages wait too, so that it keeps no worker busy."""
LONGEST_RETRY_AFTER = timedelta(hours=24)
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
"""After the n-th attempt; the specification's schedule, some three days in all."""
JITTER = 0.1

logger = logging.getLogger("zhiqing.webhooks")

_DUE = """
    SELECT endpoint.program_id, endpoint.id FROM webhook_endpoint endpoint
    WHERE endpoint.active AND (endpoint.not_before IS NULL OR endpoint.not_before <= clock_timestamp()) AND EXISTS (
        SELECT FROM webhook_message message WHERE message.endpoint_id = endpoint.id
        AND message.delivered_at IS NULL AND message.dead_at IS NULL AND message.next_attempt_at <= clock_timestamp()
        AND (message.lease_until IS NULL OR message.lease_until < clock_timestamp())
    )
    ORDER BY endpoint.not_before NULLS FIRST LIMIT %s
"""
_CLAIMABLE = """
    delivered_at IS NULL AND dead_at IS NULL AND next_attempt_at <= %(now)s
    AND (lease_until IS NULL OR lease_until < %(now)s)
"""
# What an erasure waits for is not kept waiting by what came before it.
_CANDIDATES = f"""
    (SELECT id, subject_id FROM webhook_message
     WHERE endpoint_id = %(endpoint)s AND event = '{Event.ERASED.value}' AND {_CLAIMABLE}
     ORDER BY next_attempt_at LIMIT %(limit)s)
    UNION ALL
    (SELECT id, subject_id FROM webhook_message
     WHERE endpoint_id = %(endpoint)s AND event <> '{Event.ERASED.value}' AND {_CLAIMABLE}
     ORDER BY next_attempt_at LIMIT %(limit)s)
"""
# Of two that count at once both would find room for one. Whoever waits here holds nothing: record() takes the endpoint's row.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended(%(endpoint)s::text, 0))"
_HELD = """
    SELECT count(*) FROM webhook_message
    WHERE endpoint_id = %(endpoint)s AND delivered_at IS NULL AND dead_at IS NULL AND lease_until >= %(now)s
"""
_CLAIM = f"""
    UPDATE webhook_message SET attempts = attempts + 1, lease_token = %(token)s, lease_until = %(until)s
    WHERE id = %(id)s AND subject_id = %(subject)s AND {_CLAIMABLE}
    RETURNING event, data, created_at, attempts
"""


@dataclass(frozen=True)
class Claimed:
    """A message that this worker holds: where it goes, and its body as it is sent."""

    program_id: int
    endpoint_id: uuid.UUID
    acknowledges: bool
    url: str
    secrets: tuple[bytes, ...]
    id: uuid.UUID
    subject_id: int
    event: str
    attempts: int
    token: uuid.UUID
    body: bytes

    def fields(self, **more: object) -> dict[str, object]:
        """For a log line: the endpoint and the message, never the address or the subject."""
        told = {"webhook": str(self.endpoint_id), "webhook_id": str(self.id), "event": self.event}
        return {**told, "attempts": self.attempts, **more}

    @property
    def until_answered(self) -> bool:
        """An erasure waits for it, however long."""
        return self.acknowledges and self.event == Event.ERASED

    @property
    def once(self) -> bool:
        """An erasure goes on whatever comes of it, and takes the message along."""
        return not self.acknowledges and self.event == Event.ERASED


def due(*, limit: int) -> list[tuple[int, uuid.UUID]]:
    """(program id, endpoint id) of endpoints for which something is due now, of every mini-program."""
    with without_tenant(), connection.cursor() as cursor:
        cursor.execute(_DUE, [limit])
        return [(row[0], row[1]) for row in cursor.fetchall()]


def deliver(
    *,
    vault: Vault,
    program_id: int,
    endpoint_id: uuid.UUID,
    private: bool,
    seconds: float,
    lease: timedelta = LEASE,
) -> int:
    """Send what is due to the endpoint, until nothing is, nobody answers, or the time is over; answers how many it took.

    `private`: to addresses that are not public, too.
    """
    until, taken = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        claimed = claim(vault, program_id, endpoint_id, lease=lease)
        if claimed is None:
            break
        outcome = send(claimed, private=private)
        record(claimed, outcome)
        taken += outcome.taken
        if not outcome.answered:
            break
    return taken


def claim(vault: Vault, program_id: int, endpoint_id: uuid.UUID, *, lease: timedelta) -> Claimed | None:
    """The endpoint's next message that is due, or None. Raises KeyringError, DoesNotOpen."""
    with tenant(program_id):
        endpoint = WebhookEndpoint.objects.filter(program_id=program_id, id=endpoint_id, active=True).first()
        now = db_now()
        if endpoint is None or (endpoint.not_before is not None and endpoint.not_before > now):
            return None
        secrets = endpoints.secrets(vault, endpoint, now=now)
        asked: dict[str, Any] = {"now": now, "endpoint": endpoint_id, "limit": LOOKED_AT_ONCE, "until": now + lease}
        with connection.cursor() as cursor:
            cursor.execute(_ONE_AT_A_TIME, asked)
            cursor.execute(_HELD, asked)
            if cursor.fetchone()[0] >= AT_ONCE:
                return None
            cursor.execute(_CANDIDATES, asked)
            for message_id, subject_id in cursor.fetchall():
                token = uuid.uuid4()
                cursor.execute(_CLAIM, {**asked, "id": message_id, "subject": subject_id, "token": token})
                row = cursor.fetchone()
                if row is not None:
                    event, data, created_at, attempts = row
                    body = _body(subject_id, event, data, created_at)
                    if attempts == 1:
                        _disclose(endpoint, event)
                    return Claimed(
                        program_id=program_id,
                        endpoint_id=endpoint_id,
                        acknowledges=endpoint.acknowledges,
                        url=endpoint.url,
                        secrets=secrets,
                        id=message_id,
                        subject_id=subject_id,
                        event=event,
                        attempts=attempts,
                        token=token,
                        body=body,
                    )
    return None


def _body(subject_id: int, event: str, data: str, created_at: datetime) -> bytes:
    pseudonym = Subject.objects.values_list("pseudonym", flat=True).get(id=subject_id)
    told = {"subject_id": str(pseudonym), **json.loads(data)}
    payload = {"type": event, "timestamp": created_at.astimezone(UTC).isoformat(), "data": told}
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _disclose(endpoint: WebhookEndpoint, event: str) -> None:
    """The pseudonym is personal information (PIPL 4): whoever gets it first is logged before it is sent."""
    disclosed(
        program_id=endpoint.program_id,
        recipient=Recipient.PROCESSOR,
        name=urlsplit(endpoint.url).hostname or "",
        ground=event,
        fields=["pseudonym"],
        subjects=1,
        target=f"webhook:{endpoint.id}",
        by=ACTOR,
    )


def send(claimed: Claimed, *, private: bool) -> Outcome:
    """Outside of any transaction."""
    headers = signing.headers(
        claimed.secrets, message_id=str(claimed.id), timestamp=int(time.time()), body=claimed.body
    )
    return sending.post(claimed.url, claimed.body, headers, private=private)


def record(claimed: Claimed, outcome: Outcome) -> None:
    """What came of an attempt. Whose lease was lost changes nothing, unless the message was taken: that stays so."""
    with tenant(claimed.program_id):
        now = db_now()
        rows = WebhookMessage.objects.filter(id=claimed.id, subject_id=claimed.subject_id, delivered_at__isnull=True)
        if outcome.taken:
            rows.update(delivered_at=now, dead_at=None, last_status=outcome.status, lease_until=None, lease_token=None)
        else:
            # The endpoint before its messages, as whoever removes it takes them.
            WebhookEndpoint.objects.select_for_update(no_key=True).filter(id=claimed.endpoint_id).first()
            again = _again(claimed, outcome, now)
            changed = rows.filter(lease_token=claimed.token, dead_at__isnull=True).update(
                dead_at=now if again is None else None,
                next_attempt_at=again or now,
                last_status=outcome.status,
                lease_until=None,
                lease_token=None,
            )
            if changed and claimed.once:
                _note_untold(claimed, outcome, now)
            _mark(claimed, outcome, now)
    logger.log(
        logging.INFO if outcome.taken else logging.WARNING,
        "webhook delivered" if outcome.taken else "webhook not delivered",
        extra={"fields": claimed.fields(status=outcome.status)},
    )


def _mark(claimed: Claimed, outcome: Outcome, now: datetime) -> None:
    """On the endpoint: leave it alone for a moment, or for good."""
    if outcome.gone:
        endpoints.switch_off_gone(claimed.program_id, claimed.endpoint_id, by=ACTOR)
    elif not outcome.answered:
        WebhookEndpoint.objects.filter(id=claimed.endpoint_id).update(not_before=now + UNANSWERED_PAUSE)
        _let_erasures_go_on(claimed, outcome, now)


def _let_erasures_go_on(claimed: Claimed, outcome: Outcome, now: datetime) -> None:
    """Nobody answers there: others whose erasures would wait for their one attempt are told as little."""
    if claimed.acknowledges:
        return
    waiting = WebhookMessage.objects.filter(
        endpoint_id=claimed.endpoint_id, event=Event.ERASED, lease_token__isnull=True
    )
    if waiting.filter(delivered_at__isnull=True, dead_at__isnull=True).update(dead_at=now, last_status=outcome.status):
        _note_untold(claimed, outcome, now)


def _again(claimed: Claimed, outcome: Outcome, now: datetime) -> datetime | None:
    """When the message is tried next; None: never. A Retry-After is heard where it asks for more patience."""
    over = outcome.gone or claimed.once or claimed.attempts > len(PAUSES)
    if over and not claimed.until_answered:
        return None
    pause = PAUSES[min(claimed.attempts, len(PAUSES)) - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    asked = timedelta(seconds=sending.seconds_of(outcome.retry_after, now))
    return now + max(pause, min(asked, LONGEST_RETRY_AFTER))


def _note_untold(claimed: Claimed, outcome: Outcome, now: datetime) -> None:
    endpoints.note_untold(claimed.program_id, claimed.endpoint_id, status=outcome.status, now=now, by=ACTOR)
