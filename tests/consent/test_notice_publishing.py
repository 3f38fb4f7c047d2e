"""Publishing: when a version takes effect, what the command says of it, and that it stays as it is."""

import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.models import Model

from config import gunicorn
from consent.errors import Problem
from consent.ledger.audit import audit
from consent.notices import actions, drafts
from consent.notices.actions import publish_notice
from consent.notices.models import NoticeDraft
from consent.programs.tenancy import tenant
from tests.cast import AT_ONCE, EXAMPLES, Program, example_notice, now
from tests.consent.acts import code, status

LEAD = timedelta(seconds=35)
FILE = (EXAMPLES / "notice.yaml").read_text()


def publish(program: Program, lead: timedelta = LEAD, **more: Any) -> Any:
    given = {"text": example_notice(), "effective_at": None, "by": "test", "now": now()} | more
    return publish_notice(program_id=program.id, lead=lead, **given)


def run(*arguments: Any) -> str:
    out = io.StringIO()
    call_command("publish_notice", *map(str, arguments), stdout=out, stderr=io.StringIO())
    return out.getvalue()


# When it takes effect


def test_no_batch_is_in_flight_any_more_when_a_version_takes_effect() -> None:
    assert timedelta(seconds=gunicorn.timeout) <= settings.NOTICE_LEAD - actions.SLACK
    idle = settings.SESSIONS["application"]["idle_in_transaction_session_timeout"]
    assert timedelta(milliseconds=idle) <= settings.NOTICE_LEAD - actions.SLACK


def test_a_version_takes_effect_as_soon_as_no_batch_goes_by_the_one_before(program: Program) -> None:
    program.decide("alice")
    text = example_notice()
    text.purposes[0].retention_days = 366
    before = now()
    made = publish(program, text=text)
    assert before + LEAD <= made.effective_at <= now() + LEAD
    assert (code(program, "e1"), status(program, "alice")["renewal_required"]) == (None, False)


def test_as_soon_as_it_may_is_after_a_version_that_is_still_to_come(program: Program) -> None:
    scheduled = publish(program, effective_at=now() + timedelta(days=3))
    assert publish(program).effective_at == scheduled.effective_at


def test_a_sooner_time_is_refused_with_what_to_do(program: Program) -> None:
    with pytest.raises(Problem, match="effective_too_soon: take a time at least 35 s from now"):
        publish(program, effective_at=now() + LEAD - timedelta(seconds=1))
    later = now() + LEAD + timedelta(minutes=1)
    assert publish(program, effective_at=later).effective_at == later


def test_a_publication_that_took_too_long_is_none(
    program: Program, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch may have begun since its time was reckoned; the last statement of all is looked at."""

    def slowly(**entry: Any) -> None:
        audit(**entry)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.3)")

    monkeypatch.setattr(actions, "audit", slowly)
    monkeypatch.setattr(actions, "SLACK", timedelta(seconds=0.2))
    with pytest.raises(Problem, match="publication_too_slow"):
        publish(program)
    assert owner.execute("SELECT count(*) FROM notice").fetchone() == (1,)
    assert publish(program, effective_at=now() + LEAD + timedelta(seconds=1)).version == 2


def test_a_draft_that_took_too_long_is_not_published(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it is published is written before the clock is looked at."""

    def slowly(draft: NoticeDraft, **options: Any) -> None:
        Model.save(draft, **options)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.3)")

    with tenant(program.id):
        draft = NoticeDraft.objects.create(program_id=program.id, name="next", source=FILE, edited_by="test")
    monkeypatch.setattr(NoticeDraft, "save", slowly)
    monkeypatch.setattr(actions, "SLACK", timedelta(seconds=0.2))
    with pytest.raises(Problem, match="publication_too_slow"):
        drafts.publish(
            program_id=program.id,
            draft_id=draft.pk,
            seen=drafts.mark(FILE),
            effective_at=None,
            lead=LEAD,
            by="test",
            now=now(),
        )
    with tenant(program.id):
        assert NoticeDraft.objects.get(id=draft.pk).notice_id is None


def test_an_audiences_first_version_takes_effect_now_and_is_not_dated_back(program: Program) -> None:
    text = example_notice()
    text.audience = "minor"
    text.purposes = [text.purposes[2]]
    with pytest.raises(Problem, match="effective_in_the_past"):
        publish(program, text=text, effective_at=now() - timedelta(days=1))
    at = now()
    assert publish(program, text=text, now=at).effective_at == at


