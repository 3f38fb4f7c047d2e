"""The package of a request: one JSON document of all holders' rows, in parts sealed with the subject's data key.

Parts are pieces of the text, numbered with room for every holder's run, so that a run begun anew replaces its own parts
and no other's. A package is complete only once its last part stands; it expires, and is erased with its subject.
"""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.utils import translation

from consent.errors import Conflict, NotFound
from consent.programs.tenancy import role, tenant
from consent.records.queries import db_now
from consent.rights import barrier
from consent.rights.holders import PersonalDataHolder, Row
from consent.rights.languages import language
from consent.rights.models import Package, PackagePart, SubjectRequest
from consent.vault.envelope import OVERHEAD, Cell, SubjectKey, open_cell, seal
from consent.vault.identities import Vault
from consent.vault.models import Subject

PART_BYTES = 256 * 1024
PARTS_A_RUN = 1_000_000
HEAD = 0
TAIL = 2**31 - 1
FORMAT = "zhiqing.package/1"

_json = msgspec.json.Encoder()


class PackageExpired(NotFound):
    """404: the package has expired, or went with its subject; a new access request makes another."""

    def __init__(self) -> None:
        super().__init__("package_expired", "the package has expired; file a new access request")


class PackageIncomplete(Conflict):
    """409: the package is still being made."""

    def __init__(self) -> None:
        super().__init__(
            "package_incomplete", "the package is not complete yet; wait until the request is", retry_after=10
        )


@dataclass(frozen=True)
class Document:
    """The text of a complete package as it lies there. `parts`: the number of each and how many bytes of the text it has."""

    package: Package
    data_key: SubjectKey = field(repr=False)
    parts: list[tuple[int, int]]

    @property
    def length(self) -> int:
        """In bytes."""
        return sum(length for _, length in self.parts)

    @property
    def tag(self) -> str:
        """Names this text and no other: no part of a complete package is written again."""
        return str(self.package.id)

    def pieces(self, span: range) -> Iterator[bytes]:
        """These bytes of the text, counted from 0, in pieces of about 256 KiB: only parts that have some of them are read,
        each in a transaction of its own under the package's tenant. Raises what `part` raises."""
        begin = 0
        for number, length in self.parts:
            within = slice(max(span.start - begin, 0), min(span.stop - begin, length))
            if within.start < within.stop:
                yield self.part(number)[within]
            begin += length

    def part(self, number: int) -> bytes:
        """Raises PackageExpired, DoesNotOpen; Conflict where the subject's data were closed to reading meanwhile."""
        with tenant(self.package.program_id):
            subject = Subject.objects.filter(id=self.package.subject_id).first()
            if subject is None:
                raise PackageExpired
            barrier.refuse_opening(subject)
            part = PackagePart.objects.filter(
                subject_id=self.package.subject_id, package_id=self.package.id, number=number
            ).first()
        if part is None:
            raise PackageExpired
        return open_cell(self.data_key, bytes(part.sealed), _cell(self.package, number))


def document(vault: Vault, package: Package) -> Document:
    """Raises PackageExpired, PackageIncomplete."""
    with tenant(package.program_id):
        parts = _readable(package)
        return Document(package, vault.data_key(package.program_id, package.subject_id), parts)


