"""Requests of data subjects, the run of each holder of personal data, and the packages they yield."""

import uuid
from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from consent.ledger.audit import OFFICER
from consent.programs.models import MiniProgram
from consent.vault.models import Subject


class RequestKind(models.TextChoices):
    ACCESS = "access", _("access")
    COPY = "copy", _("copy")
    PORTABILITY = "portability", _("portability")
    RECTIFICATION = "rectification", _("rectification")
    ERASURE = "erasure", _("erasure")
    RESTRICTION = "restriction", _("restriction")
    OBJECTION = "objection", _("objection")
    CANCELLATION = "cancellation", _("account cancellation")
    EXPLANATION = "explanation", _("explanation")


ERASING = (RequestKind.ERASURE, RequestKind.CANCELLATION)
"""Kinds that erase everything: they close the gate when filed, may be taken back for a while, and exclude each other."""
PACKAGED = (RequestKind.ACCESS, RequestKind.COPY, RequestKind.PORTABILITY, RequestKind.EXPLANATION)
"""Kinds that are answered with a package."""


class RequestState(models.TextChoices):
    RECEIVED = "received", _("received")
    VERIFYING = "verifying", _("verifying")
    IN_REVIEW = "in_review", _("in review")
    APPROVED = "approved", _("approved")
    IN_PROGRESS = "in_progress", _("in progress")
    COMPLETED = "completed", _("completed")
    PARTIALLY_COMPLETED = "partially_completed", _("partially completed")
    COMPLETED_NO_DATA = "completed_no_data", _("completed, no data held")
    REJECTED = "rejected", _("rejected")
    WITHDRAWN = "withdrawn", _("taken back")
    FAILED = "failed", _("failed")


TERMINAL = (
    RequestState.COMPLETED,
    RequestState.PARTIALLY_COMPLETED,
    RequestState.COMPLETED_NO_DATA,
    RequestState.REJECTED,
    RequestState.WITHDRAWN,
    RequestState.FAILED,
)


class RejectionReason(models.TextChoices):
    """Why a request is refused; consent.rights.rejections says by which article and in which words."""

    IDENTITY = "identity_not_verified", _("identity not verified")
    SOMEBODY_ELSE = "not_data_subject", _("not the data subject, and without authority to act for them")
    RETENTION = "retention_required", _("a law requires keeping the data")
    INFEASIBLE = "technically_infeasible", _("erasure is technically hard to realise")
    CONDITIONS = "conditions_not_met", _("the conditions of a transfer are not met")


class ExtensionReason(models.TextChoices):
    """Why a request takes longer: a code, because it stays with the stub, and free words would come to name people."""

    COMPLEX = "complex", _("the request is complex")
    NUMEROUS = "numerous", _("many requests came at once")
    VERIFICATION = "verification", _("identity is still being verified")
    OTHERS = "others", _("others who hold the data must be asked")


class Condition(models.TextChoices):
    """What a transfer of data rests on (PIPL 45, NDR 25); consent.rights.portability says when each is met."""

    IDENTITY = "identity_verified", _("the identity of who asks is verified")
    BASIS = "consent_basis", _("the data were collected on consent")
    FEASIBLE = "technically_feasible", _("the transfer is technically feasible")
    HARMLESS = "no_harm_to_others", _("the transfer harms nobody else")


class Requester(models.TextChoices):
    """Who asks, for the data subject. All but the subject themselves are verified by an officer first."""

    SELF = "self", _("the data subject")
    GUARDIAN = "guardian", _("guardian")
    NEXT_OF_KIN = "next_of_kin", _("next of kin")
    AGENT = "agent", _("agent")


WAITING = (RequestState.VERIFYING, RequestState.IN_REVIEW)
"""States in which a request waits for an officer, whatever runs it has."""
TWO_OFFICERS = ERASING
"""What an officer filed of these kinds another one approves."""


