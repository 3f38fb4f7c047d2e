"""What the log says itself: redactions, changes of the signing key, and where an origin begins. Its salt and content stay."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from consent.ledger.leaves import LeafType, leaf_hash, new_salt
from consent.ledger.losses import Lost
from consent.ledger.models import LogStatement
from consent.vault import jws
from consent.vault.signing import SigningKey, SigningKeys

KEY_CHANGE = "ledger-key-change+jws"
_REDACTED = """
    WITH placed AS (
        DELETE FROM leaf_redacted USING log_leaf, log_origin
        WHERE log_leaf.leaf_id = leaf_redacted.leaf_id AND log_origin.number = log_leaf.origin
        RETURNING log_origin.number, log_origin.name, log_leaf."index"
    )
    SELECT name, array_agg("index" ORDER BY "index") FROM placed GROUP BY number, name ORDER BY number
"""


@dataclass(frozen=True)
class Statement:
    type: LeafType
    content: dict[str, Any]
    salt: bytes = field(default_factory=new_salt)

    def hash(self) -> bytes:
        return leaf_hash(self.type, self.salt, self.content)


def of_origin(name: str, lost: Lost, earlier: Sequence[Lost]) -> Statement:
    """`lost`: what is missing of the log before, which it goes on from; `earlier`: the same of others before that."""
    content = {"origin": name, **_told(lost)}
    return Statement(LeafType.ORIGIN, content | ({"earlier": list(map(_told, earlier))} if earlier else {}))


def _told(lost: Lost) -> dict[str, Any]:
    """The checkpoint, how many leaves it has, and how many of them there are."""
    return {"previous": lost.note, "gap": {"published": lost.head.size, "held": lost.held}}


def redactions(now: datetime) -> Iterator[Statement]:
    """Once a day (UTC) the places of all leaves whose record and salt were erased; those without a place yet come later.

    What it lists waits no more.
    """
    today = now.astimezone(UTC).date().isoformat()
    last = LogStatement.objects.filter(type=LeafType.REDACTION).order_by("-origin", "-index").first()
    if last is not None and last.content["day"] >= today:
        return
    with connection.cursor() as cursor:
        cursor.execute(_REDACTED)
        found = [{"origin": name, "indexes": indexes} for name, indexes in cursor.fetchall()]
    if found:
        yield Statement(LeafType.REDACTION, {"day": today, "redacted": found})


def key_changes(origin: int, signing: SigningKeys) -> Iterator[Statement]:
    """Of each key that this log has not told yet, oldest first: signed with the one before it, the first with itself."""
    told = LogStatement.objects.filter(origin=origin, type=LeafType.KEY_CHANGE).values_list("content__kid", flat=True)
    known = set(told)
    for place, key in enumerate(signing.keys):
        signer = next((one for one in reversed(signing.keys[:place]) if one.private is not None), key)
        if key.kid not in known and signer.private is not None:
            yield Statement(LeafType.KEY_CHANGE, {"kid": key.kid, "signed": _signed(key, signer)})


def _signed(key: SigningKey, signer: SigningKey) -> str:
    assert signer.private is not None
    payload = {"key": jws.jwk(key.public), "version": key.version, "since": key.since.isoformat()}
    return jws.sign(signer.private, signer.kid, payload, typ=KEY_CHANGE)
