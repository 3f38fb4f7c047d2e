"""Staff accounts: when they end, and the record of what was done to them, with a leaf in the log."""

import json
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction

from consent.ledger.audit import OFFICER
from consent.ledger.leaves import LeafType, leaf_hash, new_salt
from consent.officers.models import AccountEntry, StaffAccount
from consent.programs.tenancy import of_no_program

NOBODY = ""
"""The account of an entry that is about none there is."""
SERVICE = "service"
"""The actor where no officer acted: the sign-in page."""

_NUMBER = "SELECT nextval(pg_get_serial_sequence('account_entry', 'id')), statement_timestamp()"
_WRITE = """
    WITH committed AS (
        INSERT INTO leaf (program_id, type, hash, subject_version) VALUES (NULL, %(type)s, %(hash)s, 0) RETURNING id
    )
    INSERT INTO account_entry (id, at, actor, action, account, details, leaf_id, salt)
    SELECT %(entry)s, %(at)s, %(actor)s, %(action)s, %(account)s, %(details)s, id, %(salt)s FROM committed
"""


def named(user_id: int) -> str:
    """An account as entries name it."""
    return f"{OFFICER}{user_id}"


def record(*, actor: str, action: str, account: str, details: dict[str, Any] | None = None) -> int:
    """An entry in the log of accounts, in the transaction of what it tells; answers its number."""
    with of_no_program(), connection.cursor() as cursor:
        cursor.execute(_NUMBER)
        number, at = cursor.fetchone()
        told = {"actor": actor, "action": action, "account": account}
        kept = json.dumps(details or {}, ensure_ascii=False)
        # As a row that is read again has it: without tuples, keys as text.
        entry = AccountEntry(id=number, at=at, details=json.loads(kept), **told)
        salt = new_salt()
        hashed = leaf_hash(LeafType.AUDIT_ENTRY, salt, canonical(entry))
        written = {"entry": number, "at": at, "details": kept, "salt": salt, "hash": hashed, **told}
        cursor.execute(_WRITE, {"type": LeafType.AUDIT_ENTRY, **written})
    return int(number)


def canonical(entry: AccountEntry) -> dict[str, Any]:
    """What a leaf commits to, as RFC 8785 takes it. No entry of a mini-program's audit log has an account, or is of none."""
    return {
        "entry": entry.pk,
        "program": None,
        **{name: getattr(entry, name) for name in ("actor", "action", "account", "details")},
        "at": entry.at.astimezone(UTC).isoformat(),
    }


@transaction.atomic
def set_end(user_id: int, expires_at: datetime | None) -> None:
    """From that moment on the account signs in nowhere and its sessions are refused; None: never."""
    StaffAccount.objects.update_or_create(user_id=user_id, defaults={"expires_at": expires_at})


@transaction.atomic
def password_set(user_id: int) -> None:
    """Somebody else set it, who knows it now: the account has to choose its own."""
    StaffAccount.objects.update_or_create(user_id=user_id, defaults={"password_due": True})


@transaction.atomic
def password_chosen(user_id: int) -> None:
    """By the account itself."""
    StaffAccount.objects.filter(user_id=user_id).update(password_due=False)
    who = named(user_id)
    record(actor=who, action="password.chosen", account=who)


def password_due(user: User) -> bool:
    """Whether the account has to choose a password before anything else."""
    row = of(user)
    return row is not None and row.password_due


def of(user: User) -> StaffAccount | None:
    """What Django's account has no field for."""
    found: StaffAccount | None = getattr(user, "staff", None)
    return found


def ended(user: User, *, now: datetime) -> bool:
    """Whether the account's time is over."""
    row = of(user)
    return row is not None and row.expires_at is not None and row.expires_at <= now
