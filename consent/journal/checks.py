"""What `manage.py check --deploy` says of the journal."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning


def configured(**_: Any) -> list[CheckMessage]:
    """Without a journal a restored backup brings back who withdrew and who was erased."""
    if settings.ZHIQING_JOURNAL_DIR is not None or settings.ZHIQING_JOURNAL_URL is not None:
        return []
    return [
        Warning(
            "No journal is kept outside the database.",
            hint="Set ZHIQING_JOURNAL_DIR or ZHIQING_JOURNAL_URL: without one a restore has every consent asked for anew.",
            id="zhiqing.W001",
        )
    ]
