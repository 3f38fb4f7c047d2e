"""I8: tenants are apart in the database itself, asked as the application's login."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from importlib import import_module

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from psycopg.errors import ForeignKeyViolation

from consent.ledger.disclosures import disclosed
from consent.ledger.models import Recipient
from consent.monitoring import runs
from consent.monitoring.models import RiskRemark
from consent.notices.models import NoticeDraft
from consent.platforms.models import PlatformCredential
from consent.processing import incidents
from consent.programs.tenancy import tenant
from consent.rights import legal_holds, minor_access, reminders
from consent.rights.models import HoldGround, RequestSubject
from consent.rights.review import set_review
from tests.cast import Program, event, now
from tests.consent.desk import access_row
from tests.consent.processing import incident, mechanism, processor, risk_run
from tests.consent.receiver import endpoint
from tests.migrating import run

# The mini-programs themselves, and who may look at which: no tenant's data, and needed before a tenant is known.
OUTSIDE = {"program", "officer_assignment"}
# Filled by a worker or for a moment only.
EMPTY = {
    "package",
    "package_part",
    "withdrawal_intent",
    "event_sweep",
    "rollup",
    "rollup_day",
    "rollup_events",
    "day_change",
    "decided_day",
}


def tenant_tables(owner: psycopg.Connection) -> set[str]:
    rows = owner.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'program_id'"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND NOT a.attisdropped"
    ).fetchall()
    return {str(row[0]) for row in rows} - OUTSIDE


def filled(program: Program) -> None:
    endpoint(program, "https://backend.example/")
    program.decide("alice")
    program.decide("alice", "given", "personalisation")
    program.post("portal-sessions", {"subject": {"openid": "alice"}, "locale": "en"})
    for decision in ("given", "withdrawn"):
        program.decide("alice", decision, "precise_location")
    program.call("PUT", "profile", {"subject": {"openid": "alice"}, "attributes": {"city": "x"}})
    program.send(event("alice", "e1", page="pages/a"))
    program.post("reports/activity", {"from": "2025-10-06", "to": "2025-10-06"})
    program.post("report-runs", {"metric": "activity", "range": "this_month"})
    program.post("saved-reports", {"name": "x", "metric": "activity", "question": {"range": "this_month"}})
    program.post("requests", {"subject": {"openid": "alice"}, "kind": "access", "locale": "en"}, Idempotency_Key="k")
    set_review(program_id=program.id, kind="erasure", on=True, by="test")
    program.post("requests", {"subject": {"openid": "alice"}, "kind": "erasure", "locale": "en", "requester": "agent"})
    program.post("requests", {"subject": {"openid": "nobody"}, "kind": "erasure", "locale": "en"})
    patience = reminders.Patience(soon_days=15, delivery=timedelta(days=3))
    reminders.remind(program.id, now=now() + timedelta(days=20), patience=patience)
    with tenant(program.id):
        (request_id, *_) = RequestSubject.objects.values_list("request_id", flat=True)
    legal_holds.hold(
        program_id=program.id,
        holder="tracking.events",
        ground=HoldGround.OTHER,
        law="a law",
        until=now().date() + timedelta(days=2),
        request_id=request_id,
        by="test",
    )
    with tenant(program.id):
        disclosed(
            program_id=program.id,
            recipient=Recipient.SUBJECT,
            ground="access.delivery",
            fields=["consent.profile"],
            subjects=1,
            target="request:x",
            by="test",
        )
    processor(program)
    mechanism(program)
    opened = incident(program, table="consent_record")
    with tenant(program.id):
        minor_access.list_admitted(incidents.standing(program.id, opened.pk), by="test")
    found = risk_run(program)
    runs.remark(program_id=program.id, run_id=found.pk, check_code="terms.ending", said="known", done="", by="test")
    with tenant(program.id):
        PlatformCredential.objects.create(program_id=program.id, sealed=b"x")
        NoticeDraft.objects.create(program_id=program.id, name="next", source="", edited_by="test")
    access_row(program)


def seen(table: str, program_id: int | None) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        if program_id is not None:
            cursor.execute("SELECT set_config('zq.program', %s, true)", [str(program_id)])
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


def test_every_table_of_a_tenant_has_a_policy_for_all_commands(owner: psycopg.Connection) -> None:
    rows = owner.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'tenant'"
        " WHERE c.relrowsecurity AND p.polcmd = '*' AND p.polroles = '{0}'"
    ).fetchall()
    missing = tenant_tables(owner) - {row[0] for row in rows}
    assert not missing, f"add tenant_policy(…) in a migration for: {', '.join(sorted(missing))}"


def test_every_policy_of_a_tenant_reads_and_writes_by_the_setting_alone(owner: psycopg.Connection) -> None:
    """So that a row of another tenant can be neither seen nor written, in any table."""
    said = owner.execute(
        "SELECT DISTINCT pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)"
        " FROM pg_policy WHERE polname = 'tenant'"
    ).fetchall()
    ((sees, writes),) = said
    assert sees == writes
    assert "program_id = " in sees and "current_setting('zq.program'::text, true)" in sees and " OR " not in sees
    others = owner.execute(
        "SELECT polcmd, polroles::regrole[]::text, polpermissive FROM pg_policy WHERE polname <> 'tenant'"
    ).fetchall()
    assert set(others) == {
        ("r", "{zq_ops}", True),
        ("r", "{zq_ledger}", True),
        ("d", "{zq_erase}", False),
        ("a", "{zq_app}", False),
        ("*", "{zq_app}", True),
    }
    beside = owner.execute(
        "SELECT polrelid::regclass::text, pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polpermissive AND polcmd = '*' AND polname <> 'tenant'"
    ).fetchall()
    ((table, where_none),) = beside
    assert table == "leaf" and where_none.startswith("((program_id IS NULL) AND ") and where_none.endswith(" IS NULL))")
    opening = owner.execute("SELECT count(*) FROM pg_policy WHERE polcmd = 'd' AND polpermissive").fetchone()
    assert opening == (0,), "a policy of deletions only takes away"


def test_another_tenants_rows_are_not_there(program: Program, other: Program, owner: psycopg.Connection) -> None:
    filled(program)
    for table in tenant_tables(owner):
        row = owner.execute(f"SELECT count(*) FROM {table} WHERE program_id = %s", [program.id]).fetchone()
        assert row is not None
        assert row[0] or table in EMPTY, f"add a row of {table} to filled()"
        assert seen(table, program.id) == row[0]
        assert seen(table, None) == 0, table
        ours = owner.execute(f"SELECT count(*) FROM {table} WHERE program_id = %s", [other.id]).fetchone()
        assert (seen(table, other.id),) == ours, table


def test_a_remark_names_no_other_tenants_look_at_risks(
    program: Program, other: Program, owner: psycopg.Connection
) -> None:
    """Also where the row itself is the tenant's own: a foreign key sees what row-level security hides."""
    said = {"check_code": "terms.ending", "by": "test", "remark": "known"}
    theirs, own = risk_run(other), risk_run(program)
    with pytest.raises(IntegrityError, match="risk_remark_run_id_of_program"), tenant(program.id):
        RiskRemark.objects.create(program_id=program.id, run_id=theirs.pk, **said)
    with tenant(program.id):
        RiskRemark.objects.create(program_id=program.id, run_id=own.pk, **said)
    with pytest.raises(ForeignKeyViolation, match="risk_remark_run_id_of_program"):
        owner.execute("UPDATE risk_remark SET run_id = %s", [theirs.pk])