def stream(vault: Vault, package: Package, *, last_first: bool = False) -> Iterator[bytes]:
    """The document in pieces of about 256 KiB, each read in a transaction of its own under the package's tenant.

    `last_first`: the holders' texts in the opposite order, each whole, between the head and the tail: for a reader who
    goes by lines, because the commas are no longer where JSON wants them.
    Raises PackageExpired, PackageIncomplete, DoesNotOpen, Conflict: before the first piece where it can be known by then.
    """
    held = document(vault, package)
    numbers = [number for number, _ in held.parts]
    if last_first:
        numbers.sort(key=lambda number: (number != HEAD, number == TAIL, -((number - 1) // PARTS_A_RUN), number))
    return map(held.part, numbers)


def _readable(package: Package) -> list[tuple[int, int]]:
    held = Package.objects.filter(subject_id=package.subject_id, id=package.id).first()
    if held is None or held.expires_at <= db_now():
        raise PackageExpired
    if not held.complete:
        raise PackageIncomplete
    parts = PackagePart.objects.filter(subject_id=package.subject_id, package_id=package.id)
    # PostgreSQL knows how long a value is without reading it.
    return list(parts.order_by("number").values_list("number", Length("sealed") - OVERHEAD))


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The document's lines, without the commas between them; the longest is a row."""
    held = b""
    for piece in pieces:
        *whole, held = (held + piece).split(b"\n")
        for line in whole:
            yield line.lstrip(b",")
    yield held.lstrip(b",")


def begin(request: SubjectRequest, subject: Subject, *, kept: timedelta) -> Package:
    """The request's package, with its head, unless another run has begun it. The caller holds the subject's row."""
    now = db_now()
    package, _ = Package.objects.get_or_create(
        subject=subject,
        request_id=request.id,
        defaults={"program_id": subject.program_id, "created_at": now, "expires_at": now + kept},
    )
    return package


def put(package: Package, data_key: SubjectKey, number: int, piece: bytes) -> None:
    PackagePart.objects.create(
        subject_id=package.subject_id,
        package_id=package.id,
        number=number,
        program_id=package.program_id,
        sealed=seal(data_key, piece, _cell(package, number)),
    )


def complete(vault: Vault, request: SubjectRequest, subject: Subject, *, kept: timedelta) -> None:
    """Add the head and the tail, and let it be fetched from now on for `kept`. The caller holds the subject's row."""
    package, now = begin(request, subject, kept=kept), db_now()
    if package.complete:
        return
    data_key = vault.data_key(subject.program_id, subject.id)
    about = {
        "format": FORMAT,
        "request_id": request.id,
        "kind": request.kind,
        "received_at": request.received_at,
        "prepared_at": now,
        "subject_id": subject.pseudonym,
    }
    put(package, data_key, HEAD, _json.encode(about)[:-1] + b',"holders":[')
    put(package, data_key, TAIL, b"\n]}\n")
    Package.objects.filter(subject=subject, id=package.id).update(complete=True, expires_at=now + kept)


def fragments(holder: PersonalDataHolder, rows: Iterable[Row], *, first: bool, locale: str) -> Iterator[bytes]:
    """The holder's object within the document, as text: its description in the requester's language, then its rows.

    Each holder, section and row begins a line of its own, with the comma that parts it from the one before: JSON's texts
    hold no line breaks, so whoever reads it may go line by line.
    """
    with translation.override(language(locale)):
        told = {"holder": holder.identifier, "title": str(holder.title), "description": str(holder.description)}
    yield (b"\n" if first else b"\n,") + _json.encode(told)[:-1] + b',"sections":{'
    current = None
    for section, row in rows:
        if section == current:
            yield b"\n,"
        else:
            yield (b"\n" if current is None else b"\n],") + _json.encode(section) + b":[\n"
            current = section
        yield _json.encode(row)
    yield b"\n}}" if current is None else b"\n]}}"


def gathered(pieces: Iterable[bytes], size: int = PART_BYTES) -> Iterator[bytes]:
    """The same text in pieces of `size` bytes or a little more; the last may be shorter."""
    held, length = [], 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)


def run_numbers(place: int) -> range:
    """The part numbers of the run in this place among the request's runs, counted from 0."""
    return range(place * PARTS_A_RUN + 1, (place + 1) * PARTS_A_RUN + 1)


def erase_parts(package: Package, numbers: range | None, *, limit: int) -> int:
    """Delete up to `limit` parts (of these numbers); answers how many. Within the tenant, as zq_erase."""
    parts = PackagePart.objects.filter(subject_id=package.subject_id, package_id=package.id)
    if numbers is not None:
        parts = parts.filter(number__gte=numbers.start, number__lt=numbers.stop)
    found = list(parts.order_by("number").values_list("number", flat=True)[:limit])
    with role("zq_erase"):
        PackagePart.objects.filter(subject_id=package.subject_id, package_id=package.id, number__in=found).delete()
    return len(found)


def expired(*, now: datetime) -> QuerySet[Package]:
    """Those that are over. One that is being made is not: its request would be completed with what was left of it."""
    making = SubjectRequest.objects.filter(closed_at__isnull=True).values("id")
    return Package.objects.filter(expires_at__lte=now).exclude(complete=False, request_id__in=making)


def erase_expired(program_id: int, package_id: uuid.UUID, *, now: datetime, limit: int = 200) -> int:
    """Delete an expired package in short transactions; answers how many parts. Another worker's part of it is no error."""
    erased = 0
    while True:
        with tenant(program_id):
            # Every writer of a subject's rows locks the subject first; meanwhile it may have been completed.
            whose = Package.objects.filter(id=package_id).values("subject_id")
            Subject.objects.select_for_update(no_key=True).filter(id__in=whose).first()
            package = expired(now=now).filter(id=package_id).first()
            if package is None:
                return erased
            step = erase_parts(package, None, limit=limit)
            if step < limit:
                with role("zq_erase"):
                    Package.objects.filter(subject_id=package.subject_id, id=package.id).delete()
        erased += step
        if step < limit:
            return erased


def _cell(package: Package, number: int) -> Cell:
    return Cell(package.program_id, "package_part", "sealed", f"{package.id}:{number}", package.subject_id)
