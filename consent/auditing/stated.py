"""The figures that one statement finds each, by section. What outlives an erasure is counted where there is the choice:
stubs of requests, audit entries, notices, holds, disclosures."""

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext_lazy as _

from consent.auditing.figures import Column, Definition, Lasting, moment, rows_of
from consent.ledger import actions
from consent.ledger.models import Recipient
from consent.monitoring import checks
from consent.notices.models import Conclusion
from consent.rights.models import ExtensionReason, HoldGround, RejectionReason, RequestKind, RequestState
from consent.rights.requesters import Method
from consent.webhooks.models import Event


def labels(choices: Any) -> Callable[[Any], Any]:
    """A code's words, or the code where a later version wrote it."""
    known = dict(choices.choices)
    return lambda value: known.get(value, value)


KIND = Column("kind", _("kind"), labels(RequestKind))
REQUESTS = Column("requests", _("requests"))
ENTRIES = Column("entries", _("log entries"))
PURPOSE = Column("purpose", _("purpose"))
YEAR = Column("year", _("year"))
_OF_PERIOD = "program_id = %(program)s AND {0} >= %(begins)s AND {0} < %(ends)s"
_CLOSED = _OF_PERIOD.format("closed_at")
_ENTERED = _OF_PERIOD.format("at")
_FIRST_DUE = "COALESCE(extended_from, due_at)"
_OF_YEARS = "{0} >= %(year_begins)s AND {0} < %(year_ends)s"
_YEAR = "extract(year FROM {0} AT TIME ZONE %(zone)s)::int"

REQUEST_FIGURES = (
    Definition(
        "requests.received",
        _("Requests received"),
        _("Stubs of requests by the time they were received."),
        Lasting.FIXED,
        (KIND, REQUESTS),
        rows_of(
            f"SELECT kind, count(*) FROM subject_request WHERE {_OF_PERIOD.format('received_at')} GROUP BY 1 ORDER BY 1"
        ),
    ),
    Definition(
        "requests.closed",
        _("Requests closed, by outcome"),
        _(
            "Stubs of requests by the time they were closed. A restriction that is lifted later, and a failed erasure that is"
            " taken back, are closed anew then."
        ),
        Lasting.OPEN,
        (KIND, Column("outcome", _("outcome"), labels(RequestState)), REQUESTS),
        rows_of(f"SELECT kind, state, count(*) FROM subject_request WHERE {_CLOSED} GROUP BY 1, 2 ORDER BY 1, 2"),
    ),
    Definition(
        "requests.timing",
        _("Requests closed, against their deadline"),
        _(
            "Of those closed in the period: on time, by the deadline they were received with; extended, after it and by the one it"
            " was moved to; overdue, after that."
        ),
        Lasting.OPEN,
        (
            KIND,
            Column("on_time", _("on time")),
            Column("extended", _("in the extended time")),
            Column("overdue", _("overdue")),
        ),
        rows_of(
            f"SELECT kind, count(*) FILTER (WHERE closed_at <= {_FIRST_DUE}),"
            f" count(*) FILTER (WHERE closed_at > {_FIRST_DUE} AND closed_at <= due_at),"
            f" count(*) FILTER (WHERE closed_at > due_at)"
            f" FROM subject_request WHERE {_CLOSED} GROUP BY 1 ORDER BY 1"
        ),
    ),
    Definition(
        "requests.open",
        _("Requests open at the end of the period"),
        _(
            "Received before the end and not closed before it; overdue where the deadline was over by then, or by now if that is sooner."
        ),
        Lasting.OPEN,
        (KIND, Column("open", _("open")), Column("overdue", _("overdue"))),
        rows_of(
            "SELECT kind, count(*), count(*) FILTER (WHERE due_at < LEAST(%(ends)s, %(now)s)) FROM subject_request"
            " WHERE program_id = %(program)s AND received_at < %(ends)s AND (closed_at IS NULL OR closed_at >= %(ends)s)"
            " GROUP BY 1 ORDER BY 1"
        ),
    ),
    Definition(
        "requests.extended",
        _("Deadlines extended, by reason"),
        _("Audit entries request.extended."),
        Lasting.FIXED,
        (Column("reason", _("reason"), labels(ExtensionReason)), REQUESTS),
        rows_of(
            "SELECT details->>'extension', count(*) FROM audit_entry"
            f" WHERE {_ENTERED} AND action = 'request.extended' GROUP BY 1 ORDER BY 1"
        ),
    ),
    Definition(
        "requests.refused",
        _("Refusals, by ground"),
        _("Stubs of requests refused in the period; delivered where the text was handed over before the period's end."),
        Lasting.FIXED,
        (
            Column("ground", _("ground"), labels(RejectionReason)),
            Column("refused", _("refused")),
            Column("delivered", _("delivered")),
            Column("undelivered", _("not delivered")),
        ),
        rows_of(
            "SELECT rejection, count(*), count(*) FILTER (WHERE rejection_delivered_at < %(ends)s),"
            " count(*) FILTER (WHERE rejection_delivered_at IS NULL OR rejection_delivered_at >= %(ends)s)"
            f" FROM subject_request WHERE state = 'rejected' AND {_CLOSED} GROUP BY 1 ORDER BY 1"
        ),
    ),
)

