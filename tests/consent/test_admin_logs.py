"""The officers' logs: searched by who, what, about what and when; taken along as shown, however long they are."""

import ast
import csv
import html
import io
import json
import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.settings import BASE_DIR
from consent.admin import log
from consent.ledger import actions, queries
from consent.officers import accounts
from consent.rights.models import TERMINAL, ReminderStage
from tests.cast import Program, now
from tests.consent.desk import Desk, holder, officer, request_row

LOG = "consent/auditentry/"
ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def desk(program: Program) -> Desk:
    return officer("grace", program).enter(program)


def put(owner: psycopg.Connection, program: Program, action: str, **more: Any) -> None:
    row = {"actor": "system", "target": f"program:{program.id}", "at": now(), "details": "{}"} | more
    owner.execute(
        "INSERT INTO audit_entry (program_id, action, actor, target, at, details)"
        " VALUES (%(program)s, %(action)s, %(actor)s, %(target)s, %(at)s, %(details)s)",
        {"program": program.id, "action": action, **row},
    )


def exported(desk: Desk, form: str = "jsonl", **asked: Any) -> list[dict[str, Any]]:
    response = desk.get(f"{LOG}export/", query_params={"format": form, **asked})
    assert response.status_code == 200, response
    text = b"".join(response.streaming_content).decode()
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    return [json.loads(line) for line in text.splitlines()]


def shown(desk: Desk, **asked: Any) -> str:
    response = desk.get(LOG, query_params=asked)
    assert response.status_code == 200, response
    return str(response.content.decode())


