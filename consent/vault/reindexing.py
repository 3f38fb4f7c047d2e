"""Writing the primary index key's lookups of all subjects, online, and taking away those of a version that is over.

A subject's row is locked for it, as by whoever changes an identifier: a lookup that stands beside an identifier is of its
value. Another run goes on with what lacks it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection

from consent.programs.tenancy import tenant
from consent.vault import identities, writing
from consent.vault.identities import Vault
from consent.vault.lookup import KINDS, PHONE, PSEUDONYM
from consent.vault.models import DataKey, Subject, SubjectIdentifier, SubjectLookup
from consent.vault.store import KeyringError
from consent.vault.suites import DoesNotOpen


@dataclass(frozen=True)
class Step:
    """A transaction's subjects: how many were looked at, how many lookups were written, of how many subjects that could not be,
    because their identifiers do not open or are found as somebody else's."""

    subjects: int
    done: int
    failed: int


def subjects(program_ids: list[int]) -> int:
    """How many there are."""
    found = 0
    for program_id in program_ids:
        with tenant(program_id):
            found += Subject.objects.filter(program_id=program_id).count()
    return found


def lacking(primary: int, program_id: int) -> int:
    """How many identifiers are found by other versions only, or are a phone's of another one."""
    with tenant(program_id), connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(DISTINCT (old.subject_id, old.kind)) FROM subject_lookup old"
            " WHERE old.program_id = %(program)s AND old.key_version <> %(primary)s AND NOT EXISTS"
            " (SELECT FROM subject_lookup new WHERE new.subject_id = old.subject_id AND new.kind = old.kind"
            " AND new.key_version = %(primary)s))"
            " + (SELECT count(*) FROM subject_identifier WHERE program_id = %(program)s AND lookup IS NOT NULL"
            " AND lookup_version <> %(primary)s)",
            {"program": program_id, "primary": primary},
        )
        (found,) = cursor.fetchone()
        return int(found)


def reindex(vault: Vault, program_id: int, *, size: int) -> Iterator[Step]:
    """Each step is a transaction of at most `size` subjects. Raises Unavailable as `writing.hold`."""
    last = 0
    while True:
        with tenant(program_id):
            writing.hold(vault.keyring)
            subjects = _locked(program_id, last, size)
            if not subjects:
                return
            last = subjects[-1].id
            step = _written(vault, program_id, subjects)
        yield step


def remove(version: int, program_id: int, *, size: int) -> Iterator[int]:
    """Delete the lookups of a version that nobody writes any more; each step is a transaction."""
    last = 0
    while True:
        with tenant(program_id):
            rows = SubjectLookup.objects.filter(program_id=program_id, key_version=version, subject_id__gte=last)
            found = list(rows.order_by("subject_id").values_list("index", "subject_id")[:size])
            if not found:
                return
            last = found[-1][1]
            ids = sorted({subject_id for _, subject_id in found})
            list(Subject.objects.select_for_update(no_key=True).filter(id__in=ids).order_by("id").values_list("id"))
            deleted, _ = SubjectLookup.objects.filter(index__in=[index for index, _ in found]).delete()
        yield deleted


def _locked(program_id: int, after: int, size: int) -> list[Subject]:
    rows = Subject.objects.select_for_update(no_key=True).filter(program_id=program_id, id__gt=after)
    return list(rows.order_by("id")[:size])


def _written(vault: Vault, program_id: int, subjects: list[Subject]) -> Step:
    primary, ids = vault.lookup.primary, [subject.id for subject in subjects]
    lookups = SubjectLookup.objects.filter(subject_id__in=ids, key_version=primary)
    found = set(lookups.values_list("subject_id", "kind"))
    missing: list[tuple[bytes, int, str, int]] = []
    phones: list[SubjectIdentifier] = []
    failed = 0
    keys = {row.subject_id: row for row in DataKey.objects.filter(subject_id__in=ids)}
    for subject, rows in _identifiers(subjects):
        try:
            lookups_of, phones_of = _of_subject(vault, subject, keys.get(subject.id), rows, found)
        except (DoesNotOpen, KeyringError):
            failed += 1
            continue
        missing += lookups_of
        phones += phones_of
    written = identities.insert_lookups(program_id, missing)
    for row in phones:
        row.save(update_fields=["lookup", "lookup_version"])
    return Step(len(subjects), written + len(phones), failed + len(missing) - written)


def _identifiers(subjects: list[Subject]) -> Iterator[tuple[Subject, list[SubjectIdentifier]]]:
    held: dict[int, list[SubjectIdentifier]] = {subject.id: [] for subject in subjects}
    for row in SubjectIdentifier.objects.filter(subject_id__in=list(held)):
        held[row.subject_id].append(row)
    for subject in subjects:
        yield subject, held[subject.id]


def _of_subject(
    vault: Vault,
    subject: Subject,
    key: DataKey | None,
    rows: list[SubjectIdentifier],
    found: set[tuple[int, str]],
) -> tuple[list[tuple[bytes, int, str, int]], list[SubjectIdentifier]]:
    """The lookups that the subject lacks, and its phone with a new one. Raises DoesNotOpen, KeyringError."""
    primary = vault.lookup.primary
    wanted = [row for row in rows if row.kind in KINDS and (subject.id, row.kind) not in found]
    phones = [row for row in rows if row.kind == PHONE and row.lookup_version != primary]
    values = {PSEUDONYM: str(subject.pseudonym)} if (subject.id, PSEUDONYM) not in found else {}
    if wanted or phones:
        if key is None:
            raise DoesNotOpen("the subject has no data key")
        data_key = vault.unwrapped(subject.program_id, subject.id, bytes(key.wrapped), key.key_version)
        held = identities.of_rows(data_key, subject, [*wanted, *phones])
        values |= {row.kind: held[row.kind] for row in wanted}
        for row in phones:
            row.lookup, row.lookup_version = identities.contact_index(vault, subject.program_id, held[PHONE]), primary
    lookups = [
        (vault.lookup.index(subject.program_id, kind, value, primary), subject.id, kind, primary)
        for kind, value in values.items()
    ]
    return lookups, phones
