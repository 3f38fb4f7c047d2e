"""Links to the data subject's own pages, and the sessions that they open."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from consent.programs.models import MiniProgram
from consent.vault.models import Subject


class View(models.TextChoices):
    """Which page a link leads to."""

    CONSENTS = "consents"
    DATA = "data"
    REQUESTS = "requests"


class PortalSession(models.Model):
    """A link, used once, and the session that it opened. Goes with its subject, and soon after it ended.

    `link_hash`, `secret_hash`: SHA-256 of 256 random bits, of which the link and the cookie have one each. `opened_until`: the
    end of the session, None while the link was not used. `stepped_up`: a fresh login code proved who opened the mini-program.
    `fetched`: the packages that it took, as `<request>.<form>`.
    """

    pk = models.CompositePrimaryKey("subject_id", "link_hash")
    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id", db_index=False)
    link_hash = models.BinaryField(max_length=32)
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    client_id = models.BigIntegerField()
    locale = models.TextField()
    view = models.TextField(choices=View.choices)
    stepped_up = models.BooleanField(default=False)
    link_until = models.DateTimeField()
    secret_hash = models.BinaryField(max_length=32, null=True)
    opened_until = models.DateTimeField(null=True)
    fetched = ArrayField(models.TextField(), default=list, db_default=[])

    class Meta:
        db_table = "portal_session"
        constraints = [
            models.CheckConstraint(condition=models.Q(view__in=View.values), name="portal_session_view"),
            models.CheckConstraint(
                condition=models.Q(secret_hash__isnull=True, opened_until__isnull=True)
                | models.Q(secret_hash__isnull=False, opened_until__isnull=False),
                name="portal_session_opened",
            ),
        ]
        indexes = [
            models.Index(fields=["link_hash"], name="portal_session_link"),
            models.Index(fields=["secret_hash"], name="portal_session_secret"),
            models.Index(fields=["program", "link_until"], name="portal_session_over"),
        ]
