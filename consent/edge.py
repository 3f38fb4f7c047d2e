"""What the edges (views, tasks, commands, admin) share: the vault, the clock and what is configured, and a package as a file."""

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from consent.ledger.sinks import FileSink, Sink, WebhookSink
from consent.programs.models import MiniProgram, Platform
from consent.rights.actions import Terms
from consent.rights.deadlines import Deadlines
from consent.rights.renditions import RENDITIONS, Form
from consent.vault.identities import Held, Vault
from consent.vault.store import FileStore, KeyStore


@cache
def _held(path: Path) -> Held:
    return Held(FileStore(path))


def vault() -> Vault:
    """The keyring as it is now: a process takes up another one by itself. Raises KeyringError."""
    return _held(settings.ZHIQING_KEYRING_FILE).vault()


def key_store() -> KeyStore:
    """Where the keyring is kept, for those who change it."""
    return FileStore(settings.ZHIQING_KEYRING_FILE)


def now() -> datetime:
    return timezone.now()


def k_of(program: MiniProgram) -> int:
    """A sandbox holds synthetic data only: nobody is to be hidden there."""
    return 1 if program.sandbox else settings.ZHIQING_K


def notice_lead() -> timedelta:
    """How long after its publication a notice takes effect at the soonest."""
    lead: timedelta = settings.NOTICE_LEAD
    return lead


def terms(*, limited: bool = True) -> Terms:
    """Of a request that is filed. `limited`: an officer decides on erasures above an hourly rate."""
    return Terms(
        undo=settings.ZHIQING_ERASURE_UNDO,
        erasures=settings.ZHIQING_ERASURES_PER_HOUR if limited else None,
        deadlines=Deadlines(settings.ZHIQING_DUE_WORKING_DAYS, settings.ZHIQING_DUE_DAYS),
    )


def public_url(request: HttpRequest, path: str) -> str:
    """Where a browser finds a page: below ZHIQING_PUBLIC_URL, or where the call itself came to."""
    base: str | None = settings.ZHIQING_PUBLIC_URL
    return f"{base.rstrip('/')}{path}" if base else request.build_absolute_uri(path)


def attachment(pieces: Iterator[bytes], request_id: uuid.UUID, form: Form) -> StreamingHttpResponse:
    """The package as a file, so that a page with what others sent is never opened under this origin."""
    rendition = RENDITIONS[form]
    response = StreamingHttpResponse(pieces, content_type=rendition.media_type)
    response["Content-Disposition"] = f'attachment; filename="package-{request_id}.{rendition.ending}"'
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def platform_addresses() -> Mapping[str, str]:
    """Where login codes are exchanged, by platform."""
    return {Platform.WECHAT: settings.ZHIQING_WECHAT_URL, Platform.ALIPAY: settings.ZHIQING_ALIPAY_URL}


def ledger_origin() -> str:
    """What the first log is called in its checkpoints."""
    name: str = settings.ZHIQING_LEDGER_ORIGIN
    return name


def ledger_sinks() -> list[Sink]:
    """Where checkpoints are published; none where neither is configured."""
    found: list[Sink] = []
    if settings.ZHIQING_LEDGER_FOLDER is not None:
        found.append(FileSink(settings.ZHIQING_LEDGER_FOLDER))
    if settings.ZHIQING_LEDGER_WEBHOOK is not None:
        found.append(WebhookSink(settings.ZHIQING_LEDGER_WEBHOOK))
    return found


def ledger_published() -> bool:
    """Whether proofs are by what a place accepted: where none is configured there is only the log's own word."""
    return bool(ledger_sinks())
