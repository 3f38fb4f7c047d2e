"""The certificate of an erasure: what every holder had and has now, signed. It is made anew whenever it is asked for.

All of it comes from the stub that stays of the request: an id, codes, days and counts. No subject, pseudonym or
identifier is in it, so it proves to whoever knows the request's id that this request was carried out, and says of nobody
that it was theirs.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from consent.errors import Conflict, NotFound, Problem
from consent.ledger import proofs
from consent.ledger.models import AuditEntry, Leaf
from consent.ledger.proofs import Proof
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.rights import queries
from consent.rights.models import ERASING, HolderRun, RequestState, SubjectRequest
from consent.vault.identities import Vault

SCHEMA_VERSION = "zhiqing-certificate-1"
TYPE = "erasure-certificate+jws"
CERTIFIED = (RequestState.COMPLETED, RequestState.PARTIALLY_COMPLETED)


@dataclass(frozen=True)
class Certificate:
    """`proof`: that the audit entry of the erasure's end is in the log; None until a checkpoint covers it (consent.ledger.proofs), and for
    good where the entry has no leaf: it is not `logged`."""

    jws: str
    proof: Proof | None
    logged: bool


def certificate(
    vault: Vault, program_id: int, request_id: uuid.UUID, *, published: bool, since: int | None = None
) -> Certificate:
    """The JWS is of the same bytes as long as the mini-program and its controller keep their names, and no hold ends.

    `published` and `since` as receipts have them. Raises Invalid `not_a_size`; NotFound `not_found`, `no_certificate`; Conflict `not_completed`, `not_erased`, `no_data_held`, `not_counted`,
    `no_signing_key`.
    """
    with tenant(program_id):
        request, runs = queries.request_of(program_id, request_id)
        refusal = _refusal(request)
        if refusal is not None:
            raise refusal
        program = MiniProgram.objects.select_related("controller").get(id=program_id)
        leaf_id = _ended(request)
        leaf = None if leaf_id is None else Leaf.objects.filter(id=leaf_id).first()
        proof = None if leaf is None else proofs.of_leaf(leaf.pk, published=published, since=since)
    assert request.closed_at is not None
    said = content(request, runs, program, None if leaf is None else bytes(leaf.hash))
    signed = vault.keyring.signing.sign(said, typ=TYPE, of=request.closed_at)
    if signed is None:
        raise Conflict("no_signing_key", "no signing key is enabled: run manage.py rotate_signing_key, then ask again")
    return Certificate(signed, proof, leaf is not None)


def _ended(request: SubjectRequest) -> int | None:
    """The leaf of the audit entry that says so; None of an erasure from before entries had one, or from before one that a later erasure
    completed had an entry of it."""
    entries = AuditEntry.objects.filter(
        program_id=request.program_id, action=f"request.{request.state}", target=f"request:{request.id}"
    )
    return entries.order_by("-id").values_list("leaf_id", flat=True).first()


def _refusal(request: SubjectRequest) -> Problem | None:
    if request.kind not in ERASING:
        return NotFound("no_certificate", "only erasures and cancellations come to a certificate")
    if request.closed_at is None:
        return Conflict("not_completed", "the request is not completed yet; ask when it is", retry_after=10)
    if request.state == RequestState.COMPLETED_NO_DATA:
        return Conflict("no_data_held", "nothing was held about whom the request named, so nothing was erased")
    if request.state not in CERTIFIED:
        return Conflict("not_erased", "the request was closed without erasing everything: there is nothing to certify")
    if request.point_of_no_return_at is None:
        return Conflict("not_counted", "the request was completed by a version that counted nothing beforehand")
    return None


def content(
    request: SubjectRequest, runs: Iterable[HolderRun], program: MiniProgram, leaf: bytes | None
) -> dict[str, Any]:
    """What is signed. Days are UTC's: no time of day stays of a request whose subject is gone."""
    return {
        "schema_version": SCHEMA_VERSION,
        "request_id": str(request.id),
        "kind": request.kind,
        "outcome": request.state,
        "service": program.name,
        "controller": program.controller.name,
        "received_on": _day(request.received_at),
        "point_of_no_return_on": _day(request.point_of_no_return_at),
        "completed_on": _day(request.closed_at),
        "holders": [_holder(run) for run in runs],
        "ledger": None if leaf is None else {"leaf": proofs.text(leaf)},
    }


def _holder(run: HolderRun) -> dict[str, Any]:
    kept = {"law": run.hold.law, "until": run.hold.until.isoformat()} if run.hold is not None else None
    return {"holder": run.holder, "rows_before": run.held_before, "rows_after": run.held_after, "kept": kept}


def _day(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).date().isoformat()
