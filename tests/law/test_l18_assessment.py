"""L18 (PIPL 55): what is sensitive, shared, decided by a program or sent abroad is not active before it was assessed."""

from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from tests.cast import Program
from tests.consent.acts import act, refused, status
from tests.consent.notice_texts import ABROAD, RECIPIENT, REFERENCE, publish, text_with
from tests.consent.processing import mechanism
from tests.consent.retaining import over, purge
from tests.consent.rights import Working

PLAIN: dict[str, Any] = {"separate_consent": None, "sensitive": False}
AUTOMATED = PLAIN | {"methods": ["collection", "automated_decision"]}


@pytest.mark.parametrize(
    "needing", [{}, PLAIN | {"recipients": [RECIPIENT]}, AUTOMATED, {"separate_consent": "39", "recipients": [ABROAD]}]
)
def test_no_purpose_that_needs_an_assessment_is_active_without_one(program: Program, needing: dict[str, Any]) -> None:
    mechanism(program)
    publish(program, text_with(**needing))
    refused(program, act(program, ("health", "given")), 422, "purpose_inactive")
    with pytest.raises(CommandError, match="assessment_missing"):
        call_command("purpose", "activate", "--purpose=health", f"--program={program.id}")
    told = [f"--{name.replace('_', '-')}={value}" for name, value in REFERENCE.items()]
    call_command("purpose", "assess", "--purpose=health", f"--program={program.id}", *told)
    call_command("purpose", "activate", "--purpose=health", f"--program={program.id}")
    program.decide("alice", purpose="health")
    assert status(program, "alice", "health")["allowed"]


def test_an_assessment_is_never_changed_and_stays_for_three_years(program: Program, owner: psycopg.Connection) -> None:
    publish(program, text_with(assessment=REFERENCE))
    for login in ("zq_app", "zq_ingest", "zq_erase", "zq_ops"):
        for right in ("UPDATE", "DELETE", "TRUNCATE"):
            asked = owner.execute("SELECT has_table_privilege(%s, 'impact_assessment', %s)", [login, right])
            assert asked.fetchone() == ((login, right) == ("zq_erase", "DELETE"),), (login, right)


def test_an_assessment_goes_three_years_after_its_purpose_ended(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    publish(program, text_with(assessment=REFERENCE))
    owner.execute("UPDATE impact_assessment SET created_at = now() - interval '5 years'")
    held = owner.execute("SELECT count(*) FROM impact_assessment WHERE program_id = %s", [program.id]).fetchone()
    assert held is not None
    end = "UPDATE purpose SET active = false, ended_at = now() - %s::interval WHERE code = 'health'"
    owner.execute(end, ["3 years -1 day"])
    purge(program, as_worker)
    after = "SELECT count(*) FROM impact_assessment WHERE program_id = %s"
    assert owner.execute(after, [program.id]).fetchone() == held
    owner.execute(end, ["3 years 1 day"])
    assert [(item.table, item.rows) for item in over(program)] == [("impact_assessment", 1)]
    purge(program, as_worker)
    assert owner.execute(after, [program.id]).fetchone() == (held[0] - 1,)
