"""A migration's step by itself, beside those who use the tables."""

import os
import time
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import connections

from config import env

PATIENCE_S = 30


def run(step: Callable[[Any, Any], None]) -> None:
    """One way of the migration, as the owner, by a connection of its own."""
    own = connections.create_connection("default")
    own.settings_dict = {**own.settings_dict, **env.database(os.environ["DATABASE_OWNER_URL"])}
    try:
        with own.schema_editor(atomic=False) as editor:
            step(None, editor)
    finally:
        own.close()


def until(owner: psycopg.Connection, statement: str, *, waits: bool = True) -> None:
    """A session waits for a lock in such a statement, or none does any more."""
    late = time.monotonic() + PATIENCE_S
    asked = "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE %s AND pid <> pg_backend_pid() AND wait_event_type = 'Lock'"
    while owner.execute(asked, [f"%{statement}%"]).fetchone() != (waits,):
        assert time.monotonic() < late, f"nobody waits in {statement}, or somebody yet"
        time.sleep(0.02)