class SubjectRequest(models.Model):
    """The stub of a request: it names no subject and stays when the subject is gone.

    `due_at`: the legal deadline, and `extended_from` what it was before an officer moved it; `undo_until`: an erasure
    may be taken back before it and runs after it; `reviewed`: it was filed into review, or goes there once it is verified.
    `filed_by` and `approved_by` are actors as audit entries name them; `rejection_delivered_at`: the text reached the
    person. `point_of_no_return_at`: since when an erasure has been erasing. `unmet`: which conditions a portability was
    found not to meet; of that kind alone. `handler_named`: it is to be passed on to a handler, who is sealed with what it asks.
    `reopened`: how many times it was opened again after it was closed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    kind = models.TextField(_("kind"), choices=RequestKind.choices)
    state = models.TextField(_("state"), choices=RequestState.choices)
    requester = models.TextField(_("requester"), default=Requester.SELF)
    filed_by = models.TextField(_("filed by"), default="", db_default="")
    approved_by = models.TextField(_("approved by"), null=True)
    locale = models.TextField(_("language"))
    received_at = models.DateTimeField(_("received at"))
    due_at = models.DateTimeField(_("due at"))
    undo_until = models.DateTimeField(_("may be taken back until"), null=True)
    reviewed = models.BooleanField(_("sent to review"), default=False, db_default=False)
    extended_from = models.DateTimeField(_("first due at"), null=True)
    extension = models.TextField(_("reason of the extension"), choices=ExtensionReason.choices, null=True)
    rejection = models.TextField(_("reason of the rejection"), choices=RejectionReason.choices, null=True)
    rejection_delivered_at = models.DateTimeField(_("refusal delivered at"), null=True)
    closed_at = models.DateTimeField(_("closed at"), null=True)
    point_of_no_return_at = models.DateTimeField(_("point of no return"), null=True)
    unmet = ArrayField(
        models.TextField(choices=Condition.choices), verbose_name=_("conditions that are not met"), null=True
    )
    handler_named = models.BooleanField(_("names a handler"), default=False, db_default=False)
    reopened = models.SmallIntegerField(_("opened again"), default=0, db_default=0)
    idempotency = models.BinaryField(null=True)

    class Meta:
        db_table = "subject_request"
        verbose_name = _("data-subject request")
        verbose_name_plural = _("data-subject requests")
        permissions = [
            ("approve_erasure", "Can approve data-subject requests that erase"),
            ("view_request_statistics", "Can view how many data-subject requests there are"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=RequestKind.values), name="subject_request_kind"),
            models.CheckConstraint(condition=models.Q(state__in=RequestState.values), name="subject_request_state"),
            models.CheckConstraint(
                condition=models.Q(state__in=[s.value for s in TERMINAL], closed_at__isnull=False)
                | (~models.Q(state__in=[s.value for s in TERMINAL]) & models.Q(closed_at__isnull=True)),
                name="subject_request_closed",
            ),
            # IS NOT NULL by itself: a CHECK passes what it cannot decide.
            models.CheckConstraint(
                condition=models.Q(
                    state=RequestState.REJECTED, rejection__isnull=False, rejection__in=RejectionReason.values
                )
                | (~models.Q(state=RequestState.REJECTED) & models.Q(rejection__isnull=True)),
                name="subject_request_rejection",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    extension__isnull=False,
                    extension__in=ExtensionReason.values,
                    extended_from__isnull=False,
                    extended_from__lte=models.F("due_at"),
                )
                | models.Q(extension__isnull=True, extended_from__isnull=True),
                name="subject_request_extension",
            ),
            models.CheckConstraint(
                condition=models.Q(kind=RequestKind.PORTABILITY, unmet__isnull=False)
                & models.Q(unmet__contained_by=Condition.values)
                | models.Q(~models.Q(kind=RequestKind.PORTABILITY), unmet__isnull=True),
                name="subject_request_unmet",
            ),
            models.CheckConstraint(
                condition=models.Q(rejection_delivered_at__isnull=True) | models.Q(state=RequestState.REJECTED),
                name="subject_request_delivered",
            ),
            models.CheckConstraint(
                condition=~models.Q(
                    kind__in=[kind.value for kind in TWO_OFFICERS],
                    filed_by__startswith=OFFICER,
                    approved_by=models.F("filed_by"),
                ),
                name="subject_request_two_officers",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="subject_request_open", condition=models.Q(closed_at__isnull=True)),
            models.Index(
                fields=["program", "closed_at"],
                name="subject_request_undelivered",
                condition=models.Q(state=RequestState.REJECTED, rejection_delivered_at__isnull=True),
            ),
            models.Index(
                fields=["program", "due_at"],
                name="subject_request_failed",
                condition=models.Q(state=RequestState.FAILED),
            ),
            models.Index(
                fields=["program", "closed_at"],
                name="subject_request_to_handler",
                condition=models.Q(handler_named=True, state=RequestState.COMPLETED),
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def asked_by(self) -> str:
        """Who asks for the data subject, in words; empty where they do themselves."""
        return "" if self.requester == Requester.SELF else str(Requester(self.requester).label)


class ReviewRule(models.Model):
    """An officer decides on requests of this kind before they are carried out."""

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    kind = models.TextField(_("kind"), choices=RequestKind.choices)

    class Meta:
        db_table = "review_rule"
        verbose_name = _("review rule")
        verbose_name_plural = _("review rules")
        constraints = [
            models.UniqueConstraint(fields=["program", "kind"], name="review_rule_once"),
            models.CheckConstraint(condition=models.Q(kind__in=RequestKind.values), name="review_rule_kind"),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()


class ReminderStage(models.TextChoices):
    DUE_SOON = "due_soon", _("due soon")
    OVERDUE = "overdue", _("overdue")
    UNDELIVERED = "undelivered", _("refusal not delivered")


class RequestReminder(models.Model):
    """A stage of a request was told once: again only for another deadline, or once the request was opened again.

    `due_on`: the day of the deadline (UTC), no time, as it stays; `reopened`: the request's at the time.
    """

    request = models.ForeignKey(SubjectRequest, models.PROTECT, db_index=False)
    program = models.ForeignKey(MiniProgram, models.PROTECT)
    stage = models.TextField(choices=ReminderStage.choices)
    due_on = models.DateField()
    reopened = models.SmallIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "request_reminder"
        constraints = [
            models.UniqueConstraint(
                fields=["request", "stage", "due_on", "reopened"], name="request_reminder_once_each"
            ),
            models.CheckConstraint(condition=models.Q(stage__in=ReminderStage.values), name="request_reminder_stage"),
        ]


class ErasureCount(models.Model):
    """How many erasures an API client or another actor filed in a clock hour; forgotten hours later."""

    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    filed_by = models.TextField()
    hour = models.DateTimeField()
    erasures = models.IntegerField()

    class Meta:
        db_table = "erasure_count"
        constraints = [
            models.UniqueConstraint(fields=["program", "filed_by", "hour"], name="erasure_count_once"),
        ]


class RequestSubject(models.Model):
    """Whom a request is about, what it asks and why it was rejected, sealed. Goes at erasure; the stub stays.

    `scope`: one open request of a kind and scope is a constraint. It is the requester's role until somebody else than the
    subject is verified, so that a stranger's claim stands in nobody's way, and empty from then on. `verified`: how an
    officer made sure of that requester. `open`: the request is, or it is a restriction that stands until it is taken back.
    """

    pk = models.CompositePrimaryKey("subject_id", "request_id")
    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id", db_index=False)
    request_id = models.UUIDField(db_index=True)
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    kind = models.TextField(choices=RequestKind.choices)
    scope = models.TextField(default="")
    open = models.BooleanField(default=True)
    sealed = models.BinaryField(null=True)
    rejection = models.BinaryField(null=True)
    verified = models.BinaryField(null=True)

    class Meta:
        db_table = "request_subject"
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "kind", "scope"], name="request_subject_one_open", condition=models.Q(open=True)
            ),
            models.UniqueConstraint(
                fields=["subject"],
                name="request_subject_one_verified_erasing",
                condition=models.Q(open=True, scope="", kind__in=[kind.value for kind in ERASING]),
            ),
        ]


class HoldGround(models.TextChoices):
    """Why a law obliges to keep data: a code, because it stays with the stub."""

    TRANSACTIONS = "transactions", _("records of transactions")
    ACCOUNTS = "accounts", _("accounting and tax records")
    NETWORK_LOGS = "network_logs", _("network logs")
    OTHER = "other", _("another law or administrative regulation")


class LegalHold(models.Model):
    """A law obliges a holder to keep what it has, of everybody or of those named by HeldSubject, to the end of a day.

    `law`: its name and article, for people to read. It names no subject and stays.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    holder = models.TextField(_("holder"))
    ground = models.TextField(_("ground"), choices=HoldGround.choices)
    law = models.TextField(_("law and article"))
    until = models.DateField(_("last day"))
    everybody = models.BooleanField(_("everybody"))
    created_by = models.TextField(_("made by"))
    created_at = models.DateTimeField(_("made at"))
    lifted_at = models.DateTimeField(_("lifted at"), null=True)
    lifted_by = models.TextField(_("lifted by"), null=True)

    class Meta:
        db_table = "legal_hold"
        verbose_name = _("legal hold")
        verbose_name_plural = _("legal holds")
        constraints = [
            models.CheckConstraint(condition=models.Q(ground__in=HoldGround.values), name="legal_hold_ground"),
            models.CheckConstraint(condition=~models.Q(law=""), name="legal_hold_law"),
            models.CheckConstraint(
                condition=models.Q(lifted_at__isnull=True, lifted_by__isnull=True)
                | models.Q(lifted_at__isnull=False, lifted_by__isnull=False),
                name="legal_hold_lifted",
            ),
        ]

    def __str__(self) -> str:
        return self.law


