"""Controllers, their mini-programs (the tenants), and who may call or look on a mini-program's behalf."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

SCOPES = ("consents", "events", "requests", "portal", "reports", "import")


class Controller(models.Model):
    """The company that decides on purposes and means (PIPL: personal information handler)."""

    name = models.TextField(_("name"), unique=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        db_table = "controller"
        verbose_name = _("controller")
        verbose_name_plural = _("controllers")

    def __str__(self) -> str:
        return self.name


class Platform(models.TextChoices):
    WECHAT = "wechat", _("WeChat")
    ALIPAY = "alipay", _("Alipay")


class SuiteName(models.TextChoices):
    """By which a mini-program's data are sealed and found (consent.vault.suites)."""

    AES = "aes", _("AES-256-GCM, HMAC-SHA256")
    SM = "sm", _("SM4-GCM, HMAC-SM3")


class MiniProgram(models.Model):
    """A tenant. `zone` is the IANA zone its reports work in; a sandbox holds synthetic data only and is never promoted.

    `suite` never changes: the database refuses it.
    """

    id = models.AutoField(primary_key=True)
    controller = models.ForeignKey(Controller, models.PROTECT, verbose_name=_("controller"))
    name = models.TextField(_("name"))
    platform = models.TextField(_("platform"), choices=Platform.choices)
    app_id = models.TextField(_("app id"))
    zone = models.TextField(_("time zone"), default="Asia/Shanghai")
    sandbox = models.BooleanField(_("sandbox"), default=False)
    suite = models.TextField(
        _("cipher suite"), choices=SuiteName.choices, default=SuiteName.AES, db_default=SuiteName.AES
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        db_table = "program"
        verbose_name = _("mini-program")
        verbose_name_plural = _("mini-programs")
        constraints = [
            models.UniqueConstraint(fields=["platform", "app_id"], name="program_platform_app_id"),
            models.CheckConstraint(condition=models.Q(platform__in=Platform.values), name="program_platform"),
            models.CheckConstraint(condition=models.Q(suite__in=SuiteName.values), name="program_suite"),
        ]

    def __str__(self) -> str:
        return self.name


class ApiClient(models.Model):
    """A caller of one mini-program: what it may do. Its keys are shown once and stored hashed."""

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    scopes = ArrayField(models.TextField(), verbose_name=_("scopes"))
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        db_table = "api_client"
        verbose_name = _("API client")
        verbose_name_plural = _("API clients")
        constraints = [
            models.CheckConstraint(condition=models.Q(scopes__contained_by=list(SCOPES)), name="api_client_scopes"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class ApiKey(models.Model):
    """One secret of a client; two may be valid at once while a caller rotates.

    `secret_hash` is SHA-256 of a random 256-bit secret: nothing to guess, so nothing to slow down.
    """

    client = models.ForeignKey(ApiClient, models.PROTECT, related_name="keys", verbose_name=_("API client"))
    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    key_id = models.TextField(_("key id"), unique=True)
    secret_hash = models.BinaryField(_("secret hash"), max_length=32)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    expires_at = models.DateTimeField(_("expires at"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        db_table = "api_key"
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return self.key_id


class OfficerAssignment(models.Model):
    """An officer sees a mini-program only when assigned to it, and one at a time."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("officer"))
    program = models.ForeignKey(MiniProgram, models.CASCADE, verbose_name=_("mini-program"))

    class Meta:
        db_table = "officer_assignment"
        verbose_name = _("officer assignment")
        verbose_name_plural = _("officer assignments")
        constraints = [
            models.UniqueConstraint(fields=["user", "program"], name="officer_assignment_user_program"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class IdempotencyRecord(models.Model):
    """That a client has used an Idempotency-Key, and an HMAC of the body it came with: no content, and no subject.

    What the call made carries `key_hash` itself, so the first answer is given again from the rows it made.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT)
    client = models.ForeignKey(ApiClient, models.PROTECT)
    key_hash = models.BinaryField(max_length=32)
    fingerprint = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "idempotency_record"
        verbose_name = _("idempotency record")
        verbose_name_plural = _("idempotency records")
        constraints = [
            models.UniqueConstraint(fields=["client", "key_hash"], name="idempotency_record_client_key"),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_record_created")]
