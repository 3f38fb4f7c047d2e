"""What `manage.py check --deploy` says of this app's settings."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register

from consent import edge


@register(Tags.security, deploy=True)
def ledger(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not edge.ledger_sinks():
        found.append(
            Warning(
                "Checkpoints of the log are kept in the database alone, where whoever holds it can change both.",
                hint="Set ZHIQING_LEDGER_FOLDER or ZHIQING_LEDGER_WEBHOOK; see docs/ledger.md.",
                id="consent.W001",
            )
        )
    if edge.ledger_origin() == settings.DEFAULT_LEDGER_ORIGIN:
        found.append(
            Warning(
                "The log has the name that it has everywhere.",
                hint="Set ZHIQING_LEDGER_ORIGIN to a URL of yours without its scheme before the first start; it stays for good.",
                id="consent.W002",
            )
        )
    return found


@register(Tags.security, deploy=True)
def journal(**_: Any) -> list[CheckMessage]:
    """Without a journal a restored backup brings back who withdrew and who was erased."""
    if settings.ZHIQING_JOURNAL_DIR is not None or settings.ZHIQING_JOURNAL_URL is not None:
        return []
    return [
        Warning(
            "No journal is kept outside the database.",
            hint="Set ZHIQING_JOURNAL_DIR or ZHIQING_JOURNAL_URL: without one a restore has every consent asked for anew.",
            id="consent.W003",
        )
    ]
