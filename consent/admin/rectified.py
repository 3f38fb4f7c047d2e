"""What a rectification put right, opened for an officer: values in plaintext, and so only on demand and audited."""

import uuid
from datetime import datetime
from typing import Any

from consent.admin.packages import Reason
from consent.errors import Conflict, NotFound
from consent.ledger.audit import audit
from consent.ledger.disclosures import disclosed
from consent.ledger.models import Recipient
from consent.programs.tenancy import tenant
from consent.rights import barrier, content, minor_access
from consent.rights.models import Guarded, RequestKind, RequestSubject
from consent.vault.identities import Vault


def opened(*, program_id: int, request_id: uuid.UUID, by: str, vault: Vault) -> dict[str, Any] | None:
    """`rectified`: rows of, name, before, after; `check`: who made sure, and how. Its audit entry is committed with it. None where
    its subject is a minor and another officer has to approve first, which is asked for.

    Raises NotFound where nothing was put right, or its subject is gone; Conflict where their data are closed to reading.
    """
    with tenant(program_id):
        rows = RequestSubject.objects.select_related("subject").filter(
            program_id=program_id, request_id=request_id, kind=RequestKind.RECTIFICATION
        )
        about = rows.first()
        kept = {} if about is None else content.opened(about, vault.data_key(program_id, about.subject_id))
        if about is None or "rectified" not in kept:
            raise NotFound("not_found", "nothing was put right by this request")
        if about.subject.erasure_pending:
            raise Conflict("erasure_pending", "the subject has asked for erasure, which closes their data to reading")
        barrier.refuse_reading(about.subject)
        reason = Reason.REVIEW
        if not minor_access.admitted(
            about.subject, what=Guarded.RECTIFIED, reason=reason, request_id=request_id, by=by
        ):
            return None
        target = f"request:{request_id}"
        audit(program_id=program_id, actor=by, action="rectification.opened", target=target)
        disclosed(
            program_id=program_id,
            recipient=Recipient.OFFICER,
            ground=f"rectification.{reason.value}",
            fields={row["of"] for row in kept["rectified"]},
            subjects=1,
            target=target,
            by=by,
        )
    check = kept.get("check")
    return {"rectified": kept["rectified"], "check": check and check | {"at": datetime.fromisoformat(check["at"])}}
