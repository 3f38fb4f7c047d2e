"""What must outlive its subject: salted leaves of the log, and the record of officers' actions."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Cast, Now
from django.utils.translation import gettext_lazy as _

from consent.notices.models import Purpose
from consent.programs.models import MiniProgram


class Leaf(models.Model):
    """The salted hash of a record (see consent.ledger.leaves). Holds no subject; outlives the record and its salt.

    `program`: null of an entry of the log of accounts. `subject_version` orders the leaves of one subject when the sequencer gives
    indexes. No time: the checkpoint's minute is all that is to be known of it. No foreign key in the database: its check has all
    acts lock one row for as long as they last.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT, null=True, db_constraint=False, db_index=False)
    type = models.SmallIntegerField()
    hash = models.BinaryField(max_length=32)
    subject_version = models.IntegerField()

    class Meta:
        db_table = "leaf"
        indexes = [models.Index(fields=["program", "id"], name="leaf_of_program")]


class WaitingLeaf(models.Model):
    """A leaf that has no index yet: the database writes it with the leaf, and the sequencer takes it away, with its time."""

    leaf_id = models.BigIntegerField(primary_key=True)
    since = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "leaf_waiting"


class RedactedLeaf(models.Model):
    """A leaf whose record and salt were erased, on that day; until a redaction leaf lists its index."""

    leaf_id = models.BigIntegerField(primary_key=True)
    day = models.DateField(db_default=Cast(Now(), models.DateField()))

    class Meta:
        db_table = "leaf_redacted"


class LogOrigin(models.Model):
    """A log, by its name in checkpoints. The newest grows. `previous`: the checkpoint of the one before that it goes on
    from after a loss; null of the first."""

    number = models.SmallIntegerField(primary_key=True)
    name = models.TextField(unique=True)
    previous = models.TextField(null=True)

    class Meta:
        db_table = "log_origin"


class LogLeaf(models.Model):
    """A leaf in its place. `leaf_id`: null of what the log says itself (LogStatement)."""

    pk = models.CompositePrimaryKey("origin", "index")
    origin = models.SmallIntegerField()
    index = models.BigIntegerField()
    leaf_id = models.BigIntegerField(null=True, unique=True)
    hash = models.BinaryField(max_length=32)

    class Meta:
        db_table = "log_leaf"


class LogNode(models.Model):
    """The hash of a complete subtree of two leaves or more (consent.ledger.tree)."""

    pk = models.CompositePrimaryKey("origin", "level", "position")
    origin = models.SmallIntegerField()
    level = models.SmallIntegerField()
    position = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)

    class Meta:
        db_table = "log_node"


class LogStatement(models.Model):
    """What the log says itself, opened: which leaves are redacted, how a signing key changed, where an origin begins."""

    pk = models.CompositePrimaryKey("origin", "index")
    origin = models.SmallIntegerField()
    index = models.BigIntegerField()
    type = models.SmallIntegerField()
    salt = models.BinaryField(max_length=32)
    content = models.JSONField()

    class Meta:
        db_table = "log_statement"


class LogCheckpoint(models.Model):
    """The signed head of a log at a size (consent.ledger.checkpoints). `at`: the minute in which it was made."""

    pk = models.CompositePrimaryKey("origin", "size")
    origin = models.SmallIntegerField()
    size = models.BigIntegerField()
    root = models.BinaryField(max_length=32)
    at = models.DateTimeField()
    note = models.TextField()

    class Meta:
        db_table = "log_checkpoint"


class LogPublication(models.Model):
    """That a checkpoint came to where it is published. `accepted`: false where that place holds a larger log, or another."""

    pk = models.CompositePrimaryKey("origin", "sink", "size")
    origin = models.SmallIntegerField()
    sink = models.TextField()
    size = models.BigIntegerField()
    at = models.DateTimeField()
    accepted = models.BooleanField()

    class Meta:
        db_table = "log_publication"
        indexes = [
            models.Index(fields=["origin", "size"], name="log_publication_accepted", condition=models.Q(accepted=True))
        ]


class AuditEntry(models.Model):
    """An officer's or a job's action. Names requests and catalogue rows only, never a subject.

    `leaf_id` and `salt` are null of entries from before they had a leaf.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"), db_index=False)
    actor = models.TextField(_("actor"))
    action = models.TextField(_("action"))
    target = models.TextField(_("target"))
    at = models.DateTimeField(_("at"), db_default=Now())
    details = models.JSONField(_("details"), default=dict)
    leaf_id = models.BigIntegerField(_("leaf"), null=True)
    salt = models.BinaryField(_("salt"), max_length=32, null=True)

    class Meta:
        db_table = "audit_entry"
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        permissions = [("view_audit_report", "Can make compliance audit reports")]
        indexes = [
            models.Index(fields=["program", "at", "id"], name="audit_entry_at"),
            models.Index(fields=["program", "target", "at"], name="audit_entry_target"),
            models.Index(fields=["program", "actor", "at"], name="audit_entry_actor"),
            models.Index(fields=["program", "action", "at"], name="audit_entry_action"),
            models.Index(
                fields=["actor", "at"],
                name="audit_entry_of_officer",
                condition=models.Q(action__in=["person.looked_up", "person.revealed"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"


class Recipient(models.TextChoices):
    """Who was given personal data."""

    SUBJECT = "subject", _("the data subject")
    REPRESENTATIVE = "representative", _("their guardian, next of kin or agent")
    OFFICER = "officer", _("an officer of the controller")
    HANDLER = "handler", _("another handler of personal information")
    PROCESSOR = "processor", _("a processor, on the controller's behalf")
    AUTHORITY = "authority", _("an authority")


class Disclosure(models.Model):
    """That personal data were given to somebody (PIPL 55, 56): added, never changed, and deleted three years later at the
    earliest, which the database sees to. It names no subject; `target` is what was given, as `request:<id>`.

    `name`: whom, where the recipient's kind does not say it. `ground`: why, as a code. `fields`: what, as holders or
    categories. `subjects`: of how many people.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    at = models.DateTimeField(_("at"), db_default=Now())
    recipient = models.TextField(_("recipient"), choices=Recipient.choices)
    name = models.TextField(_("name"), default="", blank=True)
    ground = models.TextField(_("ground"))
    purpose = models.ForeignKey(Purpose, models.PROTECT, null=True, verbose_name=_("purpose"))
    fields = ArrayField(models.TextField(), verbose_name=_("what was given"))
    subjects = models.BigIntegerField(_("of how many people"))
    target = models.TextField(_("target"))
    actor = models.TextField(_("actor"))

    class Meta:
        db_table = "disclosure"
        verbose_name = _("disclosure")
        verbose_name_plural = _("log of disclosures")
        constraints = [
            models.CheckConstraint(condition=models.Q(recipient__in=Recipient.values), name="disclosure_recipient"),
            models.CheckConstraint(condition=models.Q(subjects__gte=0), name="disclosure_subjects"),
        ]
        indexes = [
            models.Index(fields=["program", "at"], name="disclosure_at"),
            models.Index(fields=["program", "target"], name="disclosure_target"),
        ]

    def __str__(self) -> str:
        return f"{self.get_recipient_display()} {self.target}"
