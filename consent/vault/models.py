"""The data subject and their identifiers: the lookup that finds them, the sealed values, the key that opens them."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from consent.programs.models import MiniProgram


class IdentifierKind(models.TextChoices):
    OPENID = "openid", _("openid")
    UNIONID = "unionid", _("unionid")
    EXTERNAL_ID = "external_id", _("external id")
    PHONE = "phone", _("phone")


class Subject(models.Model):
    """A natural person, known to one mini-program. Exists only because somebody asked them for consent.

    `pseudonym` is what leaves the service; `erasure_handle` (128 random bits) names the subject in the journal and is
    stored nowhere else. `version` counts the subject's decisions, so that the ledger keeps their order.

    `under_14`: a grant then authorises only by a record of its own guardian; `turns_14_on` ends such grants, once told.
    `under_14` goes when an act says so, or by itself once the birthday has begun everywhere (consent.records.coming_of_age).
    `barrier_at`: server time of the newest erasure taken back or restriction lifted; no grant reaches back over it.
    """

    id = models.BigAutoField(primary_key=True, db_column="subject_id")
    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"), db_index=False)
    pseudonym = models.UUIDField(_("pseudonym"))
    erasure_handle = models.BinaryField(_("erasure handle"), max_length=16)
    version = models.IntegerField(_("version"), default=0)
    restricted = models.BooleanField(_("restricted"), default=False)
    erasure_pending = models.BooleanField(_("erasure pending"), default=False)
    under_14 = models.BooleanField(_("under 14"), default=False)
    turns_14_on = models.DateField(_("turns 14 on"), null=True)
    barrier_at = models.DateTimeField(_("barrier at"), null=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        db_table = "subject"
        verbose_name = _("data subject")
        verbose_name_plural = _("data subjects")
        permissions = [
            ("find_subject", "Can find a data subject, and see what is held of them but no value"),
            ("reveal_subject", "Can see the identifiers and the profile of a data subject"),
        ]
        indexes = [
            models.Index(fields=["program", "turns_14_on"], name="subject_under_14", condition=models.Q(under_14=True)),
            models.Index(
                fields=["program", "id"],
                name="subject_set_aside",
                condition=models.Q(restricted=True) | models.Q(erasure_pending=True),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class SubjectLookup(models.Model):
    """`index` = keyed HMAC of (mini-program, kind, normalised identifier); pseudonyms are found through it too.

    No foreign key: on Citus this table is distributed by its hash, not by the subject.
    """

    index = models.BinaryField(primary_key=True, max_length=32)
    program = models.ForeignKey(MiniProgram, models.DO_NOTHING, db_constraint=False, db_index=False)
    subject_id = models.BigIntegerField(db_index=True)
    kind = models.TextField()
    key_version = models.IntegerField()

    class Meta:
        db_table = "subject_lookup"


class DataKey(models.Model):
    """The subject's random data key, wrapped by a key-encryption key of the keyring. Destroyed last."""

    subject = models.OneToOneField(Subject, models.DO_NOTHING, primary_key=True, db_column="subject_id")
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    wrapped = models.BinaryField()
    key_version = models.IntegerField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "data_key"
        indexes = [models.Index(fields=["program", "key_version", "subject"], name="data_key_rewrap")]


class SubjectIdentifier(models.Model):
    """An identifier as the platform or the caller gave it, sealed with the subject's data key.

    `lookup`: by which officers find a phone, the keyed HMAC of the number under `lookup_version` of the index key; several subjects
    may have one number. The other kinds are found in SubjectLookup.
    """

    pk = models.CompositePrimaryKey("subject_id", "kind")
    subject = models.ForeignKey(Subject, models.DO_NOTHING, db_column="subject_id", db_index=False)
    kind = models.TextField(choices=IdentifierKind.choices)
    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False)
    sealed = models.BinaryField()
    lookup = models.BinaryField(max_length=32, null=True)
    lookup_version = models.IntegerField(db_default=1)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "subject_identifier"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=["openid", "unionid", "external_id"], lookup__isnull=True)
                | models.Q(kind="phone", lookup__isnull=False),
                name="subject_identifier_kind",
            ),
        ]
        indexes = [
            models.Index(fields=["lookup"], name="subject_identifier_lookup", condition=models.Q(lookup__isnull=False)),
        ]


class Writes(models.TextChoices):
    """What the database asks of whoever writes with a key: an index version that is required is written by every writer."""

    OPTIONAL = "optional"
    REQUIRED = "required"
    REFUSED = "refused"


class KeyVersion(models.Model):
    """What is asked of a version of the keyring's keys, so that no process writes by a keyring that has been replaced."""

    pk = models.CompositePrimaryKey("family", "version")
    family = models.TextField()
    version = models.IntegerField()
    writes = models.TextField(choices=Writes.choices)
    since = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "key_version"
        constraints = [models.CheckConstraint(condition=models.Q(writes__in=Writes.values), name="key_version_writes")]


class KeyringProcess(models.Model):
    """A running process and the versions it holds: family -> {"primary": version, "enabled": versions}. Gone once `until` is over."""

    id = models.UUIDField(primary_key=True)
    kind = models.TextField()
    holds = models.JSONField()
    until = models.DateTimeField()

    class Meta:
        db_table = "keyring_process"
