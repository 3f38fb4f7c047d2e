"""Under fourteen: what authorises, and what the day of turning 14 ends."""

from datetime import UTC, date, datetime, time, timedelta

import psycopg
import pytest
from celery import current_app

from consent.ledger.audit import audit
from consent.programs.tenancy import tenant
from consent.records import coming_of_age, tasks
from consent.records.grants import begins, begun_everywhere, until_14
from consent.records.models import ConsentRecord
from consent.records.queries import earlier_records
from tests.cast import Program, event, now
from tests.consent.acts import GUARDIAN, act, code, guarded, minors_notice, refused, status
from tests.consent.retaining import erase_due, events
from tests.consent.rights import Working, lively
from tests.consent.signed import said
from tests.stack import manage

STATES = "SELECT state, guardian_pending, pending FROM consent_state ORDER BY purpose_id"


def turn_14(owner: psycopg.Connection, days_ago: int = 2) -> None:
    """The birthday of everybody under 14 was so long ago, and what was given before it has ended."""
    owner.execute("UPDATE subject SET turns_14_on = current_date - %s WHERE under_14", [days_ago])
    owner.execute("UPDATE consent_state SET grant_until = now() - %s * interval '1 day'", [days_ago])


def test_only_a_guardians_grant_authorises(program: Program) -> None:
    minors = minors_notice(program)
    program.decide("alice")
    program.decide("alice", "given", "personalisation", notice=minors, age_band="under_14")
    assert code(program, "e1") == "guardian_required"
    program.decide("alice", "refused", "personalisation", **guarded(minors))
    assert code(program, "e2") == "guardian_required"
    before = now()
    program.decide("alice", **guarded(minors))
    assert code(program, "e3") is None
    assert code(program, "e4", at=before) == "outside_consent"
    program.decide("alice", "given", "personalisation", notice=minors)
    assert code(program, "e5") is None


def test_a_childs_consent_is_an_act_of_its_own_under_the_minors_notice(program: Program) -> None:
    minors = minors_notice(program)
    both = [("analytics", "given"), ("personalisation", "given")]
    refused(program, act(program, *both, **guarded(minors, act="bundled")), 422, "separate_consent_required")
    refused(program, act(program, *both, **guarded(minors)), 422, "separate_consent_required", "/decisions/0/purpose")
    refused(program, act(program, both[0], **guarded(minors, act="bundled")), 422, "separate_consent_required")
    general = guarded(program.notice)
    refused(program, act(program, both[0], **general), 422, "minor_notice_required", "/notice")
    assert program.decide("alice", **guarded(minors))["records"][0]["state"] == "given"
    # Known to be a child from then on, whatever the act leaves out.
    refused(program, act(program, both[1]), 422, "minor_notice_required", "/notice")
    assert program.post("consents", act(program, *[(name, "refused") for name, _ in both])).status_code == 201


def test_a_birthday_to_come_says_under_fourteen_whatever_the_band(program: Program) -> None:
    birthday = (now() + timedelta(days=5)).date().isoformat()
    minors = minors_notice(program)
    for band in ("adult", "unknown"):
        told = {"age_band": band, "turns_14_on": birthday}
        refused(program, act(program, ("analytics", "given"), **told), 422, "minor_notice_required")
        program.decide(band, notice=minors, **told)
        assert program.send(event(band, "e1"))["results"][0]["code"] == "guardian_required"


def test_turning_fourteen_ends_the_grant_and_a_later_act_does_not_forget_it(
    program: Program, owner: psycopg.Connection
) -> None:
    minors, birthday = minors_notice(program), (now() + timedelta(days=5)).date()
    program.decide("alice", **guarded(minors, turns_14_on=birthday.isoformat()))
    first = status(program, "alice")["expires_at"]
    program.decide("alice", **guarded(minors))
    assert status(program, "alice")["expires_at"] == first
    assert first < (now() + timedelta(days=6)).isoformat()
    owner.execute("UPDATE subject SET turns_14_on = current_date - 2")
    assert program.decide("alice")["records"][0]["state"] == "given", "begun anew, not renewed"
    assert code(program, "e1") is None


