"""GET /receipts, and the public keys that verify them."""

from typing import Any
from uuid import UUID

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api.bodies import JSONRenderer
from consent.api.notices import PublicView
from consent.api.proofs import SINCE, Inclusion, proved, since, told
from consent.api.shapes import responses
from consent.programs.authentication import caller
from consent.records import receipts


class ReceiptAnswered(msgspec.Struct):
    """The receipt as POST /consents answered it, and the proof that its record is in the log. `inclusion` and `checkpoint` are null until a
    checkpoint covers it; where checkpoints are published, until one does that a place outside has accepted."""

    receipt: str | None
    inclusion: Inclusion | None = None
    checkpoint: str | None = None


class Receipt(APIView):
    scope = "consents"

    @extend_schema(operation_id="get_receipt", parameters=[SINCE], responses=responses(s200=ReceiptAnswered))
    def get(self, request: Request, record_id: UUID) -> Response:
        """The receipt of a record, made anew from it: the same bytes, until the subject is erased."""
        program_id, published = caller(request).program_id, edge.ledger_published()
        made = receipts.receipt(edge.vault(), program_id, record_id, published=published, since=since(request))
        return proved(ReceiptAnswered(made.jws, *told(made.proof)), later=made.proof is None)


class PublicKey(msgspec.Struct):
    """An Ed25519 public key as RFC 8037 writes it; `kid` is its thumbprint (RFC 7638)."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


class PublicKeys(msgspec.Struct):
    """A JWK Set (RFC 7517): every signing key there ever was, and those to come."""

    keys: list[PublicKey]


class JWKSRenderer(JSONRenderer):
    media_type = "application/jwk-set+json"
    format = "jwks"


class SigningKeys(PublicView):
    renderer_classes = [JWKSRenderer, JSONRenderer]

    @extend_schema(operation_id="signing_keys", responses=responses(keyed=False, s200=PublicKeys))
    def get(self, request: Request) -> Response:
        """The public keys that verify receipts."""
        keys: dict[str, Any] = edge.vault().keyring.signing.jwks()
        return Response(keys, headers={"Cache-Control": "public, max-age=300"})
