"""Whose events count: subjects whose consent and data stand at as-of.

- The consent to the event's purpose is given or renewed now. A grant that has run out, or that a new notice version
  asks to renew, collects nothing new but lawfully keeps what it collected until retention ends; a withdrawn, refused or
  invalidated one does not, and its events leave the figures at once, before they are erased.
- Nor does what a withdrawal has left behind count again once consent is given anew, before a worker has erased it.
- The subject is neither restricted nor about to be erased (reads stop at the 202), and the grant waits for no guardian.
A subject without a row, or an event of a mini-program other than the one asked, counts nowhere.

Done as joins on subject_id, which stay on one shard; the catalogue is a reference table there.
"""

SUBJECT_STANDS = "NOT (s.restricted OR s.erasure_pending)"

EVENTS = f"""
    event e
    JOIN event_type t ON t.id = e.type_id
    JOIN consent_state c ON c.subject_id = e.subject_id AND c.purpose_id = t.purpose_id
     AND c.state IN ('given', 'renewed') AND NOT c.guardian_pending
    JOIN subject s ON s.subject_id = e.subject_id AND {SUBJECT_STANDS}
    WHERE e.program_id = %(program)s AND e.day = ANY(%(days)s::date[])
      AND NOT EXISTS (
          SELECT FROM purpose_erasure owed
          JOIN consent_record r ON r.subject_id = owed.subject_id AND r.purpose_id = owed.purpose_id
           AND r.version < owed.version
          WHERE owed.done_at IS NULL AND owed.kept_days IS NULL AND owed.subject_id = e.subject_id
            AND owed.purpose_id = t.purpose_id AND r.id = e.consent_record_id
      )
"""
"""FROM and WHERE of the events `e` that count. Parameters: `program`, `days` (UTC dates, always named)."""
