"""The log of incidents (PIPL 57, DSL 29): opened, and told anew by each entry. Nothing in it is changed or deleted."""

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice

from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery

from consent import identifiers
from consent.errors import Conflict, Invalid, NotFound, invalid
from consent.ledger.audit import audit
from consent.ledger.disclosures import disclosed
from consent.ledger.models import Recipient
from consent.processing.models import Incident, IncidentEntry
from consent.programs.tenancy import tenant
from consent.records.queries import db_now
from consent.rights import affected, minor_access
from consent.rights.affected import Breach, Field, OfTable, OfTime

SECONDS = 15
"""In which PostgreSQL finds whom an incident affects while an officer waits: well before the web process is ended."""
LISTED = 500_000
"""Pseudonyms that a page lists at most."""


@dataclass(frozen=True)
class Said:
    """What an entry says: all that is known at the time. See IncidentEntry."""

    happened: str
    found_at: datetime
    key: str | None = None
    table: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    authority_at: datetime | None = None
    people_at: datetime | None = None
    people_not_told: str = ""
    measures: str = ""
    closed: bool = False


@dataclass(frozen=True)
class Count:
    """How many people a breach touches: in all, by the class and grade of what is touched, and by field."""

    subjects: int
    by_class: list[tuple[str, int, int]]
    by_field: list[tuple[Field, int]]


def open_incident(*, program_id: int, said: Said, by: str) -> Incident:
    """A new incident with its first entry. Raises Invalid as `add`."""
    _check(said)
    with tenant(program_id):
        made = Incident.objects.create(program_id=program_id, opened_by=by)
        _enter(made, said, by=by, action="incident.opened")
    return made


def add(*, program_id: int, incident_id: int, said: Said, after: int, by: str) -> None:
    """One more entry, which from now on stands for those before it. `after`: the entry that was the newest when it was written.

    Raises NotFound; Conflict `entered_meanwhile`; Invalid `found_in_the_future`, `notified_out_of_time`, `several_scopes`,
    `invalid_window`, `unknown_key`, `unknown_table`, `not_ready_to_close`, `identifier_in_text`.
    """
    _check(said)
    with tenant(program_id):
        # Of two officers with the form before them the second would take back what the first has said.
        _alone(incident_id)
        newest = standing(program_id, incident_id)
        if newest.pk != after:
            raise Conflict("entered_meanwhile", "somebody else has added an entry: read it first")
        _enter(newest.incident, said, by=by, action="incident.entered")


def standing(program_id: int, incident_id: int) -> IncidentEntry:
    """The newest entry. Within the mini-program's tenant. Raises NotFound."""
    newest = IncidentEntry.objects.filter(incident_id=incident_id, program_id=program_id).order_by("-id").first()
    if newest is None:
        raise NotFound("not_found", "this mini-program has no incident of this number")
    return newest


def still_open(program_id: int) -> QuerySet[Incident]:
    """Those whose newest entry does not close them: of these people are still to be told, or are told more. Newest first."""
    newest = IncidentEntry.objects.filter(incident=OuterRef("pk")).order_by("-id").values("closed")[:1]
    opened = Incident.objects.filter(program_id=program_id).annotate(closed=Subquery(newest))
    return opened.filter(closed=False).order_by("-id")


def breach(entry: IncidentEntry | Said) -> Breach | None:
    """What the entry says is affected; None where it is not known. Raises Invalid as `add`."""
    if entry.key is not None:
        return affected.key_named(entry.key)
    if entry.table is not None:
        return OfTable(entry.table)
    if entry.since is not None and entry.until is not None:
        return OfTime(entry.since, entry.until)
    return None


def count(*, program_id: int, incident_id: int, by: str) -> Count:
    """Whom and what the incident affects. That it was looked up is in the audit log.

    Raises NotFound; Invalid `scope_unknown`; OperationalError where it takes more than SECONDS.
    """
    touched = _touched(_newest(program_id, incident_id))
    places = affected.tally(program_id=program_id, breach=touched, by=by, seconds=SECONDS)
    subjects, tables = places.total(), Counter[str]()
    for names, number in places.items():
        tables.update(dict.fromkeys(names, number))
    fields = affected.fields(touched, frozenset(tables))

    def of(field: Field, names: tuple[str, ...]) -> bool:
        # A key guards more than the tables in which its version stands: whoever it was used for is touched in all.
        return not isinstance(touched, OfTable | OfTime) or field.table in names

    classes: Counter[tuple[str, int]] = Counter()
    for names, number in places.items():
        classes.update(dict.fromkeys({(f.classification, f.grade) for f in fields if of(f, names)}, number))
    return Count(
        subjects,
        sorted(((name, grade, number) for (name, grade), number in classes.items()), key=lambda row: (-row[1], row[0])),
        [(field, sum(number for names, number in places.items() if of(field, names))) for field in fields],
    )


