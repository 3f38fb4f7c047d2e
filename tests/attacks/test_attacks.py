"""A regression suite of attacks on the reports, not a proof (docs/threat-model.md): none may succeed.

Each is tried in random worlds in which the target did it and in which it did not. Each also has to succeed where the gate is
open (k = 1): an attack that cannot succeed proves nothing.
"""

from collections.abc import Callable
from typing import Any

import pytest

from reports import frozen
from reports.metrics import series, trends
from reports.privacy import dimensions, threshold, within
from reports.privacy.cells import cell_of
from reports.privacy.figures import PerSubject
from reports.privacy.types import Types
from tests.attacks.attacks import ATTACKS
from tests.attacks.world import World
from tests.reports.events import History

Histories = Callable[..., History]
SEEDS = range(2)


def claims(history: Histories, name: str, seeds: range = SEEDS) -> list[tuple[bool, bool]]:
    """(what the analyst says, what is true) of each world in which they say something."""
    found = []
    for seed in seeds:
        for did in (True, False):
            said = ATTACKS[name](World(history(), seed, did))
            if said is not None:
                found.append((said, did))
    return found


@pytest.mark.long
@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_succeeds(history: Histories, name: str) -> None:
    assert claims(history, name) == []


@pytest.mark.long
@pytest.mark.parametrize("name", ATTACKS)
def test_each_would_without_the_gate(history: Histories, name: str, settings: Any) -> None:
    settings.ZHIQING_K = 1
    said = claims(history, name, SEEDS[:1])
    assert (True, True) in said
    assert all(claim == did for claim, did in said)


@pytest.mark.longest
@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_succeeds_in_many_worlds(history: Histories, name: str) -> None:
    assert claims(history, name, range(2, 12)) == []


# --- Without one defence ---------------------------------------------------------------------------------------------

AGAIN = [name for name in ATTACKS if ": " in name]


@pytest.mark.long
@pytest.mark.parametrize("name", AGAIN)
def test_without_frozen_figures_whoever_asks_again_learns(
    history: Histories, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "seen", lambda asked, fresh, *, as_of: frozen.Seen(asked, fresh, {}, {}))
    assert (True, True) in claims(history, name, SEEDS[:1])


def test_without_merging_a_rare_value_is_the_total_less_the_others(
    history: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apart(parts: Any, k: int, *, all_closed: bool) -> list[dimensions.Part]:
        return [dimensions.Part(value, False, tally) for value, tally in parts.items()]

    monkeypatch.setattr(dimensions, "merged_parts", apart)
    monkeypatch.setattr(dimensions, "column", lambda figures, period, k, as_of: [
        cell_of(figure, period, k, as_of) for figure in figures
    ])  # fmt: skip
    assert (True, True) in claims(history, "total_less_parts", SEEDS[:1])


def test_without_the_events_others_an_event_is_all_less_one(
    history: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trends, "closed", lambda period, as_of: False)
    assert claims(history, "difference_of_two_reports", SEEDS[:1])


OF_TYPES = [name for name in ATTACKS if name.startswith("others_than_")]
BY_DIMENSION = {"others_than_what_is_judged", "others_than_the_history"}
"""These series are answered from the rows of all types."""


@pytest.mark.long
@pytest.mark.parametrize("name", OF_TYPES)
def test_where_reports_are_not_held_to_trends_a_type_is_all_less_the_others(
    history: Histories, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in BY_DIMENSION:
        monkeypatch.setattr(series, "closed", lambda period, as_of: False)
    else:
        monkeypatch.setattr(Types, "hide", lambda self, of, period, month=None: False)
    assert (True, True) in claims(history, name, SEEDS[:1])


def test_without_the_cuts_a_week_of_a_value_tells_of_the_others_on_a_day(
    history: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(within, "cutting", lambda days, wanted, k: set())
    assert (True, True) in claims(history, "week_of_an_event_less_days_beside_all_events", SEEDS[:1])


def test_where_a_month_is_one_piece_it_tells_of_its_edge(history: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(within, "_by_week", lambda days, first: ([list(days)], []))
    for name in ("month_less_weeks", "month_less_a_week_beside_all_events"):
        assert (True, True) in claims(history, name, SEEDS[:1])


def test_a_mean_that_is_told_beside_its_subjects_is_the_sum(
    history: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PerSubject, "additive", False)
    assert (True, True) in claims(history, "week_by_its_mean_less_days", SEEDS[:1])


OF_RANGES = [
    name for name in ATTACKS if name.replace("_", " ").startswith(("a day more", "a day earlier", "a day between"))
]


@pytest.mark.parametrize("name", OF_RANGES)
def test_where_ranges_end_anywhere_they_tell_of_the_days_between(
    history: Histories, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A range's views less those of its days are held by another rule, too."""
    monkeypatch.setattr(threshold, "withheld", lambda whole, k, as_of: False)
    monkeypatch.setattr(Types, "hide", lambda self, of, period, month=None: False)
    assert (True, True) in claims(history, name, SEEDS[:1])
