"""Parts of a file over HTTP (RFC 9110, 14): one range of bytes, so that a download goes on where it broke off.

What is asked for in several ranges, or in a way that is none, is answered whole, as the RFC lets a server do.
"""

import re
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from consent.errors import Problem

_ONE = re.compile(r"bytes=[ \t]*(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))[ \t]*", re.ASCII | re.IGNORECASE)


class RangeBeyond(Problem):
    """416: no byte that was asked for is there. `length`: how many are."""

    status = 416
    title = "No such range"

    def __init__(self, length: int) -> None:
        super().__init__("range_beyond", "no byte that was asked for is there")
        self.length = length


@dataclass(frozen=True)
class Wanted:
    """The bytes from `first` to `last`, without a last one to the end, without a first one the last `last` ones.

    `of`: the entity tag of which they are to be, else all of it is wanted; None of any.
    """

    first: int | None
    last: int | None
    of: str | None

    def span(self, length: int) -> range:
        """Of a text of this length. Raises RangeBeyond."""
        if self.first is None:
            span = range(max(length - (self.last or 0), 0), length)
        else:
            span = range(self.first, length if self.last is None else min(self.last + 1, length))
        if not span:
            raise RangeBeyond(length)
        return span


def wanted(request: HttpRequest) -> Wanted | None:
    """What the request asks for; None: all of it. A date in If-Range is of nothing that we said."""
    asked = _ONE.fullmatch(request.headers.get("Range", "")) if request.method == "GET" else None
    if asked is None:
        return None
    first, last, suffix = (int(number) if number is not None else None for number in asked.groups())
    if first is not None and last is not None and last < first:
        return None
    return Wanted(first, last if suffix is None else suffix, request.headers.get("If-Range"))


@dataclass(frozen=True)
class Part:
    """Which bytes of a text are handed over, None: all `length` of them. `tag`: its entity tag, a strong one."""

    span: range | None
    length: int
    tag: str


def part(asked: Wanted | None, *, length: int, name: str) -> Part:
    """Of the text of this length that `name` names. Raises RangeBeyond."""
    tag = f'"{name}"'
    if asked is None or asked.of not in (None, tag):
        return Part(None, length, tag)
    return Part(asked.span(length), length, tag)


def say(response: HttpResponseBase, handed: Part | None) -> None:
    """In the answer's head: what is handed over, and whether ranges are; None: of this file none are."""
    response.headers["Accept-Ranges"] = "none" if handed is None else "bytes"
    if handed is None:
        return
    response.headers["ETag"] = handed.tag
    response.headers["Content-Length"] = str(handed.length if handed.span is None else len(handed.span))
    if handed.span is not None:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {handed.span.start}-{handed.span.stop - 1}/{handed.length}"


def beyond(problem: RangeBeyond) -> HttpResponse:
    """The answer to who asks for what is not there."""
    return HttpResponse(status=problem.status, headers={"Content-Range": f"bytes */{problem.length}"})