def test_a_birthday_told_later_ends_what_was_given_before(program: Program) -> None:
    birthday = (now() + timedelta(days=5)).date()
    program.decide("alice", **guarded(minors_notice(program)))
    later = minors_notice(program, effective_at=now() + timedelta(days=1))
    program.decide("alice", **guarded(later))
    program.decide("alice", "refused", "personalisation", turns_14_on=birthday.isoformat())
    assert status(program, "alice")["expires_at"] < (now() + timedelta(days=6)).isoformat()


def test_where_the_day_has_begun_somewhere_and_not_everywhere_no_consent_counts() -> None:
    day = date(2026, 11, 26)
    midnight = datetime.combine(day, time.min, UTC)
    first, last = begins(day), begun_everywhere(day)
    assert (first, last) == (midnight - timedelta(hours=14), midnight + timedelta(hours=12))
    second = timedelta(seconds=1)
    assert until_14(None, first - second, day) == first
    assert until_14(first - second, first - 2 * second, day) == first - second
    assert until_14(None, first, day) == until_14(None, last - second, day) == first, "over before it begins"
    assert until_14(None, last, day) is None
    assert until_14(last + second, last, day) == last + second


def around_now() -> date:
    """A day that has begun in one part of the world and not in another."""
    return (now() + timedelta(hours=12)).date()


def test_while_a_birthday_begins_nobody_can_consent_and_is_told_from_when(
    program: Program, owner: psycopg.Connection
) -> None:
    minors, day = minors_notice(program), around_now()
    told = {"turns_14_on": day.isoformat()}
    for more in (guarded(minors, **told), told, told | {"age_band": "adult"}):
        response = program.post("consents", act(program, ("analytics", "given"), **more))
        problem = response.json()
        assert (response.status_code, problem["code"]) == (422, "turning_14")
        (error,) = problem["errors"]
        assert error["pointer"] == "/decisions/0/decision"
        assert f"from {day.isoformat()}T12:00:00+00:00 on" in error["detail"]
    assert owner.execute("SELECT count(*) FROM consent_record").fetchone() == (0,)
    program.decide("alice", "refused", **told)


def test_while_a_birthday_begins_nobody_is_to_be_asked(program: Program, owner: psycopg.Connection) -> None:
    minors = minors_notice(program)
    program.decide("alice", "deferred", **guarded(minors))

    def asked(day: date) -> list[bool]:
        owner.execute("UPDATE subject SET turns_14_on = %s", [day])
        return [one["may_prompt"] for one in program.post("consents/status", {"subject": {"openid": "alice"}}).json()]

    assert asked(around_now() + timedelta(days=2)) == [True] * 3
    assert asked(around_now()) == [False] * 3, "of no purpose, asked for before or not"
    assert asked(around_now() - timedelta(days=2)) == [True] * 3


def test_a_childs_own_consent_authorises_nothing_wherever_it_is_told(program: Program) -> None:
    minors = minors_notice(program)
    answer = program.decide("alice", notice=minors, age_band="under_14")
    assert answer["records"][0]["state"] == "given"
    assert code(program, "e1") == "guardian_required"
    (shown,) = program.post("consents/history", {"subject": {"openid": "alice"}}).json()["results"]
    assert (shown["authorises_from"], shown["authorises_until"]) == (None, None)
    told = said(answer["records"][0]["receipt"])
    assert (told["authorises_from"], told["authorises_until"]) == (None, None)
    program.decide("alice", **guarded(minors))
    with tenant(program.id):
        child, guardians = ConsentRecord.objects.order_by("version")
        (named,) = earlier_records([(guardians.subject_id, guardians.purpose_id)])
    assert (child.authorises_from, named.record_id) == (None, guardians.id)
    assert code(program, "e2") is None


def test_a_childs_own_consent_to_a_notice_to_come_is_not_in_force_when_its_day_comes(
    program: Program, owner: psycopg.Connection
) -> None:
    minors = minors_notice(program)
    program.decide("alice", **guarded(minors))
    later = minors_notice(program, effective_at=now() + timedelta(days=1))
    program.decide("alice", notice=later, age_band="under_14")
    assert owner.execute("SELECT pending FROM consent_state").fetchall() == [([],)]
    program.decide("alice", **guarded(later))
    assert owner.execute("SELECT cardinality(pending) FROM consent_state").fetchall() == [(1,)]
    program.decide("alice", notice=later, age_band="under_14")
    assert owner.execute("SELECT cardinality(pending) FROM consent_state").fetchall() == [(1,)], "the guardian's"
    assert code(program, "e1") is None