class HeldSubject(models.Model):
    """Whom a legal hold is about. Goes with the subject; the hold stays."""

    pk = models.CompositePrimaryKey("subject_id", "hold_id")
    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id", db_index=False)
    hold_id = models.BigIntegerField()
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)

    class Meta:
        db_table = "held_subject"


class Guarded(models.TextChoices):
    """What an officer sees of a minor only with another officer's approval (MOR 36)."""

    VALUES = "values", _("identifiers and profile")
    PACKAGE = "package", _("package")
    RECTIFIED = "rectified", _("what was put right")


WAITS = timedelta(days=1)
"""So long an access to a minor's data waits for its approval."""
USABLE = timedelta(hours=1)
"""So long after its approval it may be used."""


class Access(models.Model):
    """An officer asks to see something; another approves within WAITS, and the first sees it once, within USABLE.

    `asked_by` and `approved_by` are actors as audit entries name them.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    asked_by = models.TextField(_("asked by"))
    asked_at = models.DateTimeField(_("asked at"))
    approved_by = models.TextField(_("approved by"), null=True)
    approved_at = models.DateTimeField(_("approved at"), null=True)
    used_at = models.DateTimeField(_("used at"), null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.id)[:8]


def two_officers(table: str) -> list[models.BaseConstraint]:
    """What the database itself makes sure of where two officers have to be."""
    return [
        models.CheckConstraint(condition=~models.Q(approved_by=models.F("asked_by")), name=f"{table}_two_officers"),
        models.CheckConstraint(
            condition=models.Q(approved_by__isnull=True, approved_at__isnull=True)
            | models.Q(approved_by__isnull=False, approved_at__isnull=False, approved_at__gte=models.F("asked_at")),
            name=f"{table}_approved",
        ),
        # IS NOT NULL by itself: a CHECK passes what it cannot decide.
        models.CheckConstraint(
            condition=models.Q(used_at__isnull=True)
            | models.Q(
                approved_at__isnull=False,
                used_at__gte=models.F("approved_at"),
                used_at__lt=models.F("approved_at") + USABLE,
            ),
            name=f"{table}_used",
        ),
    ]


class MinorAccess(Access):
    """An officer asks to see the data of somebody under 18.

    In the database the key is (id, subject_id). `reason`: a code; `request_id`: for which request, where it is for one;
    `reference`: what else it is for, an incident (`incident:<id>`) or an authority's letter. Goes with the subject, and when
    it is over.
    """

    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id", db_index=False)
    what = models.TextField(_("what is to be seen"), choices=Guarded.choices)
    reason = models.TextField(_("reason"))
    request_id = models.UUIDField(_("request"), null=True)
    reference = models.TextField(_("reference"), default="", db_default="")

    class Meta:
        db_table = "minor_access"
        verbose_name = _("access to a minor's data")
        verbose_name_plural = _("access to minors' data")
        constraints = [
            models.CheckConstraint(condition=models.Q(what__in=Guarded.values), name="minor_access_what"),
            *two_officers("minor_access"),
        ]
        indexes = [
            models.Index(fields=["subject", "asked_by"], name="minor_access_subject"),
            models.Index(fields=["program", "asked_at"], name="minor_access_asked"),
        ]


class RunStatus(models.TextChoices):
    PENDING = "pending", _("pending")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    HELD = "held", _("kept by law")


class HolderRun(models.Model):
    """One holder's part of one request: claimed with a lease, idempotent, done in transactions of its own.

    `stage` orders the holders of a request: a run may start when all runs of lower stages are done. `not_before` is None
    while the request is in review, and while an erasure has stopped it: what has no time is never due. `held_before` and
    `held_after`: an erasure's count of the holder's rows when it began to erase, and when it was completed. `hold`: why a `held`
    run has erased nothing yet.
    """

    request = models.ForeignKey(SubjectRequest, models.PROTECT, related_name="runs", verbose_name=_("request"))
    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    holder = models.TextField(_("holder"))
    stage = models.SmallIntegerField(_("stage"))
    status = models.TextField(_("status"), choices=RunStatus.choices, default=RunStatus.PENDING)
    not_before = models.DateTimeField(_("not before"), null=True)
    attempts = models.IntegerField(_("attempts"), default=0)
    lease_until = models.DateTimeField(_("lease until"), null=True)
    lease_token = models.UUIDField(null=True)
    affected = models.BigIntegerField(_("rows affected"), default=0)
    held_before = models.BigIntegerField(_("rows before"), null=True)
    held_after = models.BigIntegerField(_("rows after"), null=True)
    error = models.TextField(_("error code"), default="", blank=True)
    hold = models.ForeignKey(LegalHold, models.PROTECT, null=True, db_index=False, verbose_name=_("legal hold"))
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        db_table = "holder_run"
        verbose_name = _("holder run")
        verbose_name_plural = _("holder runs")
        constraints = [
            models.UniqueConstraint(fields=["request", "holder"], name="holder_run_once"),
            models.CheckConstraint(condition=models.Q(status__in=RunStatus.values), name="holder_run_status"),
            models.CheckConstraint(
                condition=~models.Q(status=RunStatus.HELD) | models.Q(hold__isnull=False), name="holder_run_held"
            ),
        ]
        indexes = [
            models.Index(
                fields=["not_before"],
                name="holder_run_due",
                condition=models.Q(status__in=[RunStatus.PENDING.value, RunStatus.RUNNING.value]),
            ),
            models.Index(
                fields=["program"], name="holder_run_held_ones", condition=models.Q(status=RunStatus.HELD.value)
            ),
        ]

    def __str__(self) -> str:
        return self.holder


class Package(models.Model):
    """The answer to a request for data or for an explanation, sealed with the subject's data key in parts; expires and is erased."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id")
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    request_id = models.UUIDField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    complete = models.BooleanField(default=False)

    class Meta:
        db_table = "package"
        constraints = [models.UniqueConstraint(fields=["subject", "request_id"], name="package_request")]
        indexes = [models.Index(fields=["program", "expires_at"], name="package_expires")]


class PackagePart(models.Model):
    """One sealed piece of a package; a package is its parts in order."""

    pk = models.CompositePrimaryKey("subject_id", "package_id", "number")
    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id", db_index=False)
    package_id = models.UUIDField()
    number = models.IntegerField()
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    sealed = models.BinaryField()

    class Meta:
        db_table = "package_part"
