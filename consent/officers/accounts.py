"""Staff accounts: when they end, and the record of what was done to them."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from consent.ledger.audit import OFFICER
from consent.officers.models import AccountEntry, StaffAccount

NOBODY = ""
"""The account of an entry that is about none there is."""
SERVICE = "service"
"""The actor where no officer acted: the sign-in page."""


def named(user_id: int) -> str:
    """An account as entries name it."""
    return f"{OFFICER}{user_id}"


def record(*, actor: str, action: str, account: str, details: dict[str, Any] | None = None) -> int:
    """An entry in the log of accounts, in the transaction of what it tells; answers its number."""
    return AccountEntry.objects.create(actor=actor, action=action, account=account, details=details or {}).pk


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
