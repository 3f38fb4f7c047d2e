"""Reads of notices."""

from datetime import datetime

from consent.errors import NotFound
from consent.notices.models import Notice


def in_force(program_id: int, audience: str, *, now: datetime) -> Notice:
    """The newest version whose time has come. Raises NotFound."""
    notice = (
        Notice.objects.filter(program_id=program_id, audience=audience, effective_at__lte=now)
        .order_by("-effective_at", "-version")
        .first()
    )
    if notice is None:
        raise NotFound("not_found", "this mini-program has no notice in force for this audience")
    return notice
