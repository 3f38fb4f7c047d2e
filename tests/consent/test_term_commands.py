"""`manage.py processor` and `manage.py mechanism`: what the admin does to a term, done by an operator."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError

from tests.cast import Program, now
from tests.consent.notice_texts import ABROAD, REFERENCE, publish, text_with
from tests.consent.processing import MECHANISM, PROCESSOR, mechanism, processor
from tests.consent.test_commands import as_json, run

TODAY, DAY = now().date(), timedelta(days=1)
CLOUD = {
    "name": "Cloud Ltd", "contact": "dpo@cloud.example", "categories": "behaviour", "method": "storage",
    "measures": "encryption at rest", "contract": "C-2026-7", "purposes": "analytics", "from": TODAY - 30 * DAY,
}  # fmt: skip
PARTNER = {"kind": "standard_contract", "recipient": "Partner Ltd", "reference": "SCC-1", "purposes": "abroad"} | {
    "from": TODAY - 30 * DAY
}


def flags(given: dict[str, Any]) -> list[str]:
    return [f"--{name}={value}" for name, value in given.items()]


def logged(owner: psycopg.Connection) -> list[Any]:
    return owner.execute(
        "SELECT actor, action, details -> 'fields' FROM audit_entry"
        " WHERE action ~ '^(processor|mechanism)[.]' ORDER BY id"
    ).fetchall()


def test_a_processor_is_added_changed_ended_and_listed(program: Program, owner: psycopg.Connection) -> None:
    own = ("--program", program.id)
    assert as_json("processor", "list", *own) == {"program": program.id, "processors": []}
    added = as_json("processor", "add", *own, *flags(CLOUD))
    assert added == {
        "program": program.id, "changed": True, "active_purposes": ["analytics"], "unknown": [],
        "processor": {
            "number": added["processor"]["number"], "standing": "valid", "name": "Cloud Ltd",
            "contact": "dpo@cloud.example", "categories": ["behaviour"], "method": "storage",
            "measures": "encryption at rest", "contract": "C-2026-7", "purposes": ["analytics"],
            "from": (TODAY - 30 * DAY).isoformat(), "until": None,
        },
    }  # fmt: skip
    one = (*own, "--number", added["processor"]["number"])
    changed = as_json("processor", "change", *one, "--contract=C-8", f"--until={TODAY + 9 * DAY}")
    assert changed["changed"] and changed["processor"] == added["processor"] | {
        "contract": "C-8", "until": (TODAY + 9 * DAY).isoformat(), "standing": "ending",
    }  # fmt: skip
    assert not as_json("processor", "change", *one, "--contract=C-8")["changed"]
    assert as_json("processor", "change", *one, "--until=open")["processor"]["until"] is None
    ended = as_json("processor", "end", *one, f"--until={TODAY - 2 * DAY}")
    assert ended["processor"]["standing"] == "ended"
    assert as_json("processor", "list", *own)["processors"] == [ended["processor"]]
    out, err = run("processor", "list", *own)
    assert (
        out.split() == [str(one[-1]), "ended", "Cloud", "Ltd", "until", str(TODAY - 2 * DAY), "analytics"] and not err
    )
    assert logged(owner) == [
        ("operator", "processor.added", sorted(PROCESSOR)),
        ("operator", "processor.changed", ["contract", "valid_until"]),
        ("operator", "processor.changed", ["valid_until"]),
        ("operator", "processor.changed", ["valid_until"]),
    ]


@pytest.mark.parametrize("name", ["processor", "mechanism"])
def test_what_ended_before_is_not_ended_anew(program: Program, owner: psycopg.Connection, name: str) -> None:
    until = TODAY - 9 * DAY
    row = (processor if name == "processor" else mechanism)(program, valid_until=until)
    one, before = ("--program", program.id, "--number", row.pk), logged(owner)
    told = as_json(name, "end", *one)
    assert (told["changed"], told[name]["until"]) == (False, until.isoformat())
    assert "nothing was changed" in run(name, "end", *one)[1]
    assert logged(owner) == before
    corrected = as_json(name, "end", *one, f"--until={TODAY - 2 * DAY}")
    assert (corrected["changed"], corrected[name]["until"]) == (True, (TODAY - 2 * DAY).isoformat())


def test_a_mechanism_is_added_and_ended_and_what_lacks_one_is_told(program: Program) -> None:
    own, lacking = ("--program", program.id), {"abroad": ["Partner Ltd"]}
    added = as_json("mechanism", "add", *own, *flags(PARTNER))
    assert (added["unknown"], added["unlet"], added["active_purposes"]) == (["abroad", "Partner Ltd"], {}, [])
    publish(program, text_with("abroad", separate_consent="39", recipients=[ABROAD], assessment=REFERENCE))
    one = (*own, "--number", added["mechanism"]["number"])
    until_today = as_json("mechanism", "end", *one)
    assert until_today["mechanism"]["until"] == as_json("mechanism", "list", *own)["mechanisms"][0]["until"]
    assert (until_today["unlet"], until_today["unknown"], until_today["active_purposes"]) == ({}, [], ["abroad"])
    assert as_json("mechanism", "end", *one, f"--until={TODAY - 2 * DAY}")["unlet"] == lacking
    assert as_json("mechanism", "list", *own)["unlet"] == lacking
    out, _ = run("mechanism", "list", *own)
    assert "abroad is active, and no mechanism is valid today for Partner Ltd" in out


def test_a_dry_run_is_refused_as_it_would_be_and_changes_nothing(program: Program, owner: psycopg.Connection) -> None:
    own = ("--program", program.id)
    row = mechanism(program, "abroad", valid_until=None)
    publish(program, text_with("abroad", separate_consent="39", recipients=[ABROAD], assessment=REFERENCE))
    before = owner.execute("SELECT * FROM mechanism").fetchall(), logged(owner)
    would = as_json("mechanism", "end", *own, "--number", row.pk, f"--until={TODAY - 2 * DAY}", "--dry-run")
    assert (would["changed"], would["unlet"]) == (False, {"abroad": ["Partner Ltd"]})
    assert as_json("mechanism", "add", *own, *flags(PARTNER), "--dry-run")["mechanism"]["number"] is None
    _, err = run("mechanism", "change", *own, "--number", row.pk, "--reference=SCC-2", "--dry-run")
    assert "nothing was changed" in err
    with pytest.raises(CommandError, match="until_before_from"):
        run("mechanism", "end", *own, "--number", row.pk, "--until=2020-01-01", "--dry-run")
    assert (owner.execute("SELECT * FROM mechanism").fetchall(), logged(owner)) == before


WRONG: dict[str, tuple[str, str, dict[str, Any]]] = {
    "until_before_from": ("processor", "add", CLOUD | {"until": TODAY - 31 * DAY}),
    "missing_purpose": ("processor", "add", CLOUD | {"purposes": ","}),
    "missing_category": ("processor", "add", CLOUD | {"categories": " "}),
    "give measures in 1 to 4000 characters": ("processor", "add", CLOUD | {"measures": " "}),
    "give name in 1 to 200 characters": ("processor", "add", CLOUD | {"name": "x" * 201}),
    "give --contract, --from with add": (
        "processor", "add", {name: value for name, value in CLOUD.items() if name not in ("contract", "from")},
    ),
    "missing_reference": ("mechanism", "add", PARTNER | {"reference": ""}),
    "missing_ground": ("mechanism", "add", PARTNER | {"kind": "exemption"}),
    "give --number with change and end": ("mechanism", "end", {}),
    "list takes --program alone": ("processor", "list", {"name": "Cloud Ltd"}),
    "end takes the last day": ("processor", "end", {"number": 1, "name": "Cloud Ltd"}),
    "none of this number": ("processor", "end", {"number": 2**63}),
    "none of this number: list": ("processor", "change", {"number": 1, "name": "Cloud Ltd"}),
    "invalid choice": ("mechanism", "add", PARTNER | {"kind": "friendship"}),
    "write a date, 2026-10-01, or open": ("mechanism", "add", PARTNER | {"until": "tomorrow"}),
}  # fmt: skip


@pytest.mark.parametrize("told", WRONG)
def test_what_cannot_be_is_refused(program: Program, owner: psycopg.Connection, told: str) -> None:
    name, action, given = WRONG[told]
    with pytest.raises(CommandError, match=told):
        run(name, action, "--program", program.id, *flags(given))
    assert logged(owner) == []


def test_another_mini_programs_is_not_there(program: Program, other: Program) -> None:
    for name, row in (("processor", processor(other)), ("mechanism", mechanism(other))):
        assert as_json(name, "list", "--program", program.id)[f"{name}s"] == []
        with pytest.raises(CommandError, match="none of this number"):
            run(name, "end", "--program", program.id, "--number", row.pk)


def test_what_is_left_out_stays_as_it_is(program: Program, owner: psycopg.Connection) -> None:
    row = mechanism(program, kind="exemption", reference="", ground="a contract with the person needs it")
    run("mechanism", "change", "--program", program.id, "--number", row.pk, "--purposes=health,analytics")
    kept = owner.execute("SELECT kind, ground, recipient, purposes, valid_from FROM mechanism").fetchone()
    assert kept == (
        "exemption", "a contract with the person needs it", "Partner Ltd", ["analytics", "health"], MECHANISM["valid_from"],
    )  # fmt: skip
