"""The database's roles: five groups without a login, and the two logins that work through them (docs/adr/0002).

Membership of the powerful groups is not inherited: a transaction takes such a role by SET LOCAL ROLE, in the one place
that needs it.
"""

from dataclasses import dataclass

from psycopg import sql

GROUPS = (("zq_app", ""), ("zq_ingest", "BYPASSRLS"), ("zq_erase", ""), ("zq_ops", ""), ("zq_ledger", ""))


@dataclass(frozen=True)
class Login:
    """A login of the service; `password` None leaves it as it is. `idle_ms`: how long it may pause within a transaction."""

    name: str
    password: str | None
    erases: bool
    idle_ms: int = 60_000


def statements(logins: list[Login]) -> list[sql.Composed]:
    """What brings the roles about; safe to run again. From PostgreSQL 16 on, which alone grants what is not inherited."""
    made = [_made(name, "NOLOGIN NOINHERIT " + attribute) for name, attribute in GROUPS]
    for login in logins:
        made += _login(login)
    return made


def _made(name: str, attributes: str) -> sql.Composed:
    role = sql.SQL("CREATE ROLE {} " + attributes).format(sql.Identifier(name))
    return sql.SQL(
        "DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {}) THEN {}; END IF; END $do$"
    ).format(sql.Literal(name), role)


def _login(login: Login) -> list[sql.Composed]:
    name = sql.Identifier(login.name)
    made = [_made(login.name, "LOGIN")]
    if login.password is not None:
        made.append(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(login.password)))
    made.append(sql.SQL("GRANT zq_app TO {} WITH INHERIT TRUE, SET FALSE").format(name))
    for group in ("zq_ingest", "zq_ops", *(["zq_erase", "zq_ledger"] if login.erases else [])):
        made.append(sql.SQL("GRANT {} TO {} WITH INHERIT FALSE, SET TRUE").format(sql.Identifier(group), name))
    # A statement or a forgotten transaction must not hold a subject's lock for ever.
    idle = sql.Literal(login.idle_ms)
    made.append(sql.SQL("ALTER ROLE {} SET idle_in_transaction_session_timeout = {}").format(name, idle))
    return made
