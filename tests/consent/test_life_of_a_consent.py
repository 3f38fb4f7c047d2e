"""Renewed, expired, deferred, refused, imported, asked by itself: each rule of a consent's life as docs/law.md states it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from consent.notices.actions import publish_notice
from consent.notices.document import NoticeText
from tests.cast import AT_ONCE, Program, event, example_notice, now
from tests.consent.acts import act, code, refused, status
from tests.consent.notice_texts import publish, separately
from tests.consent.processing import mechanism

NOT_IMPORTING = ("consents", "events", "requests", "portal", "reports")


def published(program: Program, *, material: bool = False, more: Sequence[str] = ("location",)) -> str:
    """`more`: the categories by which a material version is broader than the example."""
    return publish_notice(
        program_id=program.id,
        text=broader(*more) if material else example_notice(),
        effective_at=None,
        lead=AT_ONCE,
        by="test",
        now=now(),
    ).sha256


def broader(*more: str) -> NoticeText:
    """The example, whose first purpose collects more."""
    text = example_notice()
    text.purposes[0].categories = [*text.purposes[0].categories, *more]
    return text


def grant(owner: psycopg.Connection) -> tuple[Any, ...]:
    row = owner.execute("SELECT grant_from, grant_until, record_from FROM consent_state").fetchone()
    assert row is not None
    return row


# --- Renewal and expiry ----------------------------------------------------------------------------------------------


def test_a_renewal_leaves_no_gap_and_moves_the_expiry(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    since, until, _ = grant(owner)
    before = now()
    assert program.decide("alice")["records"][0]["state"] == "renewed"
    renewed_since, renewed_until, record_from = grant(owner)
    assert (renewed_since, record_from > since) == (since, True)
    assert renewed_until - until == record_from - since
    assert status(program, "alice")["state"] == "renewed"
    assert code(program, "e1", at=before) is None, "an event from between the two consents"


def test_a_consent_given_after_its_expiry_begins_anew(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    owner.execute("UPDATE consent_state SET grant_until = clock_timestamp()")
    gap = now()
    assert program.decide("alice")["records"][0]["state"] == "given"
    assert code(program, "e1", at=gap) == "outside_consent"
    assert code(program, "e2") is None


def test_consent_to_a_new_version_before_it_takes_effect_leaves_no_gap(
    program: Program, owner: psycopg.Connection
) -> None:
    """The version is material: whoever agreed in time is not asked again when it comes."""
    program.decide("alice")
    tomorrow = now() + timedelta(days=1)
    later = publish_notice(
        program_id=program.id, text=broader("location"), effective_at=tomorrow, lead=AT_ONCE, by="test", now=now()
    ).sha256
    assert status(program, "alice")["renewal_required"] is False, "not before its time"
    program.decide("alice", notice=later)
    since = grant(owner)[0]
    owner.execute("UPDATE notice SET effective_at = effective_at - interval '25 hours' WHERE sha256 = %s", [later])
    owner.execute("UPDATE consent_record SET authorises_from = authorises_from - interval '25 hours' WHERE version = 2")
    # The grant before began longer ago than the version, which would otherwise have come before it.
    owner.execute("UPDATE consent_state SET grant_from = grant_from - interval '3 days'")
    found = status(program, "alice")
    assert (found["state"], found["allowed"], found["renewal_required"]) == ("renewed", True, False)
    assert code(program, "e1", at=since) is None


# --- Deferral --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "state"), [("given", "given"), ("refused", "refused"), ("withdrawn", "withdrawn")])
def test_a_deferral_is_recorded_and_changes_nothing(
    program: Program, owner: psycopg.Connection, before: str, state: str
) -> None:
    if before == "withdrawn":
        program.decide("alice")
    program.decide("alice", before)
    stood = status(program, "alice")
    held = grant(owner)
    assert program.decide("alice", "deferred")["records"][0]["state"] == state
    assert (status(program, "alice"), grant(owner)) == (stood, held)
    row = owner.execute("SELECT state FROM consent_record ORDER BY version DESC LIMIT 1").fetchone()
    assert row == ("requested",)


def test_whoever_deferred_may_be_asked_again_at_once(program: Program) -> None:
    program.decide("alice", "deferred")
    assert (status(program, "alice")["state"], status(program, "alice")["may_prompt"]) == ("requested", True)
    assert program.decide("alice")["records"][0]["state"] == "given"


# --- Refusal (L4, L5) ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", ["refused", "withdrawn"])
def test_nobody_is_asked_again_before_the_cool_down_is_over(
    program: Program, owner: psycopg.Connection, settings: Any, decision: str
) -> None:
    settings.ZHIQING_PROMPT_COOLDOWN = timedelta(days=7)
    program.decide("alice")
    program.decide("alice", decision)
    for days, may_prompt in (("6 days 23 hours", False), ("7 days 1 hour", True)):
        owner.execute("UPDATE consent_state SET barrier_at = clock_timestamp() - %s::interval", [days])
        assert status(program, "alice")["may_prompt"] is may_prompt


def test_each_purpose_cools_down_by_itself(program: Program) -> None:
    program.decide("alice", "refused")
    assert status(program, "alice", "personalisation")["may_prompt"] is True


@pytest.mark.parametrize("material", [True, False])
@pytest.mark.parametrize("decision", ["refused", "withdrawn"])
def test_only_a_material_version_ends_the_cool_down(program: Program, material: bool, decision: str) -> None:
    program.decide("alice")
    program.decide("alice", decision)
    notice = published(program, material=material)
    found = status(program, "alice")
    assert (found["state"], found["may_prompt"], found["renewal_required"]) == (decision, material, False)
    program.decide("alice", "refused", notice=notice)
    assert status(program, "alice")["may_prompt"] is False, "asked once, and refused again"


@pytest.mark.parametrize("decision", ["refused", "withdrawn"])
def test_who_says_no_after_a_material_version_took_effect_is_not_asked_again(program: Program, decision: str) -> None:
    """The settings page names no notice for a withdrawal, and a page that was open names the old one."""
    old = program.notice
    program.decide("alice")
    published(program, material=True)
    program.decide("alice", decision, notice=old)
    assert status(program, "alice")["may_prompt"] is False
    published(program, material=True, more=("location", "profile"))
    assert status(program, "alice")["may_prompt"] is True


@pytest.mark.parametrize("decision", ["refused", "withdrawn", "deferred"])
def test_a_refusal_costs_no_service_unless_the_purpose_is_necessary(program: Program, decision: str) -> None:
    text = example_notice()
    text.purposes[1].code = "delivery"
    text.purposes[1].necessary = True
    text.purposes[1].justification = {"zh-Hans": "送货需要地址。", "en": "Delivery needs an address."}
    publish(program, text)
    for purpose, served in (("analytics", True), ("delivery", False)):
        assert status(program, "alice", purpose)["service_allowed"] is served
        program.decide("alice", decision, purpose)
        assert status(program, "alice", purpose)["service_allowed"] is served
        program.decide("alice", purpose=purpose)
        assert status(program, "alice", purpose)["service_allowed"] is True


# --- Import ----------------------------------------------------------------------------------------------------------


def imported(program: Program, hours: int = 25, **more: Any) -> dict[str, Any]:
    at = (now() - timedelta(hours=hours)).isoformat()
    return act(program, ("analytics", "given"), occurred_at=at, **{"method": "import"} | more)


def test_a_consent_of_long_ago_needs_the_scope(program: Program, owner: psycopg.Connection) -> None:
    body = imported(program, method="offline")
    whole, program.key = program.key, program.key_with(*NOT_IMPORTING)
    refused(program, body, 422, "too_old", "/occurred_at")
    assert program.post("consents", imported(program, hours=23, method="offline")).status_code == 201
    assert owner.execute("SELECT count(*) FROM consent_record").fetchone() == (1,)
    program.key = whole
    body["subject"] = {"openid": "bob"}
    assert program.post("consents", body).status_code == 201


def test_the_method_import_needs_the_scope_whatever_its_date(program: Program) -> None:
    program.key = program.key_with(*NOT_IMPORTING)
    refused(program, imported(program, hours=1), 403, "insufficient_scope")


@pytest.mark.parametrize("decision", ["given", "refused", "deferred"])
def test_a_consent_of_long_ago_is_imported_for_subjects_without_records_only(program: Program, decision: str) -> None:
    """Whatever was recorded, and of whatever purpose."""
    program.decide("alice", decision, "personalisation")
    refused(program, imported(program), 422, "too_old", "/occurred_at")
    assert status(program, "alice")["state"] == "unknown"


def test_an_imported_consent_authorises_from_its_own_time(program: Program) -> None:
    since = now() - timedelta(days=5)
    body = act(
        program, ("analytics", "given"), ("personalisation", "refused"), occurred_at=since.isoformat(), method="import"
    )
    assert [made["state"] for made in program.post("consents", body).json()["records"]] == ["given", "refused"]
    assert code(program, "before", at=since - timedelta(hours=1)) == "outside_consent"
    assert code(program, "after", at=since + timedelta(hours=1)) is None
    refused(program, body, 422, "too_old", "/occurred_at")


# --- Separate consent (L8) -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("article", ["23", "25", "26", "29", "39"])
def test_a_purpose_under_separate_consent_needs_an_act_of_its_own(program: Program, article: Any) -> None:
    mechanism(program, "special")
    publish(program, separately("special", article))
    alone, both = [("special", "given")], [("special", "given"), ("analytics", "given")]
    for decisions, kind in ((alone, "bundled"), (both, "bundled"), (both, "single"), (both[::-1], "single")):
        place = decisions.index(("special", "given"))
        refused(
            program, act(program, *decisions, act=kind), 422, "separate_consent_required", f"/decisions/{place}/purpose"
        )
    with_refusal = act(program, ("special", "given"), ("analytics", "refused"))
    refused(program, with_refusal, 422, "separate_consent_required", "/decisions/0/purpose")
    assert status(program, "alice", "special")["state"] == "unknown"
    assert program.post("consents", act(program, *alone)).json()["records"][0]["state"] == "given"
    # Renewed as it was given; refused and withdrawn together with others, as easily as anything (L3).
    refused(program, act(program, *both), 422, "separate_consent_required")
    together = {"subject": {"openid": "alice"}, "decisions": [
        {"purpose": purpose, "decision": "withdrawn"} for purpose in ("special", "analytics")]}  # fmt: skip
    assert program.post("consents", together).status_code == 201
    assert status(program, "alice", "special")["state"] == "withdrawn"


# --- Proof (L17) -----------------------------------------------------------------------------------------------------


def test_an_event_leads_to_its_record_and_the_notice_as_it_was(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    program.send(event("alice", "e1"))
    published(program)
    program.decide("alice", "withdrawn")
    row = owner.execute(
        "SELECT r.record_id::text FROM event e JOIN consent_record r ON r.id = e.consent_record_id"
    ).fetchone()
    records = program.post("consents/history", {"subject": {"openid": "alice"}}).json()["results"]
    (record,) = [record for record in records if (record["record_id"],) == row]
    assert (record["state"], record["notice"]) == ("given", program.notice)
    notice = program.get(f"notices/{record['notice']}").json()
    assert notice["purposes"][0]["code"] == record["purpose"]
