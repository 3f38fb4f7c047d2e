"""PUT /profile."""

from typing import Annotated
from uuid import UUID

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api.bodies import body
from consent.api.shapes import SubjectNamed, request_body, responses
from consent.programs.authentication import caller
from consent.records.profile import LONGEST, put_attributes

AttributeName = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,62}$")]
AttributeText = Annotated[str, msgspec.Meta(max_length=LONGEST)]


class ProfileGiven(msgspec.Struct, forbid_unknown_fields=True):
    """Declared attributes; null removes one."""

    subject: SubjectNamed
    attributes: Annotated[dict[AttributeName, AttributeText | None], msgspec.Meta(min_length=1, max_length=50)]


class ProfileKept(msgspec.Struct):
    """The subject and the names of the attributes now kept; values are never answered."""

    subject_id: UUID
    attributes: list[str]


class Profile(APIView):
    scope = "consents"

    @extend_schema(
        operation_id="put_profile", request=request_body(ProfileGiven), responses=responses(s200=ProfileKept)
    )
    def put(self, request: Request) -> Response:
        """Set declared attributes, sealed; refused without consent to their purpose."""
        given = body(request, ProfileGiven)
        pseudonym, names = put_attributes(
            vault=edge.vault(),
            program_id=caller(request).program_id,
            identifiers=given.subject.identifiers(),
            attributes=given.attributes,
        )
        return Response(ProfileKept(pseudonym, names))
