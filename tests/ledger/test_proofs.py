"""Proofs in the hands of others: of receipts and certificates, and with an older checkpoint; whatever is changed is refused."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent.ledger import proofs
from consent.ledger.models import AuditEntry, LogCheckpoint, LogLeaf
from consent.programs.tenancy import tenant
from tests.cast import Program
from tests.consent.desk import officer
from tests.consent.rights import erased, problem
from tests.consent.signed import said
from tests.consent.test_commands import as_json
from tests.consent.test_commands import run as command
from tests.ledger.logged import Working, decoded, head, included, receipt, run


@pytest.fixture
def answer(program: Program, as_worker: Working) -> Any:
    """A receipt with its proof, of a log that has grown since an older checkpoint."""
    record_id = program.decide("alice")["records"][0]["record_id"]
    run(as_worker)
    for name in ("bob", "carol", "dave"):
        program.decide(name)
    run(as_worker)
    return receipt(program, record_id, since=LogCheckpoint.objects.order_by("size")[0].size)


@pytest.fixture
def files(answer: Any, program: Program, tmp_path: Path) -> Path:
    """What others have: the answer, the public keys, and the older checkpoint."""
    (tmp_path / "answer").write_text(json.dumps(answer))
    (tmp_path / "jwks.json").write_text(program.get("/.well-known/jwks.json").content.decode())
    (tmp_path / "older").write_text(LogCheckpoint.objects.order_by("size")[0].note)
    return tmp_path


def verify(files: Path, noun: str = "receipt", *more: str) -> Any:
    return as_json(f"verify_{noun}", files / "answer", "--jwks", files / "jwks.json", *more)


def refused(files: Path, answer: Any, *more: str) -> str:
    (files / "answer").write_text(json.dumps(answer))
    with pytest.raises(CommandError) as why:
        verify(files, "receipt", *more)
    return str(why.value)


def test_the_whole_answer_verifies_with_the_public_keys_alone(files: Path, answer: Any) -> None:
    told = verify(files)
    head = included(answer)
    assert {name: told["log"][name] for name in ("origin", "size", "index")} == {
        "origin": head.origin, "size": head.size, "index": answer["inclusion"]["index"],
    }  # fmt: skip
    assert answer["inclusion"]["leaf"] == said(answer["receipt"])["ledger"]["leaf"]
    out, _ = command("verify_receipt", files / "answer", "--jwks", files / "jwks.json")
    assert f"in the log {head.origin} at place {answer['inclusion']['index']}" in out


def test_an_older_checkpoint_that_was_kept_is_of_the_same_log(files: Path) -> None:
    assert verify(files, "receipt", f"--since={files / 'older'}")["valid"]


def test_a_receipt_by_itself_verifies_as_ever(files: Path, answer: Any) -> None:
    (files / "answer").write_text(answer["receipt"] + "\n")
    assert "log" not in verify(files)


def test_what_is_changed_is_refused(files: Path, answer: Any, program: Program) -> None:
    other = receipt(program, program.decide("erin")["records"][0]["record_id"])["receipt"]
    proof = answer["inclusion"]
    older = f"--since={files / 'older'}"
    for changed, why, more in (
        ({"receipt": other}, "not the one that it names", ()),
        ({"inclusion": proof | {"index": proof["index"] + 1}}, "does not lead", ()),
        ({"inclusion": proof | {"path": proof["path"][1:]}}, "does not lead", ()),
        ({"inclusion": proof | {"leaf": proof["path"][0]}}, "not the one that it names", ()),
        ({"inclusion": proof | {"path": ["no base64 at all"]}}, "expected form", ()),
        ({"inclusion": {}}, "expected form", ()),
        ({"checkpoint": answer["checkpoint"].replace("ledger", "lodger")}, "the checkpoint: ", ()),
        ({"inclusion": proof | {"consistency": proof["consistency"][1:]}}, "older checkpoint is not", (older,)),
        ({"inclusion": None, "checkpoint": None}, "without a proof", (older,)),
    ):
        assert why in refused(files, answer | changed, *more)


def test_a_size_that_the_log_never_had_is_refused(answer: Any, program: Program) -> None:
    record_id = said(answer["receipt"])["record_id"]
    problem(program.get(f"receipts/{record_id}?since=1000000"), 422, "not_a_size")
    for wrong in ("0", "-1", "x", "1" * 30):
        problem(program.get(f"receipts/{record_id}?since={wrong}"), 422, "invalid")


# --- By which checkpoint -----------------------------------------------------------------------------------------------


def test_what_no_place_has_accepted_proves_nothing_yet(program: Program, folder: Path, as_worker: Working) -> None:
    """The place to publish cannot be written: whoever has this proof would be alone with it."""
    settings.ZHIQING_LEDGER_FOLDER = folder / "below"
    record_id = program.decide("alice")["records"][0]["record_id"]
    run(as_worker)
    response = program.get(f"receipts/{record_id}")
    assert (response.json()["inclusion"], response.json()["checkpoint"], response["Retry-After"]) == (None, None, "10")
    folder.mkdir()
    run(as_worker)
    assert included(receipt(program, record_id)).size == LogCheckpoint.objects.get().size


def test_a_proof_is_by_the_newest_that_a_place_accepted(program: Program, as_worker: Working, webhook: Any) -> None:
    first = program.decide("alice")["records"][0]["record_id"]
    run(as_worker)
    older = included(receipt(program, first))
    webhook.status = 500
    second = program.decide("bob")["records"][0]["record_id"]
    run(as_worker)
    newest = LogCheckpoint.objects.order_by("-size")[0]
    assert included(receipt(program, first)) == older
    assert receipt(program, second)["inclusion"] is None
    problem(program.get(f"receipts/{first}?since={newest.size}"), 422, "not_a_size")
    webhook.status = 204
    run(as_worker)
    assert included(receipt(program, first)) == included(receipt(program, second)) == head(newest.note)
    webhook.status = 409
    third = program.decide("carol")["records"][0]["record_id"]
    run(as_worker)
    assert receipt(program, third)["inclusion"] is None
    assert included(receipt(program, second, since=older.size)) == head(newest.note)


def test_a_certificates_proof_and_an_audit_entrys_are_by_the_same(
    program: Program, owner: psycopg.Connection, folder: Path, as_worker: Working
) -> None:
    settings.ZHIQING_LEDGER_FOLDER = folder / "below"
    program.decide("alice")
    request_id = erased(program, owner, as_worker)["request_id"]
    run(as_worker)
    assert program.get(f"requests/{request_id}/certificate").json()["inclusion"] is None
    desk = officer("grace", program).enter(program)
    run(as_worker)
    with tenant(program.id):
        page = f"consent/auditentry/{AuditEntry.objects.order_by('-id')[0].pk}/change/"
    assert "None yet" in desk.get(page).content.decode()
    folder.mkdir()
    run(as_worker)
    included(program.get(f"requests/{request_id}/certificate").json())
    assert '<pre class="proof">' in desk.get(page).content.decode()


@pytest.mark.parametrize("published", [False, True])
def test_however_long_the_log_a_proof_takes_three_queries(
    program: Program, as_worker: Working, webhook: Any, published: bool
) -> None:
    for name in ("alice", "bob", "carol"):
        program.decide(name)
        run(as_worker)
    leaf_id = LogLeaf.objects.exclude(leaf_id=None)[0].leaf_id
    assert leaf_id is not None
    with CaptureQueriesContext(connection) as captured:
        assert proofs.of_leaf(leaf_id, published=published) is not None
    assert len(captured) == 3


def test_a_certificate_proves_that_its_end_is_in_the_log(
    program: Program, owner: psycopg.Connection, as_worker: Working, tmp_path: Path
) -> None:
    program.decide("alice")
    request_id = erased(program, owner, as_worker)["request_id"]
    response = program.get(f"requests/{request_id}/certificate")
    assert (response.json()["inclusion"], response["Retry-After"]) == (None, "10")
    run(as_worker)
    answer = program.get(f"requests/{request_id}/certificate").json()
    included(answer)
    (leaf,) = owner.execute(
        "SELECT leaf.hash FROM leaf JOIN audit_entry e ON e.leaf_id = leaf.id WHERE e.action = 'request.completed'"
    ).fetchall()
    assert decoded(answer["inclusion"]["leaf"]) == bytes(leaf[0])
    (tmp_path / "answer").write_text(json.dumps(answer))
    (tmp_path / "jwks.json").write_text(program.get("/.well-known/jwks.json").content.decode())
    assert verify(tmp_path, "certificate")["log"]["index"] == answer["inclusion"]["index"]
