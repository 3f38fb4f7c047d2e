"""What consent holds of a person, and what every field of its models says of one (DSL 21): the tables of consent.classified."""

from consent.classified import ledger, notices, programs, rights, subjects
from consent.officers import second_factor
from consent.officers.models import StaffAccount
from consent.platforms import credentials
from consent.platforms.models import PlatformCredential
from consent.portal.models import PortalSession
from consent.records.models import ConsentRecord, ConsentState, ProfileAttribute, PurposeErasure, WithdrawalIntent
from consent.rights.affected import trace, trace_key
from consent.rights.classification import classify
from consent.rights.holders import register
from consent.rights.models import (
    HeldSubject,
    HolderRun,
    MinorAccess,
    Package,
    PackagePart,
    RequestReminder,
    RequestSubject,
    SubjectRequest,
)
from consent.rights.own_holders import ConsentHolder, ProfileHolder, RequestHolder, SubjectHolder
from consent.vault import own
from consent.vault.models import DataKey, Subject, SubjectIdentifier, SubjectLookup
from consent.webhooks import endpoints
from consent.webhooks.holder import ProcessorHolder
from consent.webhooks.models import WebhookEndpoint, WebhookMessage

for _holder in (ProfileHolder(), ProcessorHolder(), ConsentHolder(), RequestHolder(), SubjectHolder()):
    register(_holder)

for _fields in (programs.FIELDS, notices.FIELDS, ledger.FIELDS, subjects.FIELDS, rights.FIELDS):
    classify(_fields)

# Found through whom a request is about: the stub itself names nobody.
_OF_REQUESTS = """
    SELECT about.subject_id FROM request_subject about JOIN subject_request request ON request.id = about.request_id
    WHERE about.program_id = %(program)s
"""
_REQUESTED = f"""{_OF_REQUESTS}
    AND (request.received_at >= %(since)s AND request.received_at < %(until)s
         OR request.closed_at >= %(since)s AND request.closed_at < %(until)s)
"""
_OF_RUNS = """
    SELECT about.subject_id FROM request_subject about JOIN holder_run run ON run.request_id = about.request_id
    WHERE about.program_id = %(program)s
"""
_HELD = """
    SELECT held.subject_id FROM held_subject held JOIN legal_hold made ON made.id = held.hold_id
    WHERE held.program_id = %(program)s AND made.created_at >= %(since)s AND made.created_at < %(until)s
"""
_OF_PARTS = """
    SELECT part.subject_id FROM package_part part
    JOIN package ON package.subject_id = part.subject_id AND package.id = part.package_id
    WHERE part.program_id = %(program)s AND package.created_at >= %(since)s AND package.created_at < %(until)s
"""

trace(Subject, "created_at")
trace(SubjectLookup)
trace(DataKey, "created_at")
trace(SubjectIdentifier, "created_at")
trace(ConsentRecord, "received_at")
trace(ConsentState, "asked_at")
trace(WithdrawalIntent, "created_at")
trace(PurposeErasure, "asked_at", "done_at")
trace(ProfileAttribute, "updated_at")
trace(SubjectRequest, rows=_OF_REQUESTS, written=_REQUESTED)
trace(RequestSubject, written=_REQUESTED)
trace(HolderRun, rows=_OF_RUNS, written=f"{_OF_RUNS} AND run.finished_at >= %(since)s AND run.finished_at < %(until)s")
trace(
    RequestReminder,
    rows="SELECT about.subject_id FROM request_subject about JOIN request_reminder USING (request_id)"
    " WHERE about.program_id = %(program)s",
)
trace(HeldSubject, written=_HELD)
trace(MinorAccess, "asked_at", "approved_at", "used_at")
trace(Package, "created_at")
trace(PackagePart, written=_OF_PARTS)
trace(WebhookMessage, "created_at", "delivered_at")
trace(
    PortalSession,
    written="SELECT subject_id FROM portal_session WHERE program_id = %(program)s"
    " AND link_until - interval '5 minutes' < %(until)s AND coalesce(opened_until, link_until) >= %(since)s",
)

_USED = "SELECT subject_id FROM {} WHERE program_id = %(program)s AND key_version = %(version)s"
trace_key("key_encryption", DataKey, _USED.format("data_key"))
trace_key("index", SubjectLookup, _USED.format("subject_lookup"))
trace_key(
    "index",
    SubjectIdentifier,
    "SELECT subject_id FROM subject_identifier WHERE program_id = %(program)s AND lookup IS NOT NULL"
    " AND lookup_version = %(version)s",
)

own.declare(PlatformCredential, "sealed", cell=lambda row: credentials.cell(row.program_id))
own.declare(StaffAccount, "sealed", cell=lambda row: second_factor.cell(row.pk))
own.declare(WebhookEndpoint, "sealed", "previous", cell=lambda row: endpoints.cell(row.program_id, row.pk))
