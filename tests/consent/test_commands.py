"""The operator's commands: their results, their JSON, and how they fail."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from consent.rights.holders import holder_of
from tests.cast import EXAMPLES, Program, example_notice, now
from tests.consent.rights import Working, lively
from tests.stack import manage

PROGRAM = {"name": "Shop", "controller": "Example Retail Ltd", "platform": "wechat", "app_id": "wx0123456789abcdef"}
NAMES = (
    "create_program",
    "create_client",
    "rotate_client",
    "revoke_client",
    "publish_notice",
    "purpose",
    "purge",
    "catalogue",
    "replay",
    "review",
    "rotate_signing_key",
    "keys",
    "verify_certificate",
    "verify_receipt",
    "affected",
    "platform",
    "webhook",
    "processor",
    "mechanism",
    "ledger",
    "verify_ledger",
)


def run(name: str, *arguments: Any) -> tuple[str, str]:
    """What a command writes to stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    call_command(name, *map(str, arguments), stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def as_json(name: str, *arguments: Any) -> dict[str, Any]:
    out, err = run(name, *arguments, "--json")
    assert err == ""
    answer: dict[str, Any] = json.loads(out)
    return answer


def flags(values: dict[str, str]) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


@pytest.mark.parametrize("name", NAMES)
def test_help_names_every_flag(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command(name, "--help")
    assert ended.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_a_program_is_created_once(database: None) -> None:
    made = as_json("create_program", *flags(PROGRAM), "--sandbox")
    assert made == {"id": made["id"], **PROGRAM, "zone": "Asia/Shanghai", "sandbox": True, "suite": "aes"}
    with pytest.raises(CommandError, match=rf"mini-program {made['id']} already \[program_exists\]"):
        run("create_program", *flags(PROGRAM))
    out, err = run("create_program", *flags({**PROGRAM, "app_id": "wx2", "zone": "America/St_Johns"}))
    assert int(out) > made["id"]
    assert f"publish_notice --program {out.strip()}" in err


def test_an_unknown_zone_is_refused(database: None) -> None:
    with pytest.raises(CommandError, match="unknown_zone"):
        run("create_program", *flags({**PROGRAM, "zone": "Asia/Nowhere"}))


def test_a_key_is_shown_once_and_stored_hashed(program: Program, owner: psycopg.Connection) -> None:
    made = as_json("create_client", "--program", program.id, "--scopes", "events, consents", "--valid-days", 3)
    assert made["key"].startswith(f"zq_{made['key_id']}_")
    assert made["scopes"] == ["consents", "events"]
    row = owner.execute("SELECT * FROM api_key WHERE key_id = %s", [made["key_id"]]).fetchone()
    assert made["key"].split("_")[2] not in repr(row)
    program.key = made["key"]
    assert program.post("consents/status", {"subject": {"openid": "o"}}).status_code == 200
    out, err = run("create_client", "--program", program.id, "--scopes", "events")
    assert out.startswith("zq_")
    assert out.count("\n") == 1
    assert out.strip().split("_")[2] not in err


@pytest.mark.parametrize("scopes", ["", ",", "events,everything"])
def test_unknown_scopes_are_refused(program: Program, scopes: str) -> None:
    with pytest.raises(CommandError, match="unknown_scope"):
        run("create_client", "--program", program.id, f"--scopes={scopes}")


def test_rotation_leaves_two_keys_and_revocation_none(program: Program) -> None:
    def works(key: str) -> bool:
        program.key = key
        return bool(program.post("consents/status", {"subject": {"openid": "o"}}).status_code == 200)

    client = ("--program", program.id, "--client", program.client_id)
    first = program.key
    second = as_json("rotate_client", *client)["key"]
    assert works(first)
    assert works(second)
    third = as_json("rotate_client", *client, "--overlap-days", 1)["key"]
    assert not works(first)
    assert works(second)
    assert works(third)
    assert as_json("revoke_client", *client)["client_id"] == program.client_id
    assert not works(second)
    assert not works(third)
    assert as_json("revoke_client", *client)["revoked"] == 0


def test_clients_of_another_program_are_out_of_reach(program: Program, other: Program) -> None:
    for name in ("rotate_client", "revoke_client"):
        with pytest.raises(CommandError, match="no client of this id"):
            run(name, "--program", other.id, "--client", program.client_id)


@pytest.mark.parametrize("number", ["0", "999999", "99999999999999999999"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("create_client", "--scopes=events"),
        ("rotate_client", "--client=1"),
        ("revoke_client", "--client=1"),
        ("publish_notice", str(EXAMPLES / "notice.yaml")),
        ("purpose", "show"),
        ("catalogue", "export", "-"),
        ("review", "on", "--kind=erasure"),
        ("platform", "test"),
        ("processor", "list"),
        ("mechanism", "list"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_unknown_program_is_told(database: None, arguments: tuple[str, ...], number: str) -> None:
    with pytest.raises(CommandError, match="no mini-program of this id"):
        run(*arguments, "--program", number)


def test_a_first_notice_may_be_dated_back_and_a_second_not(database: None) -> None:
    made = as_json("create_program", *flags(PROGRAM))
    past = (now() - timedelta(days=300)).isoformat()
    publish = ("publish_notice", "--program", made["id"], "--effective-at", past, EXAMPLES / "notice.yaml")
    notice = as_json(*publish)
    assert notice["version"] == 1
    assert notice["effective_at"] == past
    assert notice["purposes"] == [purpose.code for purpose in example_notice().purposes]
    with pytest.raises(CommandError, match="effective_in_the_past"):
        run(*publish)
    out, err = run("publish_notice", "--program", made["id"], EXAMPLES / "notice.yaml")
    assert len(out.strip()) == 64
    assert "version 2" in err


def test_review_is_switched_on_and_off(program: Program, owner: psycopg.Connection) -> None:
    named = ("--program", program.id)
    assert as_json("review", "show", *named) == {"program": program.id, "kinds": [], "changed": False}
    on = ("review", "on", *named, "--kind=erasure")
    assert as_json(*on) == {"program": program.id, "kinds": ["erasure"], "changed": True}
    assert as_json(*on)["changed"] is False
    assert run("review", "show", *named)[0] == "erasure\n"
    assert as_json("review", "off", *named, "--kind=erasure")["kinds"] == []
    kept = owner.execute("SELECT actor, action FROM audit_entry WHERE action LIKE 'review.%' ORDER BY id").fetchall()
    assert kept == [("operator", "review.switched_on"), ("operator", "review.switched_off")]
    for wrong in (("on",), ("show", "--kind=erasure"), ("on", "--kind=access")):
        with pytest.raises(CommandError):
            run("review", *wrong, *named)


@pytest.mark.parametrize("written", ["yesterday", "2026-10-01", "2026-10-01T00:00:00", "2026-13-01T00:00:00Z"])
def test_a_time_without_offset_is_refused(program: Program, written: str) -> None:
    with pytest.raises(CommandError, match="RFC 3339"):
        run("publish_notice", "--program", program.id, "--effective-at", written, EXAMPLES / "notice.yaml")


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"purposes: [", "not YAML"), (b"title: x", "invalid_notice"), (b"\xff", "not UTF-8"), (None, "No such file")],
)
def test_a_bad_notice_is_refused(program: Program, tmp_path: Path, content: bytes | None, told: str) -> None:
    file = tmp_path / "notice.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CommandError, match=told):
        run("publish_notice", "--program", program.id, file)


def test_a_failure_is_a_non_zero_exit_without_a_traceback(migrated: None) -> None:
    with pytest.raises(RuntimeError, match=r"exited 1:\nCommandError: there is no mini-program"):
        manage("create_client", "--program=999999", "--scopes=events", "--json", role="application")
    with pytest.raises(RuntimeError, match=r"exited 2:\nusage: "):
        manage("create_client", role="application")


def test_a_purge_is_simulated_and_then_done(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """What it says would go is what goes, table by table; nothing goes before."""
    lively(program)
    lively(other)
    lively(program, "bob")
    program.decide("alice", "withdrawn")
    owner.execute("UPDATE purpose_erasure SET owed_from = owed_from - interval '73 h'")
    owner.execute("UPDATE profile_attribute SET updated_at = now() - interval '400 d' WHERE name = 'city'")
    said = as_json("purge", "--simulate", "--program", program.id)
    mine = {"program": program.id}
    assert said == {
        "simulated": True,
        "rows": 8,
        "overdue": 8,
        "tables": [
            mine | {"table": "profile_attribute", "reason": "retention", "rows": 2, "overdue": 2}
            | {"purpose": "personalisation", "kept_days": 365},
            mine | {"table": "event", "reason": "withdrawn", "rows": 6, "overdue": 6}
            | {"purpose": "analytics", "kept_days": None},
        ],
        "journal": [],
    }  # fmt: skip
    out, err = run("purge", "--simulate")
    assert f"{program.id}          6  event: consent ended (analytics)  OVERDUE: 6" in out
    assert f"{other.id}          1  profile_attribute: retention over (personalisation, 365 days)  OVERDUE: 1" in out
    assert "9 rows would be deleted, 9 of them are overdue; nothing was deleted" in err
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (18,)
    with as_worker():
        done = as_json("purge", "--program", program.id)
    assert done["deleted"][str(program.id)] == {
        "consents that ended": 6, "reports.rollups": 0, "tracking.events": 0, "consent.profile": 2, "consent.processors": 0,
        "consent.records": 0, "consent.requests": 0, "consent.subject": 0, "disclosures": 0, "impact assessments": 0,
    }  # fmt: skip
    assert done["left"] == 0
    with as_worker():
        out, _ = run("purge")
    assert f"{other.id}          1  consent.profile" in out
    assert as_json("purge", "--simulate")["tables"] == []
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (12,)


def test_a_purge_says_what_it_could_not_do(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lively(program)
    program.decide("alice", "withdrawn")
    with owner.transaction():
        owner.execute("SELECT FROM subject FOR UPDATE")
        with as_worker(), pytest.raises(CommandError, match="1 erasures could not be done now"):
            run("purge")
    with owner.transaction():
        owner.execute("SELECT pg_advisory_xact_lock(hashtextextended('purge', %s))", [program.id])
        with as_worker(), pytest.raises(CommandError, match="run this again"):
            run("purge")
    with pytest.raises(CommandError, match="no mini-program of this id"):
        run("purge", "--program", 0)


def test_a_purge_tries_at_once_what_failed_and_says_what_fails_again(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker would wait until the pause after the last failure is over."""

    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no")

    lively(program)
    program.decide("alice", "withdrawn")
    owner.execute("UPDATE purpose_erasure SET attempts = 1000")
    with as_worker(), monkeypatch.context() as patched:
        patched.setattr(type(holder_of("consent.profile")), "erase_collected", fails)
        for which in ((), ("--program", program.id)):
            with pytest.raises(CommandError, match="1 erasures could not be done now"):
                run("purge", *which)
    assert owner.execute("SELECT not_before > now() + interval '1 minute' FROM purpose_erasure").fetchone() == (True,)
    with as_worker():
        assert as_json("purge")["left"] == 0
    assert owner.execute("SELECT count(*) FROM event").fetchone() == (0,)


def test_a_purge_needs_the_workers_login(program: Program) -> None:
    with pytest.raises(CommandError, match="ZHIQING_ROLE=worker"):
        run("purge")