def test_each_field_of_the_form_narrows_the_list_and_what_is_taken_along(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    asked = request_row(program, "alice")
    day = datetime(2026, 3, 2, tzinfo=ZONE)
    put(owner, program, "hold.made", actor="officer:77", target="hold:1")
    # Numbers of a later epoch, after a restore.
    put(owner, program, "hold.made", actor=f"client:{2**62}", target=f"hold:{2**62}")
    put(owner, program, "request.filed", target=f"request:{asked.pk}")
    put(owner, program, "notice.published", target="notice:x", at=day)
    put(owner, program, "notice.published", target="notice:y", at=day - timedelta(seconds=1))
    put(owner, program, "notice.published", target="notice:z", at=day + timedelta(days=1))
    for query, expected in (
        ({"actor": "officer:77"}, ["hold:1"]),
        ({"actor": f"client:{2**62}"}, [f"hold:{2**62}"]),
        ({"target": f"hold:{2**62}"}, [f"hold:{2**62}"]),
        ({"action": "request.filed"}, [f"request:{asked.pk}"]),
        ({"target": str(asked.pk)}, [f"request:{asked.pk}"]),
        ({"target": str(asked.pk).upper()}, [f"request:{asked.pk}"]),
        ({"target": f"request:{asked.pk}"}, [f"request:{asked.pk}"]),
        ({"first": "2026-03-02", "last": "2026-03-02"}, ["notice:x"]),
        ({"action": "notice.published", "last": "2026-03-02"}, ["notice:x", "notice:y"]),
        ({"actor": "officer:77", "action": "request.filed"}, []),
    ):  # fmt: skip
        assert [entry["target"] for entry in exported(desk, **query)] == expected, query
        assert [entry["target"] for entry in exported(desk, "csv", **query)] == expected, query
        page = shown(desk, **query)
        for target in ("hold:1", f"request:{asked.pk}", "notice:x", "notice:y", "notice:z"):
            # The form itself repeats a target that was asked for.
            cell = f">{target}</td>"
            assert (cell in page) == (target in expected), (query, target)


def test_whoever_and_whatever_entries_name_can_be_looked_for(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    for actor, _ in log.JOBS:
        put(owner, program, "hold.lifted", actor=actor)
        assert [entry["actor"] for entry in exported(desk, actor=actor, action="hold.lifted")] == [actor]
    one = str(uuid.uuid4())
    ids = {"notice": "ab" * 32, "purpose": "analytics", "request": str(request_row(program, "alice").pk)}
    ids |= dict.fromkeys(("report_run", "saved_report", "webhook"), one)
    for kind in named_by_entries():
        target = f"{kind}{ids.get(kind[:-1], 7)}" if kind.endswith(":") else kind
        put(owner, program, "hold.lifted", target=target)
        assert [entry["target"] for entry in exported(desk, target=target, action="hold.lifted")] == [target]


def test_what_names_nothing_of_ours_is_refused(program: Program, desk: Desk) -> None:
    for query in (
        {"target": "13800138000"},
        {"target": "oAbc-123"},
        {"actor": "+8613800138000"},
        {"action": "no.such"},
        {"first": "x"},
        {"first": "2026-03-02", "last": "2026-03-01"},
    ):
        page = shown(desk, **query)
        assert f">program:{program.id}</td>" not in page
        response = desk.get(f"{LOG}export/", query_params=query)
        assert response.status_code == 302 and response["Location"].startswith(f"/admin/{LOG}?")
    assert not [entry for entry in exported(desk) if entry["action"] == "audit_log.exported"]


def test_the_list_says_in_words_what_was_done(desk: Desk) -> None:
    assert ">Mini-program entered</td>" in shown(desk) or ">mini-program entered</td>" in shown(desk)
    desk.client.cookies["django_language"] = "zh-hans"
    assert "进入小程序" in shown(desk)


def test_taking_along_leaves_an_entry_of_what_was_looked_for(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    found = exported(desk, "csv", action="program.entered", first="2026-01-01")
    assert [row["action"] for row in found] == ["program.entered"]
    entry = owner.execute(
        "SELECT actor, target, details FROM audit_entry WHERE action = 'audit_log.exported'"
    ).fetchone()
    told = {"format": "csv", "action": "program.entered", "first": "2026-01-01"}
    assert entry == (f"officer:{desk.user.pk}", f"program:{program.id}", told)


def test_many_entries_are_taken_along_page_by_page(
    program: Program, other: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    """Each once, newest first, and each page is one query, also where many tell one time, which is a day."""
    rows = 2 * queries.PAGE + 10
    owner.execute(
        "INSERT INTO audit_entry (program_id, action, actor, target, at, details)"
        " SELECT p, 'request.filed', 'system', 'request:' || n, '2026-02-01'::timestamptz + (n / 700) * interval '1 day', '{}'"
        " FROM generate_series(1, %s) n, unnest(%s) p",
        [rows, [program.id, other.id]],
    )
    response = desk.get(f"{LOG}export/", query_params={"format": "jsonl", "action": "request.filed"})
    pieces = []
    with CaptureQueriesContext(
        connection,
    ) as asked:
        for piece in response.streaming_content:
            pieces.append(piece)
    entries = [json.loads(line) for piece in pieces for line in piece.splitlines()]
    assert [len(piece.splitlines()) for piece in pieces] == [queries.PAGE, queries.PAGE, 10]
    assert sorted(int(entry["target"].partition(":")[2]) for entry in entries) == list(range(1, rows + 1))
    assert entries == sorted(entries, key=lambda entry: (entry["at"], entry["id"]), reverse=True)
    selects = [query["sql"] for query in asked.captured_queries if 'FROM "audit_entry"' in query["sql"]]
    assert len(selects) == 4, "three pages, and one that says there is no other"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_file_that_is_cut_says_so_and_where_the_rest_is(
    program: Program, desk: Desk, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Each entry is in one of the parts, which the page leads to as well; also where many tell one time."""
    monkeypatch.setattr(log, "MOST", 4)
    monkeypatch.setattr(queries, "PAGE", 3)
    for n in range(10):
        put(owner, program, "hold.lifted", target=f"hold:{n}", at=datetime(2026, 3, 1 + n // 7, tzinfo=ZONE))
    query, parts = {"action": "hold.lifted"}, []
    while query:
        entries, page = exported(desk, form, **query), shown(desk, **query)
        last = entries[-1]
        if form == "csv" and last["id"] == "cut":
            cut = json.loads(entries.pop()["details"])
        else:
            cut = last.get("cut") and entries.pop()["cut"]
        rest = re.search(r'id="cut".*?href="\?(.*?)"', page, re.DOTALL)
        assert (rest is not None) is bool(cut)
        parts.append([entry["target"] for entry in entries])
        if rest is not None:
            assert cut["entries"] == 4
            query = dict(parse_qsl(html.unescape(rest[1])))
            assert query == {"action": "hold.lifted", "before": str(cut["before"])}
        else:
            query = {}
    assert parts == [[f"hold:{n}" for n in part] for part in ((9, 8, 7, 6), (5, 4, 3, 2), (1, 0))]
    for never in ("9999999999", "9" * 19):
        page = shown(desk, before=never)
        assert "There is no such entry" in page and 'id="cut"' not in page and ">hold:" not in page
    refused = desk.get(f"{LOG}export/", query_params={"format": form, "before": "9999999999"})
    assert refused.status_code == 302 and refused["Location"].startswith(f"/admin/{LOG}?before=")


def test_a_late_page_of_many_is_found_by_the_index(program: Program, owner: psycopg.Connection) -> None:
    owner.execute(
        "INSERT INTO audit_entry (program_id, action, actor, target, at, details)"
        " SELECT %s, 'request.filed', 'system', 'request:' || n, '2026-02-01'::timestamptz + n * interval '1 minute', '{}'"
        " FROM generate_series(1, 20000) n",
        [program.id],
    )
    owner.execute("ANALYZE audit_entry")
    for condition, index in (
        ("at <= '2026-02-10' AND (at < '2026-02-10' OR id < 99999)", "audit_entry_at"),
        ("target = 'request:77'", "audit_entry_target"),
    ):
        plan = owner.execute(
            f"EXPLAIN SELECT * FROM audit_entry WHERE program_id = {program.id} AND {condition}"
            " ORDER BY at DESC, id DESC LIMIT 50"
        ).fetchall()
        assert index in str(plan), plan


def test_the_number_of_queries_does_not_grow(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    counts = []
    for rows in (1, 60):
        for n in range(rows):
            put(owner, program, "request.filed", target=f"request:{n}")
        with CaptureQueriesContext(connection) as asked:
            shown(desk)
        counts.append(len(asked))
        assert not [
            query for query in asked.captured_queries if "COUNT(" in query["sql"] and "audit_entry" in query["sql"]
        ]
    assert counts[0] == counts[1]


def test_a_spreadsheet_takes_nothing_for_a_formula(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    put(owner, program, "hold.lifted", target="=HYPERLINK(1)", actor="@x")
    (row,) = exported(desk, "csv", action="hold.lifted")
    assert (row["target"], row["actor"], row["details"]) == ("'=HYPERLINK(1)", "'@x", "{}")


def test_nobody_takes_along_another_mini_programs_log(
    program: Program, other: Program, owner: psycopg.Connection
) -> None:
    put(owner, other, "hold.lifted")
    desk = officer("grace", program, other).enter(program)
    assert not exported(desk, action="hold.lifted")
    assert exported(desk.enter(other), action="hold.lifted")
    unseeing = officer("hal", program, may_see=("notice",)).enter(program)
    assert unseeing.get(f"{LOG}export/").status_code == 403


def test_a_request_leads_to_its_entries(program: Program, desk: Desk) -> None:
    asked = request_row(program, "alice")
    page = desk.get(f"consent/subjectrequest/{asked.pk}/change/").content.decode()
    assert f"/admin/{LOG}?target=request:{asked.pk}" in page
    unseeing = officer("hal", program, may_see=("subjectrequest",)).enter(program)
    assert LOG not in unseeing.get(f"consent/subjectrequest/{asked.pk}/change/").content.decode()


def test_the_log_of_accounts_is_searched_and_taken_along_alike(program: Program, owner: psycopg.Connection) -> None:
    accounts.record(actor="officer:5", action="account.made", account="officer:6")
    accounts.record(actor="officer:5", action="second_factor.reset", account="officer:7")
    desk = holder("administrator")
    page = desk.get("consent/accountentry/", query_params={"target": "officer:7"}).content.decode()
    assert ">officer:7</td>" in page and ">officer:6</td>" not in page
    assert 'value="second_factor.reset"' in page and 'value="request.filed"' not in page
    response = desk.get("consent/accountentry/export/", query_params={"actor": "officer:5", "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))
    assert [(row["action"], row["account"]) for row in rows] == [
        ("second_factor.reset", "officer:7"),
        ("account.made", "officer:6"),
    ]
    entry = owner.execute("SELECT actor, details FROM account_entry WHERE action = 'account_log.exported'").fetchone()
    assert entry == (f"officer:{desk.user.pk}", {"format": "csv", "actor": "officer:5"})
    assert holder("officer").get("consent/accountentry/export/").status_code == 403


# --- every action that the code writes has a title

PUT_TOGETHER = {
    "request.": {*(state.value for state in TERMINAL), *(stage.value for stage in ReminderStage)},
    "keys.": {"rewrapped", "reindexed"},
    "incident.list_": {"asked", "approved"},
}
"""What goes behind a beginning where the code names it by no text of its own."""
TERMS = {f"{kind}.{deed}" for kind in ("processor", "mechanism") for deed in ("added", "changed", "ending", "ended")}
MINORS = {f"minor_access.{deed}" for deed in ("asked", "approved", "used")}
NO_LONGER = {"phone.looked_up"}
"""Logs still have them."""
FROM_A_TABLE = {"event_type.activated", "event_type.retired"} | TERMS | MINORS | NO_LONGER
WRITERS = {"audited", "_audited", "_audit", "_record"}
"""Functions that are given an action, or its end."""


def test_every_action_has_a_title_and_no_title_is_left_over() -> None:
    titled = {*actions.titles(), *actions.titles(of_accounts=True)}
    assert written() | FROM_A_TABLE == titled


def written() -> set[str]:
    """Every action that the code writes: texts and constants given as `action=`, and what functions put together."""
    trees = {
        path: ast.parse(path.read_text())
        for app in ("consent", "tracking", "reports")
        for path in Path(BASE_DIR, app).rglob("*.py")
    }
    found: set[str] = set()
    for path, tree in trees.items():
        found.update(name for name in _given(tree) if "." in name)
        for value in _actions(tree):
            found.update(text for text in _texts(value, tree) if "." in text)
            if isinstance(value, ast.JoinedStr) and isinstance(value.values[0], ast.Constant):
                beginning = str(ast.literal_eval(value.values[0]))
                # Requests' is called by other modules.
                callers = (
                    [tree] if beginning != "request." else [trees[one] for one in trees if one.parent == path.parent]
                )
                ends = {name for caller in callers for name in _given(caller) if "." not in name}
                found.update(beginning + end for end in ends | PUT_TOGETHER.get(beginning, set()))
    return found


def _actions(tree: ast.Module) -> Iterator[ast.expr]:
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "action")


def _given(tree: ast.Module) -> Iterator[str]:
    """The texts that the functions that put together are called with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in WRITERS:
                for argument in node.args:
                    yield from _texts(argument, tree)


def _texts(node: ast.expr, tree: ast.Module) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    if isinstance(node, ast.IfExp):
        yield from _texts(node.body, tree)
        yield from _texts(node.orelse, tree)
    if isinstance(node, ast.Name) and node.id.isupper():
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and node.id in {getattr(name, "id", "") for name in statement.targets}:
                yield from _texts(statement.value, tree)


TERMS_TARGETS = {"processor:", "mechanism:"}
"""Their kind is put together."""


def named_by_entries() -> set[str]:
    """What the code's entries are about: whole targets, and kinds before a number as `hold:`."""
    found = set(TERMS_TARGETS)
    for app in ("consent", "tracking", "reports"):
        for path in Path(BASE_DIR, app).rglob("*.py"):
            if "migrations" not in path.parts:
                found.update(_targets(ast.parse(path.read_text())))
    return found


def _targets(tree: ast.Module) -> Iterator[str]:
    """Of texts that are given as `target=`, called `target`, or answered by a function of that name."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="target", value=value) | ast.Assign(targets=[ast.Name(id="target")], value=value):
                yield from _kinds(value)
            case ast.FunctionDef(name="target"):
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Return) and inner.value is not None:
                        yield from _kinds(inner.value)


def _kinds(value: ast.expr) -> Iterator[str]:
    match value:
        case ast.JoinedStr(values=[ast.Constant(value=text), *_]) | ast.Constant(value=text):
            yield str(text)
        case ast.IfExp():
            yield from (*_kinds(value.body), *_kinds(value.orelse))


def test_disclosures_are_narrowed_by_day(program: Program) -> None:
    desk = holder("inspector", program).enter(program)
    assert desk.get("consent/disclosure/?at__gte=2026-01-01%2000:00:00%2B00:00").status_code == 200
