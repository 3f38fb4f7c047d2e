"""Signatures by the Standard Webhooks specification (standardwebhooks.com), symmetric: HMAC-SHA256 over `id.timestamp.body`."""

import base64
import hmac
import os
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = 32
"""The specification wants 24 to 64."""


def new_secret() -> bytes:
    return os.urandom(SECRET_BYTES)


def written(secret: bytes) -> str:
    """As the receiver keeps it: `whsec_` and base64."""
    return PREFIX + base64.b64encode(secret).decode()


def headers(secrets: Sequence[bytes], *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """`timestamp`: of this attempt, Unix seconds. One signature for each secret, so that a receiver that knows any may verify."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