def test_remarks_are_tied_to_their_own_mini_programs_looks_beside_writes(
    program: Program, other: Program, owner: psycopg.Connection
) -> None:
    """There and back as often as one likes. Where a row names another's look it fails, and holds for what is written next."""
    tied = import_module("consent.migrations.0092_remark_of_own_run").Migration.operations[0]
    schema = "SELECT convalidated FROM pg_constraint WHERE conname = 'risk_remark_run_id_of_program'"
    theirs, own = risk_run(other), risk_run(program)
    runs.remark(program_id=program.id, run_id=own.pk, check_code="terms.ending", said="known", done="", by="test")
    try:
        for _ in range(2):
            run(tied.reverse_code)
        assert owner.execute(schema).fetchall() == []
        assert owner.execute("SELECT to_regclass('risk_run_of_program')").fetchone() == (None,)
        owner.execute("UPDATE risk_remark SET run_id = %s", [theirs.pk])
        for _ in range(2):
            with pytest.raises(IntegrityError, match="risk_remark_run_id_of_program"):
                run(tied.code)
            assert owner.execute(schema).fetchall() == [(False,)]
        owner.execute("UPDATE risk_remark SET run_id = %s", [own.pk])
        with owner.transaction():
            owner.execute("UPDATE risk_remark SET done = 'renewed'")
            run(tied.code)  # looks at what is there and waits for no writer
        assert owner.execute(schema).fetchall() == [(True,)]
    finally:
        owner.execute("TRUNCATE risk_remark")
        run(tied.code)


