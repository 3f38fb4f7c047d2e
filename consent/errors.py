"""What the domain raises. Each error has the status, code and text of the API's problem+json; none carries a sent value."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a body: a machine code, a sentence saying what to do, a JSON pointer (RFC 6901)."""

    code: str
    detail: str
    pointer: str = ""


@dataclass
class Problem(Exception):
    """A refusal to be told to the caller (RFC 9457). `retry_after` in seconds; `extra` joins the body's members."""

    code: str
    detail: str
    errors: list[Fault] = field(default_factory=list)
    retry_after: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    status = 422
    title = "The request cannot be carried out"

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class Malformed(Problem):
    """400: not JSON, or not the JSON this call takes."""

    status = 400
    title = "Malformed request"


class Unauthenticated(Problem):
    """401: no valid key."""

    status = 401
    title = "No valid API key"


class Forbidden(Problem):
    """403: the key lacks the scope."""

    status = 403
    title = "Not allowed"


class NotFound(Problem):
    """404: no such id, or another mini-program's."""

    status = 404
    title = "Not found"


class Conflict(Problem):
    """409: the state of things does not allow it."""

    status = 409
    title = "Conflict"


class TooLarge(Problem):
    """413: the body is over the bound."""

    status = 413
    title = "Too large"


class UnsupportedMedia(Problem):
    """415: another media type or encoding than the call takes."""

    status = 415
    title = "Unsupported media type"


class Invalid(Problem):
    """422: well-formed, and against the rules."""

    status = 422
    title = "Invalid"


def invalid(code: str, detail: str, pointer: str) -> Invalid:
    """An Invalid about one place."""
    return Invalid(code, detail, [Fault(code, detail, pointer)])


class RateLimited(Problem):
    """429: more than a client may have."""

    status = 429
    title = "Too many requests"


class InternalError(Problem):
    """500: a fault of ours."""

    status = 500
    title = "Internal error"


class Unavailable(Problem):
    """503: try again later."""

    status = 503
    title = "Temporarily unavailable"
