"""The log of risk monitoring: what each look found, and what officers said and did of it."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from consent.programs.models import MiniProgram


class RiskRun(models.Model):
    """One look at a mini-program: added, never changed. Counts only, of nobody.

    `found`: by check `{"found": number or null, "threshold": number, "above": bool, "since": time or null}`, where `since` is the run
    from which on it is one finding, and `found` null where the check failed. `above`: how many checks are. `by`: `system`, or who asked for it.
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False, verbose_name=_("mini-program"))
    checked_at = models.DateTimeField(_("checked at"), db_default=Now())
    by = models.TextField(_("started by"))
    found = models.JSONField(_("found"))
    above = models.SmallIntegerField(_("above the threshold"))

    class Meta:
        db_table = "risk_run"
        verbose_name = _("look at risks")
        verbose_name_plural = _("risk monitoring")
        constraints = [models.CheckConstraint(condition=Q(above__gte=0), name="risk_run_above")]
        indexes = [models.Index(fields=["program", "checked_at", "id"], name="risk_run_checked_at")]

    def __str__(self) -> str:
        return f"#{self.pk}"


class RiskRemark(models.Model):
    """What an officer says of a finding, and what was done: added, never changed. `check_code`: of which check.

    In the database the run is of the same mini-program (migration 0092).
    """

    program = models.ForeignKey(MiniProgram, models.PROTECT, db_index=False, verbose_name=_("mini-program"))
    run = models.ForeignKey(RiskRun, models.PROTECT, related_name="remarks", verbose_name=_("look at risks"))
    check_code = models.TextField(_("check"))
    at = models.DateTimeField(_("at"), db_default=Now())
    by = models.TextField(_("entered by"))
    remark = models.TextField(_("remark"))
    done = models.TextField(_("what was done"), default="", blank=True)

    class Meta:
        db_table = "risk_remark"
        verbose_name = _("remark on a risk")
        verbose_name_plural = _("remarks on risks")
        constraints = [models.CheckConstraint(condition=~Q(remark=""), name="risk_remark_says")]
        indexes = [models.Index(fields=["program", "check_code", "at"], name="risk_remark_check")]

    def __str__(self) -> str:
        return f"#{self.pk}"
