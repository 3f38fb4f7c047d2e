"""What Django's account has no field for, and what became of accounts."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class StaffAccount(models.Model):
    """Beside an account of Django's: the moment it ends, its second factor, and whether somebody else set its password.

    One without a row never ends, and has none of these.

    `sealed` is the secret of the authenticator under the keyring's key (consent.officers.second_factor), there before the
    account is enrolled; `last_step` the step of the newest code used: it and those before it are used up.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="staff", verbose_name=_("officer")
    )
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    password_due = models.BooleanField(_("has to choose a password"), default=False, db_default=False)
    sealed = models.BinaryField(_("sealed secret"), null=True, editable=False)
    enrolled_at = models.DateTimeField(_("second factor since"), null=True, blank=True)
    last_step = models.BigIntegerField(_("newest step used"), null=True, blank=True)

    class Meta:
        db_table = "staff_account"
        verbose_name = _("staff account")
        verbose_name_plural = _("staff accounts")

    def __str__(self) -> str:
        return f"#{self.pk}"


class RecoveryCode(models.Model):
    """A code that stands in for the authenticator once: it goes when it is used.

    `hash` is SHA-256 of 80 random bits: nothing to guess, so nothing to slow down.
    """

    account = models.ForeignKey(StaffAccount, models.CASCADE, verbose_name=_("staff account"))
    hash = models.BinaryField(_("hash"), max_length=32)

    class Meta:
        db_table = "recovery_code"
        verbose_name = _("recovery code")
        verbose_name_plural = _("recovery codes")
        constraints = [models.UniqueConstraint(fields=["account", "hash"], name="recovery_code_account_hash")]

    def __str__(self) -> str:
        return f"#{self.pk}"


class SignInFailure(models.Model):
    """Wrong attempts in a row of somebody or from somewhere, whoever that is: `key` is a keyed hash."""

    key = models.BinaryField(_("key"), max_length=32, primary_key=True)
    failures = models.IntegerField(_("failures"), default=0)
    last_at = models.DateTimeField(_("last at"))
    paused_until = models.DateTimeField(_("paused until"), null=True)

    class Meta:
        db_table = "sign_in_failure"
        verbose_name = _("failed sign-in")
        verbose_name_plural = _("failed sign-ins")

    def __str__(self) -> str:
        return f"#{self.failures}"


class AccountEntry(models.Model):
    """One thing that was done to a staff account, appended and never changed. It belongs to no mini-program.

    `account` and `actor` are numbers, as `officer:<id>`; details name no one. `leaf_id` and `salt` are null of entries from
    before they had a leaf.
    """

    at = models.DateTimeField(_("at"), db_default=Now())
    actor = models.TextField(_("actor"))
    action = models.TextField(_("action"))
    account = models.TextField(_("account"))
    details = models.JSONField(_("details"), default=dict)
    leaf_id = models.BigIntegerField(_("leaf"), null=True)
    salt = models.BinaryField(_("salt"), max_length=32, null=True)

    class Meta:
        db_table = "account_entry"
        verbose_name = _("account log entry")
        verbose_name_plural = _("log of accounts")
        indexes = [models.Index(fields=["at", "id"], name="account_entry_at")]

    def __str__(self) -> str:
        return f"#{self.pk}"
