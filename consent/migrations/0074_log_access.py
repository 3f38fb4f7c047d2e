"""The log is written by zq_ledger alone, and nothing in it is ever changed or deleted. Every leaf waits for its place from
the moment it is written, whoever writes it: the database sees to that, so that none is forgotten while a release is rolled
out.
"""

from django.db import migrations

from consent.programs.security import grant

LOG = ("log_origin", "log_leaf", "log_node", "log_statement", "log_checkpoint", "log_publication")
QUEUES = ("leaf_waiting", "leaf_redacted")
WAITS = """
CREATE FUNCTION leaf_waits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.leaf_waiting SELECT id FROM made;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION leaf_waits() FROM PUBLIC;
CREATE TRIGGER leaf_waits AFTER INSERT ON leaf REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION leaf_waits();
"""
WAITS_NO_MORE = "DROP TRIGGER leaf_waits ON leaf; DROP FUNCTION leaf_waits();"


class Migration(migrations.Migration):
    dependencies = [("consent", "0073_log")]

    operations = [
        migrations.RunSQL(
            "CREATE POLICY ledger ON leaf FOR SELECT TO zq_ledger USING (true)", "DROP POLICY ledger ON leaf"
        ),
        grant("leaf", "zq_ledger", "SELECT (id, hash, subject_version)"),
        *(grant(table, "zq_ledger", "SELECT, DELETE") for table in QUEUES),
        *(grant(table, "zq_ledger", "SELECT, INSERT") for table in LOG),
        *(grant(table, "zq_app", "SELECT") for table in (*LOG, "leaf_waiting")),
        grant("leaf_redacted", "zq_app", "SELECT, INSERT"),
        migrations.RunSQL(WAITS, WAITS_NO_MORE),
    ]
