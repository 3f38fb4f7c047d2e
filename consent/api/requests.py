"""POST and GET /requests, GET /requests/{id} and its certificate, POST /requests/{id}/withdraw and
/requests/{id}/rejection-delivered."""

import uuid
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import msgspec
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import edge
from consent.api import paging
from consent.api.bodies import body
from consent.api.idempotency import idempotency_key
from consent.api.profile import AttributeName, AttributeText
from consent.api.proofs import SINCE, Inclusion, proved, since, told
from consent.api.shapes import IdentifierText, Moment, SubjectNamed, Text, request_body, responses
from consent.errors import invalid
from consent.programs.authentication import caller
from consent.programs.tenancy import tenant
from consent.rights import actions, certificates, legal_holds, queries, rejections, review, taking_back, tasks
from consent.rights.holders import Changes
from consent.rights.models import Condition, LegalHold, RequestKind, SubjectRequest

Kind = Literal[
    "access",
    "copy",
    "portability",
    "rectification",
    "erasure",
    "restriction",
    "objection",
    "cancellation",
    "explanation",
]


class NewIdentifiers(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The right values, each in place of the one held."""

    openid: IdentifierText | None = None
    unionid: IdentifierText | None = None
    external_id: IdentifierText | None = None
    phone: IdentifierText | None = None

    def values(self) -> dict[str, str]:
        return {kind: value for kind in self.__struct_fields__ if (value := getattr(self, kind)) is not None}


class ChangesAsked(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a rectification puts right; null removes an attribute."""

    attributes: Annotated[dict[AttributeName, AttributeText | None], msgspec.Meta(max_length=50)] = {}
    identifiers: NewIdentifiers | None = None


class Verification(msgspec.Struct, forbid_unknown_fields=True):
    """How the caller's backend made sure who asks: its claim, kept sealed with the request."""

    method: Text
    at: Moment
    evidence: Annotated[str, msgspec.Meta(max_length=4000)] | dict[str, Any] | None = None


class Scope(msgspec.Struct, forbid_unknown_fields=True):
    """The purposes that an objection is about."""

    purposes: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=100)]


