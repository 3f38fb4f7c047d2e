"""Webhooks: where a mini-program wants to be told of what happened to its subjects, and each message until it is told."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from consent.programs.models import MiniProgram
from consent.vault.models import Subject


class Event(models.TextChoices):
    """What is told. A payload holds ids and the pseudonym: never an identifier, never a value."""

    CONSENT_CHANGED = "consent.changed", _("a consent changed")
    REQUEST_UPDATED = "request.updated", _("a request changed its state or deadline")
    ERASED = "subject.erased", _("a person is erased")
    RECTIFIED = "subject.rectified", _("a person's data were put right")
    RESTRICTED = "subject.restricted", _("a person's data are restricted, or no longer")


class WebhookEndpoint(models.Model):
    """A backend that is told. Its secret is sealed with the keyring and shown once.

    `acknowledges`: who answers there holds personal data too, so an erasure completes only after its 2xx to
    `subject.erased`, also while the endpoint is switched off, unless it is `released`: whoever switched it off has seen to it that
    the processor erases. `previous`: the secret before this one signs as well until
    `previous_until`. `not_before`: nobody answered just now; until then it is left alone.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    url = models.TextField(_("address"))
    events = ArrayField(models.TextField(choices=Event.choices), verbose_name=_("events"))
    active = models.BooleanField(_("active"), default=True)
    acknowledges = models.BooleanField(_("holds personal data"), default=False)
    released = models.BooleanField(_("released"), default=False, db_default=False)
    sealed = models.BinaryField()
    previous = models.BinaryField(null=True)
    previous_until = models.DateTimeField(_("secret before valid until"), null=True)
    not_before = models.DateTimeField(null=True)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "webhook_endpoint"
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(events__contained_by=Event.values, events__len__gt=0), name="webhook_endpoint_events"
            ),
            models.CheckConstraint(
                condition=models.Q(acknowledges=False) | models.Q(events__contains=[Event.ERASED.value]),
                name="webhook_endpoint_acknowledges",
            ),
        ]

    def __str__(self) -> str:
        return self.url


class WebhookMessage(models.Model):
    """One event for one endpoint: written in the transaction of what it tells, sent after it, gone some days later.

    `id` is the webhook-id of every attempt. `data`: the payload's ids but the pseudonym, which is read when it is sent.
    `last_status`: the last answer's status, or a word for why there was none. `queued_at`: when it was to be sent again, if ever;
    the time in which it is tried begins anew.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id")
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False, verbose_name=_("mini-program"))
    endpoint = models.ForeignKey(WebhookEndpoint, models.PROTECT, verbose_name=_("webhook endpoint"))
    event = models.TextField(_("event"), choices=Event.choices)
    data = models.JSONField()
    created_at = models.DateTimeField(_("created at"))
    queued_at = models.DateTimeField(null=True)
    attempts = models.IntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"))
    lease_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    delivered_at = models.DateTimeField(_("delivered at"), null=True)
    dead_at = models.DateTimeField(_("given up at"), null=True)
    last_status = models.TextField(_("last answer"), default="")

    class Meta:
        db_table = "webhook_message"
        verbose_name = _("webhook message")
        verbose_name_plural = _("webhook messages")
        constraints = [
            models.CheckConstraint(condition=models.Q(event__in=Event.values), name="webhook_message_event"),
            models.CheckConstraint(
                condition=models.Q(delivered_at__isnull=True) | models.Q(dead_at__isnull=True),
                name="webhook_message_ended_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                name="webhook_message_waiting",
                condition=models.Q(delivered_at__isnull=True, dead_at__isnull=True),
            ),
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                name="webhook_message_erasures",
                condition=models.Q(event=Event.ERASED.value, delivered_at__isnull=True, dead_at__isnull=True),
            ),
            models.Index(fields=["program", "created_at"], name="webhook_message_created"),
            models.Index(fields=["program"], name="webhook_message_dead", condition=models.Q(dead_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return str(self.id)
