"""Profile attributes that may be kept no longer: their purpose's consent or retention is over, and no other purpose that
declares them stands."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection

from consent.notices.models import NoticePurpose
from consent.programs.tenancy import role
from consent.records.grants import Grant
from consent.records.models import AUTHORISING, ConsentState, ProfileAttribute
from consent.records.queries import coverage, standing

ALL, LAST = 2**31 - 1, 2**63 - 1

# The shortest retention that the subject was told since the attribute was set; without a record, that anybody was.
_OVER = """
    SELECT a.subject_id, a.name, p.code, kept.days, p.active,
           (a.updated_at AT TIME ZONE 'UTC')::date + kept.days + 1, p.ended_at
    FROM profile_attribute a
    JOIN purpose p ON p.id = a.purpose_id
    CROSS JOIN LATERAL (
        SELECT coalesce(min(told.retention_days) FILTER (WHERE r.id IS NOT NULL), min(told.retention_days)) AS days
        FROM notice_purpose told
        LEFT JOIN consent_record r ON r.subject_id = a.subject_id AND r.purpose_id = told.purpose_id
             AND r.notice_id = told.notice_id AND r.authorises_from <= %(now)s
             AND r.version >= coalesce((
                 SELECT max(held.version) FROM consent_record held
                 WHERE held.subject_id = a.subject_id AND held.purpose_id = a.purpose_id
                   AND held.authorises_from <= a.updated_at
             ), 0)
        WHERE told.purpose_id = a.purpose_id
    ) AS kept
    WHERE a.program_id = %(program)s AND a.subject_id > %(after)s AND a.subject_id <= %(last)s
      AND (NOT p.active OR (a.updated_at AT TIME ZONE 'UTC')::date + kept.days < %(today)s)
    ORDER BY a.subject_id FETCH FIRST %(limit)s ROWS WITH TIES
"""

Expired = tuple[int, str, str, int, bool, date, datetime | None]
"""Subject, attribute, the purpose's code, days kept, whether it is active, the first day on which it is over, its end."""


def over(program_id: int, *, now: datetime, after: int = 0, last: int = LAST, limit: int = ALL) -> list[Expired]:
    """Attributes whose own purpose keeps them no longer: all of each of the first subjects with ids above `after`, up to `last`."""
    asked: dict[str, Any] = {"program": program_id, "now": now, "today": now.astimezone(UTC).date()}
    with connection.cursor() as cursor:
        cursor.execute(_OVER, {**asked, "after": after, "last": last, "limit": limit})
        found: list[Expired] = cursor.fetchall()
    return found


def withdrawn(subject_id: int, purpose_id: int, *, asked_at: datetime, kept_days: int | None, today: date) -> list[str]:
    """The subject's attributes that were set under a purpose before its consent ended."""
    rows = ProfileAttribute.objects.filter(subject_id=subject_id, purpose_id=purpose_id, updated_at__lte=asked_at)
    if kept_days is not None:
        first = datetime.combine(today - timedelta(days=kept_days), datetime.min.time(), tzinfo=UTC)
        rows = rows.filter(updated_at__lt=first)
    return sorted(rows.values_list("name", flat=True))


def let_go(program_id: int, subject_id: int, names: Iterable[str], *, now: datetime) -> int:
    """Erase the attributes, or hand them to another purpose that declares them and stands; answers how many went.

    The subject's row is held by the caller.
    """
    others = _keepers(program_id, subject_id, now)
    gone = []
    for row in ProfileAttribute.objects.filter(subject_id=subject_id, name__in=list(names)):
        kept_by = next((purpose for purpose, told in others if purpose != row.purpose_id and _keeps(told, row, now)), 0)
        if kept_by:
            ProfileAttribute.objects.filter(subject_id=subject_id, name=row.name).update(purpose_id=kept_by)
        else:
            gone.append(row.name)
    with role("zq_erase"):
        deleted, _ = ProfileAttribute.objects.filter(subject_id=subject_id, name__in=gone).delete()
    return deleted


def _keepers(program_id: int, subject_id: int, now: datetime) -> list[tuple[int, NoticePurpose]]:
    """The active purposes whose consent stands or ran out, and what their notices tell.

    One that ran out collects nothing new, and keeps what it has until its retention is over. A child's without a guardian is none.
    """
    states = ConsentState.objects.filter(subject_id=subject_id, purpose__active=True)
    grants = standing(states, coverage(program_id), now)
    pairs = {grant.purpose_id: grant.notice_id for grant in grants.values() if _stands(grant)}
    told = NoticePurpose.objects.filter(program_id=program_id, purpose_id__in=pairs).order_by("purpose_id")
    return [(row.purpose_id, row) for row in told if pairs[row.purpose_id] == row.notice_id]


def _stands(grant: Grant) -> bool:
    return grant.state in AUTHORISING and not grant.guardian_pending


def _keeps(told: NoticePurpose, row: ProfileAttribute, now: datetime) -> bool:
    last = row.updated_at.astimezone(UTC).date() + timedelta(days=told.retention_days)
    return row.name in told.attributes and now.astimezone(UTC).date() <= last


def by_subject(rows: Iterable[Expired]) -> Iterator[tuple[int, list[str]]]:
    """(subject id, names), in the rows' order."""
    found: dict[int, list[str]] = {}
    for subject_id, name, *_ in rows:
        found.setdefault(subject_id, []).append(name)
    yield from found.items()
