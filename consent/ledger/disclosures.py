"""The log of disclosures (PIPL 55, 56): written by whatever gives personal data to somebody, kept for three years.

disclosed(program_id=…, recipient=Recipient.HANDLER, name=…, ground=…, fields=…, subjects=…, target=…, by=…)
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import connection

from consent.ledger.models import Disclosure, Recipient
from consent.programs.tenancy import role

KEPT = "3 years"
"""As PostgreSQL reads it; the database's own policy lets nothing younger be deleted (migration 0045)."""

_OVER = "program_id = %s AND at < %s::timestamptz - %s::interval"


def disclosed(
    *,
    program_id: int,
    recipient: Recipient,
    ground: str,
    fields: Iterable[str],
    subjects: int,
    target: str,
    by: str,
    name: str = "",
    purpose_id: int | None = None,
) -> None:
    """Log a disclosure, in the transaction that decides on it, before the first byte is given. Under the tenant.

    `target` names what was given, as `request:<id>`, and never a subject; `ground` is a code of why, and `fields` are
    holders' identifiers or categories. `name`: the recipient's, where its kind does not say who it is.
    """
    Disclosure.objects.create(
        program_id=program_id,
        recipient=recipient,
        name=name,
        ground=ground,
        purpose_id=purpose_id,
        fields=sorted(fields),
        subjects=subjects,
        target=target,
        actor=by,
    )


def over(program_id: int, *, now: datetime) -> int:
    """How many may be kept no longer."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM disclosure WHERE {_OVER}", [program_id, now, KEPT])
        return int(cursor.fetchone()[0])


def forget_old(program_id: int, *, now: datetime) -> int:
    """Delete what may be kept no longer, as zq_erase under the tenant; answers how many."""
    with role("zq_erase"), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM disclosure WHERE {_OVER}", [program_id, now, KEPT])
        return int(cursor.rowcount)
