"""L23 (DSL 29; PIPL 51): risk monitoring has a log that is only added to: what each look found, and what was said of it."""

import io
import json
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from consent import edge
from consent.errors import Invalid, NotFound
from consent.ledger.audit import audit
from consent.monitoring import runs, tasks
from consent.monitoring.models import RiskRun
from consent.officers import accounts
from consent.programs.tenancy import tenant
from tests.cast import Program, event, now
from tests.consent.desk import Desk, holder, officer, request_row
from tests.consent.processing import mechanism, processor, risk_run
from tests.consent.receiver import endpoint
from tests.consent.rights import Working
from tests.consent.signed import Ring

SOON = now().date() + timedelta(days=5)


def look(program: Program) -> RiskRun:
    return runs.run(program_id=program.id, keyring=edge.vault().keyring, sinks=edge.ledger_sinks(), by="test")


def found(run: RiskRun) -> dict[str, int]:
    """Of the checks that found something."""
    return {code: told["found"] for code, told in run.found.items() if told["found"]}


def open_findings(program: Program, run: RiskRun) -> list[str]:
    with tenant(program.id):
        return [finding.code for finding in runs.unremarked(run)]


@pytest.fixture
def desk(program: Program) -> Desk:
    return holder("officer", program).enter(program)


def test_a_look_keeps_what_each_check_found(program: Program, owner: psycopg.Connection) -> None:
    run = look(program)
    assert (found(run), run.above, run.by) == ({}, 0, "test")
    assert len(run.found) == 14
    assert run.found["sign_in.paused"] == {"found": 0, "threshold": 5, "above": False, "since": None}
    processor(program, valid_until=SOON)
    run = look(program)
    assert (found(run), run.above) == ({"terms.ending": 1}, 1)
    since = run.checked_at.isoformat()
    assert run.found["terms.ending"] == {"found": 1, "threshold": 0, "above": True, "since": since}
    assert owner.execute("SELECT count(*), sum(above) FROM risk_run").fetchone() == (2, 1)


def test_what_it_looks_at_is_counted(program: Program, other: Program, owner: psycopg.Connection) -> None:
    for by, times in (("account", 6), ("address", 1), ("code", 2)):
        for _ in range(times):
            accounts.record(actor="system", action="sign_in.paused", account=accounts.NOBODY, details={"by": by})
    owner.execute("UPDATE account_entry SET at = at - interval '2 days' WHERE id = (SELECT min(id) FROM account_entry)")
    for shop in (program, other):
        with tenant(shop.id):
            for by, times in (("officer:7", 21), ("officer:8", 3), ("operator", 30)):
                for _ in range(times):
                    audit(program_id=shop.id, actor=by, action="person.revealed", target="person")
    request_row(program, "alice", due_at=now() - timedelta(days=1))
    mechanism(program, valid_until=SOON)
    processor(program, valid_until=SOON + timedelta(days=60))
    told = endpoint(program, "https://x.example/")
    program.decide("bob")
    program.decide("carol")
    owner.execute("UPDATE webhook_message SET dead_at = now() WHERE endpoint_id = %s", [told.id])
    owner.execute(
        "UPDATE webhook_message SET dead_at = now() - interval '2 days' WHERE id = (SELECT min(id::text)::uuid FROM webhook_message)"
    )
    owner.execute("UPDATE api_key SET created_at = now() - interval '366 days' WHERE program_id = %s", [program.id])
    owner.execute("UPDATE data_key SET key_version = 0 WHERE program_id = %s", [program.id])
    (old,) = owner.execute("SELECT count(*) FROM api_key WHERE program_id = %s", [program.id]).fetchone() or (0,)
    (keys,) = owner.execute("SELECT count(*) FROM data_key WHERE program_id = %s", [program.id]).fetchone() or (0,)
    assert found(look(program)) == {
        "sign_in.paused": 6,
        "second_factor.paused": 2,
        "person.revealed": 21,
        "requests.overdue": 1,
        "webhooks.given_up": 1,
        "terms.ending": 1,
        "keys.api": old,
        "keys.data": keys,
    }