@pytest.mark.parametrize("decision", ["refused", "withdrawn"])
def test_a_childs_own_consent_leaves_the_guardians_as_it_is_and_a_childs_no_ends_it(
    program: Program, owner: psycopg.Connection, decision: str
) -> None:
    """PIPL 31: the guardian consents. What the child says is kept; it closes the gate if it is a no."""
    minors = minors_notice(program)
    program.decide("alice", **guarded(minors))
    grant = "SELECT state, record_id, grant_from, grant_until, guardian_pending FROM consent_state"
    (before,) = owner.execute(grant).fetchall()
    answer = program.decide("alice", notice=minors, age_band="under_14")
    assert answer["records"][0]["state"] == "given"
    told = said(answer["records"][0]["receipt"])
    assert (told["authorises_from"], told["authorises_until"]) == (None, None)
    assert owner.execute(grant).fetchall() == [before]
    assert owner.execute("SELECT count(*) FROM consent_record").fetchone() == (2,)
    assert code(program, "e1") is None
    program.decide("alice", decision, age_band="under_14")
    assert code(program, "e2") == f"consent_{decision}"
    program.decide("alice", notice=minors, age_band="under_14")
    assert code(program, "e3") == "guardian_required"
    program.decide("alice", **guarded(minors))
    assert code(program, "e4") is None


@pytest.mark.parametrize(
    "age", [{}, {"age_band": "adult"}, {"age_band": "14_17"}, {"turns_14_on": "2020-02-29"}], ids=str
)
def test_nobody_else_consents_under_the_minors_notice(program: Program, age: dict[str, str]) -> None:
    minors = minors_notice(program)
    refused(
        program, act(program, ("analytics", "given"), notice=minors, **age), 422, "general_notice_required", "/notice"
    )
    assert program.decide("alice", "refused", notice=minors, **age)["records"][0]["state"] == "refused"
    program.decide("alice", **age)
    assert code(program, "e1") is None


def test_an_age_that_contradicts_the_birthday_is_refused_unless_it_says_no(
    program: Program, owner: psycopg.Connection
) -> None:
    minors = minors_notice(program)
    past = {"turns_14_on": (now() - timedelta(days=2)).date().isoformat()}
    given = ("analytics", "given")
    refused(program, act(program, given, **guarded(minors, **past)), 422, "age_contradicted", "/age_band")
    refused(program, act(program, ("analytics", "deferred"), age_band="under_14", **past), 422, "age_contradicted")
    program.decide("alice", **past)
    program.decide("alice", "given", "personalisation")
    # The birthday that was told before counts as well; who says no is heard whatever they say of the age.
    refused(program, act(program, given, **guarded(minors)), 422, "age_contradicted", "/age_band")
    program.decide("alice", "withdrawn", "personalisation", age_band="under_14")
    assert owner.execute("SELECT under_14 FROM subject").fetchone() == (False,)
    assert code(program, "e1") is None
    # A birthday put right.
    coming = (now() + timedelta(days=400)).date().isoformat()
    program.decide("alice", **guarded(minors, turns_14_on=coming))
    assert status(program, "alice")["allowed"]


@pytest.mark.parametrize(
    "more", [{"age_band": "under_14"}, {"turns_14_on": "2099-01-01"}], ids=lambda more: next(iter(more))
)
def test_what_was_collected_before_the_age_was_known_goes_at_once(
    program: Program, owner: psycopg.Connection, as_worker: Working, more: dict[str, str]
) -> None:
    """Whoever consents then: the guardian's consent is to what follows. No other purpose of the child's keeps an attribute."""
    lively(program)
    lively(program, "bob")
    minors = minors_notice(program)
    program.decide("alice", "refused", "precise_location", **more)
    assert owner.execute(
        "SELECT p.code, e.version, e.kept_days FROM purpose_erasure e JOIN purpose p ON p.id = e.purpose_id ORDER BY p.code"
    ).fetchall() == [("analytics", 4, None), ("personalisation", 4, None)]
    program.decide("alice", **guarded(minors))
    assert code(program, "anew") is None
    assert erase_due(as_worker) == (2, 8), "six events, two attributes"
    assert events(owner) == ["anew", *(f"bob-{n}" for n in range(6))]
    assert owner.execute("SELECT count(*) FROM profile_attribute").fetchone() == (2,), "bob's"


