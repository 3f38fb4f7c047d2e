"""I1: whatever the order of acts and events, what is stored is what the predicate says, and names the right record."""

import psycopg
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.tracking.predicate_machine import PredicateMachine, Tally, Working


def explore(owner: psycopg.Connection, as_worker: Working, *, examples: int, fixed: int | None = None) -> Tally:
    """`fixed`: a seed, for the same histories every time."""
    tally = Tally()

    class Machine(PredicateMachine):
        pass

    Machine.owner, Machine.as_worker, Machine.tally = owner, staticmethod(as_worker), tally
    if fixed is not None:
        seed(fixed)(Machine)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(tally)  # noqa: T201  for `pytest -rP`
    return tally


@pytest.mark.long
@pytest.mark.parametrize("fixed", [12, pytest.param(20, marks=pytest.mark.longest)])
def test_the_service_agrees_with_the_predicate(
    database: None, owner: psycopg.Connection, as_worker: Working, fixed: int
) -> None:
    assert explore(owner, as_worker, examples=45, fixed=fixed).steps >= 1000


@pytest.mark.longest
def test_the_service_agrees_with_the_predicate_at_length(
    database: None, owner: psycopg.Connection, as_worker: Working
) -> None:
    assert explore(owner, as_worker, examples=450).steps >= 10_000
