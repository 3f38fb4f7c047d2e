"""After a restore nothing is answered from a database that has forgotten who withdrew."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from consent import pages
from consent.errors import Unavailable
from consent.journal import service
from consent.journal.service import Standing

GetResponse = Callable[[HttpRequest], HttpResponseBase]
SPARED = frozenset({"/healthz", "/readyz", "/api/schema/", "/api/docs/"})
"""Probes, and the documentation, which tells nothing out of the database."""
RETRY_S = 30
_RESTORED = (
    "replay_required",
    "the database was restored from a backup, and what was acknowledged since is being carried out again",
)
_NOT_MIGRATED = ("not_migrated", "the database is not of this version yet")


class AfterRestore:
    """503 to all that tells of anybody: `replay_required` until `manage.py replay_journal` has run, `not_migrated` where tables of this version
    are missing, as before `migrate` and within a restore."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        standing = Standing.IN_SERVICE if request.path_info in SPARED else service.as_known()
        if standing == Standing.IN_SERVICE:
            return self.get_response(request)
        code, detail = _NOT_MIGRATED if standing == Standing.UNMIGRATED else _RESTORED
        return pages.refused(request, Unavailable(code, f"{detail}; send the same again later", retry_after=RETRY_S))
