"""What the fault matrix carries out: requests of every kind that has runs, about people of whom every holder has rows.

Kinds, holders and tables come from the code and the database, so a new one is in the matrix by itself.
"""

import base64
import json
import os
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from django.db import connection

from consent import edge
from consent.programs.tenancy import tenant
from consent.records import profile
from consent.rights import fulfilment, legal_holds, runs, tasks
from consent.rights.holders import fulfilling, holdable, holder_of, holders
from consent.rights.models import ERASING, PACKAGED, HolderRun, HoldGround, RequestKind
from consent.vault import identities
from consent.vault.models import Subject
from tests.cast import Program, event, now
from tests.consent.rights import KEPT, Working, file, package_of, shown, subject_of
from tests.consent.test_portability import VERIFIED
from tests.reports.rolled import roll

TABLES = """
    SELECT class.relname FROM pg_class class JOIN pg_attribute attribute ON attribute.attrelid = class.oid
    WHERE class.relnamespace = 'public'::regnamespace AND class.relkind IN ('r', 'p') AND NOT class.relispartition
      AND attribute.attname = 'subject_id' AND NOT attribute.attisdropped
    ORDER BY class.relname
"""
"""Every table with rows of subjects."""


@dataclass(frozen=True)
class Scenario:
    """`held`: a law keeps what the first holder has; `over`: no longer, and the erasure goes on."""

    kind: str
    held: bool = False
    over: bool = False

    def __str__(self) -> str:
        return self.kind + (" going on" if self.over else " held" if self.held else "")

    @property
    def erases_all(self) -> bool:
        return self.kind in ERASING and (self.over or not self.held)


SCENARIOS = [
    *(Scenario(kind.value) for kind in RequestKind if fulfilling(kind)),
    *(Scenario(kind.value, held=True, over=over) for kind in ERASING[:1] for over in (False, True)),
]


@dataclass(frozen=True)
class Outcome:
    """How a request ended; the same whatever happened on the way. `rows`: table -> rows of the subject that are left."""

    state: str
    runs: dict[str, tuple[str, int, int | None, int | None]]
    rows: Counter[str]
    certified: dict[str, tuple[int, int]]
    told: dict[str, int]
    profile: dict[str, str]
    closed: int


@dataclass
class Case:
    """A request that is due, and whom it is about."""

    program: Program
    scenario: Scenario
    openid: str
    subject_id: int
    filed: Any
    before: Counter[str] = field(default_factory=Counter)

    @property
    def request_id(self) -> uuid.UUID:
        return uuid.UUID(self.filed["request_id"])

    def work(self, lease: timedelta) -> None:
        """What a worker does; call it as the worker."""
        if self.scenario.over:
            legal_holds.go_on(self.program.id, within=timedelta(days=1))
        fulfilment.fulfil(
            vault=edge.vault(),
            program_id=self.program.id,
            request_id=self.request_id,
            package_kept=KEPT,
            lease=lease,
        )

    def hint(self) -> None:
        """What a worker does on a hint, with the leases it has then."""
        if self.scenario.over:
            tasks.end_holds()
        tasks.fulfil(str(self.request_id))

    def state(self) -> str:
        with connect() as owner:
            row = owner.execute("SELECT state FROM subject_request WHERE id = %s", [self.request_id]).fetchone()
        assert row is not None
        return str(row[0])

    def outcome(self) -> Outcome:
        with connect() as owner:
            rows = rows_of(owner, self.subject_id)
            found = owner.execute(
                "SELECT holder, status, affected, held_before, held_after FROM holder_run WHERE request_id = %s",
                [self.request_id],
            ).fetchall()
            closed = owner.execute(
                "SELECT count(*) FROM audit_entry WHERE target = %s AND action = 'request.completed'",
                [f"request:{self.request_id}"],
            ).fetchone()
        assert closed is not None
        return Outcome(
            state=str(shown(self.program, self.filed)["state"]),
            runs={str(holder): (status, affected, first, last) for holder, status, affected, first, last in found},
            rows=rows,
            certified=self._certified() if self.scenario.kind in ERASING else {},
            told=self._told() if self.scenario.kind in PACKAGED else {},
            profile={} if self.scenario.kind in ERASING else self._profile(),
            closed=closed[0],
        )

    def _certified(self) -> dict[str, tuple[int, int]]:
        """Holder -> rows before and after, as the certificate says."""
        response = self.program.get(f"requests/{self.request_id}/certificate")
        assert response.status_code == 200, response.content
        content = response.json()["certificate"].split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
        return {row["holder"]: (row["rows_before"], row["rows_after"]) for row in said["holders"]}

    def _told(self) -> dict[str, int]:
        """Holder -> rows in the package, which is read whole."""
        document = package_of(self.program, self.filed)
        return {told["holder"]: sum(map(len, told["sections"].values())) for told in document["holders"]}

    def _profile(self) -> dict[str, str]:
        with tenant(self.program.id):
            subject = Subject.objects.get(id=self.subject_id)
            held = profile.opened(edge.vault(), subject) | identities.opened(edge.vault(), subject)
        return {name: value.replace(self.openid, "<openid>") for name, value in held.items()}


def connect() -> psycopg.Connection:
    """The database as its owner sees it; a connection outlives no restart."""
    return psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True)


def rows_of(owner: psycopg.Connection, subject_id: int) -> Counter[str]:
    """Table -> rows of the subject, of every table that has any."""
    tables = [str(row[0]) for row in owner.execute(TABLES).fetchall()]
    counts = " UNION ALL ".join(
        f"SELECT '{table}', count(*) FROM {table} WHERE subject_id = %(id)s" for table in tables
    )
    return Counter({table: rows for table, rows in owner.execute(counts.encode(), {"id": subject_id}) if rows})


