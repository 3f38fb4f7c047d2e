from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules, import_string
from django.utils.translation import gettext_lazy as _


class ConsentConfig(AppConfig):
    """Who the data subject is, what they agreed to, and what they may ask."""

    name = "consent"
    verbose_name = _("Consent and rights")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Every app declares what it holds of a person in personal_data.py, what its audit entries say in audit_actions.py, what
        # risk monitoring looks at in risk_checks.py, and what its settings should be in checks.py, found as admin.py is.
        autodiscover_modules("personal_data", "audit_actions", "risk_checks", "checks")
        import_string("consent.journal.writing.configure")(
            folder=settings.ZHIQING_JOURNAL_DIR, url=settings.ZHIQING_JOURNAL_URL, token=settings.ZHIQING_JOURNAL_TOKEN
        )
        post_migrate.connect(import_string("consent.officers.roles.put_in_place"), sender=self)
