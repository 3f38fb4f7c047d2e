"""L17 (PIPL 69): any stored event leads to its proof: event → consent record → its leaf in the log → the notice's hash."""

import hashlib
from datetime import timedelta

import psycopg
import rfc8785

from consent.ledger import tree
from consent.ledger.leaves import LeafType, leaf_hash
from consent.ledger.models import Leaf
from consent.programs.tenancy import tenant
from consent.records.entries import canonical
from consent.records.models import ConsentRecord
from tests.cast import Program, event, now
from tests.consent.acts import guarded, minors_notice
from tests.consent.signed import said
from tests.ledger.logged import Working, decoded, included, receipt, run

EVENTS = """
    SELECT e.subject_id, e.consent_record_id, e.corrected_at, p.code
    FROM event e JOIN event_type t ON t.id = e.type_id JOIN purpose p ON p.id = t.purpose_id ORDER BY e.event_id
"""


def proof(program: Program, subject_id: int, record_id: int) -> tuple[ConsentRecord, Leaf]:
    with tenant(program.id):
        record = ConsentRecord.objects.select_related("purpose", "notice").get(id=record_id, subject_id=subject_id)
        return record, Leaf.objects.get(id=record.leaf_id)


def test_every_stored_event_leads_to_its_consent_and_to_what_its_person_was_told(
    program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice", occurred_at=(now() - timedelta(hours=3)).isoformat())
    program.decide("child", **guarded(minors_notice(program)))
    program.send(event("alice", "e1", now() - timedelta(hours=2)), event("child", "e2"))
    program.decide("alice")
    program.send(event("alice", "e3"))
    program.decide("alice", "withdrawn", "personalisation")
    found = owner.execute(EVENTS).fetchall()
    assert len(found) == 3
    assert len({record_id for _, record_id, _, _ in found}) == 3, "each names the record in force when it happened"
    for subject_id, record_id, happened_at, purpose in found:
        record, leaf = proof(program, subject_id, record_id)
        assert (record.state, record.purpose.code) == ("given", purpose)
        assert record.notice is not None
        assert record.authorises_from is not None
        assert record.authorises_from <= happened_at
        assert record.authorises_until is None or happened_at < record.authorises_until
        assert leaf_hash(LeafType.CONSENT_RECORD, bytes(record.salt), canonical(record)) == bytes(leaf.hash)
        assert canonical(record)["notice"] == record.notice_id
        told = program.get(f"notices/{record.notice.sha256}").json()
        assert purpose in {known["code"] for known in told["purposes"]}
        body = {name: value for name, value in told.items() if name not in ("sha256", "published_at")}
        assert hashlib.sha256(rfc8785.dumps(body)).hexdigest() == record.notice.sha256


def test_its_leaf_leads_by_a_proof_to_a_checkpoint_that_others_keep(
    program: Program, as_worker: Working, owner: psycopg.Connection
) -> None:
    """Of each event, whenever its consent was recorded, to the newest checkpoint; and from an older one that was kept."""
    records = [program.decide(name)["records"][0]["record_id"] for name in ("alice", "bob")]
    run(as_worker)
    kept = included(receipt(program, records[0]))
    records.append(program.decide("carol")["records"][0]["record_id"])
    program.send(*(event(name, f"e-{name}") for name in ("alice", "bob", "carol")))
    run(as_worker)
    named = owner.execute(
        "SELECT DISTINCT r.record_id::text FROM event e JOIN consent_record r ON r.id = e.consent_record_id"
    )
    assert {row[0] for row in named.fetchall()} == set(records)
    for record_id in records:
        answer = receipt(program, record_id, since=kept.size)
        newest = included(answer)
        assert answer["inclusion"]["leaf"] == said(answer["receipt"])["ledger"]["leaf"]
        between = [decoded(step) for step in answer["inclusion"]["consistency"]]
        assert tree.extends(kept.root, kept.size, newest.root, newest.size, between)


def test_a_record_that_was_changed_no_longer_opens_its_leaf(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice", "refused")
    owner.execute("UPDATE consent_record SET state = 'given'")
    row = owner.execute("SELECT subject_id, id FROM consent_record").fetchone()
    assert row is not None
    record, leaf = proof(program, *row)
    assert leaf_hash(LeafType.CONSENT_RECORD, bytes(record.salt), canonical(record)) != bytes(leaf.hash)
