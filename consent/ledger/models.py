"""What must outlive its subject: salted leaves of the log, and the record of officers' actions."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from consent.programs.models import MiniProgram


class Leaf(models.Model):
    """The salted hash of a record (see consent.ledger.leaves). Holds no subject; outlives the record and its salt.

    `subject_version` orders the leaves of one subject when the sequencer gives indexes. No time: the checkpoint's minute
    is all that is to be known of it.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT)
    type = models.SmallIntegerField()
    hash = models.BinaryField(max_length=32)
    subject_version = models.IntegerField()

    class Meta:
        db_table = "leaf"


class AuditEntry(models.Model):
    """An officer's or a job's action. Names requests and catalogue rows only, never a subject."""

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    actor = models.TextField(_("actor"))
    action = models.TextField(_("action"))
    target = models.TextField(_("target"))
    at = models.DateTimeField(_("at"), db_default=Now())
    details = models.JSONField(_("details"), default=dict)

    class Meta:
        db_table = "audit_entry"
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        indexes = [
            models.Index(
                fields=["program", "actor", "at"],
                name="audit_entry_phone_looked_up",
                condition=models.Q(action="phone.looked_up"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"