class Recipient(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """To whom the data are to be passed on, and in which formats they take them: `json`, `csv`, or any other word."""

    name: Text
    contact: Text | None = None
    formats: Annotated[list[Text], msgspec.Meta(max_length=20)] = []


class RequestAsked(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A data subject's request. `changes` go with a rectification, `scope` with an objection, `recipient` with a portability."""

    subject: SubjectNamed
    kind: Kind
    locale: Annotated[str, msgspec.Meta(pattern="^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}$")]
    requester: Literal["self", "guardian", "next_of_kin", "agent"] = "self"
    scope: Scope | None = None
    changes: ChangesAsked | None = None
    recipient: Recipient | None = None
    verification: Verification | None = None


class RequestNamed(msgspec.Struct):
    """A request by its id, with its state and its times."""

    request_id: uuid.UUID
    kind: str
    state: str
    received_at: datetime
    due_at: datetime
    undo_until: datetime | None
    claim_url: str


class RequestFiled(RequestNamed):
    """The same for a subject Zhiqing knows and for one it does not. `records`: the consent records an objection made."""

    records: list[uuid.UUID] | None


class Extension(msgspec.Struct):
    """The deadline was moved; `first_due_at` is what it was."""

    due_at: datetime
    first_due_at: datetime
    reason: str


class RequestShown(RequestNamed):
    """A request as it stands now."""

    closed_at: datetime | None
    extended: Extension | None


class Rejection(msgspec.Struct):
    """Why the request was rejected, by which article of PIPL. `text` is to be handed to the data subject as it is;
    `delivered_at`: when that was said to be done."""

    code: str
    article: str
    detail: str
    text: str | None
    delivered_at: datetime | None


class Kept(msgspec.Struct):
    """What a law obliges to keep, to the end of the day `until`; `text` is for the data subject to read."""

    ground: str
    law: str
    until: date
    text: str


class HolderShown(msgspec.Struct):
    """How far one holder of personal data has come; `affected` counts rows, `error` is a code, `kept` goes with `held`."""

    holder: str
    status: str
    affected: int
    error: str | None
    kept: Kept | None


class RequestInFull(RequestShown):
    """A request with the progress of every holder. Since `point_of_no_return_at` an erasure has been erasing; `records`
    are the consent records that an objection made, until their subject is gone; `conditions` says of each condition of a
    portability whether it was met when it was filed."""

    rejection: Rejection | None
    point_of_no_return_at: datetime | None
    records: list[uuid.UUID] | None
    conditions: dict[str, bool] | None
    holders: list[HolderShown]


class RequestList(msgspec.Struct):
    """`next_cursor` is null on the last page."""

    results: list[RequestShown]
    next_cursor: str | None


class Requests(APIView):
    scope = "requests"

    @extend_schema(
        operation_id="file_request", request=request_body(RequestAsked), responses=responses(s202=RequestFiled)
    )
    def post(self, request: Request) -> Response:
        """File a data-subject request. With this answer an erasure, a cancellation and a restriction have closed the gate,
        also where they are `in_review` first, and an objection is done.

        One by a guardian, the next of kin or an agent is `verifying` until an officer has made sure of them: nothing comes
        of it before; what it ends at once ends then, and an erasure may be taken back from then on.
        """
        asked = body(request, RequestAsked)
        filed = actions.file_request(
            vault=edge.vault(),
            program_id=caller(request).program_id,
            identifiers=asked.subject.identifiers(),
            asked=_asked(asked),
            terms=edge.terms(),
            by=_by(request),
            on_filed=tasks.hint,
            client_id=caller(request).client_id,
            idempotency=idempotency_key(request, asked),
        )
        return Response(
            RequestFiled(
                request_id=filed.request_id,
                kind=filed.kind,
                state=filed.state,
                received_at=filed.received_at,
                due_at=filed.due_at,
                undo_until=filed.undo_until,
                claim_url=_claim_url(request, filed.request_id),
                records=filed.records,
            ),
            status=202,
        )

    @extend_schema(
        operation_id="open_requests",
        parameters=paging.PARAMETERS,
        responses=responses(s200=RequestList),
    )
    def get(self, request: Request) -> Response:
        """The open requests, oldest first."""
        limit, after = paging.limit(request), paging.after(request, _position)
        program_id = caller(request).program_id
        with tenant(program_id):
            found = queries.open_requests(program_id, after=after, limit=limit + 1)
        rows, cursor = paging.page(found, limit, lambda row: f"{row.received_at.isoformat()} {row.id}")
        return Response(RequestList([RequestShown(**_shown(request, row)) for row in rows], cursor))


class OneRequest(APIView):
    scope = "requests"

    @extend_schema(operation_id="get_request", responses=responses(s200=RequestInFull))
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        """A request and how far each holder has come with it."""
        return Response(_in_full(request, request_id))


class CertificateAnswered(msgspec.Struct):
    """A compact JWS: what each holder of personal data had before the erasure and has now; and the proof that the audit
    entry of its end is in the log. `inclusion` and `checkpoint` are null until a checkpoint covers it; where checkpoints are published, until
    one does that a place outside has accepted."""

    certificate: str
    inclusion: Inclusion | None = None
    checkpoint: str | None = None


class Certificate(APIView):
    scope = "requests"

    @extend_schema(operation_id="get_certificate", parameters=[SINCE], responses=responses(s200=CertificateAnswered))
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        """The signed certificate of a completed erasure or cancellation."""
        program_id, published = caller(request).program_id, edge.ledger_published()
        made = certificates.certificate(edge.vault(), program_id, request_id, published=published, since=since(request))
        return proved(CertificateAnswered(made.jws, *told(made.proof)), later=made.logged and made.proof is None)


class TakeBack(APIView):
    scope = "requests"

    @extend_schema(operation_id="withdraw_request", request=None, responses=responses(s200=RequestInFull))
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        """Take back a request of which nothing was done, lift a restriction, or give up a failed erasure; the gate that it
        closed opens from now on."""
        program_id = caller(request).program_id
        taking_back.take_back(program_id=program_id, request_id=request_id, by=_by(request))
        return Response(_in_full(request, request_id))


class RejectionDelivered(APIView):
    scope = "requests"

    @extend_schema(operation_id="rejection_delivered", request=None, responses=responses(s200=RequestInFull))
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        """Say that the data subject was handed `rejection.text`; the first time counts."""
        program_id = caller(request).program_id
        review.delivered(program_id=program_id, request_id=request_id, by=_by(request))
        return Response(_in_full(request, request_id))


def _asked(asked: RequestAsked) -> actions.Asked:
    """Raises Invalid for what the kind does not take: nothing that was asked is passed over in silence."""
    taken = {
        "changes": asked.kind == "rectification",
        "recipient": asked.kind == "portability",
        "scope": asked.kind == "objection",
    }
    for name, takes in taken.items():
        if getattr(asked, name) is not None and not takes:
            raise invalid("not_taken", f"a request of this kind takes no {name}", f"/{name}")
    changes = None
    if asked.changes is not None:
        renamed = asked.changes.identifiers
        changes = Changes(asked.changes.attributes, renamed.values() if renamed is not None else {})
    return actions.Asked(
        kind=asked.kind,
        locale=asked.locale,
        requester=asked.requester,
        changes=changes,
        purposes=asked.scope.purposes if asked.scope is not None else (),
        recipient=msgspec.to_builtins(asked.recipient) if asked.recipient is not None else None,
        verification=msgspec.to_builtins(asked.verification) if asked.verification else None,
    )


def _shown(request: Request, row: SubjectRequest) -> dict[str, Any]:
    times = ("received_at", "due_at", "undo_until", "closed_at")
    shown = {name: getattr(row, name) for name in ("kind", "state", *times)}
    extended = Extension(row.due_at, row.extended_from, row.extension) if row.extended_from and row.extension else None
    return {"request_id": row.id, "claim_url": _claim_url(request, row.id), "extended": extended, **shown}


def _in_full(request: Request, request_id: uuid.UUID) -> RequestInFull:
    program_id = caller(request).program_id
    with tenant(program_id):
        row, runs = queries.request_of(program_id, request_id)
        told = rejections.told(edge.vault(), row)
        records = queries.records_of(edge.vault(), row) if row.kind == RequestKind.OBJECTION else None
    holders = [
        HolderShown(run.holder, run.status, run.affected, run.error or None, _kept(run.hold, row.locale))
        for run in runs
    ]
    rejection = Rejection(**asdict(told)) if told else None
    return RequestInFull(
        **_shown(request, row),
        rejection=rejection,
        point_of_no_return_at=row.point_of_no_return_at,
        records=records,
        conditions=None if row.unmet is None else {code: code not in row.unmet for code in Condition.values},
        holders=holders,
    )


def _kept(hold: LegalHold | None, locale: str) -> Kept | None:
    return Kept(hold.ground, hold.law, hold.until, legal_holds.told(hold, locale)) if hold is not None else None


def _claim_url(request: Request, request_id: uuid.UUID) -> str:
    """A page that tells how the request stands, and nothing of whom it is about."""
    return edge.public_url(request, reverse("portal:claim", args=[request_id]))


def _by(request: Request) -> str:
    return f"client:{caller(request).client_id}"


def _position(place: str) -> queries.Position:
    """Raises ValueError, OverflowError."""
    received_at, _, request_id = place.partition(" ")
    moment = datetime.fromisoformat(received_at)
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC), uuid.UUID(request_id)
