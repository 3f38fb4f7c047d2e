"""docs/law.md tells of every row, and names nothing that is not there."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.settings import BASE_DIR

PAGE = Path(BASE_DIR, "docs", "law.md")
LATER = {"L19"}
"""Rows of which nothing is delivered: take one out when its first part is."""
LINK = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")


@dataclass(frozen=True)
class Row:
    """`code` and `tests`: (words, path from the root) of each link."""

    name: str
    source: str
    requirement: str
    status: str
    code: list[tuple[str, str]]
    tests: list[tuple[str, str]]
    missing: str


def rows() -> list[Row]:
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| L")
    ]
    return [
        Row(name, source, requirement, status, LINK.findall(code), LINK.findall(tests), missing)
        for name, source, requirement, status, code, tests, missing in cells
    ]


def named_in(path: str) -> set[str]:
    tree = ast.parse(Path(BASE_DIR, path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_row_is_there_once_in_order() -> None:
    assert [row.name for row in rows()] == [f"L{n}" for n in range(1, 25)]
    assert all(row.source and row.requirement for row in rows())


def test_what_comes_later_is_known_and_says_what_is_missing() -> None:
    assert {row.name for row in rows() if row.status == "later"} == LATER
    assert {row.status for row in rows()} <= {"delivered", "partly", "later"}
    assert {row.name for row in rows() if row.missing == "–"} == {r.name for r in rows() if r.status == "delivered"}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_delivered_row_has_code_and_a_test_and_both_exist(row: Row) -> None:
    if row.name not in LATER:
        assert row.code, "link the file that does it"
        assert row.tests, "link the test that shows it"
    for words, path in row.code:
        assert words == path
        assert Path(BASE_DIR, path).is_file(), path
    for name, path in row.tests:
        assert name in named_in(path), f"{path} has no {name}"


def test_every_test_of_a_row_is_on_the_page_beside_its_row() -> None:
    for file in sorted(Path(__file__).parent.glob("test_l*.py")):
        path = str(file.relative_to(BASE_DIR))
        row = next(row for row in rows() if row.name == f"L{int(file.name[6:8])}")
        missing = named_in(path) - {name for name, its in row.tests if its == path}
        assert not missing, f"{row.name}: {missing}"
