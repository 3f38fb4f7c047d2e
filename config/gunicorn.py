"""How gunicorn serves us: `gunicorn --config=python:config.gunicorn config.wsgi:application`.

By itself it quotes a request it cannot read, in the answer and in its log. Ours says only what kind of fault it was, and
every line of its log is JSON like all others.
"""

import contextlib
import gc
import signal
import socket
from http import HTTPStatus
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]  # it has no types
from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.sync import SyncWorker  # type: ignore[import-untyped]

from config.logging import JsonFormatter
from config.processes import end_with_parent

_STATUS = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
}


class JsonLogger(Logger):  # type: ignore[misc]
    """Lines as config.logging makes them; no access log, which would hold paths with their queries."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter())

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Nothing."""


class Worker(SyncWorker):  # type: ignore[misc]
    """Answers what it cannot read, and what fails below Django, by a status alone."""

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        status = _status(exc)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("request failed below the application", exc_info=exc)
        else:
            self.log.warning("request refused", extra={"fields": {"fault": type(exc).__name__, "status": status.value}})
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        with contextlib.suppress(OSError):
            client.sendall(head.encode("ascii"))


def _status(error: BaseException) -> HTTPStatus:
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return status
    return HTTPStatus.BAD_REQUEST if isinstance(error, errors.ParseException) else HTTPStatus.INTERNAL_SERVER_ERROR


def post_fork(server: Any, worker: Any) -> None:
    """A worker ends after its call when the master is gone: by itself it would hold the port, idle, for 15 s more."""
    end_with_parent(signal.SIGTERM)


def post_worker_init(worker: Any) -> None:
    """What is loaded stays: the collector need not go through it again and again while a batch makes its objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


worker_class = Worker
logger_class = JsonLogger
accesslog = None
graceful_timeout = 10
# Whether X-Forwarded-Proto is believed is said in one place, by ZHIQING_TLS_PROXY; gunicorn would believe this machine's.
secure_scheme_headers: dict[str, str] = {}
# Its control socket would be a way in beside the API.
control_socket_disable = True
