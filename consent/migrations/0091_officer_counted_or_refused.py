"""How often an officer looked for or at people is counted of all entries, or not told at all. Where row-level security hides entries
from the function's owner, as where it and the table have come to different owners, it would find none, and no limit would hold.

In reverse it is the function of migration 0069, whatever its owner sees.
"""

from django.db import migrations

TIMES = """
CREATE OR REPLACE FUNCTION times_of_officer(officer text, deed text, since timestamptz) RETURNS SETOF timestamptz
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN{checked}
    RETURN QUERY
        SELECT e.at FROM public.audit_entry e
        WHERE action IN ('person.looked_up', 'person.revealed')
            AND e.action = deed AND e.actor = officer AND e.at > since ORDER BY e.at;
END
$$
"""
CHECKED = """
    IF row_security_active('public.audit_entry') THEN
        RAISE EXCEPTION 'row-level security hides audit entries from the owner of times_of_officer'
            USING ERRCODE = 'insufficient_privilege', HINT = 'Give the function to the owner of audit_entry.';
    END IF;"""


class Migration(migrations.Migration):
    dependencies = [("consent", "0090_journal_writer")]

    operations = [migrations.RunSQL(TIMES.format(checked=CHECKED), TIMES.format(checked=""))]
