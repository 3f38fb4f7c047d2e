"""The Idempotency-Key header."""

import msgspec
from rest_framework.request import Request

from consent import edge
from consent.errors import Invalid
from consent.programs.authentication import caller
from consent.programs.idempotency import IdempotencyKey


def idempotency_key(request: Request, decoded: msgspec.Struct) -> IdempotencyKey | None:
    """The header's key and the body, as keyed hashes; None without the header. Raises Invalid for an unusable one.

    The fingerprint is of the decoded body, so that white space and the order of names do not make another body.
    """
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    if not 0 < len(given) <= 255 or not given.isprintable():
        raise Invalid("invalid_idempotency_key", "Idempotency-Key has 1 to 255 printable characters")
    by, lookup = caller(request), edge.vault().lookup
    body = msgspec.json.encode([request.method, request.path, decoded], order="deterministic")
    # Two clients may choose the same key.
    hashes = lookup.fingerprints(by.program_id, "idempotency key", f"{by.client_id}:{given}".encode())
    return IdempotencyKey(
        program_id=by.program_id,
        client_id=by.client_id,
        hashes=hashes,
        fingerprints=lookup.fingerprints(by.program_id, "idempotent body", body),
        key_hash=hashes[lookup.versions.index(lookup.primary)],
    )
