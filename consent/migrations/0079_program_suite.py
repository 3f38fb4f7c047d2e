"""A mini-program's cipher suite: what is there stays with AES, and the database itself lets nobody change it."""

from django.db import migrations, models

FOR_LIFE = """
CREATE FUNCTION program_suite_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a mini-program keeps its cipher suite' USING ERRCODE = 'check_violation', CONSTRAINT = 'program_suite_stays';
END $$;
CREATE TRIGGER program_suite_stays BEFORE UPDATE ON program FOR EACH ROW
    WHEN (NEW.suite IS DISTINCT FROM OLD.suite) EXECUTE FUNCTION program_suite_stays();
"""
NO_MORE = """
DROP TRIGGER program_suite_stays ON program;
DROP FUNCTION program_suite_stays();
"""


class Migration(migrations.Migration):
    dependencies = [("consent", "0078_phone_lookup_version")]

    operations = [
        migrations.AddField(
            "miniprogram",
            "suite",
            models.TextField(
                choices=[("aes", "AES-256-GCM, HMAC-SHA256"), ("sm", "SM4-GCM, HMAC-SM3")],
                db_default="aes",
                default="aes",
                verbose_name="cipher suite",
            ),
        ),
        migrations.AddConstraint(
            "miniprogram",
            models.CheckConstraint(condition=models.Q(("suite__in", ["aes", "sm"])), name="program_suite"),
        ),
        migrations.RunSQL(FOR_LIFE, NO_MORE),
    ]
