"""I2 under load, with processes: what was counted right after an acknowledged withdrawal or erasure never grows."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from tests.cast import Program
from tests.journeys.server import Server, serving
from tests.tracking.barrier_load import Ending, Withdrawer, ingesting, name_subjects, stored, withdraw, without_lock

HOT = [f"hot-{number}" for number in range(40)]
PATIENCE_S = 10.0


@dataclass
class Run:
    """What came of a load."""

    endings: list[Ending] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)

    @property
    def leaks(self) -> list[Ending]:
        return [ending for ending in self.endings if ending.leaked]

    def report(self) -> str:
        took = sorted(ending.seconds for ending in self.endings)
        cuts = statistics.quantiles([*took, took[-1]], n=100, method="inclusive")
        return (
            f"{len(took)} endings, {len(self.leaks)} of them leaked; p50 {cuts[49] * 1000:.0f} ms,"
            f" p99 {cuts[98] * 1000:.0f} ms, longest {took[-1] * 1000:.0f} ms; events {self.answers}"
        )


def consented(program: Program, owner: psycopg.Connection, subjects: list[str]) -> None:
    """Every subject with a grant. Known to the counting by name."""
    told = {openid: program.decide(openid)["subject_id"] for openid in subjects}
    rows = owner.execute("SELECT pseudonym::text, subject_id FROM subject").fetchall()
    ids: dict[str, int] = dict(rows)
    name_subjects({openid: ids[pseudonym] for openid, pseudonym in told.items()})


def loaded(
    server: Server,
    program: Program,
    owner: psycopg.Connection,
    subjects: list[str],
    *,
    endings: int,
    clients: int = 4,
    withdrawers: int = 2,
    batch: int = 100,
    until_leak: bool = False,
) -> Run:
    """The run, and the counts of the last endings once more after all clients have stopped."""
    run = Run()
    shares = [subjects[number::withdrawers] for number in range(withdrawers)]
    acting = [
        Withdrawer(
            server.base_url,
            program.key,
            program.notice,
            share,
            rounds=endings // withdrawers,
            lag=min(5, len(share) - 1),
            pause_s=0.03 if len(share) == 1 else 0,
            every_erasure=5,
            until_leak=until_leak,
        )
        for share in shares
    ]
    with ingesting(server.base_url, program.key, subjects, clients=clients, batch=batch, totals=run.answers):
        run.endings = withdraw(acting)
    for ending in (ending for withdrawer in acting for ending in withdrawer.left):
        ending.again = stored(owner, ending.openid)
    print(run.report())  # noqa: T201  for `pytest -rP`
    gate_kept(owner)
    return run


def gate_kept(owner: psycopg.Connection) -> None:
    """No intent is left behind."""
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)


@pytest.mark.long
@pytest.mark.parametrize("endings", [200, pytest.param(5000, marks=pytest.mark.longest)])
def test_nothing_becomes_visible_after_an_acknowledgement(
    program: Program, owner: psycopg.Connection, tmp_path: Path, endings: int
) -> None:
    consented(program, owner, HOT)
    with serving(tmp_path) as server:
        run = loaded(server, program, owner, HOT, endings=endings)
    assert len(run.endings) == endings
    assert all(ending.again is not None for ending in run.endings)
    assert {ending.kind for ending in run.endings} == {"withdrawal", "erasure"}
    assert run.leaks == []
    # The load was one: batches met open and closed gates.
    assert run.answers["stored"] > endings
    assert run.answers["refused"] > 0


@pytest.mark.long
def test_the_same_load_finds_a_gate_without_its_lock(
    program: Program, owner: psycopg.Connection, tmp_path: Path
) -> None:
    """A test of the test: with FOR SHARE taken out of the gate's statement, events appear after the acknowledgement."""
    consented(program, owner, HOT)
    with without_lock(tmp_path), serving(tmp_path) as server:
        # It ends with the first, which a slow machine may be long in coming to.
        run = loaded(server, program, owner, HOT, endings=4_000, until_leak=True)
    assert "the lock is out" in server.log.read_text()
    assert run.leaks


@pytest.mark.long
@pytest.mark.parametrize("endings", [60, pytest.param(2000, marks=pytest.mark.longest)])
def test_a_hot_subject_does_not_starve_its_withdrawal(
    program: Program, owner: psycopg.Connection, tmp_path: Path, endings: int
) -> None:
    """Eight clients send of nobody else."""
    consented(program, owner, ["hot"])
    with serving(tmp_path) as server:
        run = loaded(server, program, owner, ["hot"], endings=endings, clients=8, withdrawers=1, batch=20)
    assert run.leaks == []
    assert max(ending.seconds for ending in run.endings) < PATIENCE_S
