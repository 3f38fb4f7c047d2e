"""What reports about events answer: their numbers, goals that were reached, and what became of those sent."""

import datetime

import msgspec

from reports.api.answers.shared import Answered, Edges, Privacy, StatusOfCell


class Trend(msgspec.Struct):
    """An interval (`date`, `week`, its Monday, or `month`, its first day), and a value where a breakdown was asked.

    `known`: events that have the property, over which its sum, mean and p90 are; these where a property was asked.
    """

    events: int | None
    subjects: int | None
    events_per_subject: float | None
    closed: bool
    status: dict[str, StatusOfCell]
    known: int | None = None
    sum: float | None = None
    mean: float | None = None
    p90: float | None = None
    p90_bin: Edges | None = None
    date: datetime.date | None = None
    week: datetime.date | None = None
    month: datetime.date | None = None
    value: str | None = None
    value_other: bool | None = None


class TrendsAnswered(Answered, kw_only=True):
    """The intervals asked, and in `previous`, where it was asked for, as many before."""

    data: list[Trend]
    previous: list[Trend] | None = None


class FunnelStep(msgspec.Struct, kw_only=True):
    """A step, from 1; of a value where a breakdown was asked. `event` null: an unordered funnel's n-th step is any.

    `median_s`, `p90_s`: seconds from the first step to this.
    """

    step: int
    event: str | None
    subjects: int | None
    conversion_from_first: float | None
    conversion_from_previous: float | None
    median_s: float | None
    median_s_bin: Edges | None
    p90_s: float | None
    p90_s_bin: Edges | None
    closed: bool
    status: dict[str, StatusOfCell]
    value: str | None = None
    value_other: bool | None = None


class FunnelAnswered(Answered, kw_only=True):
    """Subjects by how far their furthest attempt got. Attempts whose window is still open are apart."""

    data: list[FunnelStep]
    open_attempts: int | None
    open_subjects: int | None


class Converted(msgspec.Struct):
    """Of those exposed who reached the goal, in a date, week (its Monday) or month (its first day); of a value where asked."""

    exposed: int | None
    converted: int | None
    conversion: float | None
    exposures: int | None
    goals: int | None
    goals_per_exposure: float | None
    closed: bool
    status: dict[str, StatusOfCell]
    date: datetime.date | None = None
    week: datetime.date | None = None
    month: datetime.date | None = None
    value: str | None = None
    value_other: bool | None = None


class ConversionAnswered(Answered, kw_only=True):
    """Conversion by interval, always with those exposed."""

    data: list[Converted]


class Answers(msgspec.Struct, kw_only=True):
    """Events by what became of them; the refused ones by code too."""

    accepted: int | None
    late: int | None
    duplicate: int | None
    refused: int | None
    consent_missing: int | None
    consent_refused: int | None
    consent_withdrawn: int | None
    consent_expired: int | None
    outside_consent: int | None
    renewal_required: int | None
    guardian_required: int | None
    restricted: int | None
    erasure_pending: int | None
    unknown_event: int | None
    undeclared_property: int | None
    invalid_property: int | None
    identifier_in_property: int | None
    too_old: int | None
    in_the_future: int | None
    invalid_event: int | None
    status: dict[str, StatusOfCell]


class AnswersOfType(Answers, kw_only=True):
    """Of an event type in a date, week or month. `event` null: no type of the catalogue, or not to be read."""

    event: str | None
    closed: bool
    date: datetime.date | None = None
    week: datetime.date | None = None
    month: datetime.date | None = None


class QualityAnswered(Answers, kw_only=True):
    """What became of the events over all intervals and types, and of each in `data`; and what every answer tells."""

    definition: str
    zone: str
    as_of: datetime.datetime
    revision: int
    privacy: Privacy
    withdrawn_subjects: int | None
    data: list[AnswersOfType]
