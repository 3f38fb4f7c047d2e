"""Carrying out again what was acknowledged since a backup, by the actions that did it the first time.

Each of them is done only where the database does not show it yet, or anything later: a consent that was given anew after an
entry, or a request filed since, stands. So a replay may be killed, and repeated.
"""

import logging
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from consent.errors import Problem, Unavailable
from consent.journal.entries import Entry, Kind, handle_hash
from consent.journal.plan import Wanted
from consent.ledger.audit import audit
from consent.programs.tenancy import tenant
from consent.records import actions as records
from consent.records.decisions import Act, Decision
from consent.records.models import AUTHORISING, ConsentState
from consent.records.queries import db_now
from consent.rights import actions, review, taking_back
from consent.rights.actions import Asked, Terms
from consent.rights.models import ERASING, RequestKind, RequestState, RequestSubject, SubjectRequest
from consent.vault import identities
from consent.vault.identities import Vault
from consent.vault.lookup import PSEUDONYM
from consent.vault.models import Subject
from consent.vault.store import KeyringError
from consent.vault.suites import DoesNotOpen

BY = "replay"
METHOD = "journal"
"""How the records of consents that a replay ended say how."""
RENEWED = "consents to be asked for anew"
DOES_NOT_OPEN = "data_key_does_not_open"
PAGE = 5_000
_RENEW = """
    UPDATE consent_state SET renewal_required = true, version = version + 1
    WHERE program_id = %s AND subject_id = ANY(%s) AND state = ANY(%s) AND NOT renewal_required
"""

logger = logging.getLogger("zhiqing.rights")


@dataclass
class Replayed:
    """How much of what was done, or would be; `unknown`: handles of nobody in this database, who came later or are forgotten;
    `failed`: what could not be carried out, by the error's code, or DOES_NOT_OPEN."""

    done: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    failed: Counter[str] = field(default_factory=Counter)


def replay(
    *,
    vault: Vault,
    program_ids: list[int],
    wanted: Mapping[str, Wanted],
    terms: Terms,
    dry_run: bool,
    restored: bool,
    renewed: Mapping[int, int] | None,
) -> Replayed:
    """Of every mini-program. One subject that cannot be replayed holds up no other, and the caller opens nothing then.

    Each mini-program's audit log is told, unless nothing was restored nor done; `renewed`: of how many consents `require_renewal` had
    asked, by mini-program, where the journal is not complete.
    """
    replayed, met = Replayed(), 0
    for program_id in program_ids:
        done, failed = Counter[str](), Counter[str]()
        for subject, mine in _met(program_id, wanted):
            met += 1
            one = _One(vault, subject, mine, terms, dry_run, done)
            try:
                one.replay()
            except (Problem, KeyringError, DoesNotOpen) as error:
                code = error.code if isinstance(error, Problem) else DOES_NOT_OPEN
                failed[code] += 1
                logger.error("a subject was not replayed", extra={"fields": {"program": program_id, "code": code}})
        if renewed is not None:
            done[RENEWED] = renewed.get(program_id, 0)
        if not dry_run and (restored or done or failed):
            _record(program_id, {"complete": renewed is None, "done": dict(done), "failed": dict(failed)})
        replayed.done.update(done)
        replayed.failed.update(failed)
    replayed.unknown = len(wanted) - met
    return replayed


def _record(program_id: int, details: dict[str, Any]) -> None:
    with tenant(program_id):
        audit(
            program_id=program_id,
            actor=BY,
            action="journal.replayed",
            target=f"program:{program_id}",
            details=details,
        )


def require_renewal(program_id: int) -> int:
    """Have every consent asked for anew, since nobody can tell which of them was withdrawn; answers how many."""
    changed = 0
    for subjects in _pages(program_id):
        with tenant(program_id), connection.cursor() as cursor:
            cursor.execute(_RENEW, [program_id, [subject.id for subject in subjects], [s.value for s in AUTHORISING]])
            changed += cursor.rowcount
    return changed


def _met(program_id: int, wanted: Mapping[str, Wanted]) -> Iterator[tuple[Subject, Wanted]]:
    for subjects in _pages(program_id):
        for subject in subjects:
            mine = wanted.get(handle_hash(bytes(subject.erasure_handle)))
            if mine is not None:
                yield subject, mine


def _pages(program_id: int) -> Iterator[list[Subject]]:
    after = 0
    while True:
        with tenant(program_id):
            page = list(Subject.objects.filter(program_id=program_id, id__gt=after).order_by("id")[:PAGE])
        if not page:
            return
        yield page
        after = page[-1].id


