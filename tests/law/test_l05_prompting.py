"""L5 (Network Data Security Management Regulations 22): whoever refused is not asked again for a while."""

from datetime import timedelta

import psycopg
import pytest
from django.conf import LazySettings

from tests.cast import Program
from tests.consent.acts import status


@pytest.mark.parametrize("decision", ["refused", "withdrawn"])
def test_after_a_no_nobody_asks_for_thirty_days(
    program: Program, owner: psycopg.Connection, settings: LazySettings, decision: str
) -> None:
    assert timedelta(days=30) == settings.ZHIQING_PROMPT_COOLDOWN
    assert status(program, "alice")["may_prompt"]
    program.decide("alice")
    program.decide("alice", decision)
    assert not status(program, "alice")["may_prompt"]
    for days, may_prompt in ((29, False), (31, True)):
        owner.execute("UPDATE consent_state SET barrier_at = now() - %s", [timedelta(days=days)])
        assert status(program, "alice")["may_prompt"] is may_prompt


def test_the_cool_down_is_a_setting(program: Program, settings: LazySettings) -> None:
    settings.ZHIQING_PROMPT_COOLDOWN = timedelta(0)
    program.decide("alice", "refused")
    assert status(program, "alice")["may_prompt"]
