"""POST /consents and /consents/status."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api.bodies import body
from consent.api.idempotency import idempotency_key
from consent.api.shapes import Moment, SubjectNamed, Text, request_body, responses
from consent.errors import Fault, Forbidden, Invalid, invalid
from consent.programs.authentication import caller
from consent.records.actions import record_decisions
from consent.records.decisions import Act, Decision
from consent.records.status import status

PurposeCode = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Evidence(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What shows the act: the platform's button, a form, a document."""

    button_id: Text | None = None
    platform_authorization: Text | None = None
    form_id: Text | None = None
    document: Text | None = None


class Guardian(msgspec.Struct, forbid_unknown_fields=True):
    """The verified guardian of a subject under fourteen."""

    reference: Text
    verified_by: Text
    verified_at: Moment


class DecisionMade(msgspec.Struct, forbid_unknown_fields=True):
    purpose: PurposeCode
    decision: Literal["given", "refused", "deferred", "withdrawn"]


class ActDone(msgspec.Struct, forbid_unknown_fields=True):
    """One act of a subject with its decisions; `occurred_at` is the receipt's where it is left out.

    A withdrawal needs `subject` and `decisions` only; everything else needs notice, locale, method and act too.
    """

    subject: SubjectNamed
    decisions: Annotated[list[DecisionMade], msgspec.Meta(min_length=1, max_length=50)]
    notice: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] | None = None
    locale: Annotated[str, msgspec.Meta(pattern="^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$")] | None = None
    occurred_at: Moment | None = None
    sent_at: Moment | None = None
    method: Literal["dialog", "settings", "portal", "offline", "import"] | None = None
    evidence: Evidence | None = None
    act: Literal["single", "bundled"] | None = None
    age_band: Literal["under_14", "14_17", "adult", "unknown"] = "unknown"
    turns_14_on: date | None = None
    guardian: Guardian | None = None


class RecordMade(msgspec.Struct):
    """`receipt`: a compact JWS; null where there is no record, or no signing key in the keyring."""

    record_id: UUID | None
    purpose: str
    state: str
    receipt: str | None


class ActRecorded(msgspec.Struct):
    """The subject's pseudonym and one record a decision, in order; null where a withdrawal found nobody."""

    subject_id: UUID | None
    records: list[RecordMade]


class StatusAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Every active purpose, unless some are named."""

    subject: SubjectNamed
    purposes: Annotated[list[PurposeCode], msgspec.Meta(max_length=100)] | None = None


class StatusOfPurpose(msgspec.Struct):
    purpose: str
    state: str
    allowed: bool
    service_allowed: bool
    may_prompt: bool
    renewal_required: bool
    expires_at: datetime | None
    notice: str | None


class Consents(APIView):
    scope = "consents"

    @extend_schema(operation_id="record_consents", request=request_body(ActDone), responses=responses(s201=ActRecorded))
    def post(self, request: Request) -> Response:
        """Record what a subject decided: all or nothing."""
        done = body(request, ActDone)
        pseudonym, recorded = record_decisions(
            vault=edge.vault(),
            program_id=caller(request).program_id,
            identifiers=done.subject.identifiers(),
            notice=done.notice,
            decisions=[Decision(made.purpose, made.decision) for made in done.decisions],
            act=_act(done, may_import="import" in caller(request).scopes),
            client_id=caller(request).client_id,
            may_import="import" in caller(request).scopes,
            idempotency=idempotency_key(request, done),
        )
        records = [RecordMade(**asdict(made)) for made in recorded]
        return Response(ActRecorded(pseudonym, records), status=201)


def _act(done: ActDone, *, may_import: bool) -> Act:
    """Raises Forbidden, and Invalid for what an act that is not only a withdrawal must say, and for times no clock shows."""
    needed = ("notice", "locale", "method", "act")
    if any(made.decision != "withdrawn" for made in done.decisions):
        faults = [Fault("required", "say this of every act but a withdrawal", f"/{name}") for name in needed
                  if getattr(done, name) is None]  # fmt: skip
        if faults:
            raise Invalid("invalid", faults[0].detail, faults)
    if done.method == "import" and not may_import:
        raise Forbidden("insufficient_scope", "a consent of method import needs the scope import")
    times = {"/occurred_at": done.occurred_at, "/sent_at": done.sent_at}
    if done.guardian is not None:
        times["/guardian/verified_at"] = done.guardian.verified_at
    bounds = [(pointer, moment, 2000) for pointer, moment in times.items()]
    # Somebody of a hundred turned 14 long before there were mini-programs.
    for pointer, moment, first in [*bounds, ("/turns_14_on", done.turns_14_on, 1900)]:
        if moment is not None and not first <= moment.year <= 2200:
            raise invalid("invalid", f"the year lies outside {first} to 2200", pointer)
    return Act(
        method=done.method,
        kind=done.act,
        locale=done.locale,
        occurred_at=done.occurred_at,
        sent_at=done.sent_at,
        age_band=done.age_band,
        turns_14_on=done.turns_14_on,
        evidence=msgspec.to_builtins(done.evidence) if done.evidence else {},
        guardian=msgspec.to_builtins(done.guardian) if done.guardian else None,
    )


class ConsentStatus(APIView):
    scope = "consents"

    @extend_schema(
        operation_id="consent_status",
        request=request_body(StatusAsked),
        responses=responses(s200=list[StatusOfPurpose]),
    )
    def post(self, request: Request) -> Response:
        """What is allowed, per purpose: every launch's first call."""
        asked = body(request, StatusAsked)
        found = status(
            vault=edge.vault(),
            program_id=caller(request).program_id,
            identifiers=asked.subject.identifiers(),
            purposes=asked.purposes,
            prompt_cooldown=settings.ZHIQING_PROMPT_COOLDOWN,
        )
        return Response([StatusOfPurpose(**asdict(one)) for one in found])
