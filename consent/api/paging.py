"""Lists in pages: `?cursor=&limit=` and `{"results", "next_cursor"}`."""

import base64
import re
from collections.abc import Callable
from typing import TypeVar

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from consent.errors import invalid

DEFAULT_LIMIT, MAX_LIMIT = 100, 500
PARAMETERS = [
    OpenApiParameter("cursor", str, description="next_cursor of the page before"),
    OpenApiParameter("limit", int, description=f"1 to {MAX_LIMIT}; {DEFAULT_LIMIT} when left out"),
]

Place = TypeVar("Place")
Row = TypeVar("Row")


def limit(request: Request) -> int:
    """How many rows a page has. Raises Invalid."""
    given = request.GET.get("limit")
    if given is None:
        return DEFAULT_LIMIT
    if not re.fullmatch("[1-9][0-9]{0,2}", given) or int(given) > MAX_LIMIT:
        raise invalid("invalid", f"limit is 1 to {MAX_LIMIT}", "")
    return int(given)


def after(request: Request, read: Callable[[str], Place]) -> Place | None:
    """The place behind which the page begins, as `read` takes it from its text; ValueError where it is none. Raises Invalid."""
    cursor = request.GET.get("cursor")
    if cursor is None:
        return None
    try:
        return read(base64.urlsafe_b64decode(cursor).decode())
    except (ValueError, OverflowError):
        raise invalid("invalid_cursor", "send next_cursor as it was answered", "") from None


def page(found: list[Row], size: int, write: Callable[[Row], str]) -> tuple[list[Row], str | None]:
    """The page and its next_cursor, of one row more than a page has, if there is one. `write` tells a row's place."""
    rows = found[:size]
    more = len(found) > size
    return rows, base64.urlsafe_b64encode(write(rows[-1]).encode()).decode() if more else None
