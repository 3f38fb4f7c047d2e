"""How long events are kept: until their purpose's retention is over, its consent ends, or the purpose does.

An event is kept for as many days after its own as the notices told its subject: that of the record which authorised it,
or a later one that promised less. Its own is the UTC day on which it happened or was received, whichever was first.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction

from consent.notices.models import Purpose
from consent.programs.tenancy import role
from consent.rights import gate
from consent.rights.holders import Collected, Keeping, Over, Reason
from tracking import derived
from tracking.models import EventSweep, EventType, Page, SubjectDay
from tracking.partitions import attached_days

DAYS = 31
"""How many days' partitions one statement names."""
SUBJECTS = 1_000
PAGES_LOCK_TIMEOUT = "1s"
DAY = timedelta(days=1)

_COLLECTED_ON = "LEAST(e.day, (e.received_at AT TIME ZONE 'UTC')::date)"

_OF_CONSENT = f"""
    r.subject_id = e.subject_id AND r.id = e.consent_record_id
      AND e.subject_id = %(subject)s AND e.day = ANY(%(days)s) AND e.type_id = ANY(%(types)s)
      AND r.version < %(version)s
      AND (%(kept)s::int IS NULL OR {_COLLECTED_ON} + %(kept)s::int < %(today)s::date)
"""
_FIRST_TO_STAY = f"""
    SELECT e.day, e.event_id FROM event e, consent_record r WHERE {_OF_CONSENT} ORDER BY 1, 2 OFFSET %(limit)s LIMIT 1
"""
# Up to a key, as in tracking.personal_data.
_ERASE_OF_CONSENT = f"DELETE FROM event e USING consent_record r WHERE {_OF_CONSENT}"
_ERASE_UP_TO = f"{_ERASE_OF_CONSENT} AND (e.day, e.event_id) < (%(day)s, %(event)s)"
_COUNT_OF_CONSENT = f"SELECT count(*) FROM event e, consent_record r WHERE {_OF_CONSENT}"

# What the subject was told of the purpose by the event's record and by those after it, as far as they are in force.
_KEPT = """
    coalesce((
        SELECT min(told.retention_days) FROM consent_record held
        JOIN consent_record later ON later.subject_id = held.subject_id AND later.purpose_id = held.purpose_id
         AND later.version >= held.version AND later.authorises_from <= %(now)s
        JOIN notice_purpose told ON told.purpose_id = later.purpose_id AND told.notice_id = later.notice_id
        WHERE held.subject_id = e.subject_id AND held.id = e.consent_record_id
    ), told_of.shortest)
"""
# In the order of the primary key, so that a step begins where the one before has ended. It looks at so many rows,
# whether they go or not: looking for so many that go would read the day to its end, once a step.
_IN_ORDER = ("enable_seqscan", "enable_bitmapscan", "enable_sort")
"""What PostgreSQL must not do instead, whatever it believes of a day that was never analysed."""
_ERASE_OVER = f"""
    WITH part AS MATERIALIZED (
        SELECT e.subject_id, e.event_id, e.day, e.received_at, e.type_id, e.consent_record_id FROM event e
        WHERE e.program_id = %(program)s AND e.day = %(day)s
          AND (e.subject_id, e.event_id) > (%(subject)s::bigint, %(event)s::text)
        ORDER BY e.subject_id, e.event_id LIMIT %(limit)s
    ), ended AS MATERIALIZED (
        SELECT e.subject_id, e.event_id FROM part e
        LEFT JOIN unnest(%(some)s::bigint[], %(shortest)s::int[]) AS told_of(type_id, shortest)
          ON told_of.type_id = e.type_id
        WHERE e.type_id = ANY(%(all)s) OR told_of.type_id IS NOT NULL AND {_COLLECTED_ON} + {_KEPT} < %(today)s::date
    ), gone AS (
        DELETE FROM event USING ended
        WHERE event.day = %(day)s AND event.subject_id = ended.subject_id AND event.event_id = ended.event_id
        RETURNING 1
    )
    SELECT subject_id, event_id, (SELECT count(*) FROM gone), (SELECT count(*) FROM part)
    FROM part ORDER BY subject_id DESC, event_id DESC LIMIT 1
"""
_COUNT_OVER = f"""
    SELECT type_id, kept, count(*), count(*) FILTER (WHERE over_on < %(today)s::date) FROM (
        SELECT e.type_id, {_KEPT} AS kept, {_COLLECTED_ON} + {_KEPT} + 1 AS over_on FROM event e
        JOIN unnest(%(some)s::bigint[], %(shortest)s::int[]) AS told_of(type_id, shortest)
          ON told_of.type_id = e.type_id
        WHERE e.program_id = %(program)s AND e.day = %(day)s
    ) AS events
    WHERE over_on <= %(today)s::date GROUP BY type_id, kept
"""
_COUNT_ENDED = """
    SELECT type_id, count(*) FROM event
    WHERE program_id = %s AND day = %s AND type_id = ANY(%s) GROUP BY type_id
"""

