"""What outlives its subject."""

from consent.classified.classes import ACCESS, INTERNAL, OPERATIONAL, PUBLIC
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
from consent.rights.classification import Fields

FIELDS: Fields = {
    Leaf: {
        "id": OPERATIONAL,
        "program": OPERATIONAL,
        "type": OPERATIONAL,
        "hash": PUBLIC,
        "subject_version": OPERATIONAL,
    },
    WaitingLeaf: {"leaf_id": OPERATIONAL, "since": OPERATIONAL},
    RedactedLeaf: {"leaf_id": OPERATIONAL, "day": OPERATIONAL},
    LogOrigin: {
        "number": OPERATIONAL,
        "name": PUBLIC,
        "previous": PUBLIC,
    },
    LogLeaf: {
        "origin": OPERATIONAL,
        "index": PUBLIC,
        "leaf_id": OPERATIONAL,
        "hash": PUBLIC,
    },
    LogNode: {
        "origin": OPERATIONAL,
        "level": OPERATIONAL,
        "position": OPERATIONAL,
        "hash": PUBLIC,
    },
    LogStatement: {
        "origin": OPERATIONAL,
        "index": PUBLIC,
        "type": PUBLIC,
        "salt": ACCESS,
        "content": INTERNAL,
    },
    LogCheckpoint: {
        "origin": OPERATIONAL,
        "size": PUBLIC,
        "root": PUBLIC,
        "at": PUBLIC,
        "note": PUBLIC,
    },
    LogPublication: {
        "origin": OPERATIONAL,
        "sink": OPERATIONAL,
        "size": PUBLIC,
        "at": OPERATIONAL,
        "accepted": OPERATIONAL,
    },
    AuditEntry: {
        "id": OPERATIONAL,
        "program": OPERATIONAL,
        "actor": INTERNAL,
        "action": INTERNAL,
        "target": INTERNAL,
        "at": INTERNAL,
        "details": INTERNAL,
        "leaf_id": OPERATIONAL,
        "salt": ACCESS,
    },
    Disclosure: {
        "id": OPERATIONAL,
        "program": OPERATIONAL,
        "at": INTERNAL,
        "recipient": INTERNAL,
        "name": INTERNAL,
        "ground": INTERNAL,
        "purpose": PUBLIC,
        "fields": INTERNAL,
        "subjects": INTERNAL,
        "target": INTERNAL,
        "actor": INTERNAL,
    },
}