def print_of(subject_id: int) -> dict[str, str]:
    """Table -> a hash of the subject's rows."""
    with connect() as owner:
        # Packed again whenever a day is built, for everybody on it.
        tables = [str(row[0]) for row in owner.execute(TABLES).fetchall() if row[0] != "rollup_events"]
        hashed = "SELECT '{0}', md5(string_agg(row::text, chr(10) ORDER BY row::text)) FROM {0} row WHERE subject_id = %(id)s"
        hashes = " UNION ALL ".join(hashed.format(table) for table in tables)
        return {table: value for table, value in owner.execute(hashes.encode(), {"id": subject_id}) if value}


def person(program: Program, openid: str) -> int:
    """A subject with rows in every holder, and with as many whenever it is made; answers its id."""
    since = now() - timedelta(days=3)
    answer = program.decide(openid, occurred_at=since.isoformat(), evidence={"button_id": "agree"})
    program.decide(openid, purpose="personalisation")
    attributes = {"subject": {"openid": openid}, "attributes": {"nickname": "小艾", "city": "杭州"}}
    assert program.call("PUT", "profile", attributes).status_code == 200
    times = [now() - timedelta(hours=1, days=place // 2) for place in range(6)]
    page = "pages/p" + "".join(filter(str.isdigit, openid))  # its own: one that others open too is nobody's
    sent = program.send(*(event(openid, f"e{place}", at, page=page) for place, at in enumerate(times)))
    assert sent["stored"] == 6, sent
    with connect() as owner:
        return subject_of(owner, answer["subject_id"])


def prepare(program: Program, as_worker: Working, scenario: Scenario, openid: str) -> Case:
    """File the request, and let it be due. Who is to be erased has a package already."""
    subject_id = person(program, openid)
    with as_worker():
        roll(
            program,
            [(now() - timedelta(days=ago)).astimezone(ZoneInfo(program.zone)).date() for ago in range(4)],
            anew=True,
        )
    if scenario.kind in ERASING:
        access = Case(program, Scenario("access"), openid, subject_id, file(program, "access", openid))
        with as_worker():
            access.work(runs.LEASE)
        assert access.state() == "completed"
    filed = file(program, scenario.kind, openid, **_beside(scenario.kind, openid))
    case = Case(program, scenario, openid, subject_id, filed)
    due(case)
    if scenario.held:
        hold = _hold(case)
        if scenario.over:
            with as_worker():
                case.work(runs.LEASE)
            assert case.state() == "partially_completed"
            legal_holds.lift(program_id=program.id, hold_id=hold, by="test")
    with connect() as owner:
        case.before = rows_of(owner, subject_id)
    with tenant(program.id):
        # Of a tally no row is theirs alone, and their packed rows are of the same days.
        case.before.pop("rollup_events", None)
        case.before["rollup"] = holder_of("reports.rollups").count(program_id=program.id, subject_id=subject_id)
    if scenario.kind in ERASING and not scenario.over:
        with tenant(program.id):
            bare = [h.identifier for h in holders() if not h.count(program_id=program.id, subject_id=subject_id)]
        assert not bare, f"person() makes no rows for {bare}"
    connection.close()
    return case


def _beside(kind: str, openid: str) -> dict[str, Any]:
    """What a request of a kind asks beside its kind."""
    changes = {"attributes": {"city": "苏州"}, "identifiers": {"unionid": f"{openid}-u"}}
    return {"rectification": {"changes": changes}, "portability": VERIFIED}.get(kind, {})


def due(case: Case) -> None:
    """Its undo window is over."""
    with connect() as owner:
        owner.execute(
            "UPDATE subject_request SET undo_until = received_at WHERE id = %s AND undo_until IS NOT NULL",
            [case.request_id],
        )
        owner.execute("UPDATE holder_run SET not_before = now() WHERE request_id = %s", [case.request_id])


def _hold(case: Case) -> int:
    hold = legal_holds.hold(
        program_id=case.program.id,
        holder=holdable()[0].identifier,
        ground=HoldGround.TRANSACTIONS,
        law="E-Commerce Law, Article 31",
        until=now().date() + timedelta(days=30),
        request_id=case.request_id,
        by="test",
    )
    return int(hold.pk)


def undisturbed(case: Case) -> Outcome:
    """The outcome without a fault, which is what the request asked for."""
    found = case.outcome()
    kind, held = case.scenario.kind, case.scenario.held and not case.scenario.over
    assert found.state == ("partially_completed" if held else "completed")
    assert found.closed == 1 - held
    assert found.runs.keys() == {holder.identifier for holder in fulfilling(kind)}
    kept = [holdable()[0].identifier, holders()[-1].identifier] if held else []
    assert {name for name, run in found.runs.items() if run[0] != "done"} == set(kept)
    if kind in ERASING:
        assert case.scenario.over or sum(run[2] or 0 for run in found.runs.values()) == sum(case.before.values())
        assert {name for name, run in found.runs.items() if run[3]} == set(kept)
        assert found.certified == {name: run[2:] for name, run in found.runs.items()}
        assert found.rows == {} or held
    if kind in PACKAGED:
        assert found.told == {name: run[1] for name, run in found.runs.items()}
        assert all(found.told.values())
    if kind == RequestKind.RECTIFICATION:
        assert (found.profile["city"], found.profile["unionid"]) == ("苏州", "<openid>-u")
    return found


def unfinished(case: Case) -> list[tuple[str, str]]:
    """(status, error) of the runs that are not done."""
    with tenant(case.program.id):
        left = HolderRun.objects.filter(request_id=case.request_id).exclude(status="done").order_by("id")
        return list(left.values_list("status", "error"))
