"""docs/dialog.md: its examples run in their order, with curl against a real server, and answer what the page says."""

import contextlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from config.settings import BASE_DIR
from consent.notices.actions import publish_notice
from consent.notices.linter import parse
from tests.cast import AT_ONCE, Program, now
from tests.journeys.server import serving

PAGE = Path(BASE_DIR, "docs", "dialog.md")
BLOCK = re.compile(r"```(sh|json|console)\n(.*?)```", re.DOTALL)
PUBLISHES = re.compile(r"publish_notice --program \$PROGRAM (\S+)")
ANYTHING, END = "…", "-- end of the block --"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are curl's")


@dataclass
class Example:
    """A block of shell; `answer`: the JSON the page shows below it, or None. `notices`: what the page has published before."""

    notices: list[str]
    shell: str
    answer: Any = None


def examples() -> list[Example]:
    found: list[Example] = []
    notices: list[str] = []
    for language, text in BLOCK.findall(PAGE.read_text()):
        if language == "console":
            notices += PUBLISHES.findall(text)
        elif language == "sh":
            found.append(Example(notices, text))
            notices = []
        else:
            found[-1].answer = json.loads(text)
    return found


def differs(told: Any, answered: Any, place: str = "") -> list[str]:
    """Where an answer lacks what the page tells. Members the page leaves out, and list items after its last, may be there."""
    if isinstance(told, dict) and isinstance(answered, dict):
        return [
            fault for name, value in told.items() for fault in differs(value, answered.get(name), f"{place}/{name}")
        ]
    if isinstance(told, list) and isinstance(answered, list) and len(answered) >= len(told):
        return [fault for n, value in enumerate(told) for fault in differs(value, answered[n], f"{place}/{n}")]
    same = bool(answered) if told == ANYTHING else told == answered
    return [] if same else [f"{place}: the page says {told}, the answer is {answered}"]


class Shell:
    """One shell for the whole page: what a block defines, later ones use."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash", "-u"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, shell: str) -> str:
        """What a block prints."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{shell}\nprintf '\\n{END}\\n'\n")
        self.process.stdin.flush()
        printed = ""
        while (line := self.process.stdout.readline()) != f"{END}\n":
            assert line, f"the shell ended: {printed}"
            printed += line
        return printed

    def close(self) -> None:
        self.process.communicate(timeout=10)


def publish(program: Program, file: str) -> None:
    """As the page says, but in force at once, where a later version takes a few seconds."""
    text = parse(Path(BASE_DIR, file).read_text())
    publish_notice(program_id=program.id, text=text, effective_at=None, lead=AT_ONCE, by="test", now=now())


def test_the_examples_answer_what_the_page_says(program: Program, owner: psycopg.Connection, tmp_path: Path) -> None:
    environment = {**os.environ, "PROGRAM": str(program.id), "KEY": program.key, "no_proxy": "*"}
    with serving(tmp_path) as server, contextlib.closing(Shell(environment)) as shell:
        answers, published = 0, 0
        for example in examples():
            for file in example.notices:
                publish(program, file)
                published += 1
            printed = shell.run(example.shell.replace("http://127.0.0.1:8000", server.base_url))
            if example.answer is not None:
                assert not differs(example.answer, json.loads(printed)), (example.shell, printed)
                answers += 1
        assert answers >= 10 and published == 2
    rows = owner.execute("SELECT count(*), count(evidence) FROM consent_record").fetchone()
    assert rows == (7, 6), "what the page records is there, evidence sealed"


def test_a_wrong_answer_would_be_found() -> None:
    answered = {"records": [{"state": "given"}], "code": ""}
    assert differs({"records": [{"state": "given"}]}, answered) == []
    assert differs({"records": [{"state": "refused"}]}, answered)
    assert differs({"records": [{}, {}]}, answered)
    assert differs({"code": ANYTHING}, answered)
