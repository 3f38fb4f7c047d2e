"""After a restore nothing is answered from a database that has forgotten who withdrew."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from consent.api.problems import of_problem
from consent.errors import Unavailable
from consent.journal import service

GetResponse = Callable[[HttpRequest], HttpResponseBase]
PROBES = frozenset({"/healthz", "/readyz"})
RETRY_S = 30


class AfterRestore:
    """503 `replay_required` to all but probes, until `manage.py replay_journal` has run."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info not in PROBES and service.replay_required():
            return of_problem(
                Unavailable(
                    "replay_required",
                    "the database was restored from a backup, and what was acknowledged since is being carried out again;"
                    " send the same again later",
                    retry_after=RETRY_S,
                )
            )
        return self.get_response(request)
