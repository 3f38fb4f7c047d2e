"""manage.py catalogue: what it answers to people and to programs, and how it exits."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from tests.cast import EXAMPLES, Program
from tests.consent.test_commands import as_json, run
from tests.stack import ROOT
from tracking.catalogue import set_status
from tracking.models import EventStatus

CHANGED = """
events:
  tap:
    purpose: analytics
    categories: [behaviour]
    properties:
      element: {type: string, max_length: 9, required: true, description: The name of the element}
      x: {type: integer}
  pinch: {purpose: analytics, categories: [behaviour]}
"""
SAID = {
    "tap": [
        {"at": "description", "before": "An element was tapped", "after": ""},
        {"at": "properties.element.max_length", "before": 64, "after": 9},
        {"at": "properties.x", "before": None, "after": {"type": "integer"}},
    ]
}


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    file = tmp_path / "changed.yaml"
    file.write_text(CHANGED)
    return file


def asked(program: Program, action: str, file: Path | str, *more: str) -> dict[str, Any]:
    return as_json("catalogue", action, "--program", program.id, file, *more)


def ended(*arguments: Any) -> CommandError:
    with pytest.raises(CommandError) as found:
        run("catalogue", *arguments)
    return found.value


def test_the_help_says_what_the_exit_codes_mean(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("catalogue", "--help")
    told = " ".join(capsys.readouterr().out.split())
    assert "--dry-run" in told and "--retire-missing" in told and "--check" in told
    assert "Exit codes: 0 done; 1 " in told


def test_an_export_can_be_imported_unchanged(program: Program, tmp_path: Path) -> None:
    exported = tmp_path / "exported.yaml"
    count = asked(program, "export", exported)["events"]
    same = asked(program, "diff", exported, "--check")
    assert len(same.pop("unchanged")) == count
    assert same == {"created": [], "updated": [], "absent": [], "retired": [], "changes": {}}
    again = asked(program, "import", exported)
    assert (again["created"], again["updated"], len(again["unchanged"])) == ([], [], count)
    assert run("catalogue", "diff", "--program", program.id, exported) == ("no difference\n", "")


@pytest.mark.parametrize("way", [("diff",), ("import", "--dry-run")])
def test_what_an_import_would_do_is_told_and_not_done(
    program: Program, owner: psycopg.Connection, changed: Path, way: tuple[str, ...]
) -> None:
    tables = ("event_type", "event_type_version", "audit_entry")
    before = [owner.execute(f"SELECT t::text FROM {table} t ORDER BY 1".encode()).fetchall() for table in tables]
    found = asked(program, way[0], changed, *way[1:])
    assert (found["created"], found["updated"], found["changes"]) == (["pinch"], ["tap"], SAID)
    assert "page_view" in found["absent"] and "tap" not in found["absent"]
    out, err = run("catalogue", way[0], "--program", program.id, changed, *way[1:])
    assert out.startswith(
        "created  pinch\n"
        "updated  tap\n"
        '         description: "An element was tapped" -> ""\n'
        "         properties.element.max_length: 64 -> 9\n"
        '         properties.x: added {"type": "integer"}\n'
        "absent   ab_exposure (left as it is)\n"
    )
    assert err == f"next: manage.py catalogue import --program {program.id} {changed}\n"
    after = [owner.execute(f"SELECT t::text FROM {table} t ORDER BY 1".encode()).fetchall() for table in tables]
    assert after == before
    assert asked(program, "import", changed) == found
    assert asked(program, "diff", changed)["changes"] == {}


def test_an_import_says_how_many_and_what_it_left(program: Program, changed: Path) -> None:
    out, err = run("catalogue", "import", "--program", program.id, changed)
    assert out == "1 created, 1 updated, 0 unchanged, 15 absent, 0 retired\n"
    assert "left as they are, since the file does not name them: ab_exposure, " in err
    out, err = run("catalogue", "import", "--program", program.id, EXAMPLES / "catalogue.yaml")
    assert out == "0 created, 1 updated, 15 unchanged, 1 absent, 0 retired\n"


def test_what_the_file_leaves_out_is_retired_if_asked_for(program: Program, changed: Path) -> None:
    out, err = run("catalogue", "diff", "--program", program.id, changed, "--retire-missing")
    assert 'retired  launch\n         status: "active" -> "retired"\n' in out
    assert "--retire-missing" in err
    found = asked(program, "diff", changed, "--retire-missing")
    assert asked(program, "import", changed, "--retire-missing") == found
    assert (len(found["retired"]), found["absent"]) == (15, [])
    assert asked(program, "import", changed, "--retire-missing")["retired"] == []


def test_a_difference_is_one_and_trouble_is_two(program: Program, changed: Path, tmp_path: Path) -> None:
    """As diff(1) has it; without --check a difference is an answer like any other."""
    named = ("--program", program.id)
    assert ended("diff", *named, changed, "--check").returncode == 1
    assert ended("diff", *named, "--check", EXAMPLES / "notice.yaml").returncode == 2
    assert ended("diff", *named, "--check", tmp_path / "none.yaml").returncode == 2
    assert ended("diff", "--program", 999_999, changed, "--check").returncode == 2
    assert ended("import", *named, EXAMPLES / "notice.yaml").returncode == 1
    for wrong in (
        ("import", "--check"),
        ("export", "--dry-run"),
        ("diff", "--dry-run"),
        ("export", "--retire-missing"),
    ):
        error = ended(wrong[0], *named, changed, wrong[1])
        assert (error.returncode, wrong[1] in str(error)) == (2, True)


def test_what_an_import_would_refuse_a_diff_refuses_with_the_place(
    program: Program, owner: psycopg.Connection, tmp_path: Path
) -> None:
    text = (EXAMPLES / "catalogue.yaml").read_text()
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("{type: number, desc", "{type: integer, desc"))
    for action, code in ((("diff",), 2), (("import",), 1), (("import", "--dry-run"), 1)):
        error = ended(*action, "--program", program.id, wrong)
        assert error.returncode == code
        assert "[type_fixed]" in str(error)
        for place in ("events.page_leave.properties.scroll_depth", "events.payment.properties.amount"):
            assert f"{place}: its type is fixed as number" in str(error)
    (key,) = owner.execute("SELECT id FROM event_type WHERE name = 'order'").fetchone()  # type: ignore[misc]
    moment = owner.execute("SELECT now()").fetchone()
    assert moment is not None
    set_status(program_id=program.id, type_id=key, status=EventStatus.RETIRED, by="officer:7", now=moment[0])
    assert "events.order: an officer retired it" in str(
        ended("import", "--program", program.id, EXAMPLES / "catalogue.yaml")
    )


def test_the_process_exits_so(program: Program, changed: Path) -> None:
    def code(*arguments: Any) -> tuple[int, str]:
        command = [sys.executable, "manage.py", "catalogue", *map(str, arguments), f"--program={program.id}", "--json"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    status, out = code("diff", changed, "--check")
    assert (status, json.loads(out)["updated"]) == (1, ["tap"])
    assert code("diff", changed)[0] == 0
    assert code("diff", EXAMPLES / "notice.yaml") == (2, "")


def test_an_export_to_stdout_is_yaml_alone(program: Program) -> None:
    out, err = run("catalogue", "export", "--program", program.id, "-")
    assert out.startswith("events:\n")
    assert err == ""