_WITH_PAGES = """
    SELECT DISTINCT page.subject_id FROM page
    WHERE page.program_id = %(program)s AND page.subject_id IS NOT NULL
      AND (%(full)s OR EXISTS (SELECT FROM subject_day d WHERE d.subject_id = page.subject_id AND d.day = ANY(%(days)s)))
    ORDER BY 1
"""
_DAYS_DROPPED = """
    SELECT DISTINCT d.day FROM page JOIN subject_day d ON d.subject_id = page.subject_id
    WHERE page.program_id = %s AND d.day <> ALL(%s)
"""
_NAMED = "SELECT DISTINCT page_id FROM event WHERE subject_id = %s AND day = ANY(%s) AND page_id = ANY(%s)"

_FORGET_DAYS = """
    WITH part AS MATERIALIZED (
        SELECT subject_id FROM subject WHERE program_id = %(program)s AND subject_id > %(after)s
        ORDER BY subject_id LIMIT %(limit)s
    ), gone AS (
        DELETE FROM subject_day USING part
        WHERE subject_day.subject_id = part.subject_id AND subject_day.day < %(before)s RETURNING 1
    )
    SELECT max(subject_id), (SELECT count(*) FROM gone) FROM part
"""


# --- After a consent ended -------------------------------------------------------------------------------------------


def erase_collected(what: Collected, *, limit: int) -> Iterator[int]:
    """The rows of subject_day stay: a process may remember that it wrote them, and an event without one is not found."""
    for asked in _parts(what):
        stays: tuple[Any, ...] | None = ()
        while stays is not None:
            with derived.some_going(what.program_id, what.subject_id, asked["days"]), role("zq_erase"):
                affected, stays = _erase_some({**asked, "limit": limit})
            yield affected
    erased = erase_unnamed_pages(what.subject_id)
    if erased:
        yield erased


def _erase_some(asked: dict[str, Any]) -> tuple[int, tuple[Any, ...] | None]:
    """How many events went, and the key of the first that stays, if any."""
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_TO_STAY, asked)
        stays = cursor.fetchone()
        if stays is None:
            cursor.execute(_ERASE_OF_CONSENT, asked)
        else:
            cursor.execute(_ERASE_UP_TO, {**asked, "day": stays[0], "event": stays[1]})
        return cursor.rowcount, stays


def count_collected(what: Collected) -> int:
    found = 0
    with connection.cursor() as cursor:
        for asked in _parts(what):
            cursor.execute(_COUNT_OF_CONSENT, asked)
            found += int(cursor.fetchone()[0])
    return found


def _parts(what: Collected) -> Iterator[dict[str, Any]]:
    """The parameters, a part of the subject's days after the other."""
    types = list(EventType.objects.filter(purpose_id=what.purpose_id).values_list("id", flat=True))
    for days in _some_days(what.subject_id):
        yield {
            "subject": what.subject_id,
            "days": days,
            "types": types,
            "version": what.before_version,
            "kept": what.kept_days,
            "today": what.today,
        }


def _some_days(subject_id: int) -> Iterator[list[date]]:
    rows = SubjectDay.objects.filter(subject_id=subject_id).order_by("day")
    days = list(rows.values_list("day", flat=True))
    for place in range(0, len(days), DAYS):
        yield days[place : place + DAYS]


def erase_unnamed_pages(subject_id: int) -> int:
    """Delete the pages that only this subject has named and no event names any more; answers how many.

    The subject's batches use the id of such a page without a lock of its own, so they are waited for and kept out:
    for a second at most, since the subject's acts wait behind. Raises OperationalError.
    """
    own = list(Page.objects.filter(subject_id=subject_id).values_list("id", flat=True))
    if not own:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{PAGES_LOCK_TIMEOUT}'")
        gate.lock(subject_id)
        named: set[int] = set()
        for days in _some_days(subject_id):
            cursor.execute(_NAMED, [subject_id, days, own])
            named |= {row[0] for row in cursor.fetchall()}
    with role("zq_erase"):
        # `subject_id` is tested again: another subject may be sharing the page, and then it stays.
        deleted, _ = Page.objects.filter(subject_id=subject_id, id__in=set(own) - named).delete()
    return deleted


