"""Why an event is not stored: the API's codes. They are words of ours, so counting by them keeps nothing of an event."""

REFUSED = (
    "consent_missing",
    "consent_refused",
    "consent_withdrawn",
    "consent_expired",
    "outside_consent",
    "renewal_required",
    "guardian_required",
    "restricted",
    "erasure_pending",
    "unknown_event",
    "undeclared_property",
    "invalid_property",
    "identifier_in_property",
    "too_old",
    "in_the_future",
    "invalid_event",
)
"""For good: sent again, the event would be refused again."""

RETRY = frozenset({"consent_changing", "busy"})
"""Not now: the event comes again."""
