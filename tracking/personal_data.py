"""What tracking holds of a person: behaviour events and the days on which there are any."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from django.db import connection
from django.db.models import Count
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from consent.processing.record import add_part
from consent.programs.tenancy import role
from consent.records.models import ConsentRecord
from consent.rights.affected import trace
from consent.rights.classification import Classified, Kind, classify
from consent.rights.holders import Collected, Erased, Keeping, Over, PersonalDataHolder, Row, Tally, register
from consent.vault.identities import Vault
from consent.vault.models import Subject
from tracking import retention
from tracking.models import DayChange, Event, EventSweep, EventType, EventTypeVersion, IngestCount, Page, SubjectDay
from tracking.partitions import attached_days
from tracking.recorded import events

if TYPE_CHECKING:
    from consent.rights.holders import Word

PAGE = 1_000
DAYS = 31
"""How many days' partitions one DELETE names."""
DAYS_READ = 60

_PUBLIC = Classified(Kind.PUBLIC, 1)
_OPERATIONAL = Classified(Kind.OPERATIONAL, 1)
_CATALOGUE = Classified(Kind.OPERATIONAL, 2)
_PSEUDONYM = Classified(Kind.PSEUDONYM, 3)
_BEHAVIOUR = Classified(Kind.BEHAVIOUR, 3)

classify(
    {
        EventType: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "name": _CATALOGUE,
            "purpose": _PUBLIC,
            "description": _CATALOGUE,
            "status": _CATALOGUE,
            "categories": _PUBLIC,
            "properties": _CATALOGUE,
            "version": _OPERATIONAL,
            "updated_at": _OPERATIONAL,
        },
        EventTypeVersion: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "event_type": _OPERATIONAL,
            "version": _OPERATIONAL,
            "declaration": _CATALOGUE,
            "actor": _CATALOGUE,
            "at": _CATALOGUE,
        },
        Page: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "path": _CATALOGUE,
            "subject_id": _PSEUDONYM,
        },
        Event: {
            "subject_id": _PSEUDONYM,
            "day": _BEHAVIOUR,
            "event_id": _BEHAVIOUR,
            "program_id": _OPERATIONAL,
            "type_id": _BEHAVIOUR,
            "consent_record_id": Classified(Kind.CONSENT_EVIDENCE, 3),
            "session_id": _BEHAVIOUR,
            "page_id": _BEHAVIOUR,
            "occurred_at": _BEHAVIOUR,
            "corrected_at": _BEHAVIOUR,
            "received_at": _BEHAVIOUR,
            "dwell_ms": _BEHAVIOUR,
            "scene": _BEHAVIOUR,
            "context": _BEHAVIOUR,
            "properties": _BEHAVIOUR,
        },
        SubjectDay: {
            "subject_id": _PSEUDONYM,
            "day": _BEHAVIOUR,
            "program": _OPERATIONAL,
        },
        EventSweep: {
            "program": _OPERATIONAL,
            "swept_to": _OPERATIONAL,
        },
        # Numbers of batches by day, of many subjects.
        DayChange: {
            "program": _OPERATIONAL,
            "day": _OPERATIONAL,
            "slot": _OPERATIONAL,
            "changes": _OPERATIONAL,
        },
        # Numbers of events by words of ours: nothing in a row came from an event or leads to a person, so an erasure
        # leaves it. Small ones could still single somebody out where an hour is known, and pass the reports' gate.
        IngestCount: {
            "program": _OPERATIONAL,
            "hour": _CATALOGUE,
            "type_id": _CATALOGUE,
            "answer": _CATALOGUE,
            "code": _CATALOGUE,
            "slot": _OPERATIONAL,
            "events": _CATALOGUE,
            "day_subjects": _CATALOGUE,
        },
    }
)

_EVENTS = "SELECT subject_id FROM subject_day WHERE program_id = %(program)s"
# What happened on a whole day of the window is found by the day, without the events. What came in it from the days around
# is asked of these: an event that is not late is of the five days before at most, by the caller's clock (a day off) and
# any zone's midnight. Older days are looked through only where the counters, which are kept for 400 days, tell of any late.
_EVENTS_WRITTEN = """
    SELECT subject_id FROM subject_day
    WHERE program_id = %(program)s AND day > %(first)s::date AND day < %(last)s::date
    UNION ALL
    SELECT subject_id FROM event
    WHERE program_id = %(program)s AND received_at >= %(since)s AND received_at < %(until)s
      AND (day >= %(first)s::date - 5 AND day <= %(first)s::date OR day >= %(last)s::date AND day <= %(last)s::date + 2)
    UNION ALL
    SELECT subject_id FROM event
    WHERE program_id = %(program)s AND received_at >= %(since)s AND received_at < %(until)s AND day < %(first)s::date - 5
      AND (SELECT %(since)s < clock_timestamp() - interval '399 days' OR EXISTS (
          SELECT FROM ingest_count WHERE program_id = %(program)s AND answer = 'late'
          AND hour > %(since)s - interval '1 hour' AND hour < %(until)s
      ))
"""

