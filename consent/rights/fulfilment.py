"""Carrying requests out. PostgreSQL holds the truth; whoever calls, and however often, each step is done once.

fulfil(vault=…, program_id=…, request_id=…, package_kept=…)   # all runs of a request that are due now
due(limit=…)                                                  # which requests have such runs, of any mini-program
"""

import uuid
from collections.abc import Iterator
from datetime import timedelta

from django.db import connection

from consent.programs.tenancy import tenant, without_tenant
from consent.records.queries import db_now
from consent.rights import barrier, erasure, packages, rectification, runs
from consent.rights.holders import LAST_STAGE, PersonalDataHolder, Row, holder_of
from consent.rights.models import (
    ERASING,
    PACKAGED,
    WAITING,
    HolderRun,
    RequestKind,
    RequestState,
    RunStatus,
    SubjectRequest,
)
from consent.rights.runs import LEASE, AttemptsExhausted, Claimed, LeaseLost, logger
from consent.vault.identities import Vault
from consent.vault.models import Subject

ERASE_LIMIT = 5_000
PARTS_LIMIT = 200

_DUE = """
    SELECT run.request_id, run.program_id FROM holder_run run
    WHERE run.status IN ('pending', 'running') AND run.not_before <= clock_timestamp()
      AND (run.lease_until IS NULL OR run.lease_until < clock_timestamp())
      AND NOT EXISTS (
          SELECT FROM holder_run earlier
          WHERE earlier.request_id = run.request_id AND earlier.stage < run.stage AND earlier.status NOT IN ('done', 'held')
      )
    ORDER BY run.not_before LIMIT %s
"""
# A worker died between the last run's end and the request's.
_UNCLOSED = """
    SELECT request.id, request.program_id FROM subject_request request
    WHERE request.closed_at IS NULL AND request.state NOT IN ('verifying', 'in_review') AND NOT EXISTS (
        SELECT FROM holder_run run WHERE run.request_id = request.id AND run.status IN ('pending', 'running')
    )
    LIMIT %s
"""


def due(*, limit: int) -> list[tuple[uuid.UUID, int]]:
    """(request id, program id) of requests with something to do now, longest due first, of every mini-program."""
    with without_tenant(), connection.cursor() as cursor:
        cursor.execute(_DUE, [limit])
        found = cursor.fetchall()
        cursor.execute(_UNCLOSED, [limit])
        found += cursor.fetchall()
    return list(dict.fromkeys((row[0], row[1]) for row in found))


def program_of(request_id: uuid.UUID) -> int | None:
    """The mini-program of a request, or None where there is none with this id."""
    with without_tenant():
        return SubjectRequest.objects.filter(id=request_id).values_list("program_id", flat=True).first()


def fulfil(
    *, vault: Vault, program_id: int, request_id: uuid.UUID, package_kept: timedelta, lease: timedelta = LEASE
) -> None:
    """Do every run of the request that is due, one after another, and close the request when all are done."""
    while (run := runs.claim(program_id, request_id, lease=lease)) is not None:
        try:
            _carry_out(vault, run, package_kept)
        except LeaseLost:
            logger.info("lease lost", extra={"fields": run.fields()})
            return
        except Exception as error:
            runs.failed(run, error)
    _close_if_done(vault, program_id, request_id, package_kept)


def _carry_out(vault: Vault, run: Claimed, package_kept: timedelta) -> None:
    if run.attempts > runs.MAX_ATTEMPTS:
        raise AttemptsExhausted
    holder = holder_of(run.holder)
    if run.kind in ERASING:
        _carry_out_erasure(run, holder)
        return
    if run.kind == RequestKind.RECTIFICATION:
        work = _rectifying(vault, run, holder)
    elif run.kind == RequestKind.RESTRICTION:
        work = _restricting(run, holder)
    else:
        work = _exporting(vault, run, holder, package_kept)
    affected = _perform(run, work)
    logger.info("run done", extra={"fields": run.fields(affected=affected)})


