"""Whether the process is alive, and whether it can do its work."""

from collections.abc import Callable

import psycopg
import redis
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, JsonResponse
from django.middleware.common import CommonMiddleware
from django.views.decorators.http import require_safe

from consent.edge import vault
from consent.journal import service
from consent.journal.service import Standing
from consent.ledger.tasks import in_order
from consent.vault import rewrapping, rotation, writing
from consent.vault.store import KeyringError

PROBES = frozenset({"/healthz", "/readyz"})


class AnyHostForProbes(CommonMiddleware):
    """Refuses a host that ZHIQING_ALLOWED_HOSTS does not name, but to probes: they come past the proxy, by a name or an address of
    the machine, and nothing in an answer rests on it."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path_info in PROBES else super().process_request(request)


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "alive"})


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return False
    return True


def _migrations() -> bool:
    try:
        executor = MigrationExecutor(connection)
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        return False


def _broker() -> bool:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _keyring() -> bool:
    """Whether it is there, what the database asks of writers, and has what opens the data keys there are."""
    try:
        keyring = vault().keyring
        return writing.fits(keyring) and not rewrapping.missing(keyring, rotation.programs())
    except (KeyringError, Error):
        return False


def _in_service() -> bool:
    """No backup was restored, or what was acknowledged since it was made has been carried out again."""
    try:
        return service.standing() == Standing.IN_SERVICE
    except (Error, psycopg.Error, OSError):
        return False


def _ledger() -> bool:
    """Whether the log is what was published of it, or more."""
    try:
        return in_order()
    except Error:
        return False


CHECKS: dict[str, Callable[[], bool]] = {
    "database": _database,
    "migrations": _migrations,
    "broker": _broker,
    "keyring": _keyring,
    "in_service": _in_service,
    "ledger": _ledger,
}
# Calls are answered without it: due work is found by the sweep later, and each process keeps its share of the limits. A
# probe that took every web process away would make of this an outage.
SPARED = frozenset({"broker"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when calls can be answered, else 503; each check is answered by name."""
    found = {name: check() for name, check in CHECKS.items()}
    ready = all(passed for name, passed in found.items() if name not in SPARED)
    response = JsonResponse({"ready": ready, "checks": found}, status=200 if ready else 503)
    if not ready:
        response["Retry-After"] = "1"
    return response
