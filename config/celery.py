"""The Celery application: PostgreSQL holds every job's truth, a message is a hint that carries ids only."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("zhiqing", task_cls="consent.journal.waiting:InService")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(
    [
        "consent.rights",
        "consent.records",
        "consent.portal",
        "consent.webhooks",
        "consent.journal",
        "tracking",
        "reports",
    ]
)
