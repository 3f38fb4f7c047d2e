"""Cutting events into sessions: reports.metrics.session, word for word, on columns."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from reports.columns.events import Events, Numbers, micros, span
from reports.columns.groups import changes
from reports.privacy.figures import Period

_LONGEST_PAUSE = span(timedelta(minutes=30))
_DAY = span(timedelta(hours=24))


@dataclass(frozen=True, slots=True)
class Visits:
    """Events in the order of their sessions, and in each of time and event id. `number`: which session each is of, from 0;
    `starts`: the place of each session's first event."""

    events: Events
    number: Numbers
    starts: Numbers


def visits(events: Events, of: Period) -> Visits:
    """The sessions that began in [begins, ends), each with all its events. `events`: from LOOK_BACK before to LOOK_AHEAD
    behind (reports.metrics.session), in their order, with `session`."""
    ordered = _by_session(events)
    number = _numbered(ordered)
    starts = _starts(number)
    began = ordered.at[starts]
    asked = (began >= micros(of.begins)) & (began < micros(of.ends))
    if asked.all():
        return Visits(ordered, number, starts)
    chosen = ordered.take(asked[number])
    renumbered = (np.cumsum(asked) - 1)[number[asked[number]]]
    return Visits(chosen, renumbered, _starts(renumbered))


def _by_session(events: Events) -> Events:
    """Those of one subject and session id together, as they stood. Most do: only where one comes again are they moved."""
    subject, session = events.subject, events["session"]
    starts = np.flatnonzero(changes(subject) | changes(session))
    runs = np.lexsort((session[starts], subject[starts]))
    begins = starts[runs]
    if (changes(subject[begins]) | changes(session[begins])).all():
        return events
    length = np.diff(starts, append=len(subject))[runs]
    return events.take(np.arange(len(subject)) + np.repeat(begins - (np.cumsum(length) - length), length))


def _numbered(events: Events) -> Numbers:
    """Of events by subject and session id, then time: the session of each, from 0."""
    subject, session, at = events.subject, events["session"], events.at
    if not len(at):
        return np.zeros(0, np.int64)
    pause = np.where(session == 0, _LONGEST_PAUSE, _DAY)
    other = changes(subject) | changes(session)
    other[1:] |= at[1:] - at[:-1] > pause[1:]
    cut = at[np.flatnonzero(other)][np.cumsum(other) - 1] + _DAY
    late = np.flatnonzero(at >= cut)
    before = at[late - 1]
    # Days of UTC: the count begins at a midnight.
    other[late[(before < cut[late]) | (before // _DAY != at[late] // _DAY)]] = True
    return np.cumsum(other) - 1


def _starts(number: Numbers) -> Numbers:
    """The place of each number's first event."""
    return np.flatnonzero(changes(number))
