"""The tenant of a transaction: row-level security reads `zq.program`, and without it no owned row is visible (I8)."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from psycopg import sql

from consent.statements import Answer, ask, together

_SET = "SELECT set_config('zq.program', %s, true)"
_LASTING = "SELECT set_config(name, '0', true) FROM unnest(%s::text[]) AS limits (name)"


@contextmanager
def tenant(program_id: int) -> Iterator[None]:
    """Run a transaction under one mini-program. Nested use joins the outer transaction."""
    with transaction.atomic(savepoint=False):
        with connection.cursor() as cursor:
            cursor.execute(_SET, [str(program_id)])
        yield


@contextmanager
def of_no_program() -> Iterator[None]:
    """Run a transaction under no mini-program, for what belongs to none. Within an outer one, whose mini-program comes back after it."""
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(current_setting('zq.program', true), '')")
        (before,) = cursor.fetchone()
        cursor.execute(_SET, [""])
        yield
        cursor.execute(_SET, [before])


@contextmanager
def snapshot(program_id: int) -> Iterator[None]:
    """The same, with every statement seeing what the first one does. Not within another transaction."""
    with snapshot_of_all(), tenant(program_id):
        yield


@contextmanager
def snapshot_of_all(*, lasting: bool = False, of: str | None = None) -> Iterator[None]:
    """A transaction whose every statement sees what the first one does, whichever tenants it goes through. `lasting`: without
    the session's limits on how long statements take and on the pauses between them, for who reads everything and lets nobody wait.
    `of`: what another process told of its own (`exported`), to see what that one does."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            if of is not None:
                # It takes a literal only, no parameter.
                cursor.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(of))
            if lasting:
                cursor.execute(_LASTING, [["statement_timeout", "idle_in_transaction_session_timeout"]])
        yield


def exported() -> str:
    """What names this transaction's snapshot to other processes for as long as it is open."""
    ((name,),) = ask("SELECT pg_export_snapshot()").rows()
    return str(name)


@contextmanager
def tenant_together(program_id: int) -> Iterator[None]:
    """The same for statements that share one round trip with it (`consent.statements`); read their answers after it."""
    with transaction.atomic(savepoint=False), together():
        ask(_SET, [str(program_id)])
        yield


def ask_as_tenant(program_id: int, *, lock_timeout: str) -> Answer:
    """The same for the rest of a transaction that is open already, as one of its statements; answers the time."""
    return ask(
        "SELECT clock_timestamp(), set_config('zq.program', %s, true), set_config('lock_timeout', %s, true)",
        [str(program_id), lock_timeout],
    )


def ask_ingest_role() -> None:
    """Act as `zq_ingest`, which writes events, until `ask_own_role` or the transaction's end."""
    ask("SET LOCAL ROLE zq_ingest")


def ask_erase_role() -> None:
    """Act as `zq_erase`, as `role` does, in the round trip of what is deleted."""
    ask("SET LOCAL ROLE zq_erase")


def ask_own_role() -> None:
    ask("RESET ROLE")


@contextmanager
def role(name: str) -> Iterator[None]:
    """Run statements of the current transaction as a group role: `zq_erase` deletes.

    After an error the transaction is void and the role ends with it, so only success resets it.
    """
    if name != "zq_erase":
        raise ValueError("only zq_erase is a role to act in")
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {name}")
        yield
        cursor.execute("RESET ROLE")


@contextmanager
def without_tenant() -> Iterator[None]:
    """Run a transaction as `zq_ops`, which may find due work of every mini-program, and change nothing."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE zq_ops")
        yield
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")


@contextmanager
def as_ledger() -> Iterator[None]:
    """Run a transaction as `zq_ledger`, which gives leaves their place in the log. The worker's login alone may."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE zq_ledger")
        yield
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
