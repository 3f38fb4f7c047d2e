from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TrackingConfig(AppConfig):
    """Behaviour events: what may be recorded, the gate they pass, and where they are kept."""

    name = "tracking"
    verbose_name = _("Events")
    default_auto_field = "django.db.models.BigAutoField"
