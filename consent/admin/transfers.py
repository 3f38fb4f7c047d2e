"""To whom a transfer goes, opened for an officer who passes it on: what the person wrote, and so only on demand and audited."""

import uuid
from typing import Any

from consent.admin.packages import Reason
from consent.errors import NotFound
from consent.ledger.audit import audit
from consent.ledger.disclosures import disclosed
from consent.ledger.models import Recipient
from consent.programs.tenancy import tenant
from consent.rights import barrier, minor_access, transfers
from consent.rights.models import Guarded, RequestKind, RequestSubject
from consent.vault.identities import Vault


def opened(*, program_id: int, request_id: uuid.UUID, by: str, vault: Vault) -> dict[str, Any] | None:
    """`name`, `contact` and `formats` as the person said them; its audit entry is committed with it. None where its subject is a
    minor and another officer has to approve first, which is asked for.

    Raises NotFound where no handler is named or its subject is gone; Conflict where their data are closed to reading.
    """
    with tenant(program_id):
        rows = RequestSubject.objects.select_related("subject")
        about = rows.filter(program_id=program_id, request_id=request_id, kind=RequestKind.PORTABILITY).first()
        if about is None:
            raise NotFound("not_found", "nothing is held about the person of this request")
        barrier.refuse_opening(about.subject)
        named = transfers.handler(vault, about)
        if not minor_access.admitted(
            about.subject, what=Guarded.PACKAGE, reason=Reason.HANDLER, request_id=request_id, by=by
        ):
            return None
        target = f"request:{request_id}"
        audit(program_id=program_id, actor=by, action="transfer.opened", target=target)
        disclosed(
            program_id=program_id,
            recipient=Recipient.OFFICER,
            ground=f"portability.{Reason.REVIEW.value}",
            fields=["consent.requests"],
            subjects=1,
            target=target,
            by=by,
        )
    return named
