"""The session: what a visit is, for every metric that counts or cuts by it.

Times are `corrected_at`; events at one instant are one moment. A *run* is a longest sequence of a subject's events
- with one and the same `session_id`, in which no event comes more than 24 h after the one before it, or
- without a `session_id`, in which none comes more than 30:00 after the one before it (30:00 exactly goes on, 30:00.000001
  begins anew). Events with an id and events without never join.
A run of less than 24 h is one session. A longer one is cut 24 h after its first event, and from there on at every
midnight UTC: no session is longer than 24 h, and what counts on a day depends on the three days before it and on
nothing else, whatever range is asked, even where a client never changes its `session_id`.
A session belongs to the local day of its first event. One that began before the range is not counted in it.

Only window functions over one subject's events, in SQL here and on columns in reports.columns.visits: no recursion.
"""

from datetime import timedelta

from reports.privacy.figures import Period

LOOK_BACK = timedelta(hours=72)
"""How long before the first day a scan begins so that every session of that day is told from one that goes on.

The first event of a run that is older than the scan is seen at most 24 h (the longest pause) after the scan's
beginning, and the predecessor of an event in the range at least 48 h after it: both lie beyond the first cut, as they
would if the whole run were seen.
"""

LOOK_AHEAD = timedelta(hours=24)
"""How long after the last day a scan ends so that every session of that day is seen whole."""

STARTS = """
    runs AS (
        SELECT *,
               max(corrected_at) FILTER (WHERE previous IS NULL OR corrected_at - previous > pause) OVER
                   (PARTITION BY subject_id, session_id ORDER BY corrected_at) AS began
        FROM (
            SELECT *,
                   CASE WHEN session_id IS NULL THEN interval '30 minutes' ELSE interval '24 hours' END AS pause,
                   lag(corrected_at) OVER (PARTITION BY subject_id, session_id ORDER BY corrected_at) AS previous
            FROM visited
        ) AS in_order
    ),
    marked AS (
        SELECT *,
               previous IS NULL
               OR previous < began
               OR corrected_at >= began + interval '24 hours'
                  AND (previous < began + interval '24 hours'
                       OR (previous AT TIME ZONE 'UTC')::date <> (corrected_at AT TIME ZONE 'UTC')::date) AS is_start
        FROM runs
    ),
    starts AS (SELECT subject_id, place FROM marked WHERE is_start)
"""
"""CTEs: from `visited` (subject_id, corrected_at, session_id, place) to `starts`, one row a session: its first event."""


def scanned(of: Period) -> Period:
    """What is read so that the sessions that began in it are whole."""
    return Period(of.begins - LOOK_BACK, of.ends + LOOK_AHEAD)
