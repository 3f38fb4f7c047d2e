"""Consents to several versions of a notice, of which some are not yet in force: each counts in its own time."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg

from consent.notices.actions import publish_notice
from tests.cast import AT_ONCE, Program, event, example_notice, now
from tests.consent.acts import code, guarded, minors_notice, status
from tests.consent.rights import Working, carry_out, file, package_of, sections

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WIDER: list[Any] = ["collection", "storage", "aggregation", "profiling"]
"""Methods beyond those of the example: a version with them ends the consents to what came before."""


def publish(program: Program, effective_at: datetime | None = None, **told: Any) -> str:
    """A version that tells of analytics what is given; its sha256."""
    text = example_notice()
    purposes = [
        msgspec.structs.replace(purpose, **told) if purpose.code == "analytics" else purpose
        for purpose in text.purposes
    ]
    text = msgspec.structs.replace(text, purposes=purposes)
    made = publish_notice(
        program_id=program.id, text=text, effective_at=effective_at, lead=AT_ONCE, by="test", now=now()
    )
    return made.sha256


def takes_effect(owner: psycopg.Connection, notice: str) -> None:
    """The version takes effect now: everything that hangs on its time is moved there."""
    owner.execute(
        "WITH moved AS (UPDATE notice SET effective_at = now() WHERE sha256 = %s RETURNING id)"
        " UPDATE consent_record SET authorises_from = now() FROM moved WHERE notice_id = moved.id",
        [notice],
    )


def named(owner: psycopg.Connection) -> list[tuple[str, int]]:
    """Event ids with the version of the notice consented to in the record that authorises them."""
    return owner.execute(
        "SELECT e.event_id, n.version FROM event e JOIN consent_record r ON r.id = e.consent_record_id"
        " JOIN notice n ON n.id = r.notice_id ORDER BY 1"
    ).fetchall()


def test_consent_to_the_version_in_force_counts_after_one_to_a_version_to_come(
    program: Program, owner: psycopg.Connection
) -> None:
    later = publish(program, now() + 5 * DAY)
    program.decide("alice", notice=later)
    assert (code(program, "e1"), status(program, "alice")["allowed"]) == ("outside_consent", False)
    assert program.decide("alice")["records"][0]["state"] == "given"
    assert (code(program, "e2"), status(program, "alice")["allowed"]) == (None, True)
    assert status(program, "alice")["notice"] == program.notice
    takes_effect(owner, later)
    assert (code(program, "e3"), status(program, "alice")["notice"]) == (None, later)
    assert named(owner) == [("e2", 1), ("e3", 2)]


def test_consent_to_a_superseded_version_leaves_the_grant_as_it_is(program: Program, owner: psycopg.Connection) -> None:
    wider = publish(program, methods=WIDER)
    program.decide("alice", notice=wider)
    assert program.decide("alice")["records"][0]["state"] == "given"
    assert (code(program, "e1"), status(program, "alice")["renewal_required"]) == (None, False)
    assert named(owner) == [("e1", 2)]
    assert program.decide("bob")["records"][0]["state"] == "unknown"
    assert program.send(event("bob", "e2"))["results"][0]["code"] == "consent_missing"


def test_consent_to_a_version_to_come_leaves_a_grant_that_ends_before(
    program: Program, owner: psycopg.Connection
) -> None:
    later = publish(program, now() + 5 * DAY)
    program.decide("alice")
    owner.execute("UPDATE consent_state SET grant_until = now() + interval '3 days'")
    program.decide("alice", notice=later)
    assert (code(program, "e1"), status(program, "alice")["notice"]) == (None, program.notice)
    assert status(program, "alice")["expires_at"] < (now() + 4 * DAY).isoformat()
    # After the gap a new grant begins with the version to come; nothing reaches back into the gap.
    owner.execute(
        "UPDATE consent_state SET grant_until = now() - interval '1 hour', grant_from = now() - interval '9 d'"
    )
    assert code(program, "e2") == "consent_expired"
    takes_effect(owner, later)
    assert (code(program, "e3"), code(program, "e4", at=now() - HOUR / 2)) == (None, "outside_consent")


def test_of_several_versions_to_come_each_is_in_force_from_its_own_time(
    program: Program, owner: psycopg.Connection
) -> None:
    second = publish(program, now() + 2 * DAY, methods=WIDER)
    third = publish(program, now() + 4 * DAY)
    for notice in (third, program.notice, second):
        program.decide("alice", notice=notice)
    for event_id, comes in (("e1", None), ("e2", second), ("e3", third)):
        if comes is not None:
            takes_effect(owner, comes)
        assert code(program, event_id) is None
    assert named(owner) == [("e1", 1), ("e2", 2), ("e3", 3)]


def test_a_withdrawal_ends_what_is_to_come_too(program: Program, owner: psycopg.Connection) -> None:
    later = publish(program, now() + DAY)
    program.decide("alice")
    program.decide("alice", notice=later)
    program.decide("alice", "withdrawn")
    takes_effect(owner, later)
    assert code(program, "e1") == "consent_withdrawn"


def test_what_is_to_come_waits_for_a_guardian_like_what_is(program: Program, owner: psycopg.Connection) -> None:
    later = publish(program, now() + DAY)
    program.decide("alice")
    program.decide("alice", notice=later)
    program.decide("alice", "refused", "personalisation", age_band="under_14")
    program.decide("alice", **guarded(minors_notice(program)))
    takes_effect(owner, later)
    assert code(program, "e1") is None
    assert named(owner) == [("e1", 1)]


def test_profile_attributes_wait_for_the_version_too(program: Program, owner: psycopg.Connection) -> None:
    later = publish(program, now() + DAY)
    program.decide("alice", purpose="personalisation", notice=later)
    body = {"subject": {"openid": "alice"}, "attributes": {"nickname": "a"}}
    assert program.call("PUT", "profile", body).status_code == 422
    takes_effect(owner, later)
    owner.execute("UPDATE consent_state SET record_from = now(), grant_from = now()")
    assert program.call("PUT", "profile", body).status_code == 200


def test_a_package_tells_of_the_version_that_has_come(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Nothing has written the state since: what was pending is in force all the same."""
    later = publish(program, now() + DAY, retention_days=30)
    program.decide("alice")
    program.decide("alice", notice=later)
    takes_effect(owner, later)
    filed = file(program, "access")
    carry_out(program, as_worker, filed)
    (state,) = sections(package_of(program, filed))["states"]
    assert (state["notice"], state["state"]) == (later, status(program, "alice")["state"])
    assert state["told"]["en"]["retention_days"] == 30


def test_what_was_pending_begins_nothing_where_consent_has_ended(program: Program, owner: psycopg.Connection) -> None:
    """A process of the release before ends a consent and leaves what is pending, of which it knows nothing."""
    program.decide("alice")
    publish(program, methods=WIDER)
    later = publish(program, now() + DAY)
    program.decide("alice", notice=later)
    owner.execute(
        "UPDATE consent_state SET state = 'withdrawn', barrier_at = now(), record_from = NULL, grant_from = NULL,"
        " grant_until = NULL"
    )
    takes_effect(owner, later)
    assert code(program, "e1") == "consent_withdrawn"
    assert status(program, "alice")["state"] == "withdrawn"
