"""A second factor for staff accounts: the authenticator's secret, sealed; recovery codes, hashed; wrong attempts, counted."""

from django.db import migrations, models

from consent.programs.security import grant


class Migration(migrations.Migration):
    dependencies = [("consent", "0057_staff_account")]

    operations = [
        migrations.AddField(
            "staffaccount", "sealed", models.BinaryField(editable=False, null=True, verbose_name="sealed secret")
        ),
        migrations.AddField(
            "staffaccount",
            "enrolled_at",
            models.DateTimeField(blank=True, null=True, verbose_name="second factor since"),
        ),
        migrations.AddField(
            "staffaccount", "last_step", models.BigIntegerField(blank=True, null=True, verbose_name="newest step used")
        ),
        migrations.CreateModel(
            name="RecoveryCode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hash", models.BinaryField(max_length=32, verbose_name="hash")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=models.CASCADE, to="consent.staffaccount", verbose_name="staff account"
                    ),
                ),
            ],
            options={
                "db_table": "recovery_code",
                "verbose_name": "recovery code",
                "verbose_name_plural": "recovery codes",
                "constraints": [models.UniqueConstraint(fields=["account", "hash"], name="recovery_code_account_hash")],
            },
        ),
        migrations.CreateModel(
            name="SignInFailure",
            fields=[
                ("key", models.BinaryField(max_length=32, primary_key=True, serialize=False, verbose_name="key")),
                ("failures", models.IntegerField(default=0, verbose_name="failures")),
                ("last_at", models.DateTimeField(verbose_name="last at")),
                ("paused_until", models.DateTimeField(null=True, verbose_name="paused until")),
            ],
            options={
                "db_table": "sign_in_failure",
                "verbose_name": "failed sign-in",
                "verbose_name_plural": "failed sign-ins",
            },
        ),
        grant("recovery_code", "zq_app", "SELECT, INSERT, DELETE"),
        grant("sign_in_failure", "zq_app", "SELECT, INSERT, UPDATE, DELETE"),
    ]
