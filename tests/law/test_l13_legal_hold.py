"""L13 (PIPL 47): an erasure leaves what a law obliges to keep, restricted, and takes it when that is over."""

import os
import uuid
from datetime import timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from consent.errors import Conflict, Invalid
from consent.programs.tenancy import tenant
from consent.rights import collected, fulfilment, legal_holds, runs, tasks
from consent.rights.holders import holders
from consent.rights.models import HeldSubject, HoldGround, LegalHold
from tests.cast import Program, event, now
from tests.consent import signed
from tests.consent.acts import code
from tests.consent.deciding import take_back
from tests.consent.desk import DECIDES, SEEN, officer
from tests.consent.rights import (
    Working,
    carry_out,
    erased,
    file,
    lively,
    overdue,
    package_of,
    sections,
    shown,
    subject_of,
)
from tests.ledger.logged import included, run
from tests.ledger.verifying import faults, verify
from tests.tracking.test_barrier import Caller, wait_for_waiters
from tracking.personal_data import EventHolder

EVENTS, LAW = "tracking.events", "E-Commerce Law, Article 31"


def held(program: Program, holder: str = EVENTS, *, days: int = 30, request: Any = None) -> LegalHold:
    return legal_holds.hold(
        program_id=program.id,
        holder=holder,
        ground=HoldGround.TRANSACTIONS,
        law=LAW,
        until=now().date() + timedelta(days=days),
        request_id=uuid.UUID(request["request_id"]) if request is not None else None,
        by="test",
    )


def statuses(answer: Any) -> dict[str, str]:
    return {holder["holder"]: holder["status"] for holder in answer["holders"]}


def rows(owner: psycopg.Connection, table: str) -> int:
    row = owner.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def end_holds(program: Program, as_worker: Working, filed: Any) -> Any:
    with as_worker():
        tasks.end_holds()
    return carry_out(program, as_worker, filed)


