"""The second factor of a staff account: an authenticator's codes (RFC 6238), and recovery codes for when it is lost.

Every function takes the account's row FOR UPDATE first, so that of two calls with one code the second finds it used.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from django.db import transaction

from consent.errors import Conflict
from consent.officers import accounts
from consent.officers.models import RecoveryCode, StaffAccount
from consent.vault import writing
from consent.vault.envelope import NOBODY, Cell, open_own, seal_own
from consent.vault.keyring import Keyring
from consent.vault.suites import AES

DIGITS, STEP_S = 6, 30
"""What every authenticator takes for granted, with SHA-1: others ignore the URI where it says something else."""
DRIFT = 1
"""Steps that a telephone's clock may be off."""
SECRET_BYTES = 20
RECOVERY_CODES, RECOVERY_BYTES = 10, 10


def text(secret: bytes) -> str:
    """A secret as people type it: base32."""
    return base64.b32encode(secret).decode().rstrip("=")


def code_at(secret: bytes, step: int) -> str:
    """The code of a step, DIGITS digits."""
    return HOTP(secret, DIGITS, SHA1()).generate(step).decode()  # noqa: S303  # what authenticators know


def fingerprint(secret: bytes) -> str:
    """By which a session knows the secret that it was shown."""
    return hashlib.sha256(secret).hexdigest()


def begin(keyring: Keyring, user_id: int, *, shown: str | None) -> bytes:
    """The secret to enrol an authenticator with. Raises Conflict where one is.

    `shown`: the fingerprint of what this session was shown. Whoever opened the page in another one knows no secret that is enrolled.
    """
    with transaction.atomic():
        row = _locked(user_id)
        if row.enrolled_at is not None:
            raise Conflict("already_enrolled", "this account has its second factor")
        secret = _secret(keyring, row)
        if fingerprint(secret) != shown:
            row.sealed = None
            secret = _secret(keyring, row)
        return secret


def enrol(keyring: Keyring, user_id: int, given: str, *, shown: str | None, now: datetime) -> list[str] | None:
    """The recovery codes, told this once; None where the code is wrong. Raises Conflict as `begin` does."""
    with transaction.atomic():
        secret, row = begin(keyring, user_id, shown=shown), _locked(user_id)
        if not _used(row, secret, _plain(given), now):
            return None
        row.enrolled_at = now
        row.save()
        who = accounts.named(user_id)
        accounts.record(actor=who, action="second_factor.enrolled", account=who)
        return _new_codes(row)


def renew_recovery(user_id: int) -> list[str]:
    """New recovery codes, told this once, in the place of all there were. The account is enrolled."""
    with transaction.atomic():
        row = _locked(user_id)
        RecoveryCode.objects.filter(account=row).delete()
        who = accounts.named(user_id)
        accounts.record(actor=who, action="second_factor.codes_renewed", account=who)
        return _new_codes(row)


def recovery_left(user_id: int) -> int:
    """How many recovery codes were not used yet."""
    return RecoveryCode.objects.filter(account_id=user_id).count()


def _new_codes(row: StaffAccount) -> list[str]:
    codes = [text(secrets.token_bytes(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(RecoveryCode(account=row, hash=_hash(code)) for code in codes)
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


def verify(keyring: Keyring, user_id: int, given: str, *, now: datetime) -> bool:
    """Whether it is a code of the account's authenticator, or one of its recovery codes, that was not used before."""
    plain = _plain(given)
    with transaction.atomic():
        row = _locked(user_id)
        if row.enrolled_at is None:
            return False
        if _used(row, _secret(keyring, row), plain, now):
            row.save()
            return True
        gone, _ = RecoveryCode.objects.filter(account=row, hash=_hash(plain)).delete()
        if gone:
            who, left = accounts.named(user_id), RecoveryCode.objects.filter(account=row).count()
            accounts.record(actor=who, action="second_factor.recovered", account=who, details={"left": left})
        return bool(gone)


def reset(user_id: int, *, by: str) -> None:
    """The account enrols anew at its next sign-in; what its sessions have verified counts no longer."""
    with transaction.atomic():
        row = _locked(user_id)
        RecoveryCode.objects.filter(account=row).delete()
        row.sealed = row.enrolled_at = row.last_step = None
        row.save()
        accounts.record(actor=by, action="second_factor.reset", account=accounts.named(user_id))


def handed_out(keyring: Keyring, user_id: int, *, now: datetime) -> str:
    """A code that is good now, of an account that is enrolled by it, without recovery codes, where it was not.

    Raises Conflict where those of this minute are used up. For a sandbox and for tests: whoever has the keyring has all codes.
    """
    with transaction.atomic():
        row = _locked(user_id)
        secret = _secret(keyring, row)
        if row.enrolled_at is None:
            row.enrolled_at = now
            row.save()
        step = max(_step(now), -1 if row.last_step is None else row.last_step + 1)
        if step > _step(now) + DRIFT:
            raise Conflict("codes_used", f"the codes of now are used: wait {STEP_S} s")
    return code_at(secret, step)


def mark(row: StaffAccount | None) -> str | None:
    """What a session keeps once it has verified the second factor; another one after a reset, None where there is none."""
    return row.enrolled_at.isoformat() if row is not None and row.enrolled_at is not None else None


def cell(user_id: int) -> Cell:
    """Where the secret stands: it is no mini-program's."""
    return Cell(0, "staff_account", "sealed", str(user_id), NOBODY)


def _locked(user_id: int) -> StaffAccount:
    StaffAccount.objects.bulk_create([StaffAccount(user_id=user_id)], ignore_conflicts=True)
    return StaffAccount.objects.select_for_update().get(user_id=user_id)


def _secret(keyring: Keyring, row: StaffAccount) -> bytes:
    """Opened, or made anew."""
    if row.sealed is not None:
        return open_own(keyring, bytes(row.sealed), cell(row.pk))
    secret = secrets.token_bytes(SECRET_BYTES)
    writing.hold(keyring)
    row.sealed = seal_own(keyring, secret, cell(row.pk), AES)
    row.save()
    return secret


def _used(row: StaffAccount, secret: bytes, code: str, now: datetime) -> bool:
    """Whether it is the code of a step around now and after the newest used; then that step is the newest."""
    for step in range(_step(now) - DRIFT, _step(now) + DRIFT + 1):
        fresh = row.last_step is None or step > row.last_step
        if fresh and hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
            row.last_step = step
            return True
    return False


def _step(now: datetime) -> int:
    return int(now.timestamp()) // STEP_S


def _plain(given: str) -> str:
    """As it was told, whatever stands between its groups."""
    return "".join(given.replace("-", "").split()).upper()


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