def test_pauses_are_told_where_their_officers_are(program: Program, other: Program) -> None:
    here, there, both = officer("here", program), officer("there", other), officer("both", program, other)
    nobody, root = officer("nobody"), officer("root", other)
    User.objects.filter(pk=root.user.pk).update(is_superuser=True)
    for desk in (here, there, there, both, nobody, root):
        paused(1, account=accounts.named(desk.user.pk))
    paused(1)
    assert found(look(program)) == {"second_factor.paused": 5}
    assert found(look(other)) == {"second_factor.paused": 6}


def test_keys_in_use_for_more_than_a_year_are_a_finding(program: Program, own_ring: Ring) -> None:
    def made(family: str, at: datetime) -> None:
        def change(content: Any) -> None:
            content[family]["keys"][0]["made"] = at.isoformat()

        own_ring.change(change)

    assert "keys.made" not in found(look(program)), "the keyring does not say"
    made("key_encryption", now() - timedelta(days=364))
    made("index", now() - timedelta(days=366))
    assert found(look(program))["keys.made"] == 1
    made("key_encryption", now() - timedelta(days=366))
    run = look(program)
    assert found(run)["keys.made"] == 2 and open_findings(program, run) == ["keys.made"]


def test_events_with_identifiers_are_a_share_of_all(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    events = [event("alice", f"e{n}", now()) for n in range(98)]
    sent = program.send(
        *events, *(event("alice", f"x{n}", now(), properties={"referrer_page": "13800000000"}) for n in range(2))
    )
    assert sent["refused"] == 2
    run = look(program)
    assert run.found["events.identifiers"]["found"] == 20
    assert run.found["events.identifiers"]["above"]
    owner.execute("UPDATE ingest_count SET hour = hour - interval '2 days'")
    assert look(program).found["events.identifiers"]["found"] == 0


def test_a_finding_is_one_until_it_grows(program: Program) -> None:
    first = risk_run(program)
    assert look(program).found == first.found, "it stays what it was"
    made = runs.remark(
        program_id=program.id, run_id=first.pk, check_code="terms.ending", said="renewed", done="", by="officer:7"
    )
    assert made.remark == "renewed"
    again = look(program)
    assert open_findings(program, again) == []
    mechanism(program, valid_until=SOON)
    grown = look(program)
    assert grown.found["terms.ending"]["since"] == grown.checked_at.isoformat()
    assert open_findings(program, grown) == ["terms.ending"]
    assert open_findings(program, first) == [], "what was remarked on stays so"


def paused(times: int, *, by: str = "code", account: str = accounts.NOBODY) -> None:
    for _ in range(times):
        accounts.record(actor=accounts.SERVICE, action="sign_in.paused", account=account, details={"by": by})


def remarked(program: Program, run: RiskRun, check: str) -> None:
    runs.remark(program_id=program.id, run_id=run.pk, check_code=check, said="known", done="", by="officer:7")


def test_what_happens_is_a_finding_of_each_look(program: Program, owner: psycopg.Connection) -> None:
    paused(2)
    monday = look(program)
    remarked(program, monday, "second_factor.paused")
    assert open_findings(program, monday) == []
    owner.execute("UPDATE account_entry SET at = at - interval '8 days'")
    owner.execute("UPDATE risk_run SET checked_at = checked_at - interval '1 day'")
    paused(1)
    tuesday = look(program)
    assert found(tuesday) == {"second_factor.paused": 1}
    assert open_findings(program, tuesday) == ["second_factor.paused"], "it is another one"


def test_a_remark_is_of_the_finding_that_its_run_saw(program: Program, owner: psycopg.Connection) -> None:
    """Neither does one on an old run clear what was found since, nor one on a later finding an earlier one."""
    first = risk_run(program)
    mechanism(program, valid_until=SOON)
    second = look(program)
    remarked(program, first, "terms.ending")
    assert open_findings(program, second) == ["terms.ending"], "it has grown since"
    mechanism(program, valid_until=SOON)
    third = look(program)
    remarked(program, third, "terms.ending")
    left = {run.pk: open_findings(program, run) for run in (first, second, third)}
    assert left == {first.pk: [], second.pk: ["terms.ending"], third.pk: []}
    assert look(program).found == third.found
    remarked(program, look(program), "terms.ending")
    assert open_findings(program, second) == ["terms.ending"]


def test_days_without_a_look_are_looked_at_by_the_next(program: Program, owner: psycopg.Connection) -> None:
    def happened(days_ago: float, looked_days_ago: float) -> int:
        """How many of two pauses a look finds."""
        owner.execute("DELETE FROM risk_run")
        owner.execute("DELETE FROM account_entry")
        paused(2)
        owner.execute("UPDATE account_entry SET at = at - %s", [timedelta(days=days_ago)])
        look(program)
        owner.execute("UPDATE risk_run SET checked_at = checked_at - %s", [timedelta(days=looked_days_ago)])
        return found(look(program)).get("second_factor.paused", 0)

    asked = {(2.5, 3): 2, (2.5, 2): 0, (6, 20): 2, (8, 20): 0, (0.9, 0.1): 2, (1.1, 0.1): 0}
    assert {days: happened(*days) for days in asked} == asked


def test_a_check_that_fails_is_a_finding_and_the_others_are_looked_at(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    risk_run(program)
    owner.execute("ALTER TABLE webhook_message RENAME TO webhook_message_away")
    try:
        run = look(program)
        again = look(program)
    finally:
        owner.execute("ALTER TABLE webhook_message_away RENAME TO webhook_message")
    assert run.found["webhooks.given_up"] | {"since": ""} == {"found": None, "threshold": 0, "above": True, "since": ""}
    assert (run.above, run.found["terms.ending"]["found"]) == (2, 1)
    assert open_findings(program, again) == ["webhooks.given_up", "terms.ending"]
    shown = desk.get(f"consent/riskrun/{again.pk}/change/").content.decode()
    assert shown.lower().count("could not be looked at") == 1
    remarked(program, again, "webhooks.given_up")
    assert look(program).found["webhooks.given_up"]["found"] == 0


def test_an_officer_remarks_on_a_finding(program: Program, desk: Desk, owner: psycopg.Connection) -> None:
    run = risk_run(program)
    home = desk.get("").content.decode()
    assert "findings without a remark" in home.lower()
    assert f"/admin/consent/riskrun/{run.pk}/change/" in home
    assert "1 above the threshold" in desk.get("consent/riskrun/").content.decode()
    page = f"consent/riskrun/{run.pk}/remark/"
    assert page in desk.get(f"consent/riskrun/{run.pk}/change/").content.decode()
    assert "requests.overdue" not in desk.get(page).content.decode(), "it is not above"
    assert desk.post(page, check_code="terms.ending", remark=" ").status_code == 200
    assert desk.post(page, check_code="requests.overdue", remark="x").status_code == 200
    assert owner.execute("SELECT count(*) FROM risk_remark").fetchone() == (0,)
    assert desk.post(page, check_code="terms.ending", remark="known", done="contract renewed").status_code == 302
    by = f"officer:{desk.user.pk}"
    kept = owner.execute('SELECT run_id, check_code, "by", remark, done FROM risk_remark').fetchall()
    assert kept == [(run.pk, "terms.ending", by, "known", "contract renewed")]
    shown = desk.get(f"consent/riskrun/{run.pk}/change/").content.decode()
    assert "contract renewed" in shown and "Remarked" in shown.title()
    log = owner.execute("SELECT actor, target, details FROM audit_entry WHERE action = 'risk.remarked'").fetchall()
    assert log == [(by, f"risk_run:{run.pk}", {"check": "terms.ending"})]
    assert open_findings(program, run) == []


def test_a_remark_that_names_somebody_is_neither_kept_nor_repeated(
    program: Program, desk: Desk, owner: psycopg.Connection
) -> None:
    page = f"consent/riskrun/{risk_run(program).pk}/remark/"
    number, address = "13812345678", "alice@example.com"
    refusal = desk.post(page, check_code="terms.ending", remark=f"she is {number}", done="contract renewed")
    shown = refusal.content.decode()
    assert refusal.status_code == 200 and "looks like a person" in shown
    assert number not in shown and "contract renewed" in shown
    shown = desk.post(page, check_code="terms.ending", remark="known", done=f"asked {address}").content.decode()
    assert "looks like a person" in shown and address not in shown
    desk.client.cookies["django_language"] = "zh-hans"
    assert "像是某人的号码或地址" in desk.post(page, check_code="terms.ending", remark=number).content.decode()
    assert owner.execute("SELECT count(*) FROM risk_remark").fetchone() == (0,)
    assert owner.execute("SELECT count(*) FROM audit_entry WHERE action = 'risk.remarked'").fetchone() == (0,)


def test_what_is_no_finding_is_not_remarked_on(program: Program) -> None:
    run = risk_run(program)
    said: dict[str, Any] = {"program_id": program.id, "run_id": run.pk, "check_code": "terms.ending", "by": "officer:7"}
    for more, error, code in (
        ({"said": " "}, Invalid, "nothing_said"),
        ({"check_code": "keys.api"}, Invalid, "not_above"),
        ({"check_code": "nonsense"}, Invalid, "not_above"),
        ({"run_id": run.pk + 1}, NotFound, "not_found"),
    ):
        with pytest.raises(error, match=code):
            runs.remark(**{"said": "x", "done": "", **said, **more})


def test_neither_looks_nor_remarks_are_changed(owner: psycopg.Connection) -> None:
    for table in ("risk_run", "risk_remark"):
        for login in ("zq_app", "zq_ingest", "zq_erase", "zq_ops"):
            for right in ("UPDATE", "DELETE", "TRUNCATE"):
                asked = owner.execute("SELECT has_table_privilege(%s, %s, %s)", [login, table, right])
                assert asked.fetchone() == (False,), (table, login, right)
            columns = owner.execute("SELECT has_any_column_privilege(%s, %s, 'UPDATE')", [login, table])
            assert columns.fetchone() == (False,)


def test_a_look_is_taken_once_a_day_for_each_mini_program(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    taken = 'SELECT program_id, "by", count(*)::int FROM risk_run GROUP BY 1, 2 ORDER BY 1'
    for _ in range(2):
        with as_worker():
            tasks.look()
    rows = owner.execute(taken).fetchall()
    assert rows == [(program.id, "system", 1), (other.id, "system", 1)]
    owner.execute(
        "UPDATE risk_run SET checked_at = checked_at - interval '23 hours' WHERE program_id = %s", [program.id]
    )
    with as_worker():
        tasks.look()
    assert owner.execute(taken).fetchall() == [(program.id, "system", 2), (other.id, "system", 1)]


def test_an_operator_looks_and_reads_what_was_found(program: Program) -> None:
    def command(*arguments: str) -> Any:
        out = io.StringIO()
        call_command("risks", *arguments, "--program", str(program.id), "--json", stdout=out, stderr=io.StringIO())
        return json.loads(out.getvalue())

    assert command("run")["above"] == 0
    risk_run(program)
    with pytest.raises(CommandError, match="1 findings without a remark") as refused:
        command("run")
    assert refused.value.returncode == 1
    listed = command("list")["runs"]
    assert [(row["by"], row["above"]) for row in listed] == [("operator", 1), ("test", 1), ("operator", 0)]
    assert listed[0]["found"]["terms.ending"]["found"] == 1


def test_another_mini_programs_looks_are_not_there(program: Program, other: Program, desk: Desk) -> None:
    run = risk_run(other)
    for page in ("change", "remark"):
        assert desk.get(f"consent/riskrun/{run.pk}/{page}/").status_code in (302, 403, 404)
    with pytest.raises(NotFound):
        runs.remark(program_id=program.id, run_id=run.pk, check_code="terms.ending", said="x", done="", by="officer:7")


def test_the_audit_report_counts_looks_and_findings(program: Program) -> None:
    run = risk_run(program)
    look(program)
    runs.remark(
        program_id=program.id, run_id=run.pk, check_code="terms.ending", said="renewed", done="", by="officer:7"
    )
    out, day = io.StringIO(), now().date()
    asked = ["--program", str(program.id), "--from", str(day - timedelta(days=1)), "--to", str(day + timedelta(days=1))]
    call_command("audit_report", *asked, "--json", stdout=out, stderr=io.StringIO())
    rows = json.loads(out.getvalue())["sections"]["security"]["risks"]["rows"]
    assert {"check": "terms.ending", "runs": 2, "above": 2, "remarks": 1} in rows
    assert {"check": "keys.api", "runs": 2, "above": 0, "remarks": 0} in rows
