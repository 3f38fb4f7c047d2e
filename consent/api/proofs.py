"""The proof that something is in the log, as receipts and certificates are answered with it."""

import re
from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from consent.errors import invalid
from consent.ledger.proofs import RETRY_AFTER_S, Proof

SINCE = OpenApiParameter(
    "since",
    int,
    description="The size of an older checkpoint: `consistency` shows that it is of the same log's beginning",
)


class Inclusion(msgspec.Struct, omit_defaults=True):
    """RFC 9162's proofs, hashes in base64: that the leaf is at the index of the log whose head the checkpoint signs."""

    index: int
    leaf: str
    path: list[str]
    consistency: list[str] | None = None


def since(request: Request) -> int | None:
    """Raises Invalid."""
    given = request.GET.get("since")
    if given is None:
        return None
    if not re.fullmatch("[1-9][0-9]{0,17}", given):
        raise invalid("invalid", "since is the size that a checkpoint tells in its second line", "")
    return int(given)


def told(proof: Proof | None) -> tuple[Inclusion | None, str | None]:
    """`inclusion` and `checkpoint`."""
    return (None, None) if proof is None else (Inclusion(**proof.told()), proof.checkpoint)


def proved(body: Any, *, later: bool) -> Response:
    """With Retry-After where there is no proof yet."""
    return Response(body, headers={"Retry-After": str(RETRY_AFTER_S)} if later else {})