def _carry_out_erasure(run: Claimed, holder: PersonalDataHolder) -> None:
    erasure.begin(run)
    if run.stage >= LAST_STAGE:
        done = erasure.complete(run)
        logger.info("erasure ended" if done else "holders to erase again", extra={"fields": run.fields()})
    else:
        _erase(run, holder)


def _perform(run: Claimed, work: Iterator[int]) -> int:
    """Advance the work, each step in a transaction of its own under the lease; answers the rows affected."""
    total = 0
    while True:
        with runs.step(run):
            affected = next(work, None)
            if affected is None:
                runs.finished(run)
                return total
            runs.advanced(run, affected)
        total += affected


def _erase(run: Claimed, holder: PersonalDataHolder) -> None:
    """As `_perform`; the run is finished with the step that finds nothing more, or held where a law keeps what is left."""
    total, finished = 0, False
    while not finished:
        with runs.step(run):
            if erasure.kept_by_law(run):
                break
            erased = holder.erase(program_id=run.program_id, subject_id=run.subject_id, limit=ERASE_LIMIT)
            runs.advanced(run, erased.affected)
            finished = erased.finished
            if finished:
                runs.finished(run)
        total += erased.affected
    logger.info("run done" if finished else "kept by law", extra={"fields": run.fields(affected=total)})


def _rectifying(vault: Vault, run: Claimed, holder: PersonalDataHolder) -> Iterator[int]:
    subject = Subject.objects.get(id=run.subject_id)
    yield rectification.carry_out(vault, subject, run.request_id, holder, now=db_now())


def _restricting(run: Claimed, holder: PersonalDataHolder) -> Iterator[int]:
    """The gate has been closed since the filing: this reaches what a holder keeps behind it."""
    yield holder.restrict(subject=Subject.objects.get(id=run.subject_id), restricted=True, now=db_now())


def _exporting(vault: Vault, run: Claimed, holder: PersonalDataHolder, kept: timedelta) -> Iterator[int]:
    """The holder's part of the package, begun anew: what an earlier attempt has left of it is deleted first."""
    subject = Subject.objects.get(id=run.subject_id)
    barrier.refuse_reading(subject)
    request = SubjectRequest.objects.get(id=run.request_id)
    ordered = HolderRun.objects.filter(request=request).order_by("stage", "holder").values_list("id", flat=True)
    place = list(ordered).index(run.id)
    numbers = packages.run_numbers(place)
    package = packages.begin(request, subject, kept=kept)
    while packages.erase_parts(package, numbers, limit=PARTS_LIMIT) == PARTS_LIMIT:
        yield 0
    data_key = vault.data_key(run.program_id, run.subject_id)
    told = holder.explain if run.kind == RequestKind.EXPLANATION else holder.export
    rows = _Counted(told(vault=vault, subject=subject))
    text = packages.fragments(holder, rows, first=place == 0, locale=run.locale)
    for number, piece in zip(numbers, packages.gathered(text), strict=False):
        packages.put(package, data_key, number, piece)
        yield rows.take()


class _Counted:
    """Rows, and how many passed since the last look."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows, self._passed = rows, 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self._passed += 1
            yield row

    def take(self) -> int:
        passed, self._passed = self._passed, 0
        return passed


def _close_if_done(vault: Vault, program_id: int, request_id: uuid.UUID, package_kept: timedelta) -> None:
    """Complete a request whose runs are all done; an erasure completes with its last run, in one transaction."""
    with tenant(program_id):
        subject = runs.locked_subject(program_id, request_id)
        request = runs.locked_open(program_id, request_id)
        if request is None or request.state in WAITING or request.runs.exclude(status=RunStatus.DONE).exists():
            return
        if subject is None:
            runs.close_without_data(request)
            return
        if request.kind in ERASING:
            return
        if request.kind in PACKAGED:
            packages.complete(vault, request, subject, kept=package_kept)
        runs.close(request, RequestState.COMPLETED)
    logger.info("request completed", extra={"fields": {"request": str(request_id), "kind": request.kind}})