add_part("events", events)

trace(Event, rows=_EVENTS, written=_EVENTS_WRITTEN)
trace(SubjectDay, rows=_EVENTS, written=_EVENTS_WRITTEN)
trace(Page)

_AS_THEY_ARE = ("occurred_at", "corrected_at", "received_at", "dwell_ms", "scene")
_READ = f"""
    SELECT event_id, type_id, consent_record_id, session_id, page_id, {", ".join(_AS_THEY_ARE)}, context, properties
    FROM event WHERE subject_id = %s AND day = %s AND event_id > %s ORDER BY event_id LIMIT %s
"""
# Up to a key rather than by a list of keys: joined with one, PostgreSQL compares each with each where nobody has told it yet
# how many events a new day holds.
_FIRST_TO_STAY = (
    "SELECT day, event_id FROM event WHERE subject_id = %s AND day = ANY(%s) ORDER BY 1, 2 OFFSET %s LIMIT 1"
)
_ERASE = "DELETE FROM event WHERE subject_id = %s AND day = ANY(%s)"
_ERASE_UP_TO = f"{_ERASE} AND (day, event_id) < (%s, %s)"
_ERASE_PAGES = """
    DELETE FROM page WHERE subject_id = %s AND id IN (SELECT id FROM page WHERE subject_id = %s LIMIT %s)
"""


WORDS = {
    "events": _("What you did"),
    "event_id": _("event number"),
    "name": _("event"),
    "record_id": _("recorded under consent"),
    "session_id": _("session"),
    "page": _("page"),
    "occurred_at": _("time"),
    "corrected_at": _("time by our clock"),
    "received_at": _("received at"),
    "dwell_ms": _("dwell (milliseconds)"),
    "scene": _("scene"),
    "context": _("context"),
    "properties": _("properties"),
}


STARTER = (
    gettext_noop("The mini-program was opened or came to the front"),
    gettext_noop("The mini-program went to the background"),
    gettext_noop("A page was shown"),
    gettext_noop("A page was left"),
    gettext_noop("An element came into view"),
    gettext_noop("An element was tapped"),
    gettext_noop("The page was shared"),
    gettext_noop("A search was made; its words are not recorded"),
    gettext_noop("An account was made"),
    gettext_noop("An article went into the cart"),
    gettext_noop("An order was placed"),
    gettext_noop("An order was paid"),
    gettext_noop("A variant of an experiment was shown"),
    gettext_noop("A coupon or points were given"),
    gettext_noop("A coupon or points were used"),
    gettext_noop("Another person was referred"),
    gettext_noop("The page that led here"),
    gettext_noop("How far down the page was scrolled"),
    gettext_noop("Load time in milliseconds"),
    gettext_noop("The name of the element"),
    gettext_noop("Where it was shared to"),
    gettext_noop("The amount that was paid"),
    gettext_noop("The name of the experiment"),
    gettext_noop("The variant that was shown"),
)
"""What docs/examples/catalogue.yaml says of its events and their properties, so that it is translated."""


