"""What the tests of embedded stacks and of the web server share."""

import http.client
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from config import embedded, serve

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only as root PostgreSQL's files are outside VAR")


def owner(stack: embedded.Services) -> psycopg.Connection:
    return psycopg.connect(stack.environment["DATABASE_OWNER_URL"], autocommit=True)


def note(stack: embedded.Services, text: str) -> None:
    with owner(stack) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        connection.execute("INSERT INTO note VALUES (%s)", [text])


def notes(stack: embedded.Services) -> list[str]:
    with owner(stack) as connection:
        return [row[0] for row in connection.execute("SELECT text FROM note ORDER BY text")]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def outside(**told: str) -> dict[str, str]:
    """The tests' servers, with nothing said of TLS but this."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ZHIQING_TLS")} | told


@contextmanager
def web(folder: Path, **told: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The web server as config.serve starts it, the only one to hold its port: (gunicorn's master, port)."""
    with serve.listen(0) as listener, (folder / "web.log").open("wb") as log:
        port = int(listener.getsockname()[1])
        arguments = serve.programs(folder, {}, listener.fileno())[0].arguments
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments, "--workers=1"],
            cwd=serve.ROOT, env=outside(**told), stderr=log, stdout=log, pass_fds=(listener.fileno(),),
        )  # fmt: skip
    try:
        # A call that had to wait for the start, on a busy machine, would be told to come back.
        answer(port, "/healthz")
        yield process, port
    finally:
        process.terminate()
        process.wait(20)


def answer(port: int, path: str, **headers: str) -> http.client.HTTPResponse:
    """The answer's head to a GET."""
    with closing(http.client.HTTPConnection(serve.HOST, port, timeout=30)) as link:
        link.request("GET", path, headers=headers)
        return link.getresponse()
