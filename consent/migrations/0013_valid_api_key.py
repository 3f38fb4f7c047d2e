"""Keys are found by a function of the owner's: one statement, without a role to take and leave."""

from django.db import migrations

# Whoever asks must name the key; what it answers for one that is not valid is nothing.
VALID_API_KEY = """
CREATE FUNCTION valid_api_key(wanted text, at timestamptz)
RETURNS TABLE (secret_hash bytea, client_id bigint, program_id int, zone text, sandbox boolean, scopes text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT k.secret_hash, k.client_id, k.program_id, p.zone, p.sandbox, c.scopes
        FROM public.api_key k JOIN public.api_client c ON c.id = k.client_id JOIN public.program p ON p.id = k.program_id
        WHERE k.key_id = wanted AND k.revoked_at IS NULL AND k.expires_at > at;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("consent", "0012_withdrawn_before")]

    operations = [
        migrations.RunSQL(VALID_API_KEY, "DROP FUNCTION valid_api_key(text, timestamptz)"),
        migrations.RunSQL(
            "REVOKE ALL ON FUNCTION valid_api_key(text, timestamptz) FROM PUBLIC;"
            "GRANT EXECUTE ON FUNCTION valid_api_key(text, timestamptz) TO zq_app",
            "REVOKE ALL ON FUNCTION valid_api_key(text, timestamptz) FROM zq_app",
        ),
    ]
