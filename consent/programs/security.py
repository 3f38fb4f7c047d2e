"""What migrations say about access: roles, grants and row-level security, each closed until opened here.

zq_app: the application. zq_ingest: inserts events past row-level security, because COPY refuses it. zq_erase: deletes
where the application may only insert. zq_ops: finds due work of every mini-program, and changes nothing. zq_ledger: gives the
leaves of every mini-program their place in the log, and reads no record.
"""

from django.db.migrations import RunSQL

GROUPS = ("zq_app", "zq_ingest", "zq_erase", "zq_ops", "zq_ledger")
TENANT = "(SELECT nullif(current_setting('zq.program', true), '')::int)"


def grant(table: str, role: str, privileges: str) -> RunSQL:
    """`privileges` as SQL has it: `SELECT, INSERT`."""
    if role not in GROUPS:
        raise ValueError(f"grants go to {', '.join(GROUPS)}")
    return RunSQL(
        f"GRANT {privileges} ON {table} TO {role}",
        f"REVOKE ALL ON {table} FROM {role}",
    )


def tenant_policy(table: str) -> list[RunSQL]:
    """Rows of the current mini-program only, for whatever is done. A policy FOR SELECT alone would hide FOR SHARE's rows."""
    return [
        RunSQL(
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        ),
        RunSQL(
            f"CREATE POLICY tenant ON {table} FOR ALL USING (program_id = {TENANT}) WITH CHECK (program_id = {TENANT})",
            f"DROP POLICY tenant ON {table}",
        ),
    ]


def ops_policy(table: str) -> RunSQL:
    """zq_ops finds rows of every mini-program here."""
    return RunSQL(
        f"CREATE POLICY ops ON {table} FOR SELECT TO zq_ops USING (true)",
        f"DROP POLICY ops ON {table}",
    )


def not_deleted_before(table: str, over: str) -> RunSQL:
    """Whoever erases deletes no row here for which `over`, an SQL condition, does not hold."""
    return RunSQL(
        f"CREATE POLICY kept ON {table} AS RESTRICTIVE FOR DELETE TO zq_erase USING ({over})",
        f"DROP POLICY kept ON {table}",
    )


def composite_key(table: str) -> RunSQL:
    """PRIMARY KEY (id, subject_id): the table shards by subject while Django's pk, and so the admin, stays `id`."""
    return RunSQL(
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, ADD PRIMARY KEY (id, subject_id)",
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, ADD PRIMARY KEY (id)",
    )
