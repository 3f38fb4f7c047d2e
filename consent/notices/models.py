"""Purposes, and the notices (versioned, immutable once published) that inform of them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from consent.notices import told
from consent.programs.models import MiniProgram


class Audience(models.TextChoices):
    GENERAL = "general", _("general")
    MINOR = "minor", _("minors and their guardians")


class SeparateConsent(models.TextChoices):
    """The article of PIPL that asks for an act of its own (docs/law.md L8)."""

    SHARING = "23", _("Art. 23: provision to another handler")
    DISCLOSURE = "25", _("Art. 25: public disclosure")
    SURVEILLANCE = "26", _("Art. 26: image collection in public places")
    SENSITIVE = "29", _("Art. 29: sensitive information")
    CROSS_BORDER = "39", _("Art. 39: provision abroad")


class Ground(models.TextChoices):
    """Why a purpose needs an impact assessment (PIPL 55)."""

    SENSITIVE = told.SENSITIVE, _("sensitive information")
    SHARING = told.SHARING, _("sharing or disclosure")
    AUTOMATED = told.AUTOMATED, _("automated decisions")
    CROSS_BORDER = told.CROSS_BORDER, _("provision abroad")


class Conclusion(models.TextChoices):
    """What an impact assessment came to (PIPL 56)."""

    ACCEPTABLE = "acceptable", _("acceptable")
    WITH_MEASURES = "with_measures", _("acceptable with the measures it names")
    NOT_ACCEPTABLE = "not_acceptable", _("not acceptable")


class Purpose(models.Model):
    """Why personal information is processed. Its code is fixed for life; what is told of it is versioned in notices.

    `active`: consents to it are taken and events are stored. One that needs an impact assessment begins inactive
    without it: see consent.notices.assessments. `ended_at`: when a purge first saw that the purpose is no longer active; what was collected under it goes.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    code = models.TextField(_("code"))
    title = models.JSONField(_("title"))
    necessary = models.BooleanField(_("necessary for the service"), default=False)
    separate_consent = models.TextField(_("separate consent"), choices=SeparateConsent.choices, null=True, blank=True)
    active = models.BooleanField(_("active"), default=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        db_table = "purpose"
        verbose_name = _("purpose")
        verbose_name_plural = _("purposes")
        constraints = [models.UniqueConstraint(fields=["program", "code"], name="purpose_program_code")]

    def __str__(self) -> str:
        return self.code


class Notice(models.Model):
    """One published version of a notice: `body` in all its locales, `sha256` of its RFC 8785 form."""

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    audience = models.TextField(_("audience"), choices=Audience.choices)
    version = models.IntegerField(_("version"))
    sha256 = models.TextField(_("sha256"), unique=True)
    body = models.JSONField(_("body"))
    published_at = models.DateTimeField(_("published at"), db_default=Now())
    effective_at = models.DateTimeField(_("effective at"))

    class Meta:
        db_table = "notice"
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        constraints = [
            models.UniqueConstraint(fields=["program", "audience", "version"], name="notice_program_version"),
            models.CheckConstraint(condition=models.Q(sha256__regex=r"^[0-9a-f]{64}$"), name="notice_sha256"),
        ]

    def __str__(self) -> str:
        return f"{self.audience} v{self.version}"


class NoticePurpose(models.Model):
    """What one notice says of one purpose, as fields the gate and the holders can ask.

    `material`: this version adds to or broadens the purpose (consent.notices.difference), so consents given to earlier
    versions stop authorising at its effective time. `attributes`: the profile attributes declared under the purpose.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT)
    notice = models.ForeignKey(Notice, models.PROTECT, related_name="purposes")
    purpose = models.ForeignKey(Purpose, models.PROTECT, related_name="versions")
    categories = ArrayField(models.TextField())
    attributes = ArrayField(models.TextField(), default=list)
    retention_days = models.IntegerField()
    validity_days = models.IntegerField(null=True)
    material = models.BooleanField(default=False)

    class Meta:
        db_table = "notice_purpose"
        verbose_name = _("purpose in a notice")
        verbose_name_plural = _("purposes in notices")
        constraints = [
            models.UniqueConstraint(fields=["notice", "purpose"], name="notice_purpose_once"),
            models.CheckConstraint(condition=models.Q(retention_days__gt=0), name="notice_purpose_retention"),
        ]


class ImpactAssessment(models.Model):
    """That a purpose's impact on people was assessed (PIPL 55, 56): rows are added, never changed, and nobody may delete them.

    `covers`: the grounds it looked at. Of several about one ground the newest counts.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    purpose = models.ForeignKey(Purpose, models.PROTECT, related_name="assessments", verbose_name=_("purpose"))
    reference = models.TextField(_("reference"))
    assessed_on = models.DateField(_("assessed on"))
    conclusion = models.TextField(_("conclusion"), choices=Conclusion.choices)
    covers = ArrayField(models.TextField(choices=Ground.choices), verbose_name=_("what it looked at"))
    document_sha256 = models.TextField(_("sha256 of the document"), null=True, blank=True)
    recorded_by = models.TextField(_("recorded by"))
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        db_table = "impact_assessment"
        verbose_name = _("impact assessment")
        verbose_name_plural = _("impact assessments")
        constraints = [
            models.UniqueConstraint(fields=["purpose", "reference"], name="impact_assessment_once"),
            models.CheckConstraint(
                condition=models.Q(conclusion__in=Conclusion.values), name="impact_assessment_conclusion"
            ),
            models.CheckConstraint(
                condition=models.Q(covers__contained_by=Ground.values), name="impact_assessment_covers"
            ),
            models.CheckConstraint(
                condition=models.Q(document_sha256__regex=r"^[0-9a-f]{64}$"), name="impact_assessment_sha256"
            ),
        ]

    def __str__(self) -> str:
        return self.reference


class NoticeDraft(models.Model):
    """A notice that officers are writing, as YAML. `notice`: the version it was published as; from then on it stays as it is."""

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    name = models.TextField(_("name"))
    source = models.TextField(_("text"))
    edited_by = models.TextField(_("edited by"))
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())
    notice = models.ForeignKey(Notice, models.PROTECT, null=True, blank=True, verbose_name=_("published as"))

    class Meta:
        db_table = "notice_draft"
        verbose_name = _("notice draft")
        verbose_name_plural = _("notice drafts")

    def __str__(self) -> str:
        return self.name
