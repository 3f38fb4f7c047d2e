"""An officer's searches for people are counted before each, whatever they search by."""

from django.db import migrations, models

from consent.indexes import built_beside_writes

_PHONE = "audit_entry_phone_looked_up"
_ON = "ON audit_entry (program_id, actor, at) WHERE action = "


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0059_minor_access")]

    operations = [
        built_beside_writes(
            "auditentry",
            models.Index(
                fields=["program", "actor", "at"],
                name="audit_entry_person_looked_up",
                condition=models.Q(action="person.looked_up"),
            ),
            f"{_ON}'person.looked_up'",
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    f"DROP INDEX CONCURRENTLY IF EXISTS {_PHONE}",
                    f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {_PHONE} {_ON}'phone.looked_up'",
                )
            ],
            state_operations=[migrations.RemoveIndex("auditentry", _PHONE)],
        ),
    ]
