"""POST /identities."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api.bodies import body
from consent.api.idempotency import idempotency_key
from consent.api.shapes import IdentifierText, SubjectNamed, request_body, responses
from consent.errors import invalid
from consent.programs.authentication import caller
from consent.vault.actions import change_identifiers


class IdentifiersAdded(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Kinds the subject lacks. `phone`: E.164, or a mobile number of mainland China as it is; it names nobody here."""

    unionid: IdentifierText | None = None
    external_id: IdentifierText | None = None
    phone: IdentifierText | None = None

    def values(self) -> dict[str, str]:
        return {kind: value for kind in self.__struct_fields__ if (value := getattr(self, kind)) is not None}


Kind = Literal["openid", "unionid", "external_id", "phone"]


class IdentitiesChanged(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Either `add` or `remove`."""

    subject: SubjectNamed
    add: IdentifiersAdded | None = None
    remove: Annotated[list[Kind], msgspec.Meta(min_length=1, max_length=10)] | None = None


class IdentitiesHeld(msgspec.Struct):
    """The subject and the kinds of identifiers it has now; values are never answered."""

    subject_id: UUID
    kinds: list[str]


class Identities(APIView):
    scope = "consents"

    @extend_schema(
        operation_id="change_identities",
        request=request_body(IdentitiesChanged),
        responses=responses(s200=IdentitiesHeld),
    )
    def post(self, request: Request) -> Response:
        """Add identifiers to a known subject who consents to some purpose now, or remove some."""
        asked = body(request, IdentitiesChanged)
        added = asked.add.values() if asked.add is not None else {}
        if bool(added) == bool(asked.remove):
            raise invalid("add_or_remove", "say what to add or what to remove: one of the two", "")
        pseudonym, kinds = change_identifiers(
            vault=edge.vault(),
            program_id=caller(request).program_id,
            identifiers=asked.subject.identifiers(),
            added=added,
            removed=asked.remove or (),
            by=f"client:{caller(request).client_id}",
            idempotency=idempotency_key(request, asked),
        )
        return Response(IdentitiesHeld(pseudonym, kinds))
