"""The database's roles: five groups without a login, and the two logins that work through them (docs/adr/0002).

Membership of the powerful groups is not inherited: a transaction takes such a role by SET LOCAL ROLE, in the one place
that needs it.
"""

from dataclasses import dataclass

from psycopg import sql

GROUPS = (("zq_app", ""), ("zq_ingest", "BYPASSRLS"), ("zq_erase", ""), ("zq_ops", ""), ("zq_ledger", ""))


@dataclass(frozen=True)
class Login:
    """A login of the service; `password` None leaves it as it is."""

    name: str
    password: str | None
    erases: bool


def statements(logins: list[Login], existing: set[str]) -> list[sql.Composed]:
    """What brings the roles about; safe to run again."""
    made = [
        sql.SQL("CREATE ROLE {} NOLOGIN NOINHERIT " + attribute).format(sql.Identifier(name))
        for name, attribute in GROUPS
        if name not in existing
    ]
    for login in logins:
        made += _login(login, login.name in existing)
    return made


def _login(login: Login, exists: bool) -> list[sql.Composed]:
    name = sql.Identifier(login.name)
    made = [] if exists else [sql.SQL("CREATE ROLE {} LOGIN").format(name)]
    if login.password is not None:
        made.append(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(login.password)))
    made.append(sql.SQL("GRANT zq_app TO {} WITH INHERIT TRUE, SET FALSE").format(name))
    for group in ("zq_ingest", "zq_ops", *(["zq_erase", "zq_ledger"] if login.erases else [])):
        made.append(sql.SQL("GRANT {} TO {} WITH INHERIT FALSE, SET TRUE").format(sql.Identifier(group), name))
    # A statement or a forgotten transaction must not hold a subject's lock for ever.
    made.append(sql.SQL("ALTER ROLE {} SET idle_in_transaction_session_timeout = '60s'").format(name))
    return made
