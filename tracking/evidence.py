"""Whether each stored event names a consent record that covers it (PIPL 69)."""

from consent.ledger.findings import Fault, Findings, streamed
from tracking.partitions import attached_days

_UNCOVERED = """
    SELECT e.subject_id, e.event_id, CASE
        WHEN record.id IS NULL THEN 'it names no record of its person about its purpose'
        WHEN record.authorises_from IS NULL OR e.corrected_at < record.authorises_from
            OR e.corrected_at >= record.authorises_until + interval '60 s' THEN 'it lies outside the time that its record authorises'
        ELSE 'it was received after its person had ended this consent' END
    FROM event e JOIN event_type ON event_type.id = e.type_id
    LEFT JOIN consent_record record ON record.subject_id = e.subject_id AND record.id = e.consent_record_id
        AND record.purpose_id = event_type.purpose_id AND record.program_id = e.program_id
    WHERE e.day = %(day)s AND e.program_id = %(program)s AND (
        record.id IS NULL OR record.authorises_from IS NULL OR e.corrected_at < record.authorises_from
        OR e.corrected_at >= record.authorises_until + interval '60 s'
        OR EXISTS (
            SELECT FROM consent_record ended
            WHERE ended.subject_id = e.subject_id AND ended.purpose_id = record.purpose_id AND ended.version > record.version
              AND ended.state IN ('refused', 'withdrawn', 'expired', 'invalidated') AND ended.received_at <= e.received_at
        )
    )
"""


def uncovered(program_id: int, findings: Findings) -> int:
    """Goes through a mini-program's events, day by day; answers how many. Under the tenant."""
    count = 0
    for day in attached_days():
        for subject_id, event_id, wrong in streamed(_UNCOVERED, {"day": day, "program": program_id}):
            findings.add(Fault.EVENT_NOT_COVERED, f"event {subject_id}/{day}/{event_id}", wrong)
        asked = {"day": day, "program": program_id}
        count += next(streamed("SELECT count(*) FROM event WHERE day = %(day)s AND program_id = %(program)s", asked))[0]
    return count
