"""Consent records (append-only), what they come to (the state), and what is kept under a consent."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from consent.notices.models import Notice, Purpose
from consent.programs.models import ApiClient, MiniProgram
from consent.vault.models import Subject


class State(models.TextChoices):
    """W3C DPV consent states. Only given and renewed authorise."""

    UNKNOWN = "unknown", _("unknown")
    REQUESTED = "requested", _("requested")
    REFUSED = "refused", _("refused")
    GIVEN = "given", _("given")
    RENEWED = "renewed", _("renewed")
    WITHDRAWN = "withdrawn", _("withdrawn")
    EXPIRED = "expired", _("expired")
    INVALIDATED = "invalidated", _("invalidated")


AUTHORISING = (State.GIVEN, State.RENEWED)


class ConsentRecord(models.Model):
    """One decision about one purpose: evidence, never changed. In the database the key is (id, subject_id).

    `occurred_at` as claimed, `corrected_at` by the sender's clock skew, `received_at` by the database's clock.
    `authorises_from`/`authorises_until` bound what it allows; both null where it allows nothing, as a child's without a
    guardian does. `answered`: the state that the act was told it came to, to be told again; null where no act was told
    (what ended by itself), and on records from before it was kept.
    """

    id = models.BigAutoField(primary_key=True)
    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id", verbose_name=_("data subject"))
    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"), db_index=False)
    record_id = models.UUIDField(_("record id"), default=uuid.uuid4)
    purpose = models.ForeignKey(Purpose, models.PROTECT, verbose_name=_("purpose"), db_index=False)
    notice = models.ForeignKey(Notice, models.PROTECT, verbose_name=_("notice"), null=True, db_index=False)
    version = models.IntegerField(_("version"))
    state = models.TextField(_("state"), choices=State.choices)
    act = models.TextField(_("act"), null=True)
    method = models.TextField(_("method"), null=True)
    locale = models.TextField(_("language"), null=True)
    age_band = models.TextField(_("age band"))
    turns_14_on = models.DateField(_("turns 14 on"), null=True)
    evidence = models.BinaryField(_("sealed evidence"), null=True)
    occurred_at = models.DateTimeField(_("occurred at"))
    corrected_at = models.DateTimeField(_("corrected at"))
    received_at = models.DateTimeField(_("received at"))
    authorises_from = models.DateTimeField(_("authorises from"), null=True)
    authorises_until = models.DateTimeField(_("authorises until"), null=True)
    client = models.ForeignKey(ApiClient, models.PROTECT, verbose_name=_("recorded by"), null=True, db_index=False)
    idempotency = models.BinaryField(_("idempotency key hash"), null=True)
    answered = models.TextField(_("answered state"), choices=State.choices, null=True)
    leaf_id = models.BigIntegerField(_("leaf"))
    salt = models.BinaryField(_("salt"), max_length=32)

    class Meta:
        db_table = "consent_record"
        verbose_name = _("consent record")
        verbose_name_plural = _("consent records")
        permissions = [("view_consent_statistics", "Can view how many people consent")]
        constraints = [
            models.UniqueConstraint(fields=["subject", "version", "purpose"], name="consent_record_version"),
            models.CheckConstraint(
                condition=models.Q(answered__isnull=True) | models.Q(answered__in=State.values),
                name="consent_record_answered",
            ),
        ]
        indexes = [
            models.Index(fields=["program", "corrected_at"], name="consent_record_decided"),
            models.Index(fields=["record_id"], name="consent_record_record_id"),
            models.Index(
                fields=["program", "received_at", "subject"],
                name="consent_record_withdrawn",
                condition=models.Q(state="withdrawn"),
            ),
        ]

    def __str__(self) -> str:
        return str(self.record_id)


class ConsentState(models.Model):
    """What a subject's records about a purpose come to: the row the gate locks and a withdrawal updates.

    `grant_from`/`grant_until`: the current unbroken grant; `record_from`: since when `record_id` is the record in
    force (before it, an earlier record of the same grant). `pending`: the ids of the authorising records that come
    into force later than that, in this order. `barrier_at`: server time of the newest refusal, withdrawal, lifted
    restriction or erasure taken back; no later grant reaches back over it.
    `restricted` and `erasure_pending` repeat the subject's, because the gate locks nothing else; `guardian_pending`: the
    subject is under 14 and this grant has no guardian's record.
    """

    pk = models.CompositePrimaryKey("subject_id", "purpose_id")
    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id", db_index=False)
    purpose = models.ForeignKey(Purpose, models.PROTECT, db_index=False)
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    state = models.TextField(choices=State.choices)
    record_id = models.BigIntegerField()
    notice = models.ForeignKey(Notice, models.PROTECT, null=True, db_index=False)
    record_from = models.DateTimeField(null=True)
    grant_from = models.DateTimeField(null=True)
    grant_until = models.DateTimeField(null=True)
    pending = ArrayField(models.BigIntegerField(), default=list, db_default=[])
    barrier_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField()
    restricted = models.BooleanField(default=False)
    erasure_pending = models.BooleanField(default=False)
    guardian_pending = models.BooleanField(default=False)
    renewal_required = models.BooleanField(default=False)
    version = models.IntegerField(default=0)

    class Meta:
        db_table = "consent_state"
        verbose_name = _("consent state")
        verbose_name_plural = _("consent states")
        indexes = [
            models.Index(
                fields=["program", "purpose", "subject"],
                name="consent_state_not_standing",
                condition=~models.Q(state__in=[s.value for s in AUTHORISING]) | models.Q(guardian_pending=True),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=State.values), name="consent_state_state"),
            models.CheckConstraint(
                condition=~models.Q(state__in=[s.value for s in AUTHORISING])
                | models.Q(grant_from__isnull=False, record_from__isnull=False, notice__isnull=False),
                name="consent_state_grant",
            ),
        ]


class WithdrawalIntent(models.Model):
    """Committed just before a withdrawal takes its locks: batches that see it step aside, so that they cannot starve it."""

    pk = models.CompositePrimaryKey("subject_id", "purpose_id")
    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id", db_index=False)
    purpose = models.ForeignKey(Purpose, models.PROTECT, db_index=False)
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "withdrawal_intent"


class PurposeErasure(models.Model):
    """What was collected under a purpose has to go: written in the act's own transaction, carried out by a worker.

    All that records before `version` authorised. With `kept_days` only what is older than these days, since the act
    agreed to a shorter retention. `asked_at`: the record's `received_at`; the deadline counts from `owed_from`, which is
    later where the shorter retention takes effect later, a cancellation may be taken back or a law keeps what it is about.
    `not_before`: tried no earlier; a failure moves it.
    """

    pk = models.CompositePrimaryKey("subject_id", "purpose_id", "version")
    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id", db_index=False)
    purpose = models.ForeignKey(Purpose, models.PROTECT, db_index=False)
    version = models.IntegerField()
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    kept_days = models.IntegerField(null=True)
    asked_at = models.DateTimeField()
    owed_from = models.DateTimeField()
    not_before = models.DateTimeField()
    attempts = models.IntegerField(default=0)
    affected = models.BigIntegerField(default=0)
    done_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "purpose_erasure"
        indexes = [
            models.Index(fields=["not_before"], name="purpose_erasure_open", condition=models.Q(done_at__isnull=True)),
            models.Index(
                fields=["program", "owed_from"],
                name="purpose_erasure_owed",
                condition=models.Q(done_at__isnull=True),
            ),
        ]


class ProfileAttribute(models.Model):
    """A declared attribute of the subject, sealed; kept under the consent to its purpose."""

    pk = models.CompositePrimaryKey("subject_id", "name")
    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id", db_index=False)
    name = models.TextField()
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    purpose = models.ForeignKey(Purpose, models.PROTECT, db_index=False)
    sealed = models.BinaryField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "profile_attribute"


class DecidedDay(models.Model):
    """What consent.records.statistics tells of a finished local day, added up when it was counted last: of nobody, and forgotten
    once it is none of the newest thirty.

    By the statistics' columns, `people`: the sum of the figures that are told; `withheld`: how many figures are not.
    """

    pk = models.CompositePrimaryKey("program_id", "day")
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    day = models.DateField()
    people = models.JSONField()
    withheld = models.JSONField()
    counted_at = models.DateTimeField()

    class Meta:
        db_table = "decided_day"
