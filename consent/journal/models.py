"""That the database is in service, which no backup says of itself; and who writes the journal and how far it was, which every backup
says."""

from django.db import models
from django.db.models.functions import Now


class ServiceState(models.Model):
    """One row: with `opened_at` while calls are answered, else while a replay is waited for; then the journal has to reach back to
    `needed_from`, and ids go on in `epoch`, once the journal knows that. `manage.py backup` leaves the row out, so a restored database
    has none. `marked_at`: when the journal was last told how far the database is."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    opened_at = models.DateTimeField(null=True)
    marked_at = models.DateTimeField(null=True)
    needed_from = models.BigIntegerField(null=True)
    epoch = models.BigIntegerField(null=True)

    class Meta:
        db_table = "service_state"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="service_state_one")]


class JournalWriter(models.Model):
    """A folder of the journal, by the name that is kept in it, and the entry with which it became known. It is forgotten
    ZHIQING_BACKUP_DAYS after its last one (`at`, to the day), and is known again with its next."""

    id = models.TextField(primary_key=True)
    number = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "journal_writer"


class GivenOut(models.Model):
    """The number of an entry of the journal, with the act that it was given out for (consent.journal.given_out)."""

    number = models.BigIntegerField(primary_key=True)

    class Meta:
        db_table = "journal_given_out"
