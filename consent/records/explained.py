"""Whether consent states are explained by the records they come from: what the gate lets through rests on them alone.

A state is not computed anew, since later notices and holds move it; it must be one that its records can come to. Flags that
only take away (restricted, erasure_pending, renewal_required) need no record; that the first two are not taken off, the subject's tell.
"""

from collections.abc import Iterator

from consent.ledger.findings import Fault, Findings, streamed

_STATES = """
    WITH ended AS (
        SELECT subject_id, purpose_id, max(version) AS version,
               max(received_at) FILTER (WHERE state IN ('refused', 'withdrawn')) AS barrier
        FROM consent_record
        WHERE program_id = %(program)s AND state IN ('refused', 'withdrawn', 'expired', 'invalidated')
        GROUP BY subject_id, purpose_id
    ), given AS (
        SELECT record.subject_id, record.purpose_id, max(record.version) FILTER (WHERE authorises_from IS NOT NULL) AS version,
               min(coalesce(authorises_from, corrected_at)) AS since
        FROM consent_record record LEFT JOIN ended USING (subject_id, purpose_id)
        WHERE record.program_id = %(program)s AND state IN ('given', 'renewed')
          AND record.version > coalesce(ended.version, -1)
        GROUP BY record.subject_id, record.purpose_id
    )
    SELECT state.subject_id, state.purpose_id, CASE
        WHEN record.id IS NULL AND state.erasure_pending THEN NULL
        WHEN record.id IS NULL OR record.purpose_id <> state.purpose_id OR record.program_id <> state.program_id
            THEN 'it names no record of this person about this purpose'
        WHEN person.restricted AND NOT state.restricted OR person.erasure_pending AND NOT state.erasure_pending
            THEN 'the data of its person are closed, and it is open'
        WHEN coalesce(state.barrier_at, '-infinity') < ended.barrier
            THEN 'it lets a consent reach back over a refusal or a withdrawal'
        WHEN state.state IN ('given', 'renewed') THEN CASE
            WHEN record.state NOT IN ('given', 'renewed') THEN 'the record it names gives nothing'
            WHEN state.notice_id IS DISTINCT FROM record.notice_id THEN 'it rests on another notice than its record'
            WHEN record.authorises_from IS NULL AND NOT state.guardian_pending THEN 'the record it names authorises nothing'
            WHEN person.under_14 AND NOT state.guardian_pending
                AND (SELECT audience FROM notice WHERE notice.id = record.notice_id) <> 'minor'
                THEN 'its person is a child, and its record is no guardian''s'
            WHEN record.version <= coalesce(ended.version, -1) THEN 'a later record ended what it says is given'
            WHEN state.record_from <> record.authorises_from THEN 'its record came into force at another time'
            WHEN state.grant_from < given.since THEN 'it begins before its records do'
            WHEN state.grant_until > record.authorises_until OR (state.grant_until IS NULL AND record.authorises_until IS NOT NULL)
                THEN 'it lasts longer than its record'
            WHEN EXISTS (
                SELECT FROM unnest(state.pending) AS later (id) LEFT JOIN consent_record waits
                    ON waits.id = later.id AND waits.subject_id = state.subject_id AND waits.purpose_id = state.purpose_id
                WHERE waits.authorises_from IS NULL
            ) THEN 'a record that waits to follow is none that authorises'
            END
        WHEN given.version IS NOT NULL THEN 'a later record gives what it says is not given'
        WHEN state.state <> 'unknown' AND (record.state <> state.state OR record.version < coalesce(ended.version, -1))
            THEN 'the record it names says something else, or is not the last'
        WHEN state.state = 'unknown' AND ended.version IS NOT NULL THEN 'a record says what it says is unknown'
        WHEN state.grant_from IS NOT NULL THEN 'it has a grant and says that there is none'
        END AS wrong
    FROM consent_state state
    LEFT JOIN consent_record record ON record.id = state.record_id AND record.subject_id = state.subject_id
    LEFT JOIN subject person ON person.subject_id = state.subject_id
        AND (person.restricted OR person.erasure_pending OR person.under_14)
    LEFT JOIN ended ON ended.subject_id = state.subject_id AND ended.purpose_id = state.purpose_id
    LEFT JOIN given ON given.subject_id = state.subject_id AND given.purpose_id = state.purpose_id
    WHERE state.program_id = %(program)s
    UNION ALL
    SELECT DISTINCT record.subject_id, record.purpose_id, 'there are records, and no state'
    FROM consent_record record WHERE record.program_id = %(program)s AND NOT EXISTS (
        SELECT FROM consent_state state
        WHERE state.subject_id = record.subject_id AND state.purpose_id = record.purpose_id
    )
"""


def unexplained(program_id: int, findings: Findings) -> int:
    """Goes through a mini-program's states; answers how many. Under the tenant."""
    count = 0
    for subject_id, purpose_id, wrong in _streamed(program_id):
        count += 1
        if wrong is not None:
            findings.add(Fault.STATE_NOT_EXPLAINED, f"consent_state {subject_id}/{purpose_id}", wrong)
    return count


def _streamed(program_id: int) -> Iterator[tuple[int, int, str | None]]:
    yield from streamed(_STATES, {"program": program_id})