# --- Once a retention period is over ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Terms:
    """What the notices told of a purpose, in days; when it ended; its event types."""

    code: str
    ended_at: datetime | None
    active: bool
    told: Sequence[int]
    types: Sequence[int]

    def ended(self, keeping: Keeping, since: datetime | None) -> bool:
        """Whether it ended since an earlier purge."""
        if self.active or self.ended_at is None or self.ended_at > keeping.settled:
            return False
        return since is None or since < self.ended_at

    def newly_over(self, day: date, today: date, since: date | None) -> bool:
        """Whether some event of a day may have to go now that did not at an earlier purge.

        A sender's clock may be a day ahead, so that an event was received the day before its own.
        """
        lasts = [own + timedelta(days=told) for own in (day - DAY, day) for told in self.told]
        return any(last < today and (since is None or since <= last) for last in lasts)


def _terms(program_id: int) -> list[_Terms]:
    purposes = Purpose.objects.filter(program_id=program_id).prefetch_related("versions", "eventtype_set")
    found = [
        _Terms(
            purpose.code,
            purpose.ended_at,
            purpose.active,
            sorted({version.retention_days for version in purpose.versions.all()}),
            [event_type.id for event_type in purpose.eventtype_set.all()],
        )
        for purpose in purposes.order_by("code")
    ]
    return [terms for terms in found if terms.types and terms.told]


@dataclass(frozen=True)
class _Day:
    """The event types that are over on a day altogether, and those of which the shortest retention is."""

    day: date
    all: list[int]
    some: list[int]
    shortest: list[int]


def _to_look_at(
    days: Sequence[date], terms: Sequence[_Terms], keeping: Keeping, since: datetime | None
) -> Iterator[_Day]:
    """The days on which something may be over that was not at an earlier purge, oldest first."""
    today, before = keeping.today, None if since is None else since.astimezone(UTC).date()
    for day in days:
        found = _Day(day, [], [], [])
        for told in terms:
            if told.ended(keeping, since):
                found.all.extend(told.types)
            elif not told.active or not told.newly_over(day, today, before):
                continue
            elif day + timedelta(days=told.told[-1]) < today:
                found.all.extend(told.types)
            else:
                found.some.extend(told.types)
                found.shortest.extend([told.told[0]] * len(told.types))
        if found.all or found.some:
            yield found


def purge(*, program_id: int, keeping: Keeping, full: bool, limit: int) -> Iterator[int]:
    """Whole days first, then rows, then what only they led to. Remembers how far it came once all is done."""
    yield from _drop_days(keeping.today)
    sweep = EventSweep.objects.filter(program_id=program_id).first()
    since = None if full or sweep is None else sweep.swept_to
    a_new_day = since is None or since.astimezone(UTC).date() < keeping.today
    attached, looked_at = attached_days(), []
    # A day that was dropped, by whichever mini-program's purge, left the pages that it named here.
    dropped = _days_dropped(program_id, attached) if a_new_day else []
    for day in list(_to_look_at(sorted([*dropped, *attached]), _terms(program_id), keeping, since)):
        if day.day in attached:
            yield from _erase_over(program_id, day, keeping, limit)
        looked_at.append(day.day)
    passed_over = 0
    for subject_id in _with_pages(program_id, looked_at, full=full):
        erased = _try_pages(subject_id)
        passed_over += erased is None
        yield erased or 0
    if a_new_day:
        yield from _forget_days(program_id, keeping)
    if not full and not passed_over:
        EventSweep.objects.update_or_create(program_id=program_id, defaults={"swept_to": keeping.settled})


def _drop_days(today: date) -> Iterator[int]:
    """Partitions in which no mini-program may keep anything. One that is in use is left to the rows' purge."""
    for day in _days_over(today):
        with role("zq_erase"), connection.cursor() as cursor:
            cursor.execute("SELECT drop_event_day(%s)", [day])
        yield 0


def _days_over(today: date) -> list[date]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT event_days_over(%s)", [today])
        return sorted(row[0] for row in cursor.fetchall())


def _erase_over(program_id: int, over: _Day, keeping: Keeping, limit: int) -> Iterator[int]:
    last: tuple[int, str] = (0, "")
    found = limit
    while found == limit:
        asked = {**_asked(program_id, over, keeping), "subject": last[0], "event": last[1], "limit": limit}
        with derived.day_going(program_id, over.day) as gone, role("zq_erase"), connection.cursor() as cursor:
            for setting in _IN_ORDER:
                cursor.execute(f"SET LOCAL {setting} = off")
            cursor.execute(_ERASE_OVER, asked)
            row = cursor.fetchone()
            gone.append(row[2] if row else 0)
        if row is None:
            yield 0
            return
        last, found = (row[0], row[1]), row[3]
        yield row[2]


