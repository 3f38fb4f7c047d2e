"""What continuous integration does where there is no browser: it fails, unless that is meant."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parent.parent / ".ci" / "run"
TOLD = "told"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A checkout of .ci/run alone, with a PATH that has no Chromium and nowhere to get one; `make` says that it was come to."""
    path = tmp_path / "bin"
    path.mkdir()
    for name in ("dirname", "id"):
        (path / name).symlink_to(shutil.which(name) or name)
    for name, does in (
        ("apt-get", "exit 100"),
        ("sudo", '"$@"'),
        ("make", f'echo "$*, browser: $ZHIQING_CHROMIUM" >{TOLD}'),
    ):
        (path / name).write_text(f"#!/bin/bash\n{does}\n")
        (path / name).chmod(0o755)
    (tmp_path / ".ci").mkdir()
    shutil.copy(RUN, tmp_path / ".ci")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, None),
        ({"ZHIQING_WITHOUT_BROWSER": "0"}, None),
        ({"ZHIQING_WITHOUT_BROWSER": "1"}, "check LEFT_OUT=longest, browser: "),
        ({"ZHIQING_CHROMIUM": "/a/browser"}, "check LEFT_OUT=longest, browser: /a/browser"),
    ],
)
def test_without_a_browser_it_fails_unless_that_is_meant(
    machine: Path, given: dict[str, str], told: str | None
) -> None:
    ran = subprocess.run(
        [shutil.which("bash") or "bash", str(machine / ".ci" / "run")],
        env={"PATH": str(machine / "bin"), "HOME": os.environ.get("HOME", "/")} | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode == 0) == (told is not None), ran.stderr
    if told is None:
        assert "ZHIQING_WITHOUT_BROWSER=1" in ran.stderr and not (machine / TOLD).exists()
    else:
        assert (machine / TOLD).read_text() == f"{told}\n"
