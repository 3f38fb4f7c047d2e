"""distributions: sessions and subjects by where they came from, what they ran on, how long and how deep they were.

Asked: `from`, `to`. Sessions that began in the range count, each with all its events, as in the report `sessions`; whose
events: reports.metrics.standing. Every session lies in one `value` of each `dimension`:
- `scene` (entry source), `os`, `app_version`: the first that an event of the session gives; of several at one instant the
  first in the order of code points. None where none does.
- `dwell_band`: seconds from the session's first event to its last, a part of a second left out.
- `depth_band`: its views (`page_view`).
`sessions` and distinct `subjects` by each, and of all beside `data`. A subject may lie in several values.

The bands are fixed and public. For the gate each dimension is a table of its own: values with fewer than k subjects are
one row, `value_other`.
"""

from collections.abc import Mapping

from django.db import connection
from pyroaring import BitMap64

from reports.metrics.bands import DEPTH_BANDS, STAY_BANDS, band
from reports.metrics.calendar import period
from reports.metrics.registry import Question, metric
from reports.metrics.session import NUMBERED, scan
from reports.metrics.standing import EVENTS
from reports.metrics.tallies import Tallied
from reports.metrics.whole import whole
from reports.privacy.figures import Dimension, Figures, Value

DIMENSIONS = ("scene", "os", "app_version", "dwell_band", "depth_band")

DEFINITION = (
    "Sessions that began in the range (client session_id, otherwise cut at pauses over 30:00, 24 h at most), by "
    "corrected_at, and the distinct subjects who had them; each session lies in one value of each dimension. scene, os, "
    "app_version: the first that an event of the session gives, null where none does. dwell_band: seconds from first to "
    "last event. depth_band: page_views. Values with fewer than k subjects are one row, value_other. Only subjects whose "
    "consent and data stand at as_of are counted: who withdrew (withdrawn_subjects), was erased or is restricted is "
    "missing. closed false: the range is not over for 48 h, all values are one row, and figures may still change."
)


def first_of(name: str) -> str:
    ordered = f'array_agg({name} ORDER BY corrected_at, {name} COLLATE "C")'
    return f"({ordered} FILTER (WHERE {name} IS NOT NULL))[1] AS {name}"


DISTRIBUTIONS = f"""
    WITH visited AS (
        SELECT e.subject_id, e.corrected_at, e.session_id, t.name, e.scene,
               e.context ->> 'os' AS os, e.context ->> 'app_version' AS app_version,
               width_bucket(e.corrected_at, %(edges)s::timestamptz[]) AS place
        FROM {EVENTS} AND e.corrected_at >= %(visits_from)s AND e.corrected_at < %(visits_until)s
    ),
    {NUMBERED},
    visits AS (
        SELECT subject_id, min(place) AS place, {first_of("scene")}, {first_of("os")}, {first_of("app_version")},
               floor(extract(epoch FROM max(corrected_at) - min(corrected_at)))::bigint AS dwell,
               count(*) FILTER (WHERE name = 'page_view') AS depth
        FROM numbered GROUP BY subject_id, session_id, number
    )
    SELECT said.dimension, said.value, count(*), array_agg(visits.subject_id)
    FROM visits CROSS JOIN LATERAL (
        VALUES ('scene', scene), ('os', os), ('app_version', app_version),
               ('dwell_band', dwell::text), ('depth_band', depth::text)
    ) AS said(dimension, value)
    WHERE visits.place BETWEEN 1 AND %(places)s
    GROUP BY said.dimension, said.value
"""
_BANDS = {"dwell_band": STAY_BANDS, "depth_band": DEPTH_BANDS}
NONE = Tallied("sessions", 0, BitMap64())


@metric("distributions", definition=DEFINITION)
def distributions(question: Question) -> Figures:
    """Under the tenant's transaction."""
    found = _visits(question)
    asked = period(question.first, question.last, question.zone)
    total = sum(found["depth_band"].values(), start=NONE).figures()
    tables = [Dimension(asked, "value", found[name], keys={"dimension": name}) for name in DIMENSIONS]
    totals = {name: (asked, figure) for name, figure in total.items()}
    return Figures({"data": tables}, totals, summed="data", whole=whole(question))


def _visits(question: Question) -> Mapping[str, Mapping[Value, Tallied]]:
    """Dimension -> value -> its sessions."""
    found: dict[str, dict[Value, Tallied]] = {name: {} for name in DIMENSIONS}
    with connection.cursor() as cursor:
        cursor.execute(DISTRIBUTIONS, scan(question))
        for dimension, said, sessions, subjects in cursor.fetchall():
            value = band(_BANDS[dimension], int(said)) if dimension in _BANDS else said
            of_value = found[dimension].get(value, NONE)
            found[dimension][value] = of_value + Tallied("sessions", sessions, BitMap64(subjects))
    return found