def _asked(program_id: int, over: _Day, keeping: Keeping) -> dict[str, Any]:
    return {
        "program": program_id,
        "day": over.day,
        "all": over.all,
        "some": over.some,
        "shortest": over.shortest,
        "now": keeping.settled,
        "today": keeping.today,
    }


def _days_dropped(program_id: int, attached: list[date]) -> list[date]:
    """The days without a partition on which somebody was active who has named pages alone."""
    with connection.cursor() as cursor:
        cursor.execute(_DAYS_DROPPED, [program_id, attached])
        return sorted(row[0] for row in cursor.fetchall())


def _with_pages(program_id: int, days: list[date], *, full: bool) -> list[int]:
    """The subjects who had events on the days, or on any, and have named pages alone."""
    with connection.cursor() as cursor:
        cursor.execute(_WITH_PAGES, {"program": program_id, "days": days, "full": full})
        return [row[0] for row in cursor.fetchall()]


def _try_pages(subject_id: int) -> int | None:
    """None where batches of the subject keep it waiting: another purge comes."""
    try:
        with transaction.atomic():
            return erase_unnamed_pages(subject_id)
    except OperationalError:
        return None


def remembered(program_id: int, *, accepted: timedelta) -> timedelta:
    """For how long it is known, whatever a sender's clock, that a subject was active; the days are kept for two days more.

    Where a term or `accepted` became longer, only as long as before until as much time has passed. Under the tenant.
    """
    longest = max((told.told[-1] for told in _terms(program_id)), default=0)
    return max(timedelta(days=longest) - DAY, accepted)


def _forget_days(program_id: int, keeping: Keeping) -> Iterator[int]:
    """Delete the subjects' active days of which none has an event and none can be accepted any more."""
    before = keeping.today - remembered(program_id, accepted=keeping.accepted) - 2 * DAY
    after: int | None = 0
    while after is not None:
        asked: dict[str, Any] = {"program": program_id, "after": after, "limit": SUBJECTS, "before": before}
        with role("zq_erase"), connection.cursor() as cursor:
            cursor.execute(_FORGET_DAYS, asked)
            after, gone = cursor.fetchone()
        yield gone


def coming(*, program_id: int, today: date, within: timedelta) -> Iterator[tuple[str, list[date]]]:
    """By purpose (its code) the days that are not over yet and will be `within` from today, whatever their subjects were
    told; of those that have a partition, whoever's events are in it."""
    days = attached_days()
    for terms in _terms(program_id):
        kept = timedelta(days=terms.told[-1])
        going = [day for day in days if today <= day + kept < today + within]
        if going and terms.active:
            yield terms.code, going


def over(*, program_id: int, keeping: Keeping) -> Iterator[Over]:
    """By purpose and the days told; what a whole day takes along is told as that."""
    terms = _terms(program_id)
    of_type = {type_id: told for told in terms for type_id in told.types}
    whole = set(_days_over(keeping.today))
    rows: Counter[tuple[Reason, str, int | None]] = Counter()
    late: Counter[tuple[Reason, str, int | None]] = Counter()
    with connection.cursor() as cursor:
        for day in attached_days():
            asked = _asked(program_id, _lasting(day, terms), keeping)
            cursor.execute(_COUNT_OVER, asked)
            for type_id, kept, count, overdue in cursor.fetchall():
                why = (Reason.WHOLE_DAY if day in whole else Reason.RETENTION, of_type[type_id].code, kept)
                rows[why], late[why] = rows[why] + count, late[why] + overdue
            cursor.execute(_COUNT_ENDED, [program_id, day, asked["all"]])
            for type_id, count in cursor.fetchall():
                told = of_type[type_id]
                why = (Reason.PURPOSE_ENDED, told.code, None)
                rows[why] += count
                late[why] += count if told.ended_at is not None and keeping.overdue(told.ended_at) else 0
    for why, count in sorted(rows.items(), key=lambda item: (item[0][0], item[0][1], item[0][2] or 0)):
        yield Over("event", why[0], count, late[why], why[1], why[2])


def _lasting(day: date, terms: Sequence[_Terms]) -> _Day:
    """The types of purposes that ended, and all others by what was told."""
    active = [told for told in terms if told.active]
    return _Day(
        day,
        [type_id for told in terms if not told.active for type_id in told.types],
        [type_id for told in active for type_id in told.types],
        [told.told[0] for told in active for _ in told.types],
    )
