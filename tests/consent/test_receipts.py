"""What a receipt says, that it is the same whenever it is asked for, and who gets it."""

import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from consent.notices.actions import publish_notice
from consent.programs.tenancy import tenant
from consent.records.models import ConsentRecord
from consent.records.tasks import come_of_age
from consent.vault import jws
from tests.cast import AT_ONCE, Program, example_notice, now
from tests.consent.acts import act, guarded, minors_notice
from tests.consent.rights import Working, ask, erased, problem
from tests.consent.signed import Ring, decoded, given, header, jwks, said

FIELDS = {
    "schema_version", "record_id", "pii_principal_id", "privacy_notice", "language", "lawful_basis", "jurisdiction",
    "service", "purpose", "pii_information", "profile_attributes", "pii_controllers", "processing_methods",
    "storage_locations", "retention_period", "after_retention", "recipient_third_parties", "withdrawal_method",
    "privacy_rights", "validity_duration", "event_time", "received_at", "entity_id", "event_type", "event_state", "act",
    "method", "authorises_from", "authorises_until", "ledger",
}  # fmt: skip


def asked(program: Program, record_id: str) -> Any:
    response = program.get(f"receipts/{record_id}")
    assert response.status_code == 200, response.content
    assert response.json().keys() == {"receipt", "inclusion", "checkpoint"}
    assert (response.json()["inclusion"], response.json()["checkpoint"]) == (None, None)
    return response.json()["receipt"]


def test_a_receipt_says_what_was_decided_and_told(program: Program) -> None:
    answer = program.decide("alice", purpose="personalisation", evidence={"form_id": "form-7"}, age_band="adult")
    (made,) = answer["records"]
    told = said(made["receipt"])
    assert told.keys() == FIELDS
    text = example_notice()
    assert told | {"event_time": 0, "received_at": 0, "authorises_from": 0, "ledger": 0} == {
        "schema_version": "zhiqing-receipt-1",
        "record_id": made["record_id"],
        "pii_principal_id": answer["subject_id"],
        "privacy_notice": {
            "sha256": program.notice, "path": f"/api/v1/notices/{program.notice}", "version": 1, "audience": "general",
        },
        "language": "zh-Hans",
        "lawful_basis": "consent",
        "jurisdiction": "CN",
        "service": program.get(f"notices/{program.notice}").json()["program"],
        "purpose": {
            "code": "personalisation", "title": {"zh-Hans": "个性化内容", "en": "Personalised content"},
            "necessary": False, "separate_consent": None,
        },
        "pii_information": ["profile", "behaviour"],
        "profile_attributes": ["nickname", "city"],
        "pii_controllers": [{"name": text.controller, "contact": text.contact}],
        "processing_methods": ["collection", "storage", "use"],
        "storage_locations": None,
        "retention_period": "P365D",
        "after_retention": {"zh-Hans": "到期后删除。", "en": "Deleted when the period ends."},
        "recipient_third_parties": [],
        "withdrawal_method": text.withdrawal,
        "privacy_rights": text.rights,
        "validity_duration": None,
        "event_time": 0,
        "received_at": 0,
        "entity_id": answer["subject_id"],
        "event_type": "explicit",
        "event_state": "given",
        "act": "single",
        "method": "dialog",
        "authorises_from": 0,
        "authorises_until": None,
        "ledger": 0,
    }  # fmt: skip
    promised = datetime.fromisoformat(told["received_at"]) + timedelta(seconds=60)
    assert datetime.fromisoformat(told["ledger"]["included_by"]) == promised
    assert program.get(told["privacy_notice"]["path"]).json()["sha256"] == program.notice


def test_where_it_is_kept_is_told_as_the_notice_does(program: Program) -> None:
    place = {"zh-Hans": "上海", "en": "Shanghai"}
    assert said(given(program))["storage_locations"] == [{"country": "CN", "place": place}]


def test_the_times_are_the_records(program: Program) -> None:
    told = said(given(program))
    with tenant(program.id):
        record = ConsentRecord.objects.get()
    assert record.authorises_until is not None
    assert told["validity_duration"] == "P730D"
    assert {name: told[name] for name in ("event_time", "received_at", "authorises_from", "authorises_until")} == {
        "event_time": record.corrected_at.isoformat(),
        "received_at": record.received_at.isoformat(),
        "authorises_from": record.corrected_at.isoformat(),
        "authorises_until": (record.corrected_at + timedelta(days=730)).isoformat(),
    }


def test_no_identifier_and_no_evidence_is_in_it(program: Program) -> None:
    answer = program.decide(
        "canary-openid",
        subject={"openid": "canary-openid", "external_id": "canary-user"},
        evidence={"form_id": "canary-form"},
        guardian={"reference": "canary-guardian", "verified_by": "canary-by", "verified_at": "2026-01-01T00:00:00Z"},
        notice=minors_notice(program),
        age_band="under_14",
        turns_14_on="2030-04-05",
    )
    content = decoded(answer["records"][0]["receipt"].split(".")[1])
    for never in (b"canary", b"2030-04-05", b"under_14"):
        assert never not in content