ERASED = Definition(
    "consents.erasures",
    _("Erasures after a consent ended"),
    _(
        "Owed since a day of each whole calendar month of the period: done in the time that is configured (72 hours unless it is), done"
        " late, not done and still in time, not done and overdue now. An erasure of the whole person takes the row along."
    ),
    Lasting.ERASURE,
    (
        Column("month", _("month")),
        PURPOSE,
        Column("in_time", _("done in time"), people=True),
        Column("late", _("done late"), people=True),
        Column("waiting", _("not done, in time"), people=True),
        Column("overdue", _("not done, overdue"), people=True),
    ),
    rows_of(
        "SELECT to_char(e.owed_from AT TIME ZONE %(zone)s, 'YYYY-MM') AS month, p.code, count(*) FILTER (WHERE e.done_at <= e.owed_from + %(within)s),"
        " count(*) FILTER (WHERE e.done_at > e.owed_from + %(within)s),"
        " count(*) FILTER (WHERE e.done_at IS NULL AND e.owed_from + %(within)s >= %(now)s),"
        " count(*) FILTER (WHERE e.done_at IS NULL AND e.owed_from + %(within)s < %(now)s)"
        " FROM purpose_erasure e JOIN purpose p ON p.id = e.purpose_id"
        " WHERE e.program_id = %(program)s AND e.owed_from >= %(months_begin)s AND e.owed_from < %(months_end)s"
        " GROUP BY 1, 2 ORDER BY 1, 2"
    ),
)
ENDED = Definition(
    "purposes.ended",
    _("Purposes that ended"),
    _(
        "Purposes that are not active, by the time a purge first saw it: what was collected under them is erased from then on."
    ),
    Lasting.OPEN,
    (PURPOSE, Column("ended_at", _("ended at"), moment)),
    rows_of(f"SELECT code, ended_at FROM purpose WHERE NOT active AND {_OF_PERIOD.format('ended_at')} ORDER BY 1"),
)
ASSESSED = Definition(
    "assessments.recorded",
    _("Impact assessments recorded"),
    _("By the time they were recorded; kept until three years after their purpose ended."),
    Lasting.FIXED,
    (Column("conclusion", _("conclusion"), labels(Conclusion)), Column("assessments", _("assessments"))),
    rows_of(
        "SELECT conclusion, count(*) FROM impact_assessment"
        f" WHERE {_OF_PERIOD.format('created_at')} GROUP BY 1 ORDER BY 1"
    ),
)
HELD = Definition(
    "holds",
    _("Legal holds"),
    _(
        "Made and lifted in the period, and standing at its end: not lifted by then, and its last day not before the period's."
    ),
    Lasting.FIXED,
    (
        Column("ground", _("ground"), labels(HoldGround)),
        Column("made", _("made")),
        Column("lifted", _("lifted")),
        Column("standing", _("standing at the end")),
    ),
    rows_of(
        "SELECT * FROM (SELECT ground, count(*) FILTER (WHERE created_at >= %(begins)s) AS made,"
        " count(*) FILTER (WHERE lifted_at >= %(begins)s AND lifted_at < %(ends)s) AS lifted,"
        " count(*) FILTER (WHERE (lifted_at IS NULL OR lifted_at >= %(ends)s)"
        " AND until >= (%(ends)s AT TIME ZONE %(zone)s)::date - 1) AS standing"
        " FROM legal_hold WHERE program_id = %(program)s AND created_at < %(ends)s GROUP BY 1) found"
        " WHERE made + lifted + standing > 0 ORDER BY 1"
    ),
)
DISCLOSED = Definition(
    "disclosures",
    _("Disclosures"),
    _("Rows of the log of disclosures, which are kept for three years."),
    Lasting.FIXED,
    (
        Column("recipient", _("recipient"), labels(Recipient)),
        Column("ground", _("ground")),
        Column("disclosures", _("disclosures")),
    ),
    rows_of(f"SELECT recipient, ground, count(*) FROM disclosure WHERE {_ENTERED} GROUP BY 1, 2 ORDER BY 1, 2"),
)
GIVEN_UP = Definition(
    "webhooks.given_up",
    _("Webhook messages given up"),
    _(
        "Messages that are still kept, which is for some days, by the time they were given up. An erasure that an endpoint was not told"
        " of has an audit entry (webhook.erasure_not_told), which stays."
    ),
    Lasting.ERASURE,
    (Column("event", _("event"), labels(Event)), Column("messages", _("messages"))),
    rows_of(f"SELECT event, count(*) FROM webhook_message WHERE {_OF_PERIOD.format('dead_at')} GROUP BY 1 ORDER BY 1"),
)
BREACHES = Definition(
    "breaches.listed",
    _("Lists of the people a breach affects"),
    _("Audit entries breach.listed: each time the people were listed whom a key, a table or a window of time touches."),
    Lasting.FIXED,
    (Column("at", _("at"), moment), Column("asked", _("by what"))),
    rows_of(
        "SELECT at, CASE WHEN details ? 'key' THEN 'key' WHEN details ? 'table' THEN 'table' ELSE 'time' END"
        f" FROM audit_entry WHERE {_ENTERED} AND action = 'breach.listed' ORDER BY at, id"
    ),
)
RISKS = Definition(
    "risks",
    _("Looks at risks, by check"),
    _("Runs of risk monitoring, those in which the check was above its threshold, and remarks of officers on it."),
    Lasting.FIXED,
    (
        Column("check", _("check"), checks.title),
        Column("runs", _("runs")),
        Column("above", _("above the threshold")),
        Column("remarks", _("remarks")),
    ),
    rows_of(
        "SELECT found.key, count(*), count(*) FILTER (WHERE (found.value->>'above')::boolean),"
        " (SELECT count(*) FROM risk_remark r WHERE r.check_code = found.key"
        f" AND {_OF_PERIOD.format('r.at')})"
        f" FROM risk_run, jsonb_each(risk_run.found) found WHERE {_OF_PERIOD.format('checked_at')} GROUP BY 1 ORDER BY 1"
    ),
)
API_KEYS = Definition(
    "keys.api",
    _("API keys"),
    _("Made, revoked and expired in the period; one that was revoked before it expired is revoked alone."),
    Lasting.OPEN,
    (Column("made", _("made")), Column("revoked", _("revoked")), Column("expired", _("expired"))),
    rows_of(
        "SELECT count(*) FILTER (WHERE created_at >= %(begins)s AND created_at < %(ends)s),"
        " count(*) FILTER (WHERE revoked_at >= %(begins)s AND revoked_at < %(ends)s),"
        " count(*) FILTER (WHERE expires_at >= %(begins)s AND expires_at < LEAST(%(ends)s, %(now)s)"
        " AND (revoked_at IS NULL OR revoked_at > expires_at)) FROM api_key WHERE program_id = %(program)s"
    ),
)
DATA_KEYS = Definition(
    "keys.data",
    _("Data keys, by the version that wraps them"),
    _("A key is one person's."),
    Lasting.NOW,
    (Column("version", _("version")), Column("people", _("people"), people=True)),
    rows_of("SELECT key_version, count(*) FROM data_key WHERE program_id = %(program)s GROUP BY 1 ORDER BY 1"),
)
ACCOUNTS = Definition(
    "accounts",
    _("What was done to officers' accounts"),
    _("Entries of the log of accounts about officers who are assigned to this mini-program, or were by its audit log."),
    Lasting.OPEN,
    (Column("action", _("action"), actions.title), ENTRIES),
    rows_of(
        "SELECT action, count(*) FROM account_entry WHERE at >= %(begins)s AND at < %(ends)s AND account IN ("
        " SELECT target FROM audit_entry WHERE program_id = %(program)s AND action = 'officer.assigned'"
        " UNION SELECT 'officer:' || user_id FROM officer_assignment WHERE program_id = %(program)s)"
        " GROUP BY 1 ORDER BY 1"
    ),
)
ACTIONS = Definition(
    "actions",
    _("What officers, clients and the service did"),
    _(
        "Audit entries of the mini-program by who and what. Those of a fourteenth birthday are counted with people under 14. Some entries tell their day"
        " (UTC) only, and count at its beginning."
    ),
    Lasting.FIXED,
    (Column("action", _("action"), actions.title), Column("actor", _("actor")), ENTRIES),
    rows_of(
        "SELECT action, split_part(actor, ':', 1), count(*) FROM audit_entry"
        f" WHERE {_ENTERED} AND action NOT IN ('consent.turned_14', 'incident.list_asked', 'incident.list_approved')"
        " AND action NOT LIKE 'minor_access.%%' GROUP BY 1, 2 ORDER BY 1, 2"
    ),
)
LEDGER = Definition(
    "ledger.without_leaf",
    _("Records without a leaf in the log"),
    _("Consent records received in the period whose leaf is gone. There may be none."),
    Lasting.ERASURE,
    (Column("records", _("records")),),
    rows_of(
        "SELECT count(*) FROM consent_record r WHERE r.program_id = %(program)s AND r.received_at >= %(begins)s"
        " AND r.received_at < %(ends)s AND NOT EXISTS (SELECT FROM leaf WHERE leaf.id = r.leaf_id)"
    ),
)
LEAVES = Definition(
    "ledger.leaves",
    _("Leaves of the log"),
    _("All there are of the mini-program, of consent records and audit entries; they outlive these and tell no time."),
    Lasting.NOW,
    (Column("leaves", _("leaves")),),
    rows_of("SELECT count(*) FROM leaf WHERE program_id = %(program)s"),
)

