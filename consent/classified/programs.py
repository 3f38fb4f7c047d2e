"""Mini-programs, who calls for them, who works for them, and who is told."""

from consent.classified.classes import ACCESS, EVIDENCE, INTERNAL, OPERATIONAL, PSEUDONYM, PUBLIC, REQUEST
from consent.journal.models import GivenOut, JournalWriter, ServiceState
from consent.officers.models import AccountEntry, RecoveryCode, SignInFailure, StaffAccount
from consent.platforms.models import PlatformCredential
from consent.programs.models import ApiClient, ApiKey, Controller, IdempotencyRecord, MiniProgram, OfficerAssignment
from consent.rights.classification import Classified, Fields, Kind
from consent.webhooks.models import WebhookEndpoint, WebhookMessage

FIELDS: Fields = {
    Controller: {
        "id": OPERATIONAL,
        "name": PUBLIC,
        "created_at": OPERATIONAL,
    },
    MiniProgram: {
        "id": OPERATIONAL,
        "controller": PUBLIC,
        "name": PUBLIC,
        "platform": PUBLIC,
        "app_id": PUBLIC,
        "zone": OPERATIONAL,
        "sandbox": OPERATIONAL,
        "suite": OPERATIONAL,
        "created_at": OPERATIONAL,
    },
    ApiClient: {
        "id": OPERATIONAL,
        "program": OPERATIONAL,
        "scopes": INTERNAL,
        "created_at": OPERATIONAL,
    },
    ApiKey: {
        "id": OPERATIONAL,
        "client": OPERATIONAL,
        "program": OPERATIONAL,
        "key_id": INTERNAL,
        "secret_hash": ACCESS,
        "created_at": OPERATIONAL,
        "expires_at": INTERNAL,
        "revoked_at": INTERNAL,
    },
    PlatformCredential: {
        "program": OPERATIONAL,
        "sealed": Classified(Kind.KEY, 4, key="key_encryption"),
    },
    OfficerAssignment: {
        "id": OPERATIONAL,
        "user": INTERNAL,
        "program": INTERNAL,
    },
    StaffAccount: {
        "user": INTERNAL,
        "expires_at": INTERNAL,
        "password_due": INTERNAL,
        "sealed": Classified(Kind.KEY, 4, key="key_encryption"),
        "enrolled_at": INTERNAL,
        "last_step": INTERNAL,
    },
    RecoveryCode: {
        "id": OPERATIONAL,
        "account": INTERNAL,
        "hash": ACCESS,
    },
    SignInFailure: {
        "key": INTERNAL,
        "failures": INTERNAL,
        "last_at": INTERNAL,
        "paused_until": INTERNAL,
    },
    AccountEntry: {
        "id": OPERATIONAL,
        "at": INTERNAL,
        "actor": INTERNAL,
        "action": OPERATIONAL,
        "account": INTERNAL,
        "details": INTERNAL,
        "leaf_id": OPERATIONAL,
        "salt": ACCESS,
    },
    GivenOut: {
        "number": OPERATIONAL,
    },
    JournalWriter: {
        "id": OPERATIONAL,
        "number": OPERATIONAL,
        "at": OPERATIONAL,
    },
    ServiceState: {
        "id": OPERATIONAL,
        "opened_at": OPERATIONAL,
        "marked_at": OPERATIONAL,
        "needed_from": OPERATIONAL,
        "epoch": OPERATIONAL,
    },
    IdempotencyRecord: {
        "id": OPERATIONAL,
        "program": OPERATIONAL,
        "client": OPERATIONAL,
        "key_hash": PSEUDONYM,
        "fingerprint": PSEUDONYM,
        "created_at": OPERATIONAL,
    },
    WebhookEndpoint: {
        "id": OPERATIONAL,
        "program": OPERATIONAL,
        "url": INTERNAL,
        "events": OPERATIONAL,
        "active": OPERATIONAL,
        "acknowledges": OPERATIONAL,
        "released": OPERATIONAL,
        "sealed": Classified(Kind.KEY, 4, key="key_encryption"),
        "previous": Classified(Kind.KEY, 4, key="key_encryption"),
        "previous_until": INTERNAL,
        "not_before": OPERATIONAL,
        "created_at": OPERATIONAL,
    },
    WebhookMessage: {
        "id": PSEUDONYM,
        "subject": PSEUDONYM,
        "program": OPERATIONAL,
        "endpoint": OPERATIONAL,
        "event": REQUEST,
        "data": EVIDENCE,
        "created_at": REQUEST,
        "queued_at": OPERATIONAL,
        "attempts": OPERATIONAL,
        "next_attempt_at": OPERATIONAL,
        "lease_until": OPERATIONAL,
        "lease_token": OPERATIONAL,
        "delivered_at": REQUEST,
        "dead_at": OPERATIONAL,
        "last_status": OPERATIONAL,
    },
}
