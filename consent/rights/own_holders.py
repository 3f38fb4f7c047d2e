"""What consent itself holds of a person: profile, consents, requests with their packages, and the subject with its key."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from consent.ledger.leaves import redacted
from consent.notices.models import Notice
from consent.portal.models import PortalSession
from consent.programs.tenancy import role
from consent.records import letting_go, profile
from consent.records.entries import evidence_cell
from consent.records.grants import Grant
from consent.records.models import ConsentRecord, ConsentState, ProfileAttribute, PurposeErasure, WithdrawalIntent
from consent.records.queries import coverage, db_now, standing
from consent.rights import (
    content,
    explanation,
    gate,
    legal_holds,
    minor_access,
    own_words,
    packages,
    rectification,
    rejections,
    requesters,
)
from consent.rights.holders import (
    LAST_STAGE,
    Changes,
    Collected,
    Erased,
    Keeping,
    Over,
    PersonalDataHolder,
    Reason,
    Row,
)
from consent.rights.models import HeldSubject, MinorAccess, Package, PackagePart, RequestSubject, SubjectRequest
from consent.vault import identities
from consent.vault.envelope import SubjectKey
from consent.vault.identities import Vault
from consent.vault.models import DataKey, Subject, SubjectIdentifier, SubjectLookup
from consent.webhooks.models import Event, WebhookMessage

if TYPE_CHECKING:
    from consent.rights.holders import Word

PAGE = 500
HOUSEKEEPING_LATE = timedelta(hours=1)
PURGED_LATE = timedelta(days=1)
_ERASURE = ("asked_at", "kept_days", "owed_from", "affected", "done_at")


class ProfileHolder(PersonalDataHolder):
    identifier = "consent.profile"
    title = _("Profile")
    description = _("Attributes you gave, as declared in the notice.")
    stage = 30
    portable = True
    collects = "profile_attribute"
    columns: ClassVar = {"attributes": ("name", "value", "purpose", "updated_at")}

    def words(self, *, program_id: int) -> Mapping[str, "Word"]:
        return {**own_words.PROFILE, **own_words.purposes(program_id)}

    def export(self, *, vault: Vault, subject: Subject) -> Iterator[Row]:
        told = {
            row.name: {"purpose": row.purpose.code, "updated_at": row.updated_at}
            for row in ProfileAttribute.objects.filter(subject=subject).select_related("purpose")
        }
        for name, value in profile.opened(vault, subject).items():
            yield "attributes", {"name": name, "value": value, **told[name]}

    def rectifiable(self, *, vault: Vault, subject: Subject, changes: Changes) -> Changes:
        held = profile.opened(vault, subject)
        return Changes(attributes={name: held.get(name) for name in changes.attributes})

    def rectify(self, *, vault: Vault, subject: Subject, changes: Changes, now: datetime) -> int:
        return rectification.attributes(vault, subject, changes.attributes) if changes.attributes else 0

    def erase(self, *, program_id: int, subject_id: int, limit: int) -> Erased:
        with role("zq_erase"):
            deleted, _ = ProfileAttribute.objects.filter(subject_id=subject_id).delete()
        return Erased(deleted, finished=True)

    def count(self, *, program_id: int, subject_id: int) -> int:
        return ProfileAttribute.objects.filter(subject_id=subject_id).count()

    def erase_collected(self, what: Collected, *, limit: int) -> Iterator[int]:
        yield letting_go.let_go(what.program_id, what.subject_id, _withdrawn(what), now=db_now())

    def count_collected(self, what: Collected) -> int:
        return len(_withdrawn(what))

    def purge(self, *, program_id: int, keeping: Keeping, full: bool, limit: int) -> Iterator[int]:
        """Subject by subject, whose attributes are few."""
        after = 0
        while found := letting_go.over(program_id, now=keeping.settled, after=after, limit=PAGE):
            for subject_id, _names in letting_go.by_subject(found):
                yield self._let_go(program_id, subject_id, keeping)
                after = subject_id

    def _let_go(self, program_id: int, subject_id: int, keeping: Keeping) -> int:
        """None where somebody else holds the subject: the next purge comes soon. What is over is asked again under its lock: it may
        have been set anew since it was found."""
        if not Subject.objects.select_for_update(no_key=True, skip_locked=True).filter(id=subject_id).exists():
            return 0
        found = letting_go.over(program_id, now=keeping.settled, after=subject_id - 1, last=subject_id)
        names = [name for _, name, *_ in found]
        return letting_go.let_go(program_id, subject_id, names, now=keeping.settled)

    def over(self, *, program_id: int, keeping: Keeping) -> Iterator[Over]:
        counted: Counter[tuple[Reason, str, int | None]] = Counter()
        late: Counter[tuple[Reason, str, int | None]] = Counter()
        for _subject, _name, code, days, active, first, ended in letting_go.over(program_id, now=keeping.settled):
            why = (Reason.RETENTION if active else Reason.PURPOSE_ENDED, code, days if active else None)
            counted[why] += 1
            late[why] += first < keeping.today if active else ended is not None and keeping.overdue(ended)
        for why, rows in sorted(counted.items()):
            yield Over("profile_attribute", why[0], rows, late[why], why[1], why[2])


class ConsentHolder(PersonalDataHolder):
    """Records with their salts and evidence, and the states they come to. The salted leaves stay (docs/threat-model.md, "What remains after an erasure")."""

    identifier = "consent.records"
    title = _("Consents")
    description = _("What you decided about each purpose, when and how, and what that comes to now.")
    stage = 40
    explains = True
    cards: ClassVar = {
        "states": ("purpose", "state", "grant_from", "grant_until", "told"),
        "notice_in_force": ("controller", "contact", "rights", "withdrawal"),
        "rules": ("purpose", "in_words", "told"),
    }
    columns: ClassVar = {
        "records": ("occurred_at", "purpose", "state", "method"),
        "erasures": ("asked_at", "purpose", "affected", "done_at"),
    }

    def words(self, *, program_id: int) -> Mapping[str, "Word"]:
        return own_words.consents(program_id)

    def export(self, *, vault: Vault, subject: Subject) -> Iterator[Row]:
        states = list(ConsentState.objects.filter(subject=subject).select_related("purpose"))
        covered, now = coverage(subject.program_id), db_now()
        grants = standing(states, covered, now)
        notices = Notice.objects.in_bulk({grant.notice_id for grant in grants.values() if grant.notice_id is not None})
        for state in states:
            grant = grants[state.purpose_id]
            notice = notices[grant.notice_id] if grant.notice_id is not None else None
            yield "states", _state(state, grant, grant.refusal(now, grant.told(covered)), notice)
        data_key, last = vault.data_key(subject.program_id, subject.id), 0
        rows = ConsentRecord.objects.filter(subject=subject).select_related("purpose", "notice").order_by("id")
        while page := list(rows.filter(id__gt=last)[:PAGE]):
            for record in page:
                yield "records", _record(record, data_key)
            last = page[-1].id
        owed = (
            PurposeErasure.objects.filter(subject=subject).select_related("purpose").order_by("version", "purpose_id")
        )
        for erasure in owed:
            yield "erasures", {"purpose": erasure.purpose.code, **_fields(erasure, *_ERASURE)}

    def explain(self, *, vault: Vault, subject: Subject) -> Iterator[Row]:
        return explanation.rows(subject)

    def restrict(self, *, subject: Subject, restricted: bool, now: datetime) -> int:
        return gate.restrict(subject, restricted=restricted)

    def erase(self, *, program_id: int, subject_id: int, limit: int) -> Erased:
        """That an Idempotency-Key was used stays known for its 24 hours: a call sent again must not make the person anew."""
        rows = ConsentRecord.objects.filter(subject_id=subject_id).order_by("id")
        leaves, deleted = dict(rows.values_list("id", "leaf_id")[:limit]), 0
        found = list(leaves)
        if len(found) < limit:
            # In the order in which batches lock them; a DELETE takes them in any order, and would deadlock.
            gate.lock(subject_id)
        with role("zq_erase"):
            # What opens these leaves goes with the records: the log will list them, so that nothing else may be missing.
            redacted(leaves.values())
            deleted += _deleted(ConsentRecord.objects.filter(subject_id=subject_id, id__in=found))
            if len(found) < limit:
                deleted += _deleted(ConsentState.objects.filter(subject_id=subject_id))
                deleted += _deleted(WithdrawalIntent.objects.filter(subject_id=subject_id))
                deleted += _deleted(PurposeErasure.objects.filter(subject_id=subject_id))
        return Erased(deleted, finished=len(found) < limit)

    def count(self, *, program_id: int, subject_id: int) -> int:
        tables = (ConsentRecord, ConsentState, WithdrawalIntent, PurposeErasure)
        return sum(table.objects.filter(subject_id=subject_id).count() for table in tables)


class RequestHolder(PersonalDataHolder):
    """Packages. Whom a request is about goes with the subject.

    The stub keeps the hash of the call it came with for 24 hours, so that the call sent again is answered by it.
    """

    identifier = "consent.requests"
    title = _("Requests")
    description = _("Requests you made about your data, what they asked, and the packages made for you.")
    stage = 50
    cards: ClassVar = {"requests": ("kind", "state", "received_at", "due_at", "closed_at", "rejection")}
    columns: ClassVar = {"packages": ("created_at", "expires_at")}

    def words(self, *, program_id: int) -> Mapping[str, "Word"]:
        return own_words.requests()

    def export(self, *, vault: Vault, subject: Subject) -> Iterator[Row]:
        data_key = vault.data_key(subject.program_id, subject.id)
        mine = RequestSubject.objects.filter(subject=subject)
        requests = SubjectRequest.objects.filter(id__in=mine.values("request_id")).order_by("received_at", "id")
        for place in range(0, mine.count(), PAGE):
            page = list(requests[place : place + PAGE])
            about = {row.request_id: row for row in mine.filter(request_id__in=[request.id for request in page])}
            for request in page:
                row = about[request.id]
                asked, text = content.opened(row, data_key), rejections.opened(vault, request, row)
                verified = requesters.verified(request, row, data_key)
                yield "requests", _request(request, asked, text) | {"verified": verified}
        for package in Package.objects.filter(subject=subject).order_by("created_at"):
            yield (
                "packages",
                {"request_id": package.request_id, "created_at": package.created_at, "expires_at": package.expires_at},
            )

    def erase(self, *, program_id: int, subject_id: int, limit: int) -> Erased:
        with role("zq_erase"):  # also where there is nothing: whoever may not erase hears of it
            package = Package.objects.filter(subject_id=subject_id).order_by("id").first()
        if package is not None:
            parts = max(1, limit // 10)  # a part is 256 KiB, an ordinary row a few hundred bytes
            affected = packages.erase_parts(package, None, limit=parts)
            if affected < parts:
                with role("zq_erase"):
                    affected += _deleted(Package.objects.filter(subject_id=subject_id, id=package.id))
            return Erased(affected, finished=False)
        return Erased(0, finished=True)

    def over(self, *, program_id: int, keeping: Keeping) -> Iterator[Over]:
        """Packages, which housekeeping erases by the minute."""
        rows = packages.expired(now=keeping.now).filter(program_id=program_id)
        if expired := rows.count():
            late = rows.filter(expires_at__lt=keeping.now - HOUSEKEEPING_LATE).count()
            yield Over("package", Reason.EXPIRED, expired, late)

    def count(self, *, program_id: int, subject_id: int) -> int:
        tables = (Package, PackagePart)
        return sum(table.objects.filter(subject_id=subject_id).count() for table in tables)


class SubjectHolder(PersonalDataHolder):
    """The subject: what finds it, what names it, the key that opens its cells, and which requests were its own."""

    identifier = "consent.subject"
    title = _("Who you are here")
    description = _("The identifiers we know you by, and the pseudonym under which your data are kept.")
    stage = LAST_STAGE
    cards: ClassVar = {"subject": ("created_at", "subject_id")}
    columns: ClassVar = {"identifiers": ("kind", "value", "since"), "holds": ("holder", "law", "until")}

    def words(self, *, program_id: int) -> Mapping[str, "Word"]:
        return own_words.SUBJECT

    def export(self, *, vault: Vault, subject: Subject) -> Iterator[Row]:
        yield (
            "subject",
            {
                "subject_id": subject.pseudonym,
                "created_at": subject.created_at,
                "restricted": subject.restricted,
                "erasure_pending": subject.erasure_pending,
                "under_14": subject.under_14,
                "turns_14_on": subject.turns_14_on,
            },
        )
        held = SubjectIdentifier.objects.filter(subject=subject)
        since = {row.kind: row.created_at for row in held}
        for kind, value in identities.opened(vault, subject).items():
            yield "identifiers", {"kind": kind, "value": value, "since": since[kind]}
        for hold in legal_holds.standing(subject.program_id, subject.id).values():
            yield "holds", {"holder": hold.holder, "ground": hold.ground, "law": hold.law, "until": hold.until}

    def rectifiable(self, *, vault: Vault, subject: Subject, changes: Changes) -> Changes:
        held = identities.opened(vault, subject)
        return Changes(identifiers={kind: held[kind] for kind in changes.identifiers if kind in held})

    def rectify(self, *, vault: Vault, subject: Subject, changes: Changes, now: datetime) -> int:
        return rectification.identifiers(vault, subject, changes.identifiers)

    def erase(self, *, program_id: int, subject_id: int, limit: int) -> Erased:
        """All at once, a few rows: the lookups first, the key and the subject last."""
        with role("zq_erase"):
            deleted = sum(_deleted(rows) for rows in self._rows(subject_id))
        return Erased(deleted, finished=True)

    def count(self, *, program_id: int, subject_id: int) -> int:
        return sum(rows.count() for rows in self._rows(subject_id))

    def purge(self, *, program_id: int, keeping: Keeping, full: bool, limit: int) -> Iterator[int]:
        """What officers asked to see of minors, and can see by that no more."""
        rows = minor_access.over(program_id, now=keeping.settled)
        with role("zq_erase"):
            deleted = _deleted(MinorAccess.objects.filter(id__in=list(rows.values_list("id", flat=True)[:limit])))
        yield deleted

    def over(self, *, program_id: int, keeping: Keeping) -> Iterator[Over]:
        if rows := minor_access.over(program_id, now=keeping.settled).count():
            late = minor_access.over(program_id, now=keeping.settled - PURGED_LATE).count()
            yield Over("minor_access", Reason.EXPIRED, rows, late)

    def _rows(self, subject_id: int) -> list[QuerySet[Any]]:
        return [
            SubjectLookup.objects.filter(subject_id=subject_id),
            SubjectIdentifier.objects.filter(subject_id=subject_id),
            RequestSubject.objects.filter(subject_id=subject_id),
            HeldSubject.objects.filter(subject_id=subject_id),
            MinorAccess.objects.filter(subject_id=subject_id),
            PortalSession.objects.filter(subject_id=subject_id),
            WebhookMessage.objects.filter(subject_id=subject_id, event=Event.ERASED),
            DataKey.objects.filter(subject_id=subject_id),
            Subject.objects.filter(id=subject_id),
        ]


def _withdrawn(what: Collected) -> list[str]:
    return letting_go.withdrawn(
        what.subject_id, what.purpose_id, asked_at=what.asked_at, kept_days=what.kept_days, today=what.today
    )


def _deleted(rows: QuerySet[Any]) -> int:
    return rows.delete()[0]


def _state(state: ConsentState, grant: Grant, refusal: str | None, notice: Notice | None) -> dict[str, Any]:
    """`grant`: the state as it stands now, once what was pending has come into force, and why it allows nothing; `notice`: the one
    it rests on."""
    code = state.purpose.code
    return {
        "purpose": code,
        "state": grant.as_told(refusal),
        "notice": notice.sha256 if notice else None,
        "told": explanation.told_in_all(notice, code) if notice else None,
        **_fields(grant, "grant_from", "grant_until", "barrier_at"),
        "asked_at": state.asked_at,
        **_fields(grant, "restricted", "erasure_pending", "guardian_pending", "renewal_required"),
    }


def _record(record: ConsentRecord, data_key: SubjectKey) -> dict[str, Any]:
    evidence = None
    if record.evidence:
        evidence = identities.open_json(data_key, bytes(record.evidence), evidence_cell(record))
    return {
        "record_id": record.record_id,
        "purpose": record.purpose.code,
        "notice": record.notice.sha256 if record.notice else None,
        **_fields(
            record, "version", "state", "act", "method", "locale", "age_band", "turns_14_on", "occurred_at",
            "corrected_at", "received_at", "authorises_from", "authorises_until", "answered",
        ),
        "evidence": evidence,
    }  # fmt: skip


def _request(request: SubjectRequest, asked: dict[str, Any], text: str | None) -> dict[str, Any]:
    times = ("received_at", "due_at", "undo_until", "closed_at", "point_of_no_return_at")
    return {
        "request_id": request.id,
        **_fields(
            request, "kind", "state", "requester", "locale", *times, "extended_from", "extension", "reviewed", "unmet"
        ),
        "check": asked.pop("check", None),
        "rectified": asked.pop("rectified", None),
        "asked": asked,
        "rejection": asdict(rejections.described(request, text)) if request.rejection else None,
    }


def _fields(row: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}