def test_a_row_cannot_be_written_for_another_tenant(program: Program, other: Program) -> None:
    with pytest.raises(DatabaseError, match="row-level security"), tenant(other.id), connection.cursor() as cursor:
        cursor.execute("INSERT INTO page (program_id, path) VALUES (%s, 'x')", [program.id])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM event",
        "SELECT count(*) FROM subject",
        "INSERT INTO event (program_id) VALUES (1)",
        "DELETE FROM event",
    ],
)
def test_the_ingest_role_reads_nothing_and_names_no_tenant(program: Program, statement: str) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), tenant(program.id), connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE zq_ingest")
        cursor.execute(statement)


def test_the_ops_role_changes_nothing_and_finds_no_subject(program: Program) -> None:
    for statement in ("UPDATE subject_request SET due_at = NULL", "SELECT count(*) FROM subject_lookup"):
        denied_to_operations(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM api_key",
        "SELECT count(*) FROM api_client",
        "UPDATE api_key SET revoked_at = NULL",
        "SELECT times_of_officer('a', 'person.looked_up', now())",
        "SELECT * FROM valid_api_key('x', now())",
    ],
)
def test_the_ops_role_finds_no_key_and_asks_for_no_officers_searches(program: Program, statement: str) -> None:
    """The application finds them by functions that have to be told which."""
    denied_to_operations(statement)


def denied_to_operations(statement: str) -> None:
    with (
        pytest.raises(DatabaseError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET LOCAL ROLE zq_ops")
        cursor.execute(statement)


def test_only_the_workers_login_may_erase(
    program: Program, as_worker: Callable[[], AbstractContextManager[None]]
) -> None:
    filled(program)

    def erase() -> int:
        with tenant(program.id), connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE zq_erase")
            cursor.execute("DELETE FROM consent_record")
            return int(cursor.rowcount)

    with pytest.raises(DatabaseError, match="permission denied"):
        erase()
    with as_worker():
        assert erase() == 4


def test_partitions_are_closed_to_the_application(program: Program, owner: psycopg.Connection) -> None:
    filled(program)
    row = owner.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event'::regclass"
    ).fetchone()
    assert row is not None
    with pytest.raises(DatabaseError, match="permission denied"), tenant(program.id), connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {row[0]}")


def test_days_out_of_bounds_make_no_partition(program: Program) -> None:
    with pytest.raises(DatabaseError, match="outside the bounds"), connection.cursor() as cursor:
        cursor.execute("SELECT ensure_event_days(ARRAY['1999-01-01']::date[])")