def test_an_erasure_keeps_what_a_law_keeps_restricted_and_erases_the_rest(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    hold = held(program)
    answer = erased(program, owner, as_worker)
    assert answer["state"] == "partially_completed"
    assert answer["closed_at"] is not None
    assert (rows(owner, "event"), rows(owner, "consent_record"), rows(owner, "profile_attribute")) == (6, 0, 0)
    assert (rows(owner, "subject"), rows(owner, "data_key")) == (1, 1)
    assert owner.execute("SELECT restricted, erasure_pending FROM subject").fetchone() == (True, False)
    kept = {holder["holder"]: holder["kept"] for holder in answer["holders"] if holder["status"] == "held"}
    assert set(kept) == {EVENTS, "consent.subject"}
    told = kept[EVENTS]
    assert (told["ground"], told["law"], told["until"]) == ("transactions", LAW, hold.until.isoformat())
    assert LAW in told["text"]
    assert hold.until.isoformat() in told["text"]
    assert "保存" in told["text"]
    program.decide("alice")
    assert code(program, "after") == "restricted", "a new consent opens nothing"


def test_what_a_law_keeps_is_no_fault_of_the_ledger(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records are gone, for as long as it is kept, and until it is erased itself."""

    def kept() -> int:
        told = verify()
        assert told["events"] == rows(owner, "event")
        return int(told["events_kept_by_law"])

    lively(program)
    hold = held(program)
    filed = file(program, "erasure")
    assert kept() == 0
    overdue(owner)
    carry_out(program, as_worker, filed)
    assert kept() == 6
    program.decide("alice")
    assert kept() == 6, "what they decide anew is no record of it"
    legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")
    with as_worker():
        tasks.end_holds()
    assert kept() == 6
    with monkeypatch.context() as patched:
        patched.setattr(EventHolder, "erase", lambda self, **more: 1 / 0)
        for _ in range(runs.MAX_ATTEMPTS):
            overdue(owner)
            carry_out(program, as_worker, filed)
    assert (shown(program, filed)["state"], kept()) == ("failed", 6)
    owner.execute("UPDATE event SET consent_record_id = 999999999 WHERE event_id = 'alice-0'")
    assert [fault for fault, _, _ in faults()] == ["event_not_covered"], "no record of theirs was ever this one"
    owner.execute("UPDATE holder_run SET status = 'done'")
    assert [fault for fault, _, _ in faults()] == ["event_not_covered"] * 6, "an erasure that is done has left none"


@pytest.mark.parametrize("how", ["lifted", "over"])
def test_what_was_held_is_erased_without_a_new_request_when_the_hold_ends(
    program: Program, owner: psycopg.Connection, as_worker: Working, how: str
) -> None:
    lively(program)
    hold = held(program)
    filed = file(program, "erasure")
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "partially_completed"
    assert end_holds(program, as_worker, filed)["state"] == "partially_completed"
    assert rows(owner, "event") == 6
    if how == "lifted":
        legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")
    else:
        owner.execute("UPDATE legal_hold SET until = current_date - 2")
    with as_worker():
        tasks.end_holds()
    answer = shown(program, filed)
    assert answer["state"] == "in_progress"
    assert timedelta(hours=71) < _moment(answer["due_at"]) - now() < timedelta(hours=73)
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    for table in ("event", "subject", "data_key", "request_subject", "held_subject", "consent_state"):
        assert rows(owner, table) == 0, table
    assert set(statuses(shown(program, filed)).values()) == {"done"}


def test_a_hold_that_is_made_while_its_holder_is_being_erased_keeps_what_is_left(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(program)
    monkeypatch.setattr(fulfilment, "ERASE_LIMIT", 2)
    advanced = runs.advanced

    def holding(run: runs.Claimed, affected: int) -> None:
        advanced(run, affected)
        if run.holder == EVENTS and not LegalHold.objects.exists():
            held(program)

    monkeypatch.setattr(runs, "advanced", holding)
    answer = erased(program, owner, as_worker)
    assert (answer["state"], statuses(answer)[EVENTS]) == ("partially_completed", "held")
    assert 0 < rows(owner, "event") < 6


@pytest.mark.parametrize("holder", [holder.identifier for holder in holders() if holder.derived])
def test_what_is_worked_out_of_something_held_is_not_held_itself(program: Program, holder: str) -> None:
    with pytest.raises(Invalid, match="derived_holder"):
        held(program, holder)
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("hold", "add", "--holder", holder, program=program.id)


def test_the_daily_totals_are_worked_out_of_the_events() -> None:
    assert [holder.identifier for holder in holders() if holder.derived] == ["reports.rollups", "consent.processors"]


def test_batches_step_aside_for_an_erasure_that_goes_on(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    hold = held(program)
    erased(program, owner, as_worker)
    program.decide("alice")
    legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as in_flight:
        in_flight.execute("SELECT FROM consent_state FOR SHARE")
        going_on = Caller(lambda: legal_holds.go_on(program.id, within=timedelta(hours=72)))
        wait_for_waiters(owner, 1)
        assert code(program, "meanwhile") == "consent_changing"
    assert len(going_on.result()) == 1
    assert code(program, "after") == "erasure_pending"
    assert owner.execute("SELECT count(*) FROM withdrawal_intent").fetchone() == (0,)


def _moment(text: str) -> Any:
    return type(now()).fromisoformat(text)


@pytest.mark.parametrize("how", ["lifted", "over"])
def test_what_a_withdrawal_leaves_waits_for_the_hold(
    program: Program, owner: psycopg.Connection, as_worker: Working, how: str
) -> None:
    lively(program)
    hold = held(program)
    for purpose in ("analytics", "personalisation"):
        program.decide("alice", "withdrawn", purpose)

    def erase() -> tuple[int, int, int]:
        owner.execute("UPDATE purpose_erasure SET not_before = clock_timestamp()")
        with as_worker():
            collected.erase_due(seconds=10)
        with tenant(program.id):
            late = collected.overdue_in(program.id, now=now() + timedelta(days=9), within=timedelta(hours=72))
        return rows(owner, "event"), rows(owner, "profile_attribute"), late

    assert erase() == (6, 0, 0), "what is not held goes, and nothing is late while the law keeps it"
    waiting = owner.execute(
        "SELECT min(not_before) > clock_timestamp() + interval '59 minutes' FROM purpose_erasure WHERE done_at IS NULL"
    )
    assert waiting.fetchone() == (True,)
    assert rows(owner, "purpose_erasure WHERE done_at IS NULL") == 1, "only events are held"
    with as_worker():
        call_command("purge")
    assert rows(owner, "event") == 6, "nor is it left over from a purge"
    program.decide("alice")
    assert rows(owner, "event") == 6
    if how == "lifted":
        legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")
    else:
        owner.execute("UPDATE legal_hold SET until = current_date - 2")
    assert erase() == (0, 0, 0)
    assert rows(owner, "purpose_erasure WHERE done_at IS NULL") == 0


@pytest.mark.parametrize("first", ["restriction", "erasure"])
def test_what_a_law_keeps_is_not_the_persons_to_open(
    program: Program, owner: psycopg.Connection, as_worker: Working, first: str
) -> None:
    lively(program)
    held(program)
    filed = {}
    for kind in (first, *({"restriction", "erasure"} - {first})):
        filed[kind] = file(program, kind)
        overdue(owner)
        carry_out(program, as_worker, filed[kind])
    assert shown(program, filed["erasure"])["state"] == "partially_completed"
    assert take_back(program, filed["restriction"]).json()["state"] == "withdrawn"
    program.decide("alice")
    assert code(program, "e") == "restricted"


def test_what_was_put_right_goes_with_what_is_not_held(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    changes = {"attributes": {"city": "苏州"}}
    carry_out(program, as_worker, file(program, "rectification", changes=changes))
    held(program)
    erased(program, owner, as_worker)
    assert rows(owner, "request_subject") == 2
    assert rows(owner, "request_subject WHERE sealed IS NOT NULL OR verified IS NOT NULL") == 0
    access = file(program, "access")
    carry_out(program, as_worker, access)
    assert "苏州" not in str(sections(package_of(program, access)))


def test_an_extended_request_goes_on_too_and_one_that_cannot_holds_up_no_other(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = held(program)
    filed = []
    for name in ("alice", "bob"):
        lively(program, name)
        filed.append(file(program, "erasure", name))
    owner.execute(
        "UPDATE subject_request SET extended_from = due_at, due_at = due_at + interval '9 d', extension = 'complex'"
    )
    overdue(owner)
    for one in filed:
        assert carry_out(program, as_worker, one)["state"] == "partially_completed"
    legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")
    broken = min(one["request_id"] for one in filed)
    going_on = legal_holds._go_on

    def failing(program_id: int, request_id: uuid.UUID, within: timedelta) -> bool:
        if str(request_id) == broken:
            raise RuntimeError
        return going_on(program_id, request_id, within)

    with monkeypatch.context() as patched, as_worker():
        patched.setattr(legal_holds, "_go_on", failing)
        tasks.end_holds()
    assert {shown(program, one)["state"] for one in filed} == {"in_progress", "partially_completed"}
    for one in filed:
        assert end_holds(program, as_worker, one)["state"] == "completed"


def test_of_two_holds_one_ends_first(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lively(program)
    first, second = held(program), held(program, "consent.profile", days=60)
    filed = file(program, "erasure")
    overdue(owner)
    carry_out(program, as_worker, filed)
    legal_holds.lift(program_id=program.id, hold_id=first.pk, by="test")
    answer = end_holds(program, as_worker, filed)
    assert answer["state"] == "partially_completed"
    assert (rows(owner, "event"), rows(owner, "profile_attribute")) == (0, 2)
    assert statuses(answer)[EVENTS] == "done"
    legal_holds.lift(program_id=program.id, hold_id=second.pk, by="test")
    assert end_holds(program, as_worker, filed)["state"] == "completed"


def test_a_longer_hold_takes_the_place_of_one_that_ends(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    first = held(program)
    filed = file(program, "erasure")
    overdue(owner)
    carry_out(program, as_worker, filed)
    longer = held(program, days=90)
    legal_holds.lift(program_id=program.id, hold_id=first.pk, by="test")
    held(program, days=10)
    answer = end_holds(program, as_worker, filed)
    assert answer["state"] == "partially_completed"
    assert {holder["kept"]["until"] for holder in answer["holders"] if holder["kept"]} == {longer.until.isoformat()}
    assert rows(owner, "event") == 6


def test_a_hold_on_one_person_is_theirs_alone_and_goes_with_them(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    alice = subject_of(owner, lively(program))
    lively(program, "bob")
    access = file(program, "access")
    hold = held(program, request=access)
    carry_out(program, as_worker, access)
    assert [row["law"] for row in sections(package_of(program, access))["holds"]] == [LAW]
    assert erased(program, owner, as_worker, "bob")["state"] == "completed"
    filed = file(program, "erasure")
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "partially_completed"
    with tenant(program.id):
        assert list(HeldSubject.objects.values_list("subject_id", "hold_id")) == [(alice, hold.pk)]
    legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")
    assert end_holds(program, as_worker, filed)["state"] == "completed"
    assert rows(owner, "held_subject") == 0


def test_a_held_holder_that_has_nothing_keeps_nobody(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    held(program)
    answer = erased(program, owner, as_worker)
    assert (answer["state"], set(statuses(answer).values())) == ("completed", {"done"})


def test_a_later_erasure_completes_the_earlier_one(
    program: Program, owner: psycopg.Connection, as_worker: Working, caplog: pytest.LogCaptureFixture
) -> None:
    lively(program)
    hold = held(program)
    first = file(program, "erasure")
    overdue(owner)
    carry_out(program, as_worker, first)
    second = file(program, "erasure")
    legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")
    with as_worker():
        tasks.end_holds()
    assert shown(program, first)["state"] == "partially_completed", "the open one does it"
    assert not [record for record in caplog.records if "stopped" in record.getMessage()]
    overdue(owner)
    assert carry_out(program, as_worker, second)["state"] == "completed"
    assert shown(program, first)["state"] == "completed"
    assert set(statuses(shown(program, first)).values()) == {"done"}
    said = (
        "SELECT at = date_trunc('day', at, 'UTC') FROM audit_entry WHERE action = 'request.completed' AND target = %s"
    )
    assert owner.execute(said, [f"request:{first['request_id']}"]).fetchall() == [(True,)]
    run(as_worker)
    certified = program.get(f"requests/{first['request_id']}/certificate").json()
    assert signed.said(certified["certificate"])["outcome"] == "completed"
    included(certified)
    assert verify()["holds"]


def test_somebody_elses_data_and_mini_program_are_as_they_were(
    program: Program, other: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    held(program)
    lively(other)
    assert erased(other, owner, as_worker)["state"] == "completed"


def test_what_is_wrong_is_refused(program: Program) -> None:
    for more, code_of_it in (({"days": -3}, "until_past"), ({"holder": "nobody.knows"}, "unknown_holder")):
        with pytest.raises(Invalid, match=code_of_it):
            held(program, **more)
    with pytest.raises(Conflict, match="nobody_known"):
        held(program, request=file(program, "access", "nobody"))
    hold = held(program)
    legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")
    with pytest.raises(Conflict, match="already_lifted"):
        legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")


def test_officers_make_and_lift_holds(program: Program, owner: psycopg.Connection) -> None:
    program.decide("alice")
    access = file(program, "access")
    holds = ("view_legalhold", "add_legalhold", "change_legalhold")
    viewer = officer("ada", program, may=("view_legalhold",)).enter(program)
    assert viewer.get("consent/legalhold/add/").status_code == 403
    desk = officer("heidi", program, may_see=SEEN, may=(*DECIDES, *holds)).enter(program)
    assert EVENTS in desk.get("consent/legalhold/add/").content.decode()
    given = {"holder": EVENTS, "ground": "transactions", "law": LAW, "request": access["request_id"]}
    assert desk.post("consent/legalhold/add/", **given, until="2001-01-01").status_code == 200
    until = (now().date() + timedelta(days=9)).isoformat()
    made = desk.post("consent/legalhold/add/", **given, until=until)
    assert made.status_code == 302, made.content.decode()
    row = owner.execute("SELECT id, holder, everybody, created_by, until::text, lifted_at FROM legal_hold").fetchone()
    assert row is not None
    assert row[1:] == (EVENTS, False, f"officer:{desk.user.pk}", until, None)
    page = f"consent/legalhold/{row[0]}/change/"
    assert LAW in desk.get("consent/legalhold/").content.decode()
    assert viewer.post(page, lift="on").status_code == 403
    assert desk.post(page).status_code == 200, "it is asked for"
    assert owner.execute("SELECT lifted_by FROM legal_hold").fetchone() == (None,)
    assert desk.post(page, lift="on").status_code == 302
    assert owner.execute("SELECT lifted_by FROM legal_hold").fetchone() == (f"officer:{desk.user.pk}",)
    entries = owner.execute("SELECT action FROM audit_entry WHERE action LIKE 'hold.%' ORDER BY id").fetchall()
    assert [entry[0] for entry in entries] == ["hold.made", "hold.lifted"]


def test_the_command_makes_lists_and_lifts(program: Program) -> None:
    out = StringIO()
    until = now().date() + timedelta(days=9)
    more = {"program": program.id, "stdout": out, "stderr": StringIO()}
    call_command("hold", "add", holder=EVENTS, ground="transactions", law=LAW, until=until, **more)
    number = int(out.getvalue())
    call_command("hold", "lift", hold=number, **more)
    call_command("hold", "show", **more)
    assert out.getvalue().splitlines()[-1] == f"{number}  {EVENTS}  lifted  {LAW}"


def test_the_gate_stays_closed_while_it_goes_on(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    hold = held(program)
    filed = file(program, "erasure")
    overdue(owner)
    carry_out(program, as_worker, filed)
    program.decide("alice")
    legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")
    with as_worker():
        tasks.end_holds()
    assert program.send(event("alice", "e"))["results"][0]["code"] == "erasure_pending"
    assert carry_out(program, as_worker, filed)["state"] == "in_progress", "what came since goes as well"
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    assert rows(owner, "consent_record") == 0
