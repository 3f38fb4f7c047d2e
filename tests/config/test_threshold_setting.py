"""k may not be above what is remembered behind a figure of the report `quality`: all of it would be withheld."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

from tracking.ingest.counting import MAX_SUBJECTS


@pytest.mark.parametrize(("k", "starts"), [(MAX_SUBJECTS, True), (MAX_SUBJECTS + 1, False)])
def test_k_is_what_quality_can_hold_at_most(k: int, starts: bool) -> None:
    command = [sys.executable, "-c", "import config.settings"]
    ran = subprocess.run(
        command, env=os.environ | {"ZHIQING_K": str(k)}, cwd=settings.BASE_DIR, capture_output=True, text=True
    )
    assert (ran.returncode == 0) is starts, ran.stderr
    assert starts or "ZHIQING_K cannot be used" in ran.stderr
