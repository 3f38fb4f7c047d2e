"""The app's models, each kept in the room it belongs to."""

from consent.journal.models import GivenOut, JournalWriter, ServiceState
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
from consent.monitoring.models import RiskRemark, RiskRun
from consent.notices.models import ImpactAssessment, Notice, NoticeDraft, NoticePurpose, Purpose
from consent.officers.models import AccountEntry, RecoveryCode, SignInFailure, StaffAccount
from consent.platforms.models import PlatformCredential
from consent.portal.models import PortalSession
from consent.processing.models import Incident, IncidentAccess, IncidentEntry, Mechanism, Processor
from consent.programs.models import (
    ApiClient,
    ApiKey,
    Controller,
    IdempotencyRecord,
    MiniProgram,
    OfficerAssignment,
)
from consent.records.models import (
    ConsentRecord,
    ConsentState,
    DecidedDay,
    ProfileAttribute,
    PurposeErasure,
    WithdrawalIntent,
)
from consent.rights.models import HolderRun, Package, PackagePart, RequestSubject, SubjectRequest
from consent.vault.models import DataKey, KeyringProcess, KeyVersion, Subject, SubjectIdentifier, SubjectLookup
from consent.webhooks.models import WebhookEndpoint, WebhookMessage

__all__ = [
    "AccountEntry",
    "ApiClient",
    "ApiKey",
    "AuditEntry",
    "ConsentRecord",
    "ConsentState",
    "Controller",
    "DataKey",
    "DecidedDay",
    "Disclosure",
    "GivenOut",
    "HolderRun",
    "IdempotencyRecord",
    "ImpactAssessment",
    "Incident",
    "IncidentAccess",
    "IncidentEntry",
    "JournalWriter",
    "KeyVersion",
    "KeyringProcess",
    "Leaf",
    "LogCheckpoint",
    "LogLeaf",
    "LogNode",
    "LogOrigin",
    "LogPublication",
    "LogStatement",
    "Mechanism",
    "MiniProgram",
    "Notice",
    "NoticeDraft",
    "NoticePurpose",
    "OfficerAssignment",
    "Package",
    "PackagePart",
    "PlatformCredential",
    "PortalSession",
    "Processor",
    "ProfileAttribute",
    "Purpose",
    "PurposeErasure",
    "RecoveryCode",
    "RedactedLeaf",
    "RequestSubject",
    "RiskRemark",
    "RiskRun",
    "ServiceState",
    "SignInFailure",
    "StaffAccount",
    "Subject",
    "SubjectIdentifier",
    "SubjectLookup",
    "SubjectRequest",
    "WaitingLeaf",
    "WebhookEndpoint",
    "WebhookMessage",
    "WithdrawalIntent",
]
