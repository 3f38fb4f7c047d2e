"""How gunicorn serves us: `gunicorn --config=python:config.gunicorn config.wsgi:application`.

By itself it quotes a request it cannot read, in the answer and in its log. Ours says only what kind of fault it was, and
every line of its log is JSON like all others.

A process carries out one call at a time, so what runs at once is bounded by how many processes there are. What comes
beyond that waits to be accepted, and is told to come back where it has waited for too long (docs/adr/0015).
"""

import contextlib
import gc
import json
import os
import signal
import socket
import struct
from http import HTTPStatus
from typing import Any

from django.utils.module_loading import import_string
from gunicorn import util  # type: ignore[import-untyped]  # it has no types
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.sync import SyncWorker  # type: ignore[import-untyped]

from config.logging import JsonFormatter
from config.processes import end_with_parent

backlog = 1024
"""Connections that may wait to be accepted: what four processes take within WAIT_S and more. Of a full queue Linux drops
what else comes, and the caller's own kernel tries again after 1, 3 and 7 s."""
WAIT_S = 5.0
"""A call that has waited longer is told to come back: its caller may be gone, and those behind it wait for it."""
IDLE_S = 10.0
"""A caller who neither sends nor takes anything for so long lets go of the process."""
UNREAD_BYTES = 4 * 1024 * 1024
"""The longest body a call takes."""
LAST_DATA_RECEIVED = 52
"""Where tcpi_last_data_recv (milliseconds) lies in Linux' struct tcp_info: after eight bytes and eleven of 32 bits."""

_RETRY_AFTER_S = 2
_PROBLEM = json.dumps(
    {
        "type": "about:blank",
        "title": "Temporarily unavailable",
        "status": 503,
        "detail": "more calls have come than can be carried out; send the same again later",
        "code": "overloaded",
        "errors": [],
    }
).encode()
OVERLOADED = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
    b"Retry-After: %d\r\nContent-Length: %d\r\n\r\n%b" % (_RETRY_AFTER_S, len(_PROBLEM), _PROBLEM)
)

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
    """Answers what it cannot read, and what fails below Django, by a status alone; what came too late, by a 503."""

    def handle(self, listener: socket.socket, client: socket.socket, addr: Any) -> None:
        self._waited = waited_s(client)
        client.settimeout(IDLE_S)
        super().handle(listener, client, addr)

    def handle_request(self, listener: socket.socket, req: Any, client: socket.socket, addr: Any) -> None:
        # Probes ask whether the process lives, and it does.
        if self._waited > WAIT_S and req.path.startswith(("/api/", "/v1/")):
            with contextlib.suppress(OSError):
                client.sendall(OVERLOADED)
        else:
            super().handle_request(listener, req, client, addr)
        # Closed with a body unread, a connection is reset, and the caller may lose the answer.
        util.close_graceful(client, max_drain=UNREAD_BYTES)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        status = _status(exc)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("request failed below the application", exc_info=exc)
        else:
            self.log.warning("request refused", extra={"fields": {"fault": type(exc).__name__, "status": status.value}})
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        with contextlib.suppress(OSError):
            client.sendall(head.encode("ascii"))


def waited_s(client: socket.socket) -> float:
    """For how long a request has lain unread, in seconds: since its last byte came, by the kernel. Elsewhere than on Linux 0."""
    if not hasattr(socket, "TCP_INFO") or client.family not in (socket.AF_INET, socket.AF_INET6):
        return 0.0
    try:
        client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_DATA_RECEIVED + 4)
    except OSError:
        # Nothing has come yet, or the caller is gone.
        return 0.0
    milliseconds: int = struct.unpack_from("=I", info, LAST_DATA_RECEIVED)[0]
    return milliseconds / 1000


def _status(error: BaseException) -> HTTPStatus:
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return status
    return HTTPStatus.BAD_REQUEST if isinstance(error, errors.ParseException) else HTTPStatus.INTERNAL_SERVER_ERROR


def on_starting(server: Any) -> None:
    """Each process keeps its share of a limit while Redis is away; unless told otherwise these are all there are."""
    os.environ.setdefault("ZHIQING_WEB_PROCESSES", str(server.cfg.workers))


def post_fork(server: Any, worker: Any) -> None:
    """A worker ends after its call when the master is gone: by itself it would hold the port, idle, for 15 s more."""
    end_with_parent(signal.SIGTERM)


def post_worker_init(worker: Any) -> None:
    """What is loaded stays: the collector need not go through it again and again while a batch makes its objects."""
    # Only a worker has the apps that it needs.
    import_string("consent.keyholding.start")("web")
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


worker_class = Worker
logger_class = JsonLogger
accesslog = None
graceful_timeout = 10
# What takes longer is ended with its process. A statement is ended before that: config.settings.SESSIONS.
timeout = 30
# Whether X-Forwarded-Proto is believed is said in one place, by ZHIQING_TLS_PROXY; gunicorn would believe this machine's.
secure_scheme_headers: dict[str, str] = {}
# Its control socket would be a way in beside the API.
control_socket_disable = True