class _One:
    """One subject. What was opened comes first, and the erasure last, which refuses other requests."""

    def __init__(
        self, vault: Vault, subject: Subject, wanted: Wanted, terms: Terms, dry_run: bool, done: Counter[str]
    ) -> None:
        self.vault, self.subject, self.wanted = vault, subject, wanted
        self.program_id = subject.program_id
        self.terms, self.dry_run, self.done = terms, dry_run, done

    def replay(self) -> None:
        """Raises what the actions raise, and Unavailable `keyring_behind` where they would not find the subject."""
        with tenant(self.program_id):
            if identities.resolve_many(self.vault, self.program_id, [self._named()]) != [self.subject.id]:
                raise Unavailable("keyring_behind", "no key of this keyring finds the subject")
        restriction, erasure = self.wanted.restriction, self.wanted.erasure
        if erasure is not None and erasure.kind == Kind.ERASURE_TAKEN_BACK and self._take_back(erasure, ERASING):
            self.done["erasures taken back"] += 1
        lifted = restriction is not None and restriction.kind == Kind.RESTRICTION_LIFTED
        if restriction is not None and lifted and self._take_back(restriction, (RequestKind.RESTRICTION,)):
            self.done["restrictions lifted"] += 1
        self._end(objected=False)
        self._end(objected=True)
        if restriction is not None and restriction.kind == Kind.RESTRICTION:
            self._restrict()
        if erasure is not None and erasure.kind != Kind.ERASURE_TAKEN_BACK:
            self._erase(erasure)

    def _take_back(self, entry: Entry, kinds: tuple[RequestKind, ...]) -> bool:
        """The request that would go on by itself. One in review waits for an officer, who decides again."""
        request = self._open(kinds)
        states = (RequestState.APPROVED, RequestState.COMPLETED)
        if request is None or request.received_at > entry.at or request.state not in states:
            return False
        if not self.dry_run:
            taking_back.take_back(program_id=self.program_id, request_id=request.id, by=BY, asked_at=entry.at)
        return True

    def _end(self, *, objected: bool) -> None:
        codes = {code: end.at for code, end in self.wanted.endings.items() if end.objected is objected}
        if not codes:
            return
        with tenant(self.program_id):
            standing = ConsentState.objects.filter(
                subject=self.subject, purpose__code__in=codes, state__in=records.COLLECTED
            ).select_related("purpose")
            due = sorted(state.purpose.code for state in standing if state.asked_at < codes[state.purpose.code])
        if not due:
            return
        self.done["consents objected to" if objected else "consents withdrawn"] += len(due)
        if self.dry_run:
            return
        if objected:
            self._file(RequestKind.OBJECTION, purposes=due)
            return
        records.record_decisions(
            vault=self.vault,
            program_id=self.program_id,
            identifiers=self._named(),
            notice=None,
            decisions=[Decision(code, "withdrawn") for code in due],
            act=Act(method=METHOD),
            client_id=None,
            may_import=False,
        )

    def _restrict(self) -> None:
        with tenant(self.program_id):
            closed = Subject.objects.filter(id=self.subject.id, restricted=False, erasure_pending=False)
            due = closed.exists() and self._open((RequestKind.RESTRICTION,)) is None
        if due:
            self.done["restrictions"] += 1
            if not self.dry_run:
                self._file(RequestKind.RESTRICTION)

    def _erase(self, entry: Entry) -> None:
        """An erasure that was acknowledged is filed again with what is left of its time to be taken back, or with all of it where the
        journal does not say that it came about; one that was done is due at once, and was decided on before."""
        done = entry.kind == Kind.TOMBSTONE
        request = self._open(ERASING)
        if request is None:
            if not done and self._asked_since(entry.at):
                return
            self.done["erasures filed"] += 1
            if not self.dry_run:
                request_id = self._file(RequestKind.ERASURE, undo=timedelta(0) if done else self._undo_left(entry))
                self._hasten(request_id, done=done)
        elif done and (request.state == RequestState.IN_REVIEW or (request.undo_until or entry.at) > db_now()):
            self.done["erasures hastened"] += 1
            if not self.dry_run:
                self._hasten(request.id, done=True)

    def _undo_left(self, entry: Entry) -> timedelta:
        """Who was told that it could not be done may have gone on as before, and does not know of it."""
        if not self.wanted.came_about:
            return self.terms.undo
        return max(timedelta(0), entry.at + self.terms.undo - db_now())

    def _hasten(self, request_id: uuid.UUID, *, done: bool) -> None:
        if not done:
            return
        with tenant(self.program_id):
            state = SubjectRequest.objects.values_list("state", flat=True).get(id=request_id)
        if state == RequestState.IN_REVIEW:
            review.approve(program_id=self.program_id, request_id=request_id, by=BY, on_approved=_left_to_the_sweep)
        with tenant(self.program_id):
            undo_until = SubjectRequest.objects.values_list("undo_until", flat=True).get(id=request_id)
            late = undo_until is None or undo_until <= db_now()
        if not late:
            taking_back.waive(program_id=self.program_id, request_id=request_id, by=BY, on_waived=_left_to_the_sweep)

    def _asked_since(self, at: datetime) -> bool:
        """The erasure is in the database: it is pending without an open request (it failed), or ended with what a law keeps."""
        with tenant(self.program_id):
            if Subject.objects.filter(id=self.subject.id, erasure_pending=True).exists():
                return True
            about = RequestSubject.objects.filter(subject=self.subject, kind__in=ERASING)
            ids = list(about.values_list("request_id", flat=True))
            return SubjectRequest.objects.filter(id__in=ids, received_at__gte=at).exists()

    def _open(self, kinds: tuple[RequestKind, ...]) -> SubjectRequest | None:
        """The subject's own or verified request of such a kind that is open, or stands."""
        with tenant(self.program_id):
            about = RequestSubject.objects.filter(subject=self.subject, kind__in=kinds, scope="", open=True).first()
            return None if about is None else SubjectRequest.objects.get(id=about.request_id)

    def _file(
        self, kind: RequestKind, *, purposes: list[str] | None = None, undo: timedelta = timedelta(0)
    ) -> uuid.UUID:
        filed = actions.file_request(
            vault=self.vault,
            program_id=self.program_id,
            identifiers=self._named(),
            asked=Asked(kind, "zh-Hans", purposes=purposes or ()),
            terms=Terms(undo=undo, deadlines=self.terms.deadlines),
            by=BY,
            on_filed=_left_to_the_sweep,
        )
        return filed.request_id

    def _named(self) -> dict[str, str]:
        return {PSEUDONYM: str(self.subject.pseudonym)}


def _left_to_the_sweep(request_id: uuid.UUID) -> None:
    """Workers wait while this runs; the first sweep after it finds what is due."""
