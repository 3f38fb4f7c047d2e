"""The Celery application: PostgreSQL holds every job's truth, a message is a hint that carries ids only."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("zhiqing")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(
    ["consent.ledger", "consent.rights", "consent.records", "consent.portal", "consent.webhooks", "tracking", "reports"]
)
