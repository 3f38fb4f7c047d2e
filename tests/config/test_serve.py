"""The port that `make serve` listens on."""

from pathlib import Path

import pytest

from config import serve
from tests.config.stacks import answer, web


def test_the_workers_of_a_killed_web_server_let_go_of_its_port(migrated: None, tmp_path: Path) -> None:
    with web(tmp_path) as (master, port):
        assert answer(port, "/healthz").status == 200
        master.kill()
        serve.listen(port).close()


def test_a_port_that_stays_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PORT_SECONDS", 0.3)
    with serve.listen(0) as held, pytest.raises(serve.PortTaken, match="stop what listens there"):
        serve.listen(held.getsockname()[1])
