"""The Celery application: PostgreSQL holds every job's truth, a message is a hint that carries ids only."""

import os

from celery import Celery
from celery.signals import worker_process_init
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("zhiqing", task_cls="consent.journal.waiting:InService")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(
    [
        "consent.ledger",
        "consent.rights",
        "consent.records",
        "consent.portal",
        "consent.webhooks",
        "consent.monitoring",
        "consent.journal",
        "tracking",
        "reports",
    ]
)


@worker_process_init.connect
def _hold_keyring(**_: object) -> None:
    # Only a worker's process has the apps that it needs.
    import_string("consent.keyholding.start")("worker")
