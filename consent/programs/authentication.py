"""API keys: `zq_<key id>_<secret>`; stored hashed, scoped, expiring, two valid at once while a caller rotates."""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from consent.errors import Forbidden, Invalid, Unauthenticated
from consent.journal import writing
from consent.programs.models import SCOPES, ApiClient, ApiKey
from consent.programs.tenancy import tenant
from consent.programs.throttling import throttle
from consent.statements import ask

# Every call begins with it, before its tenant is known: a function of the owner's looks past row-level security.
_VALID_KEY = "SELECT secret_hash, client_id, program_id, zone, sandbox, scopes FROM valid_api_key(%s, %s)"
_HELP = "send Authorization: Bearer zq_<key id>_<secret>, with a key that has neither expired nor been revoked"


@dataclass(frozen=True)
class Caller:
    """The mini-program's backend behind a request."""

    client_id: int
    program_id: int
    zone: str
    sandbox: bool
    scopes: frozenset[str]

    is_authenticated = True


def authenticate(authorization: str, *, now: datetime) -> Caller:
    """Counts as a call of the client. Raises Unauthenticated, always with the same words, whatever is wrong; RateLimited."""
    scheme, _, token = authorization.partition(" ")
    parts = token.strip().split("_")
    if (
        scheme.lower() != "bearer"
        or len(parts) != 3
        or parts[0] != "zq"
        or not authorization.isascii()
        or not authorization.isprintable()
    ):
        raise Unauthenticated("unauthenticated", _HELP)
    connection.ensure_connection()
    found = ask(_VALID_KEY, [parts[1], now]).rows()
    # It has just answered: Django would ask once more before the call's transaction.
    connection.health_check_done = True  # type: ignore[attr-defined]  # which its hints leave out
    for secret_hash, client_id, program_id, zone, sandbox, scopes in found:
        if hmac.compare_digest(secret_hash, hash_secret(parts[2])):
            throttle().admit(client_id)
            return Caller(client_id, program_id, zone, sandbox, frozenset(scopes))
    raise Unauthenticated("unauthenticated", _HELP)


def bearer(authorization: str) -> str:
    """The header as Bearer, where it is Basic with the key as user name and no password, as analytics libraries send it."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return authorization
    try:
        name, _, password = base64.b64decode(credentials.strip(), validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        return ""
    return f"Bearer {name}" if not password else ""


def caller(request: Request) -> Caller:
    """The backend that ApiKeyAuthentication found. Raises Unauthenticated."""
    user: object = request.user
    if not isinstance(user, Caller):
        raise Unauthenticated("unauthenticated", _HELP)
    return user


def hash_secret(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


class ApiKeyAuthentication(BaseAuthentication):
    """DRF's hook; `request.user` is the Caller."""

    def authenticate(self, request: Request) -> tuple[Caller, None]:
        return authenticate(request.headers.get("Authorization", ""), now=timezone.now()), None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasScope(BasePermission):
    """Default-deny: a view is closed until it names the `scope` it needs."""

    def has_permission(self, request: Request, view: Any) -> bool:
        scope = getattr(view, "scope", None)
        if scope is None or scope not in caller(request).scopes:
            raise Forbidden("insufficient_scope", f"this call needs a key with the scope {scope}")
        return True


@dataclass(frozen=True)
class IssuedKey:
    """Shown once."""

    client_id: int
    token: str
    expires_at: datetime


def create_client(*, program_id: int, scopes: list[str], now: datetime, valid_for: timedelta) -> IssuedKey:
    """A new caller with its first key. Raises Invalid for an unknown scope."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise Invalid("unknown_scope", f"scopes are {', '.join(SCOPES)}")
    with tenant(program_id):
        client = ApiClient.objects.create(program_id=program_id, scopes=sorted(set(scopes)))
        return _issue(client, now=now, valid_for=valid_for)


def rotate_client(
    *, program_id: int, client_id: int, now: datetime, valid_for: timedelta, overlap: timedelta
) -> IssuedKey:
    """A second key; keys before it end after `overlap` at the latest, and those before the last at once."""
    with tenant(program_id):
        client = ApiClient.objects.select_for_update().get(id=client_id, program_id=program_id)
        valid = ApiKey.objects.filter(client=client, revoked_at__isnull=True, expires_at__gt=now).order_by("-id")
        for place, key in enumerate(valid):
            key.expires_at = min(key.expires_at, now + overlap) if place == 0 else now
            key.save(update_fields=["expires_at"])
        return _issue(client, now=now, valid_for=valid_for)


def revoke_client(*, program_id: int, client_id: int, now: datetime, journaled: bool = True) -> int:
    """End all keys of a caller at once; answers how many were valid. Raises JournalAway, and none is ended then.

    Without the journal a backup from before that is restored brings them back, unless it is called again with it.
    """
    with tenant(program_id):
        keys = _not_revoked(program_id, client_id)
        valid = keys.filter(expires_at__gt=now).count()
        keys.update(revoked_at=now)
        # Also of keys that were ended before: then the journal may have been away.
        if journaled and ApiKey.objects.filter(client_id=client_id, program_id=program_id).exists():
            writing.revoked(program_id=program_id, client_id=client_id)
        return valid


def revoke_again(*, program_id: int, client_id: int, at: datetime, dry_run: bool) -> int:
    """End the keys of a caller that were ended at that time and that a restore brought back; answers how many. Keys made since
    stand. The journal has it."""
    with tenant(program_id):
        keys = _not_revoked(program_id, client_id).filter(created_at__lte=at)
        return keys.count() if dry_run else keys.update(revoked_at=at)


def _not_revoked(program_id: int, client_id: int) -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(client_id=client_id, program_id=program_id, revoked_at__isnull=True)


def _issue(client: ApiClient, *, now: datetime, valid_for: timedelta) -> IssuedKey:
    key_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    key = ApiKey.objects.create(
        client=client,
        program_id=client.program_id,
        key_id=key_id,
        secret_hash=hash_secret(secret),
        expires_at=now + valid_for,
    )
    return IssuedKey(client.pk, f"zq_{key_id}_{secret}", key.expires_at)