MINORS_FIGURES = (
    Definition(
        "minors.consents",
        _("Decisions of people under 14"),
        _(
            "Distinct people with a record that says under 14, or under the minors' notice, by whole calendar year and purpose. Who asked for"
            " restriction or erasure is not counted."
        ),
        Lasting.ERASURE,
        (
            YEAR,
            PURPOSE,
            Column("given", _("given"), people=True),
            Column("refused", _("refused"), people=True),
            Column("withdrawn", _("withdrawn"), people=True),
        ),
        rows_of(
            f"SELECT {_YEAR.format('r.corrected_at')}, p.code,"
            " count(DISTINCT r.subject_id) FILTER (WHERE r.state IN ('given', 'renewed')),"
            " count(DISTINCT r.subject_id) FILTER (WHERE r.state = 'refused'),"
            " count(DISTINCT r.subject_id) FILTER (WHERE r.state = 'withdrawn')"
            " FROM consent_record r JOIN purpose p ON p.id = r.purpose_id"
            " JOIN subject s ON s.subject_id = r.subject_id AND NOT s.restricted AND NOT s.erasure_pending"
            " LEFT JOIN notice n ON n.id = r.notice_id"
            f" WHERE r.program_id = %(program)s AND {_OF_YEARS.format('r.corrected_at')}"
            " AND (r.age_band = 'under_14' OR n.audience = 'minor') GROUP BY 1, 2 ORDER BY 1, 2"
        ),
    ),
    Definition(
        "minors.requests",
        _("Requests about people under 14"),
        _(
            "Of whole calendar years: filed by a guardian, by the stub; and about somebody who is under 14 now and not erased since."
        ),
        Lasting.ERASURE,
        (
            YEAR,
            Column("by_guardian", _("by a guardian"), people=True),
            Column("under_14", _("about somebody under 14"), people=True),
        ),
        rows_of(
            f"SELECT {_YEAR.format('q.received_at')}, count(*) FILTER (WHERE q.requester = 'guardian'),"
            " count(*) FILTER (WHERE EXISTS (SELECT FROM request_subject a JOIN subject s ON s.subject_id = a.subject_id"
            " WHERE a.request_id = q.id AND s.under_14)) FROM subject_request q"
            f" WHERE q.program_id = %(program)s AND {_OF_YEARS.format('q.received_at')} GROUP BY 1 ORDER BY 1"
        ),
    ),
    Definition(
        "minors.guardians",
        _("Guardians verified"),
        _("Audit entries request.verified of requests that a guardian filed, by method and whole calendar year."),
        Lasting.FIXED,
        (YEAR, Column("method", _("method"), labels(Method)), Column("verified", _("verified"), people=True)),
        rows_of(
            f"SELECT {_YEAR.format('e.at')}, e.details->>'method', count(*) FROM audit_entry e"
            " JOIN subject_request q ON e.target = 'request:' || q.id AND q.requester = 'guardian'"
            f" WHERE e.program_id = %(program)s AND e.action = 'request.verified' AND {_OF_YEARS.format('e.at')}"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        ),
    ),
    Definition(
        "minors.turned_14",
        _("People who turned 14"),
        _("Audit entries consent.turned_14, by whole calendar year."),
        Lasting.FIXED,
        (YEAR, Column("people", _("people"), people=True)),
        rows_of(
            f"SELECT {_YEAR.format('at')}, count(*) FROM audit_entry WHERE program_id = %(program)s"
            f" AND action = 'consent.turned_14' AND {_OF_YEARS.format('at')} GROUP BY 1 ORDER BY 1"
        ),
    ),
)
