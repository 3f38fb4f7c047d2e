"""A report's page asks the database as often, however many rows there are."""

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from reports.admin.pages import PAGES
from tests.consent.desk import Desk
from tests.reports.admin.test_pages import shown
from tests.reports.events import History

# Everybody's events three times more, each some seconds later in the same session.
_MORE = """
    INSERT INTO event (subject_id, consent_record_id, type_id, page_id, occurred_at, corrected_at, received_at, day, dwell_ms,
        event_id, session_id, scene, context, properties, program_id)
    SELECT subject_id, consent_record_id, type_id, page_id, occurred_at + n * interval '1 second',
        corrected_at + n * interval '1 second', received_at, day, dwell_ms, event_id || '-' || n, session_id, scene, context,
        properties, program_id
    FROM event, generate_series(1, 3) n
    WHERE (corrected_at + interval '3 seconds')::date = corrected_at::date AND program_id = %s
"""


@pytest.mark.long
@pytest.mark.parametrize("metric", PAGES)
def test_more_events_need_no_more_queries(shop: History, analyst: Desk, owner: psycopg.Connection, metric: str) -> None:
    def queries() -> int:
        shown(analyst, metric)  # what is told first stands from then on, and is written then
        with CaptureQueriesContext(connection) as captured:
            shown(analyst, metric)
        return len(captured)

    few = queries()
    owner.execute(_MORE, [shop.program.id])
    assert queries() == few < 60
