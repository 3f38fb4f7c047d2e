"""An officer's searches by telephone number are counted before each."""

from django.db import migrations, models

from consent.indexes import built_beside_writes


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("consent", "0028_find_by_phone")]

    operations = [
        built_beside_writes(
            "auditentry",
            models.Index(
                fields=["program", "actor", "at"],
                name="audit_entry_phone_looked_up",
                condition=models.Q(action="phone.looked_up"),
            ),
            "ON audit_entry (program_id, actor, at) WHERE action = 'phone.looked_up'",
        ),
    ]
