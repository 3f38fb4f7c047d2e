"""The event catalogue and the events themselves."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from consent.notices.models import Purpose
from consent.programs.models import MiniProgram
from tracking.codes import REFUSED

UNKNOWN_TYPE = 0
"""In place of an event type's id: the catalogue has no such name, or the event could not be read."""
SLOTS = 32
OF_ITSELF = SLOTS
"""DayChange's slot beside those."""


class EventStatus(models.TextChoices):
    DRAFT = "draft", _("draft")
    ACTIVE = "active", _("active")
    RETIRED = "retired", _("retired")


class EventType(models.Model):
    """An event that may be recorded, for one purpose that never changes.

    `categories`: what of a person it records; the consent's notice must cover them all.
    `properties`: name -> declaration (tracking.catalogue.Property); anything else is refused. What each `version` said
    is kept in EventTypeVersion.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    name = models.TextField(_("name"))
    purpose = models.ForeignKey(Purpose, models.PROTECT, verbose_name=_("purpose"))
    description = models.TextField(_("description"), default="", blank=True)
    status = models.TextField(_("status"), choices=EventStatus.choices, default=EventStatus.ACTIVE)
    categories = ArrayField(models.TextField(), verbose_name=_("categories"))
    properties = models.JSONField(_("properties"), default=dict)
    version = models.IntegerField(_("version"), default=1)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    class Meta:
        db_table = "event_type"
        verbose_name = _("event type")
        verbose_name_plural = _("event types")
        constraints = [
            models.UniqueConstraint(fields=["program", "name"], name="event_type_program_name"),
            models.CheckConstraint(condition=models.Q(status__in=EventStatus.values), name="event_type_status"),
        ]

    def __str__(self) -> str:
        return self.name


class EventTypeVersion(models.Model):
    """What an event type said from `at` on, until its next version: appended and never changed.

    `declaration`: purpose (its code), categories, description, status and properties, as the event type had them.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT)
    event_type = models.ForeignKey(EventType, models.PROTECT, related_name="versions", db_index=False)
    version = models.IntegerField()
    declaration = models.JSONField()
    actor = models.TextField()
    at = models.DateTimeField()

    class Meta:
        db_table = "event_type_version"
        verbose_name = _("version of an event type")
        verbose_name_plural = _("versions of event types")
        constraints = [
            models.UniqueConstraint(fields=["event_type", "version"], name="event_type_version_once"),
            models.CheckConstraint(condition=models.Q(version__gt=0), name="event_type_version_number"),
        ]

    def __str__(self) -> str:
        return str(self.version)


class Page(models.Model):
    """A page path without its query string; events carry its id.

    `subject_id`: the one subject whose events have named it so far, with whose erasure it goes. None, once and for
    ever, from the second subject on: the page is shared, and says nothing of one person.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT)
    path = models.TextField()
    subject_id = models.BigIntegerField(null=True)

    class Meta:
        db_table = "page"
        verbose_name = _("page")
        verbose_name_plural = _("pages")
        constraints = [models.UniqueConstraint(fields=["program", "path"], name="page_program_path")]
        indexes = [
            models.Index(fields=["subject_id"], name="page_subject", condition=models.Q(subject_id__isnull=False))
        ]

    def __str__(self) -> str:
        return self.path


class Event(models.Model):
    """A stored event. Partitioned by `day`, the UTC date of `occurred_at` as sent, so a retry meets its first copy.

    Always ask with the days named: without them every partition is locked. Keys into other tables are values only.
    `program_id` is filled by the database from the tenant setting, never by the writer.
    """

    pk = models.CompositePrimaryKey("subject_id", "day", "event_id")
    subject_id = models.BigIntegerField()
    day = models.DateField()
    event_id = models.TextField(db_collation="C")
    program_id = models.IntegerField()
    type_id = models.BigIntegerField()
    consent_record_id = models.BigIntegerField()
    session_id = models.TextField(null=True, db_collation="C")
    page_id = models.BigIntegerField(null=True)
    occurred_at = models.DateTimeField()
    corrected_at = models.DateTimeField()
    received_at = models.DateTimeField()
    dwell_ms = models.IntegerField(null=True)
    scene = models.TextField(null=True)
    context = models.JSONField(null=True)
    properties = models.JSONField(null=True)

    class Meta:
        db_table = "event"
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [BrinIndex(fields=["received_at"], name="event_received_at", autosummarize=True)]


class SubjectDay(models.Model):
    """A day on which the subject has events: lets their events be read and erased with the days named.

    No foreign key in the database, as with events: it was a statement more for each mark.
    """

    pk = models.CompositePrimaryKey("subject_id", "day")
    subject_id = models.BigIntegerField()
    day = models.DateField()
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_constraint=False, db_index=False)

    class Meta:
        db_table = "subject_day"
        verbose_name = _("active day")
        verbose_name_plural = _("active days")


class EventSweep(models.Model):
    """Up to which time a mini-program's events have been looked through for those whose retention is over."""

    program = models.OneToOneField(MiniProgram, models.PROTECT, primary_key=True)
    swept_to = models.DateTimeField()

    class Meta:
        db_table = "event_sweep"


class Answer(models.TextChoices):
    """What became of an event. A late one is accepted too: it came when its day's figures were closed."""

    ACCEPTED = "accepted"
    LATE = "late"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


class IngestCount(models.Model):
    """How many events of a type were answered how in an hour of the mini-program's zone, named by its first instant.

    Nothing of an event and nobody's: no name as sent, no value, no identifier, no subject. `code`: why it was refused,
    otherwise empty. `slot`: processes write rows of their own, so that batches do not queue for one; a figure sums them.
    `day_subjects`: of how many distinct subjects one process knows, at least, in this cell since the local day began;
    of a day, and of all slots, the largest is a lower bound. Not of an hour: it counts those of the hours before too.
    """

    pk = models.CompositePrimaryKey("program_id", "hour", "type_id", "answer", "code", "slot")
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    hour = models.DateTimeField()
    type_id = models.BigIntegerField()
    answer = models.TextField(choices=Answer.choices, db_collation="C")
    code = models.TextField(db_collation="C")
    slot = models.SmallIntegerField()
    events = models.BigIntegerField()
    day_subjects = models.IntegerField()

    class Meta:
        db_table = "ingest_count"
        verbose_name = _("ingest counter")
        verbose_name_plural = _("ingest counters")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(answer="refused", code__in=REFUSED)
                | models.Q(answer__in=["accepted", "late", "duplicate"], code=""),
                name="ingest_count_answer",
            ),
            models.CheckConstraint(
                condition=models.Q(events__gt=0, day_subjects__gte=0, slot__gte=0, slot__lt=SLOTS),
                name="ingest_count_numbers",
            ),
        ]


class DayChange(models.Model):
    """How often a closed local day of the mini-program's zone got late events: batches, not events, and nobody's.

    What was computed of a day is right while the sum over its slots is what it was then. `slot`: as IngestCount's, or OF_ITSELF:
    somebody counts again on this day, and no day after it is another for that.
    """

    pk = models.CompositePrimaryKey("program_id", "day", "slot")
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    day = models.DateField()
    slot = models.SmallIntegerField()
    changes = models.BigIntegerField()

    class Meta:
        db_table = "day_change"
        verbose_name = _("change of a closed day")
        verbose_name_plural = _("changes of closed days")
