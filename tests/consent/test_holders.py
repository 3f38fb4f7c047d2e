"""The holders of personal data: a registry, and what each must do with a subject's rows."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from django.db import ProgrammingError

from consent import edge
from consent.programs.tenancy import tenant
from consent.rights import holders as registry
from consent.rights.holders import Erased, PersonalDataHolder, Row, holder_of, holders, register
from consent.vault.identities import Vault
from consent.vault.models import Subject
from tests.cast import Program, event, now
from tests.consent.receiver import endpoint
from tests.consent.rights import Working, carry_out, file, lively, subject_of
from tests.reports.rolled import roll


class Notes(PersonalDataHolder):
    identifier = "notes.notes"
    title = "Notes"
    description = "What was noted of you."
    stage = 5

    def export(self, *, vault: Vault, subject: Subject) -> Iterator[Row]:
        yield "notes", {"text": "hello"}

    def erase(self, *, program_id: int, subject_id: int, limit: int) -> Erased:
        return Erased(0, finished=True)

    def count(self, *, program_id: int, subject_id: int) -> int:
        return 0


@pytest.fixture
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


def test_the_apps_have_registered_in_the_order_of_an_erasure() -> None:
    assert [holder.identifier for holder in holders()] == [
        "reports.rollups",
        "tracking.events",
        "consent.profile",
        "consent.processors",
        "consent.records",
        "consent.requests",
        "consent.subject",
    ]


def test_an_identifier_is_registered_once(empty_registry: None) -> None:
    register(Notes())
    with pytest.raises(ValueError, match=r"notes\.notes is registered already"):
        register(Notes())


def test_the_last_stage_is_the_subjects_alone(empty_registry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Notes, "stage", registry.LAST_STAGE)
    register(Notes())
    monkeypatch.setattr(Notes, "identifier", "notes.more")
    with pytest.raises(ValueError, match="belongs to the subject alone"):
        register(Notes())


def test_a_holder_that_is_not_registered_is_an_error_of_its_own(empty_registry: None) -> None:
    with pytest.raises(registry.UnknownHolder):
        holder_of("notes.notes")


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_each_holder_erases_in_bounded_steps_and_nobody_elses_rows(
    program: Program, owner: psycopg.Connection, as_worker: Working, limit: int
) -> None:
    endpoint(program, "https://backend.example/", events=["consent.changed"])
    alice, bob = (subject_of(owner, lively(program, openid)) for openid in ("alice", "bob"))
    for openid in ("alice", "bob"):
        carry_out(program, as_worker, file(program, "access", openid))
    with as_worker():
        roll(program, [now().date() - timedelta(days=n) for n in range(-1, 4)])
        before = _counts(program, bob)
        assert all(count > 0 for count in before.values()), before
        for holder in holders():
            largest = _erase(program, holder, alice, limit)
            if holder.identifier in {"reports.rollups", "tracking.events", "consent.processors"}:
                assert largest <= limit
        assert set(_counts(program, alice).values()) == {0}
        assert _counts(program, bob) == before


def _counts(program: Program, subject_id: int) -> dict[str, int]:
    with tenant(program.id):
        return {h.identifier: h.count(program_id=program.id, subject_id=subject_id) for h in holders()}


def _erase(program: Program, holder: PersonalDataHolder, subject_id: int, limit: int) -> int:
    """The most rows that one step affected. Once more than needed: an erasure may be begun again after its end."""
    largest, steps = 0, 0
    for _ in range(2):
        erased = Erased(0, finished=False)
        while not erased.finished:
            with tenant(program.id):
                erased = holder.erase(program_id=program.id, subject_id=subject_id, limit=limit)
            largest, steps = max(largest, erased.affected), steps + 1
            assert steps < 100
    return largest


def test_only_the_worker_may_erase(program: Program, owner: psycopg.Connection) -> None:
    alice = subject_of(owner, lively(program))
    before = _counts(program, alice)
    for holder in holders():
        with pytest.raises(ProgrammingError, match="permission denied to set role"), tenant(program.id):
            holder.erase(program_id=program.id, subject_id=alice, limit=10)
    assert _counts(program, alice) == before


def test_an_erasure_under_another_tenant_reaches_nothing(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alice = subject_of(owner, lively(program))
    with as_worker():
        before = _counts(program, alice)
        for holder in holders():
            with tenant(other.id):
                assert holder.erase(program_id=other.id, subject_id=alice, limit=10).affected == 0
        assert _counts(program, alice) == before


def test_a_restriction_closes_the_gate_until_it_is_lifted(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alice = subject_of(owner, lively(program))

    def restrict(restricted: bool) -> int:
        with tenant(program.id):
            subject = Subject.objects.select_for_update().get(id=alice)
            return sum(h.restrict(subject=subject, restricted=restricted, now=edge.now()) for h in holders())

    assert restrict(True) == 3
    assert restrict(True) == 0
    in_the_gap = now()
    assert program.send(event("alice", "r1"))["results"][0]["code"] == "restricted"
    assert restrict(False) == 3
    assert program.send(event("alice", "r2", in_the_gap))["results"][0]["code"] == "outside_consent"
    assert program.send(event("alice", "r3"))["stored"] == 1
