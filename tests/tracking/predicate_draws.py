"""What the predicate test draws from: mini-program's types, gaps between steps, acts, events and the times they claim."""

from dataclasses import dataclass
from datetime import timedelta

from hypothesis import strategies as st

from tests.tracking.predicate_model import Told

SUBJECTS = ("ann", "bob")
PURPOSES = ("analytics", "personalisation")
TYPES = {
    "view": ("analytics", frozenset({"behaviour"})),
    "device_seen": ("analytics", frozenset({"behaviour", "device"})),
    "like": ("personalisation", frozenset({"behaviour"})),
}

gaps = st.sampled_from(
    [timedelta(seconds=s) for s in (*4 * (20, 90, 600, 3600), *2 * (4 * 3600, 20 * 3600))]
    + [timedelta(days=d) for d in (3, 8, 31)]
)
skews = st.sampled_from([timedelta(seconds=s) for s in (*9 * (0,), 40, -40, 200, -200, 7200, -7200, 80_000, -90_000)])
near = st.sampled_from([timedelta(seconds=s) for s in (-4000, -300, -40, -5, -5, 0, 0, 0, 5, 5, 40, 300, 4000)])


@dataclass(frozen=True)
class Place:
    """A time for an event, an act or a version: so far from now, or from an instant at which answers change.

    `boundary`: which of these, counted from the nearest to now.
    """

    away: timedelta
    boundary: int | None = None


NOW = Place(timedelta(0))
agos = [Place(timedelta(seconds=-s)) for s in (0, 0, 0, 5, 5, 60, 600, 7200, 79_200)]
days_ago = [Place(timedelta(days=-d)) for d in (2, 2, 6, 8, 40, 300, 399, 402)]
ahead = [Place(timedelta(seconds=s)) for s in (30, 90, 90_000)]
beside = st.builds(Place, near, st.sampled_from([0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 9, 12]))
event_places = st.one_of(st.sampled_from(agos), st.sampled_from(agos + days_ago + ahead), beside, beside, beside)
closest = st.builds(Place, st.sampled_from([timedelta(seconds=s) for s in (-40, -5, 0, 5)]), st.just(0))
act_places = st.one_of(
    st.just(NOW),
    beside,
    closest,
    st.sampled_from([NOW, *(Place(timedelta(seconds=s)) for s in (30, 90, -60, -600, -7200, -80_000, -90_000))]),
    st.sampled_from([NOW, NOW, *(Place(timedelta(days=-d)) for d in (3, 20, 60, 300))]),
    beside,
)
effectives = st.sampled_from(
    [
        None,
        *(Place(timedelta(seconds=s)) for s in (30, 7200, 7200, 72_000, 172_800, 1_728_000)),
        *(Place(timedelta(0), n) for n in (0, 1, 2)),
    ]
)


@dataclass(frozen=True)
class ToldAge:
    """What an act tells of age; the birthday so many days from today."""

    under_14: bool = False
    guardian: bool = False
    birthday_in: timedelta | None = None


NO_AGE = ToldAge()
ages = st.sampled_from(
    [
        *6 * [NO_AGE],
        *4 * [ToldAge(guardian=True)],
        ToldAge(under_14=True),
        ToldAge(under_14=True, guardian=True),
        *(ToldAge(under_14=True, guardian=True, birthday_in=timedelta(days=n)) for n in (-3, 2, 9)),
        ToldAge(birthday_in=timedelta(days=5)),
    ]
)
decisions = st.sampled_from([*8 * ["given"], "refused", *2 * ["withdrawn"], "deferred"])
events = st.tuples(st.sampled_from(sorted(TYPES)), event_places, skews)
tellings = st.fixed_dictionaries(
    {},
    optional={
        purpose: st.builds(
            Told,
            st.sampled_from([frozenset({"behaviour"}), frozenset({"behaviour", "device"})]),
            st.sampled_from([None, timedelta(days=2), timedelta(days=30)]),
            st.sampled_from([*5 * [False], True]),
            st.sampled_from([1, 7, 365, 365, 365, 1000]),
        )
        for purpose in PURPOSES
    },
).filter(bool)
