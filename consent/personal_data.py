"""What consent holds of a person, and what every field of its models says of one (DSL 21)."""

from consent.ledger.models import (
    AuditEntry,
    Disclosure,
    Leaf,
    LogCheckpoint,
    LogLeaf,
    LogNode,
    LogOrigin,
    LogPublication,
    LogStatement,
    RedactedLeaf,
    WaitingLeaf,
)
from consent.notices.models import ImpactAssessment, Notice, NoticeDraft, NoticePurpose, Purpose
from consent.officers.models import AccountEntry, RecoveryCode, SignInFailure, StaffAccount
from consent.platforms.models import PlatformCredential
from consent.portal.models import PortalSession
from consent.processing.models import Incident, IncidentEntry, Mechanism, Processor
from consent.programs.models import (
    ApiClient,
    ApiKey,
    Controller,
    IdempotencyRecord,
    MiniProgram,
    OfficerAssignment,
)
from consent.records.models import ConsentRecord, ConsentState, ProfileAttribute, PurposeErasure, WithdrawalIntent
from consent.rights.affected import trace, trace_key
from consent.rights.classification import Classified, Kind, classify
from consent.rights.holders import register
from consent.rights.models import (
    ErasureCount,
    HeldSubject,
    HolderRun,
    LegalHold,
    MinorAccess,
    Package,
    PackagePart,
    RequestReminder,
    RequestSubject,
    ReviewRule,
    SubjectRequest,
)
from consent.rights.own_holders import ConsentHolder, ProfileHolder, RequestHolder, SubjectHolder
from consent.vault.models import DataKey, Subject, SubjectIdentifier, SubjectLookup
from consent.webhooks.holder import ProcessorHolder
from consent.webhooks.models import WebhookEndpoint, WebhookMessage

for _holder in (ProfileHolder(), ProcessorHolder(), ConsentHolder(), RequestHolder(), SubjectHolder()):
    register(_holder)

_PUBLIC = Classified(Kind.PUBLIC, 1)
_OPERATIONAL = Classified(Kind.OPERATIONAL, 1)
_INTERNAL = Classified(Kind.OPERATIONAL, 2)
_ACCESS = Classified(Kind.KEY, 4)
_PSEUDONYM = Classified(Kind.PSEUDONYM, 3)
_EVIDENCE = Classified(Kind.CONSENT_EVIDENCE, 3)
_STATE = Classified(Kind.CONSENT_EVIDENCE, 2)
_REQUEST = Classified(Kind.REQUEST, 2)
_SEALED_REQUEST = Classified(Kind.REQUEST, 4, key="key_encryption")

