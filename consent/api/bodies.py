"""JSON in and out: decoded strictly by msgspec, told by pointer and rule, never by the value that was sent."""

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from consent.errors import Fault, Invalid, Malformed, TooLarge, UnsupportedMedia

MAX_BODY_BYTES = 256 * 1024

T = TypeVar("T")
_encoder = msgspec.json.Encoder()
_AT = re.compile(r" - at `(?:key in )?\$([^`]*)`$")
# In JSON a backslash stands within strings only, and one that is escaped itself begins no escape.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|\[\.\.\.\]")


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, context: Any = None) -> bytes:
        return b"" if data is None else _encoder.encode(data)


def body(request: Request, shape: type[T], *, limit: int = MAX_BODY_BYTES) -> T:
    """The request's body as `shape`. Raises Malformed, Invalid, TooLarge, UnsupportedMedia."""
    return decode(raw_body(request.META, request, limit=limit), shape)


def raw_body(headers: Mapping[str, Any], stream: Any, *, limit: int) -> bytes:
    """The bytes of a JSON body, sent as it is or with gzip, within `limit` either way; `headers` as in WSGI. Raises as `body`."""
    media_type = str(headers.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMedia("unsupported_media_type", "send Content-Type: application/json")
    if headers.get("HTTP_TRANSFER_ENCODING") and not headers.get("CONTENT_LENGTH"):
        # Django reads none of it, as if nothing had been sent.
        raise Malformed("malformed", "send Content-Length and the body whole, not in chunks")
    length = str(headers.get("CONTENT_LENGTH") or "0")
    if not length.isdecimal() or int(length) > limit:
        raise TooLarge("too_large", f"the body may have {limit} bytes at most")
    data: bytes = stream.read(limit + 1)
    coding = str(headers.get("HTTP_CONTENT_ENCODING", "identity")).strip().lower()
    if coding == "gzip":
        data = _inflated(data, limit)
    elif coding != "identity":
        raise UnsupportedMedia("unsupported_content_encoding", "send the body as it is or with Content-Encoding: gzip")
    if len(data) > limit:
        raise TooLarge("too_large", f"the body may have {limit} bytes at most")
    return data


def _inflated(data: bytes, limit: int) -> bytes:
    """At most one byte past the limit is ever inflated. Raises Malformed."""
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        inflated = inflater.decompress(data, limit + 1)
    except zlib.error:
        raise Malformed("malformed", "the body is not gzip") from None
    if len(inflated) <= limit and (not inflater.eof or inflater.unused_data):
        raise Malformed("malformed", "the body is not one whole gzip member")
    return inflated


def decode(data: bytes, shape: type[T]) -> T:
    """Raises Malformed where it is not JSON, Invalid where it is not the JSON this call takes."""
    return checked(data, unchecked(data, shape))


def unchecked(data: bytes, shape: type[T]) -> T:
    """The same without what `checked` refuses."""
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError as error:
        detail, pointer = described(error)
        raise Invalid("invalid", detail, [Fault("invalid", detail, pointer)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("malformed", "the body is not JSON in UTF-8") from None


def checked(data: bytes, value: T) -> T:
    """Refuse what msgspec lets pass: NUL (PostgreSQL stores none) and a name given twice in one object."""
    if holds_nul(data):
        raise Invalid("invalid", "strings may not hold NUL characters")
    refuse_doubled_names(data)
    return value


def holds_nul(data: bytes) -> bool:
    """Whether a string in a JSON text holds a NUL character."""
    return b"\\u0000" in data and _NUL.search(data) is not None


def refuse_doubled_names(data: bytes) -> None:
    """Raises Malformed."""
    if any(len(set(names)) != len(names) for names in names_of_objects(data)):
        raise Malformed("malformed", "the body repeats a name in an object")


def names_of_objects(data: bytes) -> list[list[str]]:
    """The names of every object in a JSON text, as often as they stand; the outermost object's come last.

    Raises Malformed.
    """
    found: list[list[str]] = []
    try:
        json.loads(data, object_pairs_hook=lambda pairs: found.append([name for name, _ in pairs]))
    except (ValueError, RecursionError):
        raise Malformed("malformed", "the body is not JSON in UTF-8") from None
    return found


def described(error: msgspec.ValidationError) -> tuple[str, str]:
    """(what to do, JSON pointer): msgspec's message without any name or value that came from the body."""
    message = str(error)
    found = _AT.search(message)
    rule = message[: found.start()] if found else message
    if "unknown field" in rule:
        rule = "Object contains an unknown field"
    elif "Invalid enum value" in rule or "Invalid value" in rule:
        rule = "Value is not one of those allowed"
    elif "`" in rule and not rule.startswith(("Expected", "Object missing")):
        rule = "Value does not have the expected form"
    return rule, pointer(found.group(1) if found else "")


def pointer(path: str) -> str:
    """msgspec's path (`.events[3].name`) as a JSON pointer (RFC 6901)."""
    return "".join(f"/{name or place}" if name or place else "" for name, place in _STEP.findall(path))
