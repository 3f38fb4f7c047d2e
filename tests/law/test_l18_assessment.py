"""L18 (PIPL 55): what is sensitive, shared, decided by a program or sent abroad is not active before it was assessed."""

from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from tests.cast import Program
from tests.consent.acts import act, refused, status
from tests.consent.notice_texts import ABROAD, RECIPIENT, REFERENCE, publish, text_with

PLAIN: dict[str, Any] = {"separate_consent": None, "sensitive": False}
AUTOMATED = PLAIN | {"methods": ["collection", "automated_decision"]}


@pytest.mark.parametrize(
    "needing", [{}, PLAIN | {"recipients": [RECIPIENT]}, AUTOMATED, {"separate_consent": "39", "recipients": [ABROAD]}]
)
def test_no_purpose_that_needs_an_assessment_is_active_without_one(program: Program, needing: dict[str, Any]) -> None:
    publish(program, text_with(**needing))
    refused(program, act(program, ("health", "given")), 422, "purpose_inactive")
    with pytest.raises(CommandError, match="assessment_missing"):
        call_command("purpose", "activate", "--purpose=health", f"--program={program.id}")
    told = [f"--{name.replace('_', '-')}={value}" for name, value in REFERENCE.items()]
    call_command("purpose", "assess", "--purpose=health", f"--program={program.id}", *told)
    call_command("purpose", "activate", "--purpose=health", f"--program={program.id}")
    program.decide("alice", purpose="health")
    assert status(program, "alice", "health")["allowed"]


def test_an_assessment_is_neither_changed_nor_deleted(program: Program, owner: psycopg.Connection) -> None:
    publish(program, text_with(assessment=REFERENCE))
    for login in ("zq_app", "zq_ingest", "zq_erase", "zq_ops"):
        for right in ("UPDATE", "DELETE", "TRUNCATE"):
            asked = owner.execute("SELECT has_table_privilege(%s, 'impact_assessment', %s)", [login, right])
            assert asked.fetchone() == (False,), (login, right)
