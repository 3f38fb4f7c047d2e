"""L9 (PIPL 28, 31): under fourteen only a guardian's separate consent under the minors' notice counts, until fourteen."""

from datetime import timedelta

import psycopg

from consent.records import tasks
from tests.cast import Program, now
from tests.consent.acts import act, code, guarded, minors_notice, refused, status
from tests.consent.rights import Working


def test_only_a_guardians_separate_consent_under_the_minors_notice_authorises(program: Program) -> None:
    minors = minors_notice(program)
    refused(program, act(program, ("analytics", "given"), age_band="under_14"), 422, "minor_notice_required")
    bundle = act(program, ("analytics", "given"), **guarded(minors, act="bundled"))
    refused(program, bundle, 422, "separate_consent_required")
    program.decide("alice", notice=minors, age_band="under_14")
    assert code(program, "e1") == "guardian_required"
    program.decide("alice", **guarded(minors))
    assert code(program, "e2") is None


def test_turning_fourteen_asks_anew_and_ends_what_the_guardian_consented_to(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    birthday = (now() + timedelta(days=5)).date()
    program.decide("alice", **guarded(minors_notice(program), turns_14_on=birthday.isoformat()))
    assert code(program, "e1") is None
    assert status(program, "alice")["expires_at"] < birthday.isoformat(), "the day begins sooner in the east"
    owner.execute("UPDATE consent_state SET grant_until = now() - interval '3 days'")
    assert code(program, "e2") == "consent_expired", "the gate needs no task for it"
    owner.execute("UPDATE subject SET turns_14_on = current_date - 2")
    with as_worker():
        tasks.come_of_age()
    found = status(program, "alice")
    assert (found["state"], found["allowed"], found["may_prompt"]) == ("expired", False, True)
    assert owner.execute("SELECT state FROM consent_record ORDER BY version DESC LIMIT 1").fetchone() == ("expired",)
    program.decide("alice")
    assert code(program, "e3") is None
