"""What a staff account may do, as the journal has it: a restored backup gives back nothing that was taken since."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from django.contrib.auth.models import User
from django.db import transaction

from consent.journal import writing
from consent.ledger.audit import audit
from consent.officers import accounts
from consent.officers.models import StaffAccount
from consent.programs.models import OfficerAssignment
from consent.programs.tenancy import tenant

FLAGS = {"active": "is_active", "staff": "is_staff", "superuser": "is_superuser"}
GROUP, PERMISSION, PROGRAM = "group", "permission", "program"


@dataclass(frozen=True)
class Access:
    """`may`: names of FLAGS, and `group:`, `permission:` and `program:` with the number of each that it has; `ends`: None: never."""

    may: frozenset[str]
    ends: datetime | None

    def within(self, other: "Access") -> "Access":
        """What both allow."""
        ends = min((end for end in (self.ends, other.ends) if end is not None), default=None)
        return Access(self.may & other.may, ends)

    @property
    def fingerprint(self) -> str:
        """Of this and of nothing else."""
        ends = "" if self.ends is None else self.ends.astimezone(UTC).isoformat()
        return sha256(" ".join([*sorted(self.may), ends]).encode()).hexdigest()


def held(user_id: int) -> Access:
    """What an account has. Its row is locked, so that entries come in the order of the changes. Raises User.DoesNotExist."""
    return of(User.objects.select_for_update(no_key=True).get(pk=user_id))


def of(user: User) -> Access:
    """The same of an account as it was read, with no lock."""
    may = {name for name, column in FLAGS.items() if getattr(user, column)}
    for kind, numbers in (
        (GROUP, user.groups.values_list("pk", flat=True)),
        (PERMISSION, user.user_permissions.values_list("pk", flat=True)),
        (PROGRAM, OfficerAssignment.objects.filter(user=user).values_list("program_id", flat=True)),
    ):
        may |= {f"{kind}:{number}" for number in numbers}
    ends = StaffAccount.objects.filter(user=user).values_list("expires_at", flat=True).first()
    return Access(frozenset(may), ends)


@contextmanager
def journaled(user_id: int) -> Iterator[None]:
    """A transaction that may change what an account has. The journal knows what was taken before it commits, and what was given
    after. Raises JournalAway, and nothing is changed then; User.DoesNotExist."""
    with transaction.atomic():
        before = held(user_id)
        yield
        now = held(user_id)
        left = now.within(before)
        if left != before:
            writing.narrowed(user_id, may=sorted(left.may), ends=left.ends)
        if now != left:
            writing.widened(user_id, may=sorted(now.may), ends=now.ends)


@transaction.atomic
def narrow(user_id: int, to: Access, *, by: str, dry_run: bool) -> bool:
    """Take from an account what a restore brought back to it; answers whether there was anything. The journal has it."""
    if not User.objects.filter(pk=user_id).exists():
        return False
    before = held(user_id)
    left = before.within(to)
    if left == before or dry_run:
        return left != before
    lost = before.may - left.may
    _take(user_id, lost, by=by)
    if left.ends != before.ends:
        accounts.set_end(user_id, left.ends)
    details = {"lost": sorted(lost), "end": left.ends != before.ends}
    accounts.record(actor=by, action="account.narrowed", account=accounts.named(user_id), details=details)
    return True


def _take(user_id: int, lost: Collection[str], *, by: str) -> None:
    user = User.objects.get(pk=user_id)
    flags = [column for name, column in FLAGS.items() if name in lost]
    for column in flags:
        setattr(user, column, False)
    user.save(update_fields=flags)
    user.groups.remove(*_numbers(lost, GROUP))
    user.user_permissions.remove(*_numbers(lost, PERMISSION))
    for program_id in _numbers(lost, PROGRAM):
        OfficerAssignment.objects.filter(user=user, program_id=program_id).delete()
        with tenant(program_id):
            audit(program_id=program_id, actor=by, action="officer.unassigned", target=accounts.named(user_id))


def _numbers(lost: Collection[str], kind: str) -> list[int]:
    return sorted(int(name.partition(":")[2]) for name in lost if name.startswith(f"{kind}:"))