class EventHolder(PersonalDataHolder):
    """Always with the days named: without them every partition would be locked."""

    identifier = "tracking.events"
    title = _("Events")
    description = _("What you did in the mini-program, as recorded under your consents.")
    stage = 10
    portable = True
    collects = "event"
    columns: ClassVar = {"events": ("occurred_at", "name", "page", "properties")}

    def words(self, *, program_id: int) -> Mapping[str, "Word"]:
        """An event is called what the catalogue says of it, in its own words or, for the starter's, in the reader's."""
        told = EventType.objects.filter(program_id=program_id).exclude(description="")
        return {**WORDS, **{f"name={name}": gettext(text) for name, text in told.values_list("name", "description")}}

    def export(self, *, vault: Vault, subject: Subject) -> Iterator[Row]:
        names = _Names(subject)
        for day in _days(subject.id):
            last = ""
            while page := _page(subject.id, day, last):
                for row in names.told(page):
                    yield "events", row
                last = page[-1][0]

    def tally(self, *, subject: Subject, since: date) -> Iterator[Tally]:
        days = [day for day in _days(subject.id) if day >= since]
        names = dict(EventType.objects.filter(program_id=subject.program_id).values_list("id", "name"))
        rows = Event.objects.filter(subject_id=subject.id, day__in=days).order_by("day", "type_id")
        for day, type_id, number in rows.values_list("day", "type_id").annotate(Count("event_id")):
            yield day, names.get(type_id, "–"), number

    def erase(self, *, program_id: int, subject_id: int, limit: int) -> Erased:
        # A day without its subject_day row is found by looking into every partition, after all others are done.
        days = (_days(subject_id) or list(_counted(subject_id)))[:DAYS]
        with role("zq_erase"), connection.cursor() as cursor:
            if not days:
                # Events first: a page is named by them. `subject_id` is tested again on a row that was waited for.
                cursor.execute(_ERASE_PAGES, [subject_id, subject_id, limit])
                return Erased(0, finished=cursor.rowcount < limit)
            cursor.execute(_FIRST_TO_STAY, [subject_id, days, limit])
            stays = cursor.fetchone() or ()
            cursor.execute(_ERASE_UP_TO if stays else _ERASE, [subject_id, days, *stays])
            affected = cursor.rowcount
            if not stays:
                # Nothing is left of these days; until then their rows lead the next step to the rest.
                SubjectDay.objects.filter(subject_id=subject_id, day__in=days).delete()
        return Erased(affected, finished=False)

    def count(self, *, program_id: int, subject_id: int) -> int:
        """Looks into every partition: what erase goes by is deleted by it, and would answer for nothing afterwards."""
        others = (SubjectDay.objects.filter(subject_id=subject_id), Page.objects.filter(subject_id=subject_id))
        return sum(rows.count() for rows in others) + sum(_counted(subject_id).values())

    def erase_collected(self, what: Collected, *, limit: int) -> Iterator[int]:
        yield from retention.erase_collected(what, limit=limit)

    def count_collected(self, what: Collected) -> int:
        return retention.count_collected(what)

    def purge(self, *, program_id: int, keeping: Keeping, full: bool, limit: int) -> Iterator[int]:
        yield from retention.purge(program_id=program_id, keeping=keeping, full=full, limit=limit)

    def over(self, *, program_id: int, keeping: Keeping) -> Iterator[Over]:
        yield from retention.over(program_id=program_id, keeping=keeping)


def _days(subject_id: int) -> list[date]:
    """The days on which the subject has events."""
    return list(SubjectDay.objects.filter(subject_id=subject_id).order_by("day").values_list("day", flat=True))


def _counted(subject_id: int) -> dict[date, int]:
    """Day -> events of the subject, over all partitions: their primary key makes it one probe a day."""
    days = attached_days()
    counted: dict[date, int] = {}
    for place in range(0, len(days), DAYS_READ):
        rows = Event.objects.filter(subject_id=subject_id, day__in=days[place : place + DAYS_READ])
        counted |= dict(rows.values_list("day").annotate(Count("event_id")))
    return counted


def _page(subject_id: int, day: date, last: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_READ, [subject_id, day, last, PAGE])
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


class _Names:
    """Puts names in place of a subject's events' internal ids."""

    def __init__(self, subject: Subject) -> None:
        self._types = dict(EventType.objects.filter(program_id=subject.program_id).values_list("id", "name"))
        self._records = dict(ConsentRecord.objects.filter(subject=subject).values_list("id", "record_id"))
        self._pages: dict[int, str] = {}

    def told(self, rows: list[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
        """Rows as _READ selects them."""
        unknown = {row[4] for row in rows if row[4] is not None} - self._pages.keys()
        self._pages |= dict(Page.objects.filter(id__in=unknown).values_list("id", "path"))
        for event_id, type_id, record_id, session_id, page_id, *rest, context, properties in rows:
            yield {
                "event_id": event_id,
                "name": self._types.get(type_id),
                "record_id": self._records.get(record_id),
                "session_id": session_id,
                "page": self._pages.get(page_id),
                **dict(zip(_AS_THEY_ARE, rest, strict=True)),
                "context": _json(context),
                "properties": _json(properties),
            }


def _json(text: str | None) -> Any:
    """Django leaves jsonb to its own field; a cursor gives the text."""
    return None if text is None else msgspec.json.decode(text)


register(EventHolder())
