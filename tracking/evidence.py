"""Whether each stored event names a consent record that covers it (PIPL 69).

An erasure that leaves the events to a law (PIPL 47) takes their records. An event's time of receipt is read before its batch waits for
the locks under which its record is found, so that record may be younger, by what a call may take (30 s). Times that somebody changed are
bounded before something is added to them: PostgreSQL has none beyond its own.
"""

from consent.ledger.findings import Fault, Findings, streamed
from tracking.partitions import attached_days

_UNCOVERED = """
    SELECT e.subject_id, e.event_id, CASE
        WHEN record.id IS NULL AND EXISTS (
            SELECT FROM request_subject about JOIN subject_request asked ON asked.id = about.request_id
            JOIN holder_run run ON run.request_id = about.request_id AND run.holder = 'tracking.events' AND run.status <> 'done'
            WHERE about.subject_id = e.subject_id AND asked.point_of_no_return_at IS NOT NULL
        ) AND NOT EXISTS (
            SELECT FROM consent_record kept WHERE kept.subject_id = e.subject_id AND kept.id <= e.consent_record_id
        ) THEN NULL
        WHEN record.id IS NULL THEN 'it names no record of its person about its purpose'
        WHEN record.authorises_from IS NULL OR e.corrected_at < record.authorises_from
            OR e.corrected_at >= least(record.authorises_until, '9999-12-31') + interval '60 s' THEN 'it lies outside the time that its record authorises'
        WHEN e.received_at < greatest(record.received_at, '0001-01-01') - interval '60 s' THEN 'it was received before its record'
        ELSE 'it was received after its person had ended this consent' END
    FROM event e JOIN event_type ON event_type.id = e.type_id
    LEFT JOIN consent_record record ON record.subject_id = e.subject_id AND record.id = e.consent_record_id
        AND record.purpose_id = event_type.purpose_id AND record.program_id = e.program_id
    WHERE e.day = %(day)s AND e.program_id = %(program)s AND (
        record.id IS NULL OR record.authorises_from IS NULL OR e.corrected_at < record.authorises_from
        OR e.corrected_at >= least(record.authorises_until, '9999-12-31') + interval '60 s'
        OR e.received_at < greatest(record.received_at, '0001-01-01') - interval '60 s'
        OR EXISTS (
            SELECT FROM consent_record ended
            WHERE ended.subject_id = e.subject_id AND ended.purpose_id = record.purpose_id AND ended.version > record.version
              AND ended.state IN ('refused', 'withdrawn', 'expired', 'invalidated') AND ended.received_at <= e.received_at
        )
    )
"""


def uncovered(program_id: int, findings: Findings) -> tuple[int, int]:
    """Goes through a mini-program's events, day by day; answers how many, and of how many a law keeps them and not their record. Under
    the tenant."""
    count = kept = 0
    for day in attached_days():
        for subject_id, event_id, wrong in streamed(_UNCOVERED, {"day": day, "program": program_id}):
            if wrong is None:
                kept += 1
            else:
                findings.add(Fault.EVENT_NOT_COVERED, f"event {subject_id}/{day}/{event_id}", wrong)
        asked = {"day": day, "program": program_id}
        count += next(streamed("SELECT count(*) FROM event WHERE day = %(day)s AND program_id = %(program)s", asked))[0]
    return count, kept
