"""Wrong attempts to sign in, counted by account and by address, with pauses that grow. Nothing is locked for good.

An attempt is counted before it is looked at, so that many at once are no more than one after another; a right one is taken
out again. While a pause lasts, no attempt is looked at. Whether an account exists makes no difference.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from consent.officers import accounts
from consent.officers.models import SignInFailure
from consent.vault.lookup import Lookup

FREE = {"account": 5, "code": 5, "address": 20}
"""Wrong attempts in a row after which the first pause begins. Behind one address there may be an office."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
FORGOTTEN, TOGETHER = timedelta(days=1), timedelta(hours=1)
"""So long after the last wrong one attempts are no longer in a row: an account's, and an address's, behind which others may be."""


@dataclass(frozen=True)
class Counter:
    """Whose attempts are counted: an account's name, its number for codes, or an address. Only a keyed hash is kept."""

    kind: str
    key: bytes


def counter(lookup: Lookup, kind: str, who: str) -> Counter:
    """`kind`: of FREE."""
    return Counter(kind, lookup.fingerprint(f"sign-in {kind}", who.encode()))


def pause(kind: str, failures: int) -> timedelta:
    """How long nothing is looked at after so many."""
    beyond = failures - FREE[kind]
    if beyond < 0:
        return timedelta(0)
    return min(FIRST_PAUSE * (1 << min(beyond, 10)), LONGEST_PAUSE)


def begin(counters: Collection[Counter], *, now: datetime) -> bool:
    """Whether the attempt may be looked at; then it counts as wrong until `succeeded`."""
    with transaction.atomic():
        # Whoever is paused writes nothing: there may be any number of names.
        if _paused(_locked(counters), now):
            return False
        SignInFailure.objects.filter(last_at__lt=now - FORGOTTEN).delete()
        fresh = [SignInFailure(key=one.key, last_at=now) for one in counters]
        SignInFailure.objects.bulk_create(fresh, ignore_conflicts=True)
        rows = _locked(counters)
        if _paused(rows, now):
            return False
        for one in counters:
            row = rows[one.key]
            alone = one.kind == "address" and now - row.last_at > TOGETHER
            row.failures = 1 if alone else row.failures + 1
            gap = pause(one.kind, row.failures)
            # None rather than now: of two at once the other's `now` may lie before it.
            row.paused_until = now + gap if gap else None
            row.save()
    return True


def failed(counters: Collection[Counter], *, account: str, now: datetime) -> None:
    """It was wrong: that a pause begins by it is kept in the log of accounts. `account`: as entries name it, or NOBODY."""
    with transaction.atomic():
        rows = _locked(counters)
        for one in counters:
            row = rows.get(one.key)
            if row is None:
                continue
            row.last_at = now
            row.save()
            if row.paused_until is not None and row.paused_until > now:
                told = {"by": one.kind, "failures": row.failures}
                accounts.record(actor=accounts.SERVICE, action="sign_in.paused", account=account, details=told)


def succeeded(counters: Collection[Counter]) -> None:
    """It was right: whose it was begins anew; from its address it is not counted, and what was wrong before stays."""
    with transaction.atomic():
        rows = _locked(counters)
        for one in counters:
            row = rows.get(one.key)
            if row is not None and one.kind == "address" and row.failures > 1:
                row.failures, row.paused_until = row.failures - 1, None
                row.save()
            elif row is not None:
                row.delete()


def _paused(rows: dict[bytes, SignInFailure], now: datetime) -> bool:
    return any(row.paused_until is not None and row.paused_until > now for row in rows.values())


def _locked(counters: Collection[Counter]) -> dict[bytes, SignInFailure]:
    """In one order, whoever asks."""
    keys = [one.key for one in counters]
    rows = SignInFailure.objects.filter(key__in=keys).order_by("key").select_for_update()
    return {bytes(row.key): row for row in rows}
