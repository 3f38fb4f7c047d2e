"""What commands that work on the whole database ask for."""

from django.conf import settings
from django.core.management.base import CommandError


def owner_url() -> str:
    """Where the database is, as its owner. Raises CommandError."""
    url: str | None = settings.DATABASE_URLS["owner"]
    if url is None:
        raise CommandError("set DATABASE_OWNER_URL: only the owner reads and writes every table")
    return url
