"""What reports keeps of closed days: rollups, so that figures need not read their events again (docs/adr/0019-rollups.md), and
what was told of them (docs/adr/0021-frozen-figures.md); a name for the permission to see reports; the questions that were
saved under a name, and those that workers answer."""

import uuid

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from consent.programs.models import MiniProgram

LONGEST_NAME = 100
"""Characters of a saved report's name."""


class Report(models.Model):
    """A metric of reports.metrics.registry, as officers are permitted to see it. It has no table: nothing of it is kept."""

    name = models.TextField(primary_key=True)

    class Meta:
        managed = False
        default_permissions = ("view",)
        permissions = [
            ("keep_report", "Can save reports and have them made in the background"),
            ("view_quality", "Can view how many events were refused, and why"),
        ]
        verbose_name = _("report")
        verbose_name_plural = _("reports")


class RollupKind(models.TextChoices):
    SUBJECT = "subject", _("events of any type, and who has one")
    EVENT = "event", _("events of a type")
    SESSION = "session", _("sessions begun")


class RollupDay(models.Model):
    """A local day of a zone, whose rollup is built or not; its row is locked by whoever changes the day's rollup.

    Built (`built_at`), it holds everybody in its rows of the kind `subject` wholly: all that their stored events come to.
    It is clean while `changes` is what ingest has noted for the days it rests on (tracking's
    DayChange), and -1 where it cannot be right any more. A day that is not both is answered from its events. `tried_at`: when
    a worker began to build it and has not come to its end. `layout`: how its events were packed into RollupEvents
    (reports.columns.packed), 0 where they were not; what needs them there reads the events of days that have another one.
    """

    pk = models.CompositePrimaryKey("program_id", "day")
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    day = models.DateField()
    zone = models.TextField()
    changes = models.BigIntegerField(default=-1)
    built_at = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    layout = models.SmallIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "rollup_day"
        verbose_name = _("day of the rollups")
        verbose_name_plural = _("days of the rollups")


class Rollup(models.Model):
    """How many there were of something on a day (`number`), and whose they were (`subjects`), of a shard of the subjects.

    `key`: the event type's id; of subjects, how many days after the local day the UTC date is under which the events were
    sent (-2 to 2); of sessions 0. `shard`: the subjects' ids without their last 16 bits, so
    that `subjects`, a serialised 64-bit Roaring bitmap, is one container: at most 8 kB, however many subjects there are.
    Sums and unions of what each subject contributes, so that a subject can be taken out again.
    """

    pk = models.CompositePrimaryKey("program_id", "day", "kind", "key", "shard")
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    day = models.DateField()
    kind = models.TextField(choices=RollupKind.choices, db_collation="C")
    key = models.BigIntegerField()
    shard = models.BigIntegerField()
    number = models.BigIntegerField()
    subjects = models.BinaryField()

    class Meta:
        db_table = "rollup"
        verbose_name = _("rollup")
        verbose_name_plural = _("rollups")
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=RollupKind.values), name="rollup_kind"),
            models.CheckConstraint(condition=models.Q(number__gt=0), name="rollup_number"),
        ]


class RollupEvents(models.Model):
    """A subject's events of a local day, packed, in the order of their time and id (reports.columns.packed): `events`, a record
    each, and what some of them have beside.

    Whoever is in the day's rows of the kind `subject` has a row, and nobody else; taken out, a subject has none. No foreign
    key in the database, as with the events: it is looked up for each row of a day.
    """

    pk = models.CompositePrimaryKey("program_id", "day", "subject_id")
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_constraint=False, db_index=False)
    day = models.DateField()
    subject_id = models.BigIntegerField()
    events = models.BinaryField()
    ids = models.BinaryField(null=True)
    numbers = models.BinaryField(null=True)
    elements = models.BinaryField(null=True)
    contexts = models.BinaryField(null=True)

    class Meta:
        db_table = "rollup_events"
        verbose_name = _("packed events of a day")
        verbose_name_plural = _("packed events of days")


