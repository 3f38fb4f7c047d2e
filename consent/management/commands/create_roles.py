"""Makes the database roles that the service works through."""

from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction

from consent.programs.roles import Login, statements

OLDEST = 16


class Command(BaseCommand):
    help = (
        "Create the group roles and the application's and worker's logins, named as in DATABASE_URL and"
        " DATABASE_WORKER_URL. Run it with ZHIQING_ROLE=owner; the owner needs CREATEROLE and BYPASSRLS (or a superuser"
        " runs what --sql prints). Safe to run again."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--sql",
            action="store_true",
            help="print the statements and change nothing; no passwords: set them with ALTER ROLE … PASSWORD",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        logins = [_login("application"), _login("worker")]
        if options["sql"]:
            bare = [replace(login, password=None) for login in logins]
            self.stdout.write(";\n".join(part.as_string() for part in statements(bare)) + ";")
            return
        if settings.ROLE != "owner":
            raise CommandError("run this with ZHIQING_ROLE=owner: only the owner may create roles")
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('server_version_num')::int / 10000")
            if (major := cursor.fetchone()[0]) < OLDEST:
                raise CommandError(f"PostgreSQL {OLDEST} or later is needed, and this one is {major}")
            made = statements(logins)
            for statement in made:
                cursor.execute(statement.as_string())
        self.stdout.write(f"roles ready: {len(made)} statements run")


def _login(role: str) -> Login:
    url = settings.DATABASE_URLS[role]
    if url is None or not (parts := urlsplit(url)).username:
        names = {"application": "DATABASE_URL", "worker": "DATABASE_WORKER_URL"}
        raise CommandError(f"{names[role]} must name a login")
    login = Login(unquote(parts.username or ""), unquote(parts.password) if parts.password else None, role == "worker")
    bound = settings.SESSIONS.get(role, {}).get("idle_in_transaction_session_timeout", login.idle_ms)
    return replace(login, idle_ms=bound)
