"""Under fourteen (PIPL 28, 31): who is, what a consent then needs, and what ends when they turn fourteen."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from consent.errors import invalid
from consent.ledger.leaves import new_salt
from consent.notices.models import Audience, Notice
from consent.records.grants import begun_everywhere, turning_14
from consent.records.models import AUTHORISING, ConsentRecord, ConsentState, State
from consent.vault.models import Subject

FOUR_YEARS = timedelta(days=1461)
"""From 14 to 18, with the leap day among them. Who is said to be 14 to 17 is 18 when they are over, at the latest."""


MINOR = """
    CASE
        WHEN subject.turns_14_on IS NOT NULL
            THEN %(now)s < ((subject.turns_14_on + 1461) + time '12:00') AT TIME ZONE 'UTC'
        WHEN subject.under_14 THEN true
        ELSE coalesce((
            SELECT said.age_band = '14_17' AND %(now)s < said.corrected_at + interval '35064 hours'
            FROM consent_record said WHERE said.subject_id = subject.subject_id AND said.age_band <> 'unknown'
            ORDER BY said.version DESC LIMIT 1
        ), false)
    END
"""
"""`is_minor` of each `subject` of a statement, with `now`: of many at once."""


def turned_14(subject: Subject, now: datetime) -> bool:
    """Whether it is their 14th birthday, or later, wherever they are; False where the day is not known."""
    return subject.turns_14_on is not None and begun_everywhere(subject.turns_14_on) <= now


def is_under_14(subject: Subject, age_band: str, at: datetime) -> bool:
    """At a time, by what an act says of the age; a known birthday outweighs it. An age nobody says is not under 14."""
    if subject.turns_14_on is not None:
        return not turned_14(subject, at)
    return age_band == "under_14" or (subject.under_14 and age_band == "unknown")


def is_minor(subject: Subject, now: datetime) -> bool:
    """Whether they are under 18 (MOR 36) by what is known: their birthday, or the newest that an act said of their age.

    Who may still be 17 somewhere on earth is. An age that nobody says is not under 18.
    """
    if subject.turns_14_on is not None:
        return now < begun_everywhere(subject.turns_14_on + FOUR_YEARS)
    if subject.under_14:
        return True
    said = ConsentRecord.objects.filter(subject=subject).exclude(age_band="unknown").order_by("-version").first()
    return said is not None and said.age_band == "14_17" and now < said.corrected_at + FOUR_YEARS


def check_age(subject: Subject, age_band: str, at: datetime) -> None:
    """What an act says of the age may not contradict the birthday. Raises Invalid `age_contradicted`."""
    if age_band == "under_14" and turned_14(subject, at):
        raise invalid(
            "age_contradicted",
            "the birthday says that they had turned 14 everywhere: leave under_14 out, or put turns_14_on right",
            "/age_band",
        )


def check_guardian(guardian: Mapping[str, Any] | None, *, latest: datetime) -> None:
    """Who is to be verified tomorrow has not been. Raises Invalid `in_the_future`."""
    if guardian is not None and datetime.fromisoformat(guardian["verified_at"]) > latest:
        raise invalid("in_the_future", "the guardian's verification lies in the future", "/guardian/verified_at")


def check_given(subject: Subject, notice: Notice, *, under_14: bool, at: datetime, place: int, alone: bool) -> None:
    """A consent for somebody under 14 is an act of its own, under the notice for minors and their guardians; nobody else's
    is given under that. Who turns 14 about then may be either, so that neither they nor a guardian can consent.

    `under_14` at the act's time, `at`; `place` among its decisions. Raises Invalid `turning_14`, `general_notice_required`,
    `separate_consent_required`, `minor_notice_required`. Without a guardian it is kept as evidence and authorises nothing
    (`guardian_pending`).
    """
    day = subject.turns_14_on
    if day is not None and turning_14(day, at):
        raise invalid(
            "turning_14",
            "they turn 14, in one part of the world sooner than in another: ask them under the general notice from"
            f" {begun_everywhere(day).isoformat()} on",
            f"/decisions/{place}/decision",
        )
    if not under_14:
        if notice.audience == Audience.MINOR:
            raise invalid(
                "general_notice_required",
                "the notice of audience minor is for people said to be under fourteen: show and send the general one,"
                " or say age_band or turns_14_on",
                "/notice",
            )
        return
    if not alone:
        raise invalid(
            "separate_consent_required",
            "under fourteen each purpose needs an act of its own: act single, one decision",
            f"/decisions/{place}/purpose",
        )
    if notice.audience != Audience.MINOR:
        raise invalid("minor_notice_required", "under fourteen, show and send the notice of audience minor", "/notice")


def ended_at_14(subject: Subject, states: Sequence[ConsentState], now: datetime) -> list[ConsentRecord]:
    """The records that end what was given for a child, one a grant, under the subject's version.

    `expired` where a guardian stood by the grant, `invalidated` where none did: what it collected has to go. Dated when the
    grant was over, which may be before `now`.
    """
    return [
        ConsentRecord(
            subject=subject,
            program_id=subject.program_id,
            purpose_id=state.purpose_id,
            notice_id=state.notice_id,
            version=subject.version,
            state=State.INVALIDATED if state.guardian_pending else State.EXPIRED,
            age_band="unknown",
            turns_14_on=subject.turns_14_on,
            occurred_at=min(state.grant_until or now, now),
            corrected_at=min(state.grant_until or now, now),
            received_at=now,
            salt=new_salt(),
        )
        for state in states
        if state.state in AUTHORISING
    ]
