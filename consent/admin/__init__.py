"""The compliance officer's desk, on django-unfold. Served below /admin/, to sessions that have verified a second factor.

An officer is a staff account (`is_staff`) with an OfficerAssignment for each mini-program they work on, and roles: groups with the
permissions that stand in consent.officers.roles. Pages ask for permissions and know no role; docs/roles.md has both.
"""

from consent.admin import (
    drafts,
    holds,
    incidents,
    ledger,
    minor_access,
    notices,
    people,
    programs,
    records,
    requests,
    review,
    risks,
    terms,
    webhooks,
)

__all__ = [
    "drafts",
    "holds",
    "incidents",
    "ledger",
    "minor_access",
    "notices",
    "people",
    "programs",
    "records",
    "requests",
    "review",
    "risks",
    "terms",
    "webhooks",
]