def test_neither_it_nor_the_history_tells_a_birthday(program: Program) -> None:
    minors, told = minors_notice(program), []
    for openid, years in (("ann", 1), ("bob", 1.5), ("eve", None)):
        birthday = {} if years is None else {"turns_14_on": (now() + timedelta(days=365 * years)).date().isoformat()}
        receipt = said(given(program, openid, **guarded(minors, **birthday)))
        (shown,) = program.post("consents/history", {"subject": {"openid": openid}}).json()["results"]
        valid = timedelta(days=730)
        assert (
            datetime.fromisoformat(receipt["authorises_until"]) == datetime.fromisoformat(receipt["event_time"]) + valid
        )
        assert datetime.fromisoformat(shown["authorises_until"]) == datetime.fromisoformat(receipt["authorises_until"])
        told.append(receipt.keys())
    with tenant(program.id):
        kept = ConsentRecord.objects.order_by("id").values_list("corrected_at", "authorises_until")
        lasting = [until - at < timedelta(days=720) for at, until in kept if until is not None]
    assert lasting == [True, True, False], "the record has it"


def test_what_ended_by_itself_was_expressed_by_nobody(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice", **guarded(minors_notice(program)))
    owner.execute("UPDATE subject SET turns_14_on = current_date - 2")
    with as_worker():
        come_of_age()
    with tenant(program.id):
        given_for, ended = ConsentRecord.objects.order_by("version")
    told = [said(asked(program, str(record.record_id))) for record in (given_for, ended)]
    assert [(one["event_state"], one["event_type"], one["entity_id"] is None) for one in told] == [
        ("given", "explicit", False),
        ("expired", None, True),
    ]
    assert told[1]["pii_principal_id"] == told[0]["pii_principal_id"]


def test_what_is_to_be_erased_or_restricted_has_none_to_read(program: Program, owner: psycopg.Connection) -> None:
    (made,) = program.decide("alice")["records"]
    owner.execute("UPDATE subject SET restricted = true")
    problem(program.get(f"receipts/{made['record_id']}"), 409, "restricted")
    owner.execute("UPDATE subject SET restricted = false")
    assert ask(program, "erasure").status_code == 202
    problem(program.get(f"receipts/{made['record_id']}"), 409, "erasure_pending")


@pytest.mark.parametrize("hours", [0, 8, -11])
def test_it_is_the_same_whenever_it_is_asked_for(program: Program, hours: int) -> None:
    """Also where the caller's clock writes times with another offset than a row that is read."""
    at = now().astimezone(timezone(timedelta(hours=hours))).isoformat()
    body = act(program, ("analytics", "given"), ("personalisation", "refused"), occurred_at=at, act="bundled")
    first = program.post("consents", body, Idempotency_Key="k1").json()
    receipts = [made["receipt"] for made in first["records"]]
    assert [said(receipt)["event_state"] for receipt in receipts] == ["given", "refused"]
    assert [asked(program, made["record_id"]) for made in first["records"]] == receipts
    again = program.post("consents", body, Idempotency_Key="k1").json()
    assert [made["receipt"] for made in again["records"]] == receipts
    program.decide("alice", "withdrawn")
    publish_notice(program_id=program.id, text=example_notice(), effective_at=None, lead=AT_ONCE, by="test", now=now())
    assert asked(program, first["records"][0]["record_id"]) == receipts[0]


def test_each_decision_has_a_state_of_its_own(program: Program) -> None:
    for decision, state in (
        ("given", "given"), ("given", "given"), ("deferred", "requested"), ("refused", "refused"), ("withdrawn", "withdrawn"),
    ):  # fmt: skip
        assert said(given(program, decision=decision))["event_state"] == state


def test_a_withdrawal_tells_the_notice_of_the_consent_it_ends(program: Program) -> None:
    """It needs `subject` and `decisions` only, in POST and in GET alike."""
    given(program)
    later = publish_notice(
        program_id=program.id, text=example_notice(), effective_at=None, lead=AT_ONCE, by="test", now=now()
    )
    given(program, purpose="personalisation", notice=later.sha256)
    body = {"subject": {"openid": "alice"}, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
    (made,) = program.post("consents", body).json()["records"]
    told = said(made["receipt"])
    assert (told["event_state"], told["privacy_notice"]["sha256"]) == ("withdrawn", program.notice)
    assert (told["language"], told["method"], told["act"]) == (None, None, None)
    given(program, notice=later.sha256)
    assert asked(program, made["record_id"]) == made["receipt"]


def test_a_withdrawal_of_what_was_never_told_says_nothing_of_a_notice(program: Program) -> None:
    given(program)
    body = {"subject": {"openid": "alice"}, "decisions": [{"purpose": "personalisation", "decision": "withdrawn"}]}
    (made,) = program.post("consents", body).json()["records"]
    told = said(made["receipt"])
    assert told["purpose"] == {"code": "personalisation"}
    assert "privacy_notice" not in told
    assert asked(program, made["record_id"]) == made["receipt"]
    body["subject"] = {"openid": "nobody"}
    assert program.post("consents", body).json()["records"][0]["receipt"] is None


# --- Who gets it -----------------------------------------------------------------------------------------------------


def test_other_peoples_records_and_unknown_ones_are_not_found(program: Program, other: Program) -> None:
    record_id = program.decide("alice")["records"][0]["record_id"]
    for caller, wanted in ((other, record_id), (program, uuid4()), (program, UUID(int=0))):
        response = caller.get(f"receipts/{wanted}")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    program.key = program.key_with("events", "requests", "reports", "import", "portal")
    assert program.get(f"receipts/{record_id}").json()["code"] == "insufficient_scope"


def test_it_goes_with_the_subject(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    record_id = program.decide("alice")["records"][0]["record_id"]
    asked(program, record_id)
    assert erased(program, owner, as_worker)["state"] == "completed"
    assert program.get(f"receipts/{record_id}").status_code == 404


def test_a_record_is_found_by_an_index(program: Program, owner: psycopg.Connection) -> None:
    with owner.transaction():
        owner.execute("SET LOCAL enable_seqscan = off")
        plan = owner.execute("EXPLAIN SELECT 1 FROM consent_record WHERE record_id = gen_random_uuid()").fetchall()
    assert "consent_record_record_id" in str(plan)
    valid = owner.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'consent_record_record_id'::regclass")
    assert valid.fetchone() == (True,)


# --- The signature ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here")
def test_any_library_reads_the_header_and_openssl_verifies(program: Program, tmp_path: Path) -> None:
    """docs/receipts.md, "With openssl"."""
    receipt = given(program)
    (key,) = jwks(program)["keys"]
    assert header(receipt) == {"alg": "EdDSA", "kid": key["kid"], "typ": "consent-receipt+jws"}
    signed, _, signature = receipt.rpartition(".")
    for name, data in (
        ("key.der", bytes.fromhex("302a300506032b6570032100") + decoded(key["x"])),
        ("signed", signed.encode()),
        ("signature", decoded(signature)),
    ):
        (tmp_path / name).write_bytes(data)
    files = ["-inkey", "key.der", "-in", "signed", "-sigfile", "signature"]
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-rawin", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (tmp_path / "signed").write_bytes(signed[:-1].encode())
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode != 0


def test_after_a_rotation_old_receipts_stay_and_new_ones_have_the_new_key(program: Program, own_ring: Ring) -> None:
    first = program.decide("alice")["records"][0]
    kid = own_ring.rotate(now())
    second = program.decide("alice", "withdrawn")["records"][0]
    assert header(first["receipt"])["kid"] != header(second["receipt"])["kid"] == kid
    assert asked(program, first["record_id"]) == first["receipt"]
    assert asked(program, second["record_id"]) == second["receipt"]
    keys = jws.key_set(program.get("/.well-known/jwks.json").content)
    for made in (first, second):
        assert (
            jws.verify(made["receipt"].encode(), keys, typ="consent-receipt+jws")[1]["record_id"] == made["record_id"]
        )


def test_a_key_to_come_signs_nothing_before_its_time(program: Program, own_ring: Ring) -> None:
    before = header(given(program))["kid"]
    kid = own_ring.rotate(now() + timedelta(hours=1))
    assert header(given(program))["kid"] == before != kid
    assert [key["kid"] for key in jwks(program)["keys"]] == [before, kid]


def test_when_its_key_is_gone_another_signs_anew_and_what_it_signed_still_verifies(
    program: Program, own_ring: Ring
) -> None:
    made = program.decide("alice")["records"][0]
    kid = own_ring.rotate(now())
    own_ring.destroy(0)
    anew = asked(program, made["record_id"])
    assert said(anew) == said(made["receipt"])
    assert header(anew)["kid"] == kid
    keys = jws.key_set(program.get("/.well-known/jwks.json").content)
    for receipt in (made["receipt"], anew):
        jws.verify(receipt.encode(), keys, typ="consent-receipt+jws")


def test_without_a_signing_key_consents_are_recorded_and_the_receipt_comes_later(
    program: Program, own_ring: Ring
) -> None:
    """A keyring from before receipts, after an upgrade."""
    own_ring.change(lambda content: content.pop("signing"))
    made = program.decide("alice")["records"][0]
    assert made["receipt"] is None
    assert asked(program, made["record_id"]) is None
    assert jwks(program) == {"keys": []}
    kid = own_ring.rotate(now() + timedelta(hours=1))
    assert header(asked(program, made["record_id"]))["kid"] == kid