def pseudonyms(*, program_id: int, incident_id: int, by: str) -> bytes | None:
    """The pseudonyms of those whom the incident affects, a line each, for an officer to notify them. In the log of
    disclosures and in the audit log. None where minors are among them and another officer has to approve first, which is
    asked for (MOR 36). Raises as `count`; Invalid `too_many_to_list` beyond LISTED."""
    entry = _newest(program_id, incident_id)
    target = f"incident:{incident_id}"
    with affected.find(program_id=program_id, breach=_touched(entry), by=by, seconds=SECONDS, ages=True) as found:
        lines, minors = [], False
        for one in islice(found, LISTED + 1):
            lines.append(f"{one.pseudonym}\n".encode())
            minors = minors or bool(one.minor)
    if len(lines) > LISTED:
        raise Invalid("too_many_to_list", "these are more than a page lists: list them by manage.py affected")
    with tenant(program_id):
        _alone(incident_id)
        if minors and not minor_access.list_admitted(entry, by=by):
            return None
        disclosed(
            program_id=program_id,
            recipient=Recipient.OFFICER,
            ground="incident.notice",
            fields=["subject.pseudonym"],
            subjects=len(lines),
            target=target,
            by=by,
        )
        audit(
            program_id=program_id, actor=by, action="incident.listed", target=target, details={"subjects": len(lines)}
        )
    return b"".join(lines)


def command(*, program_id: int, incident_id: int) -> str:
    """How the service's operator lists them, however many they are. Raises as `count`."""
    touched = _touched(_newest(program_id, incident_id))
    return f"manage.py affected --program {program_id} {affected.arguments(touched)}"


def _newest(program_id: int, incident_id: int) -> IncidentEntry:
    with tenant(program_id):
        return standing(program_id, incident_id)


def _touched(entry: IncidentEntry) -> Breach:
    touched = breach(entry)
    if touched is None:
        raise Invalid("scope_unknown", "enter which key, table or window of time is affected first")
    return touched


def _alone(incident_id: int) -> None:
    """Until the transaction ends nobody else adds to the incident, or asks for its list."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('incident', %s))", [incident_id])


def _enter(incident: Incident, said: Said, *, by: str, action: str) -> None:
    if said.found_at > db_now():
        raise invalid("found_in_the_future", "it was found now or earlier", "/found_at")
    for field, at in (("authority_at", said.authority_at), ("people_at", said.people_at)):
        if at is not None and not said.found_at <= at <= db_now():
            raise invalid(
                "notified_out_of_time", "nobody is notified before it was found, nor in the future", f"/{field}"
            )
    IncidentEntry.objects.create(program_id=incident.program_id, incident=incident, by=by, **asdict(said))
    audit(
        program_id=incident.program_id,
        actor=by,
        action=action,
        target=f"incident:{incident.pk}",
        details={"closed": said.closed},
    )


def _check(said: Said) -> None:
    identifiers.refuse_in(happened=said.happened, people_not_told=said.people_not_told, measures=said.measures)
    named = [said.key is not None, said.table is not None, (said.since, said.until) != (None, None)]
    if sum(named) > 1:
        raise invalid("several_scopes", "name a key, a table or a window of time; open an incident for each", "/key")
    if (said.since is None) != (said.until is None) or (said.since and said.until and said.since >= said.until):
        raise invalid("invalid_window", "a window has a begin and a later end", "/until")
    touched = breach(said)
    if isinstance(touched, OfTable):
        affected.fields(touched)
    told = said.people_at is not None or said.people_not_told
    if said.closed and not (said.authority_at and said.measures and told):
        detail = (
            "say when the authority was notified, when people were or why they need not be, and the measures (PIPL 57)"
        )
        raise invalid("not_ready_to_close", detail, "/closed")