classify(
    {
        Controller: {
            "id": _OPERATIONAL,
            "name": _PUBLIC,
            "created_at": _OPERATIONAL,
        },
        MiniProgram: {
            "id": _OPERATIONAL,
            "controller": _PUBLIC,
            "name": _PUBLIC,
            "platform": _PUBLIC,
            "app_id": _PUBLIC,
            "zone": _OPERATIONAL,
            "sandbox": _OPERATIONAL,
            "created_at": _OPERATIONAL,
        },
        ApiClient: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "scopes": _INTERNAL,
            "created_at": _OPERATIONAL,
        },
        ApiKey: {
            "id": _OPERATIONAL,
            "client": _OPERATIONAL,
            "program": _OPERATIONAL,
            "key_id": _INTERNAL,
            "secret_hash": _ACCESS,
            "created_at": _OPERATIONAL,
            "expires_at": _INTERNAL,
            "revoked_at": _INTERNAL,
        },
        PlatformCredential: {
            "program": _OPERATIONAL,
            "sealed": Classified(Kind.KEY, 4, key="key_encryption"),
        },
        OfficerAssignment: {
            "id": _OPERATIONAL,
            "user": _INTERNAL,
            "program": _INTERNAL,
        },
        StaffAccount: {
            "user": _INTERNAL,
            "expires_at": _INTERNAL,
            "password_due": _INTERNAL,
            "sealed": Classified(Kind.KEY, 4, key="key_encryption"),
            "enrolled_at": _INTERNAL,
            "last_step": _INTERNAL,
        },
        RecoveryCode: {
            "id": _OPERATIONAL,
            "account": _INTERNAL,
            "hash": _ACCESS,
        },
        SignInFailure: {
            "key": _INTERNAL,
            "failures": _INTERNAL,
            "last_at": _INTERNAL,
            "paused_until": _INTERNAL,
        },
        AccountEntry: {
            "id": _OPERATIONAL,
            "at": _INTERNAL,
            "actor": _INTERNAL,
            "action": _OPERATIONAL,
            "account": _INTERNAL,
            "details": _INTERNAL,
        },
        IdempotencyRecord: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "client": _OPERATIONAL,
            "key_hash": _PSEUDONYM,
            "fingerprint": _PSEUDONYM,
            "created_at": _OPERATIONAL,
        },
        Leaf: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "type": _OPERATIONAL,
            "hash": _PUBLIC,
            "subject_version": _OPERATIONAL,
        },
        WaitingLeaf: {"leaf_id": _OPERATIONAL},
        RedactedLeaf: {"leaf_id": _OPERATIONAL},
        LogOrigin: {
            "number": _OPERATIONAL,
            "name": _PUBLIC,
            "previous": _PUBLIC,
        },
        LogLeaf: {
            "origin": _OPERATIONAL,
            "index": _PUBLIC,
            "leaf_id": _OPERATIONAL,
            "hash": _PUBLIC,
        },
        LogNode: {
            "origin": _OPERATIONAL,
            "level": _OPERATIONAL,
            "position": _OPERATIONAL,
            "hash": _PUBLIC,
        },
        LogStatement: {
            "origin": _OPERATIONAL,
            "index": _PUBLIC,
            "type": _PUBLIC,
            "salt": _ACCESS,
            "content": _INTERNAL,
        },
        LogCheckpoint: {
            "origin": _OPERATIONAL,
            "size": _PUBLIC,
            "root": _PUBLIC,
            "at": _PUBLIC,
            "note": _PUBLIC,
        },
        LogPublication: {
            "origin": _OPERATIONAL,
            "sink": _OPERATIONAL,
            "size": _PUBLIC,
            "at": _OPERATIONAL,
            "accepted": _OPERATIONAL,
        },
        AuditEntry: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "actor": _INTERNAL,
            "action": _INTERNAL,
            "target": _INTERNAL,
            "at": _INTERNAL,
            "details": _INTERNAL,
            "leaf_id": _OPERATIONAL,
            "salt": _ACCESS,
        },
        Disclosure: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "at": _INTERNAL,
            "recipient": _INTERNAL,
            "name": _INTERNAL,
            "ground": _INTERNAL,
            "purpose": _PUBLIC,
            "fields": _INTERNAL,
            "subjects": _INTERNAL,
            "target": _INTERNAL,
            "actor": _INTERNAL,
        },
        Purpose: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "code": _PUBLIC,
            "title": _PUBLIC,
            "necessary": _PUBLIC,
            "separate_consent": _PUBLIC,
            "active": _PUBLIC,
            "ended_at": _OPERATIONAL,
            "created_at": _OPERATIONAL,
        },
        Notice: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "audience": _PUBLIC,
            "version": _PUBLIC,
            "sha256": _PUBLIC,
            "body": _PUBLIC,
            "published_at": _PUBLIC,
            "effective_at": _PUBLIC,
        },
        NoticePurpose: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "notice": _PUBLIC,
            "purpose": _PUBLIC,
            "categories": _PUBLIC,
            "attributes": _PUBLIC,
            "retention_days": _PUBLIC,
            "validity_days": _PUBLIC,
            "material": _PUBLIC,
        },
        ImpactAssessment: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "purpose": _PUBLIC,
            "reference": _PUBLIC,
            "assessed_on": _PUBLIC,
            "conclusion": _INTERNAL,
            "covers": _INTERNAL,
            "document_sha256": _INTERNAL,
            "recorded_by": _INTERNAL,
            "created_at": _INTERNAL,
        },
        Processor: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "purposes": _PUBLIC,
            "valid_from": _INTERNAL,
            "valid_until": _INTERNAL,
            "noted": _OPERATIONAL,
            "created_at": _INTERNAL,
            "name": _PUBLIC,
            "contact": _PUBLIC,
            "categories": _PUBLIC,
            "method": _PUBLIC,
            "measures": _INTERNAL,
            "contract": _INTERNAL,
        },
        Mechanism: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "purposes": _PUBLIC,
            "valid_from": _INTERNAL,
            "valid_until": _INTERNAL,
            "noted": _OPERATIONAL,
            "created_at": _INTERNAL,
            "kind": _PUBLIC,
            "recipient": _PUBLIC,
            "reference": _PUBLIC,
            "ground": _PUBLIC,
        },
        Incident: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "opened_at": _INTERNAL,
            "opened_by": _INTERNAL,
        },
        IncidentEntry: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "incident": _OPERATIONAL,
            "at": _INTERNAL,
            "by": _INTERNAL,
            "happened": _INTERNAL,
            "found_at": _INTERNAL,
            "key": _INTERNAL,
            "table": _INTERNAL,
            "since": _INTERNAL,
            "until": _INTERNAL,
            "authority_at": _INTERNAL,
            "people_at": _INTERNAL,
            "people_not_told": _INTERNAL,
            "measures": _INTERNAL,
            "closed": _OPERATIONAL,
        },
        NoticeDraft: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "name": _INTERNAL,
            "source": _INTERNAL,
            "edited_by": _INTERNAL,
            "updated_at": _INTERNAL,
            "notice": _PUBLIC,
        },
        Subject: {
            "id": _PSEUDONYM,
            "program": _OPERATIONAL,
            "pseudonym": _PSEUDONYM,
            "erasure_handle": _PSEUDONYM,
            "version": _STATE,
            "restricted": _STATE,
            "erasure_pending": _STATE,
            "under_14": Classified(Kind.PROFILE, 4),
            "turns_14_on": Classified(Kind.PROFILE, 4),
            "barrier_at": _EVIDENCE,
            "created_at": _STATE,
        },
        SubjectLookup: {
            "index": Classified(Kind.IDENTIFIER, 3, key="index"),
            "program": _OPERATIONAL,
            "subject_id": _PSEUDONYM,
            "kind": _OPERATIONAL,
            "key_version": _OPERATIONAL,
        },
        DataKey: {
            "subject": _PSEUDONYM,
            "program": _OPERATIONAL,
            "wrapped": Classified(Kind.KEY, 4, key="key_encryption"),
            "key_version": _OPERATIONAL,
            "created_at": _STATE,
        },
        PortalSession: {
            "subject": _PSEUDONYM,
            "link_hash": _ACCESS,
            "program": _OPERATIONAL,
            "client_id": _OPERATIONAL,
            "locale": _STATE,
            "view": _OPERATIONAL,
            "stepped_up": _STATE,
            "link_until": _STATE,
            "secret_hash": _ACCESS,
            "opened_until": _STATE,
        },
        SubjectIdentifier: {
            "subject": _PSEUDONYM,
            "kind": _OPERATIONAL,
            "program": _OPERATIONAL,
            "sealed": Classified(Kind.IDENTIFIER, 4, key="key_encryption"),
            "lookup": Classified(Kind.IDENTIFIER, 3, key="index"),
            "created_at": _STATE,
        },
        ConsentRecord: {
            "id": _PSEUDONYM,
            "subject": _PSEUDONYM,
            "program": _OPERATIONAL,
            "record_id": _PSEUDONYM,
            "purpose": _EVIDENCE,
            "notice": _EVIDENCE,
            "version": _STATE,
            "state": _EVIDENCE,
            "act": _EVIDENCE,
            "method": _EVIDENCE,
            "locale": _EVIDENCE,
            "age_band": _EVIDENCE,
            "turns_14_on": Classified(Kind.PROFILE, 4),
            "evidence": Classified(Kind.CONSENT_EVIDENCE, 4, key="key_encryption"),
            "occurred_at": _EVIDENCE,
            "corrected_at": _EVIDENCE,
            "received_at": _EVIDENCE,
            "authorises_from": _EVIDENCE,
            "authorises_until": _EVIDENCE,
            "client": _INTERNAL,
            "idempotency": _PSEUDONYM,
            "answered": _EVIDENCE,
            "leaf_id": _STATE,
            "salt": _ACCESS,
        },
        ConsentState: {
            "subject": _PSEUDONYM,
            "purpose": _EVIDENCE,
            "program": _OPERATIONAL,
            "state": _EVIDENCE,
            "record_id": _PSEUDONYM,
            "notice": _EVIDENCE,
            "record_from": _EVIDENCE,
            "grant_from": _EVIDENCE,
            "grant_until": _EVIDENCE,
            "pending": _PSEUDONYM,
            "barrier_at": _EVIDENCE,
            "asked_at": _EVIDENCE,
            "restricted": _STATE,
            "erasure_pending": _STATE,
            "guardian_pending": _EVIDENCE,
            "renewal_required": _STATE,
            "version": _OPERATIONAL,
        },
        WithdrawalIntent: {
            "subject": _PSEUDONYM,
            "purpose": _EVIDENCE,
            "program": _OPERATIONAL,
            "created_at": _STATE,
        },
        PurposeErasure: {
            "subject": _PSEUDONYM,
            "purpose": _EVIDENCE,
            "version": _STATE,
            "program": _OPERATIONAL,
            "kept_days": _EVIDENCE,
            "asked_at": _EVIDENCE,
            "owed_from": _EVIDENCE,
            "not_before": _OPERATIONAL,
            "attempts": _OPERATIONAL,
            "affected": _EVIDENCE,
            "done_at": _EVIDENCE,
        },
        ProfileAttribute: {
            "subject": _PSEUDONYM,
            "name": Classified(Kind.PROFILE, 2),
            "program": _OPERATIONAL,
            "purpose": _EVIDENCE,
            "sealed": Classified(Kind.PROFILE, 4, key="key_encryption"),
            "updated_at": Classified(Kind.PROFILE, 2),
        },
        SubjectRequest: {
            "id": _REQUEST,
            "program": _OPERATIONAL,
            "kind": _REQUEST,
            "state": _REQUEST,
            "requester": _REQUEST,
            "filed_by": _REQUEST,
            "approved_by": _REQUEST,
            "rejection_delivered_at": _REQUEST,
            "locale": _REQUEST,
            "received_at": _REQUEST,
            "due_at": _REQUEST,
            "undo_until": _REQUEST,
            "reviewed": _REQUEST,
            "extended_from": _REQUEST,
            "extension": _REQUEST,
            "rejection": _REQUEST,
            "closed_at": _REQUEST,
            "point_of_no_return_at": _REQUEST,
            "unmet": _REQUEST,
            "idempotency": _PSEUDONYM,
        },
        RequestSubject: {
            "subject": _PSEUDONYM,
            "request_id": _REQUEST,
            "program": _OPERATIONAL,
            "kind": _REQUEST,
            "scope": _REQUEST,
            "open": _REQUEST,
            "sealed": _SEALED_REQUEST,
            "rejection": _SEALED_REQUEST,
            "verified": _SEALED_REQUEST,
        },
        RequestReminder: {
            "id": _OPERATIONAL,
            "request": _REQUEST,
            "program": _OPERATIONAL,
            "stage": _REQUEST,
            "due_on": _REQUEST,
        },
        LegalHold: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "holder": _OPERATIONAL,
            "ground": _OPERATIONAL,
            "law": _OPERATIONAL,
            "until": _OPERATIONAL,
            "everybody": _OPERATIONAL,
            "created_by": _INTERNAL,
            "created_at": _OPERATIONAL,
            "lifted_at": _OPERATIONAL,
            "lifted_by": _INTERNAL,
        },
        HeldSubject: {
            "subject": _PSEUDONYM,
            "hold_id": _REQUEST,
            "program": _OPERATIONAL,
        },
        MinorAccess: {
            "id": _REQUEST,
            "subject": _PSEUDONYM,
            "program": _OPERATIONAL,
            "what": _REQUEST,
            "reason": _REQUEST,
            "request_id": _REQUEST,
            "asked_by": _INTERNAL,
            "asked_at": _REQUEST,
            "approved_by": _INTERNAL,
            "approved_at": _REQUEST,
            "used_at": _REQUEST,
        },
        ErasureCount: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "filed_by": _OPERATIONAL,
            "hour": _OPERATIONAL,
            "erasures": _OPERATIONAL,
        },
        ReviewRule: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "kind": _OPERATIONAL,
        },
        HolderRun: {
            "id": _OPERATIONAL,
            "request": _REQUEST,
            "program": _OPERATIONAL,
            "holder": _REQUEST,
            "stage": _OPERATIONAL,
            "status": _REQUEST,
            "not_before": _REQUEST,
            "attempts": _OPERATIONAL,
            "lease_until": _OPERATIONAL,
            "lease_token": _OPERATIONAL,
            "affected": _REQUEST,
            "held_before": _REQUEST,
            "held_after": _REQUEST,
            "error": _REQUEST,
            "hold": _REQUEST,
            "finished_at": _REQUEST,
        },
        Package: {
            "id": _REQUEST,
            "subject": _PSEUDONYM,
            "program": _OPERATIONAL,
            "request_id": _REQUEST,
            "created_at": _REQUEST,
            "expires_at": _REQUEST,
            "complete": _REQUEST,
        },
        PackagePart: {
            "subject": _PSEUDONYM,
            "package_id": _REQUEST,
            "number": _OPERATIONAL,
            "program": _OPERATIONAL,
            "sealed": _SEALED_REQUEST,
        },
        WebhookEndpoint: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "url": _INTERNAL,
            "events": _OPERATIONAL,
            "active": _OPERATIONAL,
            "acknowledges": _OPERATIONAL,
            "sealed": Classified(Kind.KEY, 4, key="key_encryption"),
            "previous": Classified(Kind.KEY, 4, key="key_encryption"),
            "previous_until": _INTERNAL,
            "not_before": _OPERATIONAL,
            "created_at": _OPERATIONAL,
        },
        WebhookMessage: {
            "id": _PSEUDONYM,
            "subject": _PSEUDONYM,
            "program": _OPERATIONAL,
            "endpoint": _OPERATIONAL,
            "event": _REQUEST,
            "data": _EVIDENCE,
            "created_at": _REQUEST,
            "attempts": _OPERATIONAL,
            "next_attempt_at": _OPERATIONAL,
            "lease_until": _OPERATIONAL,
            "lease_token": _OPERATIONAL,
            "delivered_at": _REQUEST,
            "dead_at": _OPERATIONAL,
            "last_status": _OPERATIONAL,
        },
    }
)

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
# A phone's hash says no version: whoever has one, and may have it since the version's time, is told.
trace_key(
    "index",
    SubjectIdentifier,
    "SELECT subject_id FROM subject_identifier WHERE program_id = %(program)s AND lookup IS NOT NULL"
    " AND EXISTS (SELECT FROM subject_lookup WHERE program_id = %(program)s AND key_version = %(version)s)",
)
