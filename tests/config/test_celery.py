"""A worker knows what beat sends it."""

import os
import subprocess
import sys

import pytest

from tests.stack import ROOT

_KNOWN = """
from celery.signals import import_modules
from config.celery import app
import_modules.send(sender=app)
from django.conf import settings
print(*sorted({entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} - set(app.tasks)))
"""


def test_every_scheduled_task_is_there_in_a_worker() -> None:
    """In a process of its own: here the tests have imported them all. Only what Celery itself imports counts."""
    told = subprocess.run([sys.executable, "-c", _KNOWN], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout.strip()) == (0, ""), told.stdout + told.stderr


@pytest.mark.parametrize("seconds", [0, 16])
def test_beat_looks_for_due_work_often_enough(seconds: int) -> None:
    """What it sends expires after 15 s."""
    told = subprocess.run(
        [sys.executable, "-c", "import config.settings"],
        env=os.environ | {"ZHIQING_SWEEP_SECONDS": str(seconds)}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode != 0
    assert "ZHIQING_SWEEP_SECONDS cannot be used" in told.stderr