class FrozenLine(models.Model):
    """What was told of something in a closed period, and stands (`reports.frozen`). It holds and leads to no person.

    `key`: a SHA-256 of what it is about. `told`: the rows as JSON, with the sizes of the blocks of what is told, each of k
    subjects or of nobody. `ends`: the end of the period.
    """

    pk = models.CompositePrimaryKey("program_id", "key")
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    key = models.BinaryField()
    told = models.TextField()
    revision = models.IntegerField()
    ends = models.DateTimeField()

    class Meta:
        db_table = "frozen_line"
        verbose_name = _("frozen line")
        verbose_name_plural = _("frozen lines")
        constraints = [models.CheckConstraint(condition=models.Q(revision__gt=0), name="frozen_line_revision")]
        indexes = [models.Index(fields=["program", "ends"], name="frozen_line_ends")]


class SavedReport(models.Model):
    """A report's question under a name, for everybody who may see the mini-program's reports.

    `question`: the body that REST takes for the metric, with a `range` relative to the day it is asked on in place of `from`
    and `to` where it has one (reports.api.questions). `saved_by`: as audit entries name an actor. `idempotency`: the hash of
    the key it was made with, for as long as that is remembered.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False, verbose_name=_("mini-program"))
    name = models.TextField(_("name"))
    metric = models.TextField(_("report"))
    question = models.JSONField(_("question"))
    saved_by = models.TextField(_("saved by"))
    saved_at = models.DateTimeField(_("saved at"), db_default=Now())
    idempotency = models.BinaryField(null=True)

    class Meta:
        db_table = "saved_report"
        # Whoever may see reports sees these; saved, renamed and deleted they are with reports.keep_report.
        default_permissions = ()
        verbose_name = _("saved report")
        verbose_name_plural = _("saved reports")
        constraints = [
            models.UniqueConstraint(fields=["program", "name"], name="saved_report_name"),
            models.CheckConstraint(
                condition=models.Q(name__regex=rf"^.{{1,{LONGEST_NAME}}}$"), name="saved_report_name_length"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RunState(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


OPEN = (RunState.QUEUED, RunState.RUNNING)


class Counting(models.TextChoices):
    """What a run's part is. A closed day is counted once and kept (Rollup); then the figures are read from the days."""

    DAYS = "days", _("counting days that have no totals yet")
    FIGURES = "figures", _("reading the figures")
    BY_DAY = "by_day", _("reading the same by day, so that no day can be worked out of a week or month")
    GATE = "gate", _("withholding what rests on few people")


class ReportRun(models.Model):
    """A question that a worker answers, because it takes longer than a request may; whoever asked comes back for the answer.

    `question`: REST's body for the metric. `done` of `parts`, of which `counting` is the one under way; `parts` is known when it
    runs. `answer`: what REST would have answered, past the gate, as its JSON. `problem`: the code and detail of what it
    failed of. A worker holds it by `lease_token` until `lease_until`, and one that died is followed by another.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False, verbose_name=_("mini-program"))
    metric = models.TextField(_("report"))
    question = models.JSONField(_("question"))
    state = models.TextField(_("state"), choices=RunState.choices, default=RunState.QUEUED)
    counting = models.TextField(choices=Counting.choices, default="", blank=True)
    done = models.IntegerField(default=0)
    parts = models.IntegerField(null=True)
    asked_by = models.TextField(_("asked by"))
    asked_at = models.DateTimeField(_("asked at"), db_default=Now())
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    expires_at = models.DateTimeField(_("expires at"))
    attempts = models.IntegerField(default=0)
    not_before = models.DateTimeField(db_default=Now())
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    problem = models.JSONField(null=True)
    answer = models.TextField(null=True)
    idempotency = models.BinaryField(null=True)

    class Meta:
        db_table = "report_run"
        # Whoever may see reports sees these; asked for and cancelled they are with reports.keep_report.
        default_permissions = ()
        verbose_name = _("background report")
        verbose_name_plural = _("background reports")
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=RunState.values), name="report_run_state"),
            models.CheckConstraint(condition=models.Q(counting__in=["", *Counting.values]), name="report_run_counting"),
            models.CheckConstraint(
                condition=models.Q(state=RunState.DONE, answer__isnull=False)
                | (~models.Q(state=RunState.DONE) & models.Q(answer__isnull=True)),
                name="report_run_answer",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=OPEN, finished_at__isnull=True)
                | (~models.Q(state__in=OPEN) & models.Q(finished_at__isnull=False)),
                name="report_run_finished",
            ),
        ]
        indexes = [
            models.Index(fields=["asked_at"], name="report_run_open", condition=models.Q(state__in=OPEN)),
            models.Index(fields=["program", "-asked_at", "-id"], name="report_run_list"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
