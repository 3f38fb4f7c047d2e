"""Taking again, after a restore, what was taken since the backup from those who reach the service: API keys, and what staff
accounts may do. The newest entry of each counts, and nothing is given, so that a replay may be killed, and repeated."""

from collections.abc import Sequence
from dataclasses import dataclass

from consent.journal import plan
from consent.journal.entries import Entry
from consent.ledger.audit import audit
from consent.officers import access
from consent.officers.access import Access
from consent.programs.authentication import revoke_again
from consent.programs.tenancy import tenant

BY = "replay"


@dataclass(frozen=True)
class Taken:
    """The numbers of API clients whose keys were ended again, or would be; and of accounts that lost something."""

    clients: list[int]
    accounts: list[int]


def replay(entries: Sequence[Entry], *, dry_run: bool) -> Taken:
    """Clients and accounts that are not in this database came after its backup, and are passed over."""
    clients = sorted(plan.revoked(entries).items())
    accounts = sorted(plan.accounts(entries).items())
    return Taken(
        [client for client, entry in clients if _revoke(client, entry, dry_run)],
        [account for account, entry in accounts if _narrow(account, entry, dry_run)],
    )


def _revoke(client: int, entry: Entry, dry_run: bool) -> bool:
    assert entry.program is not None, "an entry of a client tells its mini-program"
    with tenant(entry.program):
        revoked = revoke_again(program_id=entry.program, client_id=client, at=entry.at, dry_run=dry_run)
        if revoked and not dry_run:
            audit(program_id=entry.program, actor=BY, action="client.revoked", target=f"client:{client}")
    return revoked > 0


def _narrow(account: int, entry: Entry, dry_run: bool) -> bool:
    return access.narrow(account, Access(frozenset(entry.may), entry.ends), by=BY, dry_run=dry_run)