def test_the_act_that_tells_the_age_may_be_the_guardians_or_a_withdrawal(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Each purpose is owed once, though that act itself ends one, or agrees to a shorter retention."""
    minors = minors_notice(program)
    for openid in ("alice", "bob"):
        program.decide(openid)
        program.send(event(openid, openid))
    program.decide("alice", **guarded(minors))
    program.decide("bob", "withdrawn", age_band="under_14")
    assert code(program, "anew") is None
    assert owner.execute("SELECT version, kept_days FROM purpose_erasure").fetchall() == [(2, None)] * 2
    assert erase_due(as_worker) == (2, 2)
    assert events(owner) == ["anew"]


def _days_ago(days: int) -> str:
    return (now() - timedelta(days=days)).isoformat()


def test_a_birthday_that_is_told_when_it_is_over_ends_what_a_child_gave_alone(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """What they gave since they turned fourteen stands."""
    program.decide("alice", method="import", occurred_at=_days_ago(10))
    program.decide("alice", "given", "personalisation")
    program.send(event("alice", "alone"))
    birthday = (now() - timedelta(days=3)).date().isoformat()
    for _ in range(2):
        program.decide("alice", "refused", "precise_location", turns_14_on=birthday)
        found = status(program, "alice")
        assert (found["state"], found["allowed"], found["may_prompt"]) == ("invalidated", False, True)
        assert status(program, "alice", "personalisation")["allowed"]
        assert owner.execute("SELECT kept_days FROM purpose_erasure").fetchall() == [(None,)]
    program.decide("alice")
    assert code(program, "anew") is None
    assert erase_due(as_worker) == (1, 1)
    assert events(owner) == ["anew"]


@pytest.mark.parametrize("lapsed", [False, True])
def test_of_what_they_renewed_since_only_what_came_before_goes(
    program: Program, owner: psycopg.Connection, as_worker: Working, lapsed: bool
) -> None:
    """Up to the first consent since, also where the one before had run out by then."""
    program.decide("alice", method="import", occurred_at=_days_ago(10))
    program.send(event("alice", "alone"))
    if lapsed:
        owner.execute("UPDATE consent_state SET grant_until = now() - interval '1 second'")
    assert program.decide("alice")["records"][0]["state"] == ("given" if lapsed else "renewed")
    program.send(event("alice", "since"))
    assert program.decide("alice")["records"][0]["state"] == "renewed"
    program.send(event("alice", "later"))
    birthday = (now() - timedelta(days=3)).date().isoformat()
    program.decide("alice", "refused", "precise_location", turns_14_on=birthday)
    assert status(program, "alice")["allowed"]
    assert owner.execute(
        "SELECT s.grant_from = r.authorises_from FROM consent_state s"
        " JOIN consent_record r USING (subject_id, purpose_id) WHERE r.version = 2"
    ).fetchone() == (True,)
    assert erase_due(as_worker) == (1, 1)
    assert events(owner) == ["later", "since"]
    assert manage("verify_ledger")
    program.decide("alice", "refused", "precise_location", turns_14_on=birthday)
    assert owner.execute("SELECT count(*) FROM purpose_erasure WHERE done_at IS NULL").fetchone() == (0,), "told before"


def test_an_attribute_that_was_set_since_stays(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    program.decide("alice", "given", "personalisation", method="import", occurred_at=_days_ago(10))
    for name, value in (("nickname", "小艾"), ("city", "杭州")):
        if name == "city":
            program.decide("alice", "given", "personalisation")
        put = program.call("PUT", "profile", {"subject": {"openid": "alice"}, "attributes": {name: value}})
        assert put.status_code == 200, put.content
    birthday = (now() - timedelta(days=3)).date().isoformat()
    program.decide("alice", "refused", "precise_location", turns_14_on=birthday)
    assert erase_due(as_worker) == (1, 1)
    assert owner.execute("SELECT name FROM profile_attribute").fetchall() == [("city",)]


def test_a_guardian_who_consented_before_the_childs_own_last_tap_is_heard(program: Program) -> None:
    minors = minors_notice(program)
    at = now()
    program.decide("alice", notice=minors, age_band="under_14")
    program.decide("alice", occurred_at=at.isoformat(), **guarded(minors))
    assert code(program, "e1") is None


def test_a_guardian_who_is_yet_to_be_verified_is_none(program: Program) -> None:
    minors = minors_notice(program)
    later = GUARDIAN | {"verified_at": (now() + timedelta(minutes=5)).isoformat()}
    body = act(program, ("analytics", "given"), **guarded(minors, guardian=later))
    refused(program, body, 422, "in_the_future", "/guardian/verified_at")
    # By the sender's clock, where it says what that shows.
    ahead = {"sent_at": later["verified_at"], "occurred_at": later["verified_at"]}
    assert program.post("consents", body | ahead).status_code == 201


@pytest.mark.parametrize("decision", ["given", "withdrawn"])
def test_somebody_old_is_heard(program: Program, decision: str) -> None:
    program.decide("alice")
    program.decide("alice", decision, turns_14_on="1954-05-01")
    body = act(program, ("analytics", decision), turns_14_on="1899-05-01")
    refused(program, body, 422, "invalid", "/turns_14_on")


@pytest.mark.parametrize("by_task", [True, False])
def test_what_was_collected_without_a_guardian_is_owed_when_they_turn_fourteen(
    program: Program, owner: psycopg.Connection, as_worker: Working, by_task: bool
) -> None:
    """Whatever they consent to themselves on that day. What a guardian consented to is left to its retention."""
    lively(program)
    minors = minors_notice(program)
    program.decide("alice", "refused", "precise_location", age_band="under_14")
    program.decide("alice", "given", "personalisation", **guarded(minors))
    turn_14(owner)
    if by_task:
        with as_worker():
            tasks.come_of_age()
    program.decide("alice")
    owed = owner.execute(
        "SELECT p.code, e.kept_days, r.state, e.owed_from = r.received_at FROM purpose_erasure e"
        " JOIN purpose p ON p.id = e.purpose_id JOIN consent_record r USING (subject_id, purpose_id, version)"
        " WHERE r.state = 'invalidated'"
    ).fetchall()
    assert owed == [("analytics", None, "invalidated", True)]


@pytest.mark.parametrize("by_task", [True, False])
def test_who_turned_fourteen_and_withdraws_takes_along_what_the_guardian_allowed(
    program: Program, owner: psycopg.Connection, as_worker: Working, by_task: bool
) -> None:
    program.decide("alice", **guarded(minors_notice(program)))
    assert code(program, "e1") is None
    owner.execute("UPDATE subject SET turns_14_on = current_date")
    turn_14(owner)
    if by_task:
        with as_worker():
            tasks.come_of_age()
    program.decide("alice", "withdrawn", age_band="14_17")
    assert owner.execute("SELECT kept_days FROM purpose_erasure").fetchall() == [(None,)]


def test_on_the_day_of_turning_fourteen_the_guardians_consents_are_over(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    minors = minors_notice(program)
    program.decide("alice", "given", "personalisation", notice=minors, age_band="under_14")
    program.decide("alice", **guarded(minors))
    program.decide("alice", "refused", "precise_location")
    program.decide("bob", **guarded(minors, turns_14_on=(now() + timedelta(days=5)).date().isoformat()))
    owner.execute("UPDATE subject SET turns_14_on = current_date - 2 WHERE turns_14_on IS NULL")
    owner.execute(
        "UPDATE consent_state SET grant_until = now() - interval '2 days'"
        " WHERE subject_id = (SELECT min(subject_id) FROM subject)"
    )
    with as_worker():
        tasks.come_of_age()
        tasks.come_of_age()
    ended = owner.execute(
        "SELECT r.state, n.audience, r.version, r.authorises_from, r.corrected_at < r.received_at - interval '1 day',"
        " r.act, r.leaf_id = l.id FROM consent_record r JOIN notice n ON n.id = r.notice_id JOIN leaf l ON l.id = r.leaf_id"
        " WHERE r.state IN ('expired', 'invalidated') ORDER BY purpose_id"
    ).fetchall()
    assert ended == [
        ("expired", "minor", 4, None, True, None, True),
        ("invalidated", "minor", 4, None, True, None, True),
    ]
    audited = owner.execute(
        "SELECT actor, target, details, at = date_trunc('day', at, 'UTC') FROM audit_entry"
        " WHERE action = 'consent.turned_14'"
    ).fetchall()
    assert audited == [("system", f"program:{program.id}", {"purposes": 2}, True)]
    assert owner.execute("SELECT under_14, version FROM subject ORDER BY subject_id").fetchall() == [
        (False, 4),
        (True, 1),
    ]
    assert owner.execute("SELECT count(*) FROM consent_state WHERE guardian_pending").fetchone() == (0,)
    found = status(program, "alice")
    assert (found["state"], found["allowed"], found["may_prompt"]) == ("expired", False, True)
    assert status(program, "alice", "personalisation")["may_prompt"]
    assert status(program, "bob")["allowed"]
    assert code(program, "e1") == "consent_expired"
    assert program.decide("alice")["records"][0]["state"] == "given"
    assert code(program, "e2") is None


def test_an_act_on_the_day_ends_them_as_well(program: Program, owner: psycopg.Connection) -> None:
    minors = minors_notice(program)
    program.decide("alice", **guarded(minors))
    program.decide("alice", "given", "personalisation", **guarded(minors))
    turn_14(owner)
    assert program.decide("alice")["records"][0]["state"] == "given"
    assert status(program, "alice", "personalisation")["state"] == "expired"
    assert owner.execute("SELECT state FROM consent_record WHERE version = 3 ORDER BY purpose_id").fetchall() == [
        ("expired",),
        ("expired",),
    ]
    assert coming_of_age.end_guardianships(program.id) == 0


def test_a_band_above_fourteen_ends_them_without_a_birthday(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice", **guarded(minors_notice(program)))
    program.decide("alice", "refused", "personalisation", age_band="14_17")
    assert code(program, "e1") == "consent_expired"
    assert owner.execute("SELECT under_14 FROM subject").fetchone() == (False,)


def test_who_may_not_be_added_to_waits(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice", **guarded(minors_notice(program)))
    turn_14(owner)
    owner.execute("UPDATE subject SET erasure_pending = true")
    assert coming_of_age.end_guardianships(program.id) == 0
    owner.execute("UPDATE subject SET erasure_pending = false")
    assert coming_of_age.end_guardianships(program.id) == 1


def test_one_who_cannot_be_done_holds_up_nobody_and_is_done_whole_later(
    program: Program, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    minors = minors_notice(program)
    monkeypatch.setattr(coming_of_age, "LOOKED_AT_ONCE", 1)
    for name in ("alice", "bob"):
        program.decide(name, **guarded(minors))
    turn_14(owner)

    def died(**told: object) -> None:
        monkeypatch.setattr(coming_of_age, "audit", audit)
        raise RuntimeError("killed before the commit")

    monkeypatch.setattr(coming_of_age, "audit", died)
    assert coming_of_age.end_guardianships(program.id) == 1
    assert owner.execute(STATES).fetchall() == [("given", False, []), ("expired", False, [])]
    assert coming_of_age.end_guardianships(program.id) == 1
    assert owner.execute("SELECT count(*) FROM consent_record WHERE state = 'expired'").fetchone() == (2,)


def test_who_is_late_in_turning_fourteen_is_counted_and_said(
    program: Program,
    owner: psycopg.Connection,
    as_worker: Working,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    minors = minors_notice(program)
    newest = "WHERE subject_id = (SELECT max(subject_id) FROM subject)"
    for name, days_ago in (("alice", 4), ("bob", 0), ("eve", 4)):
        program.decide(name, **guarded(minors))
        owner.execute(f"UPDATE subject SET turns_14_on = current_date - {days_ago} {newest}")
    owner.execute(f"UPDATE subject SET restricted = true {newest}")

    def fails(*_: object) -> bool:
        raise RuntimeError("no")

    with monkeypatch.context() as patched, as_worker(), caplog.at_level("WARNING", logger="zhiqing.records"):
        patched.setattr(coming_of_age, "come_of_age", fails)
        tasks.come_of_age()
    (late,) = [record for record in caplog.records if record.message == "turning 14 is overdue"]
    assert vars(late)["fields"] == {"program": program.id, "subjects": 1}


def test_beat_looks_for_them() -> None:
    scheduled = {entry["task"] for entry in current_app.conf.beat_schedule.values()}
    assert tasks.come_of_age.name in scheduled
