"""What a controller keeps about its own processing: processors, cross-border mechanisms, incidents."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from consent.notices.words import MECHANISMS
from consent.programs.models import MiniProgram
from consent.rights.models import Access, two_officers


class Stage(models.TextChoices):
    """What officers were last told of a term's end."""

    ENDING = "ending", _("ends soon")
    ENDED = "ended", _("ended")


class Term(models.Model):
    """What holds from a day until the end of another, for purposes named by their codes, also those of a notice to come.

    `noted`: the stage that was told of this end. No end: until somebody gives it one.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    purposes = ArrayField(models.TextField(), verbose_name=_("purposes"))
    valid_from = models.DateField(_("valid from"))
    valid_until = models.DateField(_("last day"), null=True, blank=True)
    noted = models.TextField(choices=Stage.choices, null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(condition=Q(purposes__len__gt=0), name="%(class)s_purposes"),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gte=F("valid_from")), name="%(class)s_term"
            ),
            models.CheckConstraint(condition=Q(noted__in=Stage.values), name="%(class)s_noted"),
        ]


class Processor(Term):
    """An entrusted party, and what was agreed with it (PIPL 21). `contract`: the number it is filed under; it says the
    rights and duties of both. The days are those of the contract."""

    name = models.TextField(_("name"))
    contact = models.TextField(_("contact"))
    categories = ArrayField(models.TextField(), verbose_name=_("categories"))
    method = models.TextField(_("method of processing"))
    measures = models.TextField(_("protective measures"))
    contract = models.TextField(_("reference of the contract"))

    class Meta(Term.Meta):
        db_table = "processor"
        verbose_name = _("processor")
        verbose_name_plural = _("processors")

    def __str__(self) -> str:
        return self.name


class MechanismKind(models.TextChoices):
    """What lets personal information go abroad (PIPL 38), or why it needs nothing (the provisions of 2024)."""

    ASSESSMENT = "assessment", MECHANISMS["assessment"]
    CERTIFICATION = "certification", MECHANISMS["certification"]
    STANDARD_CONTRACT = "standard_contract", MECHANISMS["standard_contract"]
    EXEMPTION = "exemption", MECHANISMS["exemption"]


class Mechanism(Term):
    """What lets the information of some purposes go to one recipient abroad. `recipient`: as the notice names it.

    `reference`: the number it was granted or filed under; of an exemption the `ground` is kept instead.
    """

    kind = models.TextField(_("kind"), choices=MechanismKind.choices)
    recipient = models.TextField(_("recipient abroad"))
    reference = models.TextField(_("reference"), default="", blank=True)
    ground = models.TextField(_("ground of the exemption"), default="", blank=True)

    class Meta(Term.Meta):
        db_table = "mechanism"
        verbose_name = _("cross-border mechanism")
        verbose_name_plural = _("cross-border mechanisms")
        constraints = [
            *Term.Meta.constraints,
            models.CheckConstraint(condition=Q(kind__in=MechanismKind.values), name="mechanism_kind"),
            models.CheckConstraint(
                condition=Q(kind=MechanismKind.EXEMPTION) & ~Q(ground="")
                | ~Q(kind=MechanismKind.EXEMPTION) & ~Q(reference=""),
                name="mechanism_reference",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.reference}".strip()


class Incident(models.Model):
    """That personal information leaked, or may have (PIPL 57, DSL 29). What is known of it stands in its entries."""

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    opened_at = models.DateTimeField(_("opened at"), db_default=Now())
    opened_by = models.TextField(_("opened by"))

    class Meta:
        db_table = "incident"
        verbose_name = _("incident")
        verbose_name_plural = _("incidents")
        permissions = [("download_affected", "Can download the pseudonyms of those an incident affects")]

    def __str__(self) -> str:
        return str(self.pk)


class IncidentEntry(models.Model):
    """All that is known of an incident at a time: added, never changed, and a later one stands for those before it.

    What is affected is a `key` of the keyring (as affected.key_named reads it), a `table`, or a window of time; nothing
    while that is not known. Nobody names a person here.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT, verbose_name=_("mini-program"))
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="entries", verbose_name=_("incident"))
    at = models.DateTimeField(_("at"), db_default=Now())
    by = models.TextField(_("entered by"))
    happened = models.TextField(_("what happened"))
    found_at = models.DateTimeField(_("found at"))
    key = models.TextField(_("key"), null=True, blank=True)
    table = models.TextField(_("table"), null=True, blank=True)
    since = models.DateTimeField(_("from"), null=True, blank=True)
    until = models.DateTimeField(_("until"), null=True, blank=True)
    authority_at = models.DateTimeField(_("authority notified at"), null=True, blank=True)
    people_at = models.DateTimeField(_("people notified at"), null=True, blank=True)
    people_not_told = models.TextField(_("why people need not be notified"), default="", blank=True)
    measures = models.TextField(_("measures"), default="", blank=True)
    closed = models.BooleanField(_("closed"), default=False)

    class Meta:
        db_table = "incident_entry"
        verbose_name = _("entry of an incident")
        verbose_name_plural = _("entries of incidents")
        constraints = [
            models.CheckConstraint(
                condition=(Q(key__isnull=True) | Q(table__isnull=True))
                & (Q(since__isnull=True) | Q(key__isnull=True, table__isnull=True)),
                name="incident_entry_one_scope",
            ),
            models.CheckConstraint(
                condition=Q(since__isnull=True, until__isnull=True)
                | Q(since__isnull=False, until__isnull=False, since__lt=F("until")),
                name="incident_entry_window",
            ),
            models.CheckConstraint(
                condition=Q(closed=False)
                | Q(authority_at__isnull=False)
                & ~Q(measures="")
                & (Q(people_at__isnull=False) | ~Q(people_not_told="")),
                name="incident_entry_closed",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class IncidentAccess(Access):
    """An officer asks for the pseudonyms of those whom an incident affects, minors among them. Names nobody, and stays with the log.

    `entry`: the newest one when it was asked, for what it says is affected and no other. In the database it is of the same
    mini-program.
    """

    entry = models.ForeignKey(IncidentEntry, models.PROTECT, related_name="accesses")

    class Meta:
        db_table = "incident_access"
        constraints = two_officers("incident_access")
