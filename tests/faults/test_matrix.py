"""I5: whatever happens to a worker, at whichever step of whichever request: the request ends by itself, and as it should.

Each cell is one fault at one boundary of one scenario. Afterwards everything is as without the fault: the request's state,
what each holder erased or told, the certificate, the package, what is left in any table; and nothing of anybody else changed.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import cycle

import pytest

from consent.rights import fulfilment, packages, runs, tasks
from consent.rights.holders import fulfilling
from consent.rights.models import ERASING, PACKAGED, TERMINAL, RequestKind
from tests import stack
from tests.cast import Program
from tests.consent.receiver import endpoint
from tests.consent.rights import Working, file, shown
from tests.faults.cells import CELLS, Cell
from tests.faults.injected import (
    AFTER,
    BEFORE,
    PackageStore,
    end_this_thread,
    flush,
    flush_and_kill_myself,
    in_a_process,
    inject,
    joined_by,
    kill_myself,
    restart,
    sweep,
)
from tests.faults.scenarios import (
    SCENARIOS,
    Case,
    Outcome,
    Scenario,
    connect,
    due,
    person,
    prepare,
    print_of,
    rows_of,
    undisturbed,
    unfinished,
)

LONGEST_S = 120.0
OVER_AT_ONCE = timedelta(0)
"""The lease of a worker that is taken for dead as soon as it has committed."""

Place = tuple[int, str]
"""The number of a commit, 0 for before them all, and the moment."""


@dataclass
class Plan:
    """A scenario without a fault: how it ends, and at which holder each of its commits was."""

    outcome: Outcome
    at: list[str] = field(default_factory=list)

    def everywhere(self) -> list[Place]:
        return [(number, moment) for number in range(1, len(self.at) + 1) for moment in (BEFORE, AFTER)]

    def at_each_commit(self) -> list[Place]:
        """Before the first one, and at each, by turns just before it and just after."""
        return [(0, BEFORE), *zip(range(1, len(self.at) + 1), cycle((AFTER, BEFORE)))]

    def at_each_holder(self) -> list[Place]:
        """Before the first commit, and in the middle of those of each holder's run."""
        places: list[Place] = [(0, BEFORE)]
        for holder, moment in zip(dict.fromkeys(self.at), cycle((BEFORE, AFTER))):
            numbers = [number for number, at in enumerate(self.at, start=1) if at == holder]
            places.append((numbers[len(numbers) // 2], moment))
        return places


@pytest.fixture(scope="session")
def plans() -> dict[Scenario, Plan]:
    return {}


@dataclass
class World:
    """A mini-program with a bystander, and workers for it."""

    program: Program
    as_worker: Working
    plans: dict[Scenario, Plan]
    bystander: int = 0
    people: int = 0

    def __post_init__(self) -> None:
        # What waits to be told is rows of a person like others; no worker here sends it.
        endpoint(self.program, "http://127.0.0.1:9/", events=["consent.changed"])
        self.bystander = person(self.program, "bob")
        self.untouched = print_of(self.bystander)
        flush()

    def prepare(self, scenario: Scenario) -> Case:
        self.people += 1
        return prepare(self.program, self.as_worker, scenario, f"alice{self.people}")

    def plan(self, scenario: Scenario) -> Plan:
        if scenario not in self.plans:
            case, at = self.prepare(scenario), [""]

            def note(number: int) -> None:
                """The run that is under way after the commit, or was before it."""
                with connect() as owner:
                    row = owner.execute(
                        "SELECT holder FROM holder_run WHERE request_id = %s AND status = 'running'", [case.request_id]
                    ).fetchone()
                at.append(str(row[0]) if row else at[-1])

            with self.as_worker(), inject(0, AFTER, kill_myself, note):
                case.work(runs.LEASE)
            self.plans[scenario] = Plan(undisturbed(case), at[1:])
        return self.plans[scenario]

    def end(self, case: Case, since: float) -> float:
        """Sweep until the request is as it should be; answers how long that took since the fault's end."""
        wanted = self.plan(case.scenario).outcome.state
        while case.state() != wanted:
            assert time.monotonic() - since < LONGEST_S, (case.state(), unfinished(case))
            if case.scenario.over:
                tasks.end_holds()
            sweep()
            time.sleep(0.02)
        return time.monotonic() - since

    def check(self, case: Case) -> None:
        assert case.outcome() == self.plan(case.scenario).outcome
        assert print_of(self.bystander) == self.untouched

    def erase(self, case: Case) -> None:
        """Nothing that a request left behind stands in the way of an erasure."""
        last = Case(
            self.program, Scenario("erasure"), case.openid, case.subject_id, file(self.program, "erasure", case.openid)
        )
        due(last)
        with self.as_worker():
            last.work(runs.LEASE)
        with connect() as owner:
            assert (last.state(), rows_of(owner, case.subject_id)) == ("completed", {})


@pytest.fixture
def world(program: Program, as_worker: Working, plans: dict[Scenario, Plan], monkeypatch: pytest.MonkeyPatch) -> World:
    """With small steps, so that there are many boundaries."""
    monkeypatch.setattr(fulfilment, "ERASE_LIMIT", 4)
    monkeypatch.setattr(fulfilment, "PARTS_LIMIT", 2)
    monkeypatch.setattr(packages, "gathered", partial(packages.gathered, size=4096))
    monkeypatch.setattr(runs, "SHORTEST_WAIT", timedelta(seconds=0.2))
    return World(program, as_worker, plans)


# --- The faults: each is done while a worker carries the case out, and answers when it was over ----------------------

Fault = Callable[[World, Case, Place], float | None]
"""None where the request was through before the fault came."""


def killed(world: World, case: Case, place: Place) -> float | None:
    """kill -9 of the worker."""

    def work() -> None:
        with inject(*place, kill_myself):
            case.work(OVER_AT_ONCE)

    return time.monotonic() if in_a_process(work) else None


def flushed(world: World, case: Case, place: Place) -> float | None:
    """Redis forgets its hints; before a commit the worker that had them dies too, so that PostgreSQL alone knows."""
    number, moment = place
    if number == 0:
        flush()
        return time.monotonic()
    if moment == BEFORE:

        def work() -> None:
            with inject(number, moment, flush_and_kill_myself):
                case.work(OVER_AT_ONCE)

        return time.monotonic() if in_a_process(work) else None
    with inject(number, moment, flush) as seen:
        case.hint()
    return seen.fault_ended if seen.came else None


def restarted(world: World, case: Case, place: Place) -> float | None:
    """PostgreSQL restarts while the worker has a session."""
    assert stack.services is not None
    again = partial(restart, stack.services)
    if place[0] == 0:
        again()
    with inject(*place, again) as seen:
        case.hint()
    return seen.fault_ended if seen.came else time.monotonic() if place[0] == 0 else None


def joined(world: World, case: Case, place: Place) -> float | None:
    """A second worker with the same hint. At every other place it takes the first for dead, may die itself after a few
    commits, and then the first goes on as if nothing had been."""
    number = place[0]
    mistaken = number % 4 in (1, 2)
    lease = OVER_AT_ONCE if mistaken else runs.LEASE

    def other() -> None:
        with inject(number // 2 % 4 if mistaken else 0, AFTER, end_this_thread):
            case.work(lease)

    with joined_by(other) as second, inject(*place, second) as seen:
        if number == 0:
            second()
        case.work(lease)
    return time.monotonic() if seen.came or number == 0 else None


def filled(store: PackageStore, world: World, case: Case, place: Place) -> float | None:
    """The package store is full. Packages wait, and no attempt is lost by that; everything else goes on."""
    if place[0] == 0:
        store.fill()
    try:
        with inject(*place, store.fill) as seen:
            case.hint()
        if case.scenario.kind not in PACKAGED:
            world.end(case, time.monotonic())
        elif case.state() not in TERMINAL:
            sweep()
            waiting = unfinished(case)  # none, where only the package's last part is missing
            assert not waiting or ("pending", "database_53100") in waiting
            assert {status for status, _ in waiting} <= {"pending"}
        else:
            assert place[0] > 0, "the package fitted"
    finally:
        store.make_room()
    return time.monotonic() if seen.came or place[0] == 0 else None


# --- The matrix ------------------------------------------------------------------------------------------------------

WHERE: dict[str, tuple[Fault, Callable[[Plan], list[Place]]]] = {
    "worker killed": (killed, Plan.everywhere),
    "Redis flushed": (flushed, Plan.at_each_commit),
    "PostgreSQL restarted": (restarted, Plan.at_each_holder),
    "two workers": (joined, Plan.at_each_commit),
}
"""A restart takes a second or two, so it is not done at every single commit."""


def cell(name: str, world: World, case: Case, place: Place, fault: Fault) -> None:
    with world.as_worker():
        ended = fault(world, case, place)
        seconds = None if ended is None else world.end(case, ended)
    world.check(case)
    if seconds is not None:
        CELLS.append(Cell(name, str(case.scenario), seconds))


def some(name: str, scenario: Scenario, places: list[Place]) -> Place:
    """One of the places, always the same one, and another in another scenario."""
    return places[(7 * SCENARIOS.index(scenario) + len(name)) % len(places)]


@pytest.mark.long
@pytest.mark.parametrize("name", WHERE)
def test_a_fault_in_each_scenario(world: World, name: str) -> None:
    """A sample of the matrix: each fault once in each scenario."""
    _possible(name)
    fault, where = WHERE[name]
    for scenario in SCENARIOS:
        # The plan first: whoever is about to be erased is left out of a rollup that is built for somebody else.
        at = some(name, scenario, where(world.plan(scenario)))
        cell(name, world, world.prepare(scenario), at, fault)


@pytest.mark.longest
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
@pytest.mark.parametrize("name", WHERE)
def test_a_fault_at_every_boundary(world: World, name: str, scenario: Scenario) -> None:
    _possible(name)
    fault, where = WHERE[name]
    for place in where(world.plan(scenario)):
        case = world.prepare(scenario)
        cell(name, world, case, place, fault)
        if name == "worker killed" and scenario.kind not in ERASING:
            world.erase(case)


def _possible(name: str) -> None:
    if name == "PostgreSQL restarted" and stack.services is None:
        pytest.skip("only the embedded PostgreSQL is restarted")


FULL = "package store full"


@pytest.fixture
def disk(store: PackageStore, world: World) -> Iterator[PackageStore]:
    """Has room again before the database is emptied."""
    store.empty()
    yield store
    store.make_room()


@pytest.mark.long
def test_a_full_store_in_each_scenario(disk: PackageStore, world: World) -> None:
    for scenario in SCENARIOS:
        place = some(FULL, scenario, world.plan(scenario).at_each_holder())
        disk.empty()
        cell(FULL, world, world.prepare(scenario), place, partial(filled, disk))


@pytest.mark.longest
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_full_store_at_every_holder(disk: PackageStore, world: World, scenario: Scenario) -> None:
    for place in world.plan(scenario).at_each_holder():
        disk.empty()
        cell(FULL, world, world.prepare(scenario), place, partial(filled, disk))


def test_an_erasure_goes_on_while_its_subjects_package_does_not_fit(disk: PackageStore, world: World) -> None:
    case = world.prepare(Scenario("access"))
    disk.fill()
    with world.as_worker():
        case.hint()
    assert unfinished(case)
    world.erase(case)
    assert shown(world.program, case.filed)["state"] == "completed_no_data"


@pytest.mark.parametrize("kind", [kind.value for kind in RequestKind if not fulfilling(kind)])
def test_what_has_no_runs_is_done_at_its_filing(world: World, kind: str) -> None:
    filed = file(world.program, kind, "bob", scope={"purposes": ["analytics"]})
    assert filed["state"] == "completed"