def test_the_command_publishes_with_the_lead_of_this_installation(program: Program) -> None:
    answer = json.loads(run("--program", program.id, "--json", EXAMPLES / "notice.yaml"))
    assert answer["effective_at"] > (now() + settings.NOTICE_LEAD - timedelta(seconds=30)).isoformat()
    assert (answer["version"], answer["material"], answer["inactive"]) == (2, [], [])


# What the command says


@pytest.fixture
def wider(tmp_path: Path) -> Path:
    file = tmp_path / "notice.yaml"
    file.write_text(FILE.replace("categories: [behaviour, device]", "categories: [behaviour, network]", 1))
    return file


def test_a_dry_run_tells_the_difference_and_publishes_nothing(
    program: Program, owner: psycopg.Connection, wider: Path
) -> None:
    text = run("--program", program.id, "--dry-run", wider)
    assert "against version 1: consents end to analytics" in text
    assert "! categories: behaviour, device -> behaviour, network (another category is collected)" in text
    answer = json.loads(run("--program", program.id, "--dry-run", "--json", wider))
    (analytics,) = (item for item in answer["differences"] if item["code"] == "analytics")
    assert analytics["changes"] == [
        {
            "field": "categories",
            "before": ["behaviour", "device"],
            "after": ["behaviour", "network"],
            "material": True,
            "why": "another category is collected",
        }
    ]
    assert (answer["since"], answer["material"], answer["published"]) == (1, ["analytics"], False)
    assert answer["lacking"] == {}
    assert owner.execute("SELECT count(*) FROM notice").fetchone() == (1,)
    assert json.loads(run("--program", program.id, "--json", wider))["material"] == ["analytics"]


def test_the_command_names_every_fault(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "notice.yaml"
    file.write_text(re.sub(r"^(controller|contact):.*\n", "", FILE, flags=re.M).replace("methods:", "material:", 1))
    with pytest.raises(CommandError) as refused:
        run("--program", program.id, file)
    told = str(refused.value).splitlines()
    assert told[0] == "4 faults [invalid_notice]"
    assert [line.split(":")[0].strip() for line in told[1:]] == [
        "/controller",
        "/contact",
        "/purposes/0/methods",
        "/purposes/0/material",
    ]
    assert "computed from the fields" in told[4]


# It stays as it is


@pytest.mark.parametrize("role", ["zq_app", "zq_erase", "zq_ops", "zq_ingest"])
def test_no_role_may_change_what_was_published(owner: psycopg.Connection, role: str) -> None:
    for table in ("notice", "notice_purpose", "impact_assessment"):
        for privilege in ("UPDATE", "DELETE", "TRUNCATE"):
            if (role, table, privilege) == ("zq_erase", "impact_assessment", "DELETE"):
                continue  # of those alone whose purpose ended three years ago: tests/law/test_l18_assessment.py
            held = owner.execute("SELECT has_table_privilege(%s, %s, %s)", [role, table, privilege]).fetchone()
            assert held == (False,), (table, privilege)
        changed = owner.execute("SELECT has_any_column_privilege(%s, %s, 'UPDATE')", [role, table]).fetchone()
        assert changed == (False,), table


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE notice SET body = '{}'",
        "DELETE FROM notice",
        "UPDATE notice_purpose SET material = false",
        "DELETE FROM notice_purpose",
        "UPDATE purpose SET necessary = true",
        "UPDATE purpose SET separate_consent = NULL",
        "DELETE FROM purpose",
        "UPDATE impact_assessment SET conclusion = 'acceptable'",
        "DELETE FROM impact_assessment",
    ],
)
def test_the_database_refuses_the_application(program: Program, statement: str) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), tenant(program.id), connection.cursor() as cursor:
        cursor.execute(statement)


def test_every_version_stays_retrievable_by_its_hash(program: Program) -> None:
    """L7, L17."""
    hashes = [program.notice] + [publish(program, AT_ONCE).sha256 for _ in range(2)]
    assert len(set(hashes)) == 3
    for number, sha256 in enumerate(hashes, 1):
        told = program.get(f"notices/{sha256}").json()
        assert (told["version"], told["sha256"]) == (number, sha256)


def test_of_an_assessment_the_public_reads_that_there_is_one(program: Program) -> None:
    told = program.get(f"notices/{program.notice}").json()["purposes"][2]
    assert told["assessment"] == {"reference": "PIA-2026-001", "assessed_on": "2026-09-15"}
