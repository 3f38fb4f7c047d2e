"""That the database is in service, which no backup says of itself."""

from django.db import models


class ServiceState(models.Model):
    """One row while calls are answered. `manage.py backup` leaves it out, so a restored database has none until a replay puts
    it back. `marked_at`: when the journal was last told how far the database is."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    opened_at = models.DateTimeField()
    marked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "service_state"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="service_state_one")]
