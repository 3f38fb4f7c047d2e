"""The officers' first page: each figure is what the list has that it leads to, whoever looks and however much there is."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html import unescape
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from celery import current_app
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent import edge
from consent.admin import figures, statistics
from consent.programs.tenancy import tenant
from consent.records import tasks
from consent.records.decided_days import count_days
from consent.rights.models import SubjectRequest
from consent.vault import keyring
from consent.vault.store import FileStore
from tests.cast import Program, event, make_program, now
from tests.consent.desk import Desk, holder, officer, package_for, request_row, subject_of
from tests.consent.notice_texts import ABROAD, REFERENCE, publish, text_with
from tests.consent.processing import incident, mechanism, processor
from tests.consent.receiver import endpoint
from tests.consent.signed import Ring
from tests.ledger.logged import Working, run
from tracking.partitions import ensure_days

LINE = re.compile(r"<li .*?</li>", re.DOTALL)
TAG = re.compile(r"<[^>]+>")
numbers = count()


class Line:
    """A figure as it is read."""

    def __init__(self, html: str) -> None:
        found = re.search(r'href="([^"]+)"', html)
        self.href = unescape(found[1]).removeprefix("/admin/") if found else ""
        words = [" ".join(unescape(part).split()) for part in TAG.split(html)]
        self.words, *notes, self.told = [part for part in words if part]
        self.note = " ".join(notes)


def home(desk: Desk) -> dict[str, Line]:
    """By the words of each figure."""
    response = desk.get()
    assert response.status_code == 200, response.content[:500]
    page: str = response.content.decode()
    needs = page.partition('id="needs"')[2].rpartition("</section>")[0]
    return {line.words: line for line in map(Line, LINE.findall(needs))}


def told(desk: Desk) -> dict[str, str]:
    return {words: line.told for words, line in home(desk).items()}


def listed(desk: Desk, line: Line) -> int:
    """How many rows the list has that the figure leads to."""
    response = desk.get(line.href)
    assert response.status_code == 200, line.href
    path = line.href.partition("?")[0]
    return len(set(re.findall(rf"/admin/{path}([^/?]+)/change/", response.content.decode())))


def name() -> str:
    return f"subject{next(numbers)}"


def asked(
    program: Program, state: str = "in_progress", due: timedelta = timedelta(days=15), **more: Any
) -> SubjectRequest:
    return request_row(program, name(), state=state, due_at=now() + due, **more)


def refused(program: Program, owner: psycopg.Connection) -> None:
    """A week ago, and nobody was told."""
    week = now() - timedelta(days=7)
    made = asked(program, "rejected", closed_at=week, rejection="identity_not_verified")
    owner.execute("UPDATE request_subject SET rejection = 'x' WHERE request_id = %s", [made.pk])


def withdrawn(program: Program, owner: psycopg.Connection, *, late: bool) -> None:
    """What was collected has to go."""
    subject = subject_of(program, openid := name())
    program.decide(openid, "withdrawn")
    if late:
        owner.execute(
            "UPDATE purpose_erasure SET owed_from = now() - interval '9 days' WHERE subject_id = %s", [subject.pk]
        )


def given_up(program: Program, owner: psycopg.Connection, messages: int) -> None:
    endpoint(program, "https://example.com/", events=["consent.changed"])
    for _ in range(messages):
        program.decide(name())
    owner.execute("UPDATE webhook_message SET dead_at = now() WHERE program_id = %s", [program.id])


def about_processing(program: Program) -> None:
    """Incidents: nobody told, the authority alone, all told. Terms: valid, ending twice, ended."""
    incident(program)
    incident(program, authority_at=now())
    incident(program, authority_at=now(), people_not_told="no key was taken")
    today = now().astimezone(ZoneInfo(program.zone)).date()
    for left in (300, 9, 0, -9):
        processor(program, valid_until=today + timedelta(days=left))
    for left in (300, 9, -5, -9):
        mechanism(program, valid_until=today + timedelta(days=left))


def busy(program: Program, owner: psycopg.Connection) -> None:
    """Something of everything."""
    about_processing(program)
    given_up(program, owner, 2)
    for state in ("in_review", "in_review", "verifying"):
        asked(program, state)
    for due in (-2, -1, -1, 1, 1):
        asked(program, due=timedelta(days=due))
    asked(program, "failed", closed_at=now())
    for _ in range(2):
        refused(program, owner)
    package_for(program, asked(program, "completed", closed_at=now()), kept=timedelta(hours=2))
    package_for(program, asked(program, "completed", closed_at=now()), kept=timedelta(days=3))
    for late in (True, True, False):
        withdrawn(program, owner, late=late)
    for openid in (name(), name()):
        program.decide(openid)
        program.decide(openid, "refused", "personalisation")
        program.send(event(openid, name()), event(openid, name(), name="nothing"))


@pytest.fixture
def sandbox(database: None) -> Iterator[Program]:
    """Nothing of few people is withheld."""
    yield make_program(sandbox=True)


def test_each_figure_is_what_its_list_shows(sandbox: Program, owner: psycopg.Connection) -> None:
    busy(sandbox, owner)
    desk = holder("senior_officer", sandbox).enter(sandbox)
    lines = home(desk)
    expected = {
        "Overdue": 3, "Due soon": 2, "Due later": 3, "In review": 2, "To be verified": 1,
        "Refusals not delivered": 2, "Failed, and not asked again": 1, "Packages that are erased within a day": 1,
        "Messages given up": 2, "Authority not notified": 1, "People not notified": 2, "Processors that end soon": 2,
        "Processors that have ended": 1, "Cross-border mechanisms that end soon": 1,
        "Cross-border mechanisms that have ended": 2,
    }  # fmt: skip
    for words, rows in expected.items():
        assert lines[words].told == str(rows), words
        assert listed(desk, lines[words]) == rows, words
    late = lines["Erasures after the end of a consent, overdue"]
    assert late.told == "2" and late.href.endswith("#overdue")
    above = desk.get(late.href).content.decode()
    assert 'id="overdue"' in above and "2 erasures after the end of a consent are overdue" in above
    left = lines["Erasures after the end of a consent, still to do"]
    assert left.told == "3" and left.href.endswith("#owed")
    assert re.search(r'id="owed"[^>]*>Erasures after the end of a consent, still to do: 3\.', above)


def test_what_goes_abroad_without_a_mechanism_is_told(program: Program, owner: psycopg.Connection) -> None:
    words = "Active purposes with a recipient abroad and no valid mechanism"
    mechanism(program, "abroad")
    publish(program, text_with("abroad", separate_consent="39", recipients=[ABROAD], assessment=REFERENCE))
    desk = holder("viewer", program).enter(program)
    assert home(desk)[words].told == "0"
    owner.execute("UPDATE mechanism SET valid_until = current_date - 2")
    line = home(desk)[words]
    assert line.told == "1" and line.href.endswith("#abroad-unlet")
    above = desk.get(line.href).content.decode().partition('id="abroad-unlet"')[2]
    assert "abroad is active, and no cross-border mechanism is valid today for: Partner Ltd" in above


def test_it_repeats_no_list_of_the_side_bar(program: Program) -> None:
    desk = holder("inspector", program).enter(program)
    page = desk.get().content.decode()
    side, _, own = page.partition('id="content-main"')
    assert "/admin/consent/notice/" in side and "/admin/consent/notice/" not in own


def test_consents_are_the_sums_of_what_their_page_tells(sandbox: Program, owner: psycopg.Connection) -> None:
    busy(sandbox, owner)
    desk = holder("viewer", sandbox).enter(sandbox)
    lines = home(desk)
    for words, column in (("Given", "given"), ("Withdrawn", "withdrawn"), ("Refused", "refused")):
        page = desk.get(f"{lines[words].href}&format=csv").content.decode()
        sums = sum(int(row[column]) for row in csv.DictReader(io.StringIO(page)))
        assert lines[words].told == str(sums) and sums > 0
        assert lines[words].note == ""


def test_what_the_page_withholds_is_in_no_sum(program: Program) -> None:
    for _ in range(12):
        program.decide(name())
    program.decide(name(), purpose="personalisation")
    lines = home(holder("viewer", program).enter(program))
    assert lines["Given"].told == "12"
    assert lines["Given"].note == "without 1 figure of fewer than 10 people"


def test_many_decisions_are_told_as_a_worker_counted_them(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of finished days, without what the page of these days withholds, and anew every day."""
    monkeypatch.setattr(statistics, "MOST_COUNTED", 2)
    for _ in range(12):
        program.decide(name())
    program.decide(name(), purpose="personalisation")
    owner.execute("UPDATE consent_record SET corrected_at = corrected_at - interval '1 day'")
    program.decide(name())
    desk = holder("viewer", program).enter(program)
    lines = home(desk)
    assert lines["Decisions"].told == "more than 2" and "Given" not in lines, "no worker came by"

    def given() -> tuple[str, str]:
        with as_worker():
            tasks.count_days()
        line = home(desk)["Given"]
        page = desk.get(f"{line.href}&format=csv").content.decode()
        assert line.told == str(sum(int(row["given"] or 0) for row in csv.DictReader(io.StringIO(page))))
        return line.told, line.note

    yesterday = now().astimezone(ZoneInfo(program.zone)).date() - timedelta(days=1)
    assert given() == ("12", f"until {yesterday} · without 1 figure of fewer than 10 people")
    owner.execute("UPDATE subject SET restricted = true WHERE subject_id = (SELECT min(subject_id) FROM subject)")
    owner.execute("UPDATE decided_day SET counted_at = counted_at - interval '23 hours'")
    assert given()[0] == "11"
    owner.execute("UPDATE decided_day SET day = day - 30 WHERE day = %s", [yesterday - timedelta(days=7)])
    assert home(desk)["Decisions"].told == "more than 2", "a day is missing"


def test_days_are_counted_when_they_are_over_where_the_mini_program_is_and_once_a_day(
    program: Program, owner: psycopg.Connection
) -> None:
    zone = ZoneInfo(program.zone)
    midnight = datetime(2026, 3, 1, tzinfo=zone)
    days = "SELECT count(*), min(day), max(day) FROM decided_day"
    for at, counted, last in (
        (midnight - timedelta(seconds=1), 30, date(2026, 2, 27)),
        (midnight, 1, date(2026, 2, 28)),
        (midnight + timedelta(hours=22), 0, date(2026, 2, 28)),
        (midnight + timedelta(hours=23), 30, date(2026, 2, 28)),
    ):
        assert count_days(program_id=program.id, zone=zone, k=10, now=at.astimezone(UTC)) == counted, at
        assert owner.execute(days).fetchone() == (30, last - timedelta(days=29), last)


def test_beat_counts_what_was_decided() -> None:
    assert tasks.count_days.name in {entry["task"] for entry in current_app.conf.beat_schedule.values()}


def test_events_refused_are_told_as_the_report_tells_them(sandbox: Program, owner: psycopg.Connection) -> None:
    busy(sandbox, owner)
    sandbox.send(event(name(), name()))
    desk = holder("analyst", sandbox).enter(sandbox)
    lines = home(desk)
    told_of = {words: line.told for words, line in lines.items()}
    assert told_of == {"Not in the catalogue": "2", "No consent": "1"}
    page = " ".join(TAG.sub(" ", desk.get(lines["No consent"].href).content.decode()).split())
    assert "Not in the catalogue 2" in page and "No consent 1" in page


def test_events_refused_of_few_people_are_withheld_here_too(program: Program) -> None:
    program.send(event(name(), name()))
    lines = home(holder("analyst", program).enter(program))
    line = lines["No consent"]
    assert (line.told, line.note) == ("✱", "rests on too few people to be told")


def test_the_days_of_events_that_are_over_soon_are_told(program: Program, owner: psycopg.Connection) -> None:
    today = now().astimezone(UTC).date()
    kept = owner.execute(
        "SELECT DISTINCT retention_days FROM notice_purpose t JOIN purpose p ON p.id = t.purpose_id"
        " WHERE code = 'analytics'"
    ).fetchall()
    ((days,),) = kept
    at = [today - timedelta(days=days) + timedelta(days=more) for more in (-1, 0, 6, 7)]
    ensure_days(at)
    try:
        lines = home(holder("viewer", program).enter(program))
        # Other tests leave partitions too.
        named = owner.execute("SELECT substr(relname, 7) FROM pg_class WHERE relname ~ '^event_[0-9]{8}$'").fetchall()
        due = [day for (name,) in named if at[1] <= (day := date.fromisoformat(name)) <= at[2]]
    finally:
        for day in at:
            owner.execute(f"DROP TABLE IF EXISTS event_{day:%Y%m%d}")
    (line,) = [line for words, line in lines.items() if words.startswith("Events of")]
    assert len(due) >= 2 and line.told == f"{len(due)} days" and line.note == f"of {at[1]} to {at[2]} (UTC)"
    desk = holder("inspector", program).enter(program)
    assert "page_view" in desk.get(line.href).content.decode()


def test_nothing_of_another_mini_program_is_told(sandbox: Program, owner: psycopg.Connection) -> None:
    busy(sandbox, owner)
    other = make_program(sandbox=True)
    for role in ("inspector", "viewer", "administrator"):
        desk = holder(role, other, sandbox).enter(other)
        figures = told(desk)
        # Days have events of whomever: partitions are shared, and so is the log. That they entered waits for a place in it.
        shared = ("Events of ", "Newest checkpoint", "Records and entries")
        own = {told for words, told in figures.items() if not words.startswith(shared)}
        assert {told for told in own if not told.startswith("version ")} == {"0"}, figures
        assert told(desk.enter(sandbox)) != figures


WHO = {
    "viewer": {"overdue", "given"},
    "analyst": {"unknown"},
    "officer": {"overdue", "later", "given", "dead", "keys", "unknown"},
    "senior_officer": {"overdue", "later", "given", "dead", "keys", "unknown"},
    "administrator": {"dead", "keys"},
    "inspector": {"overdue", "later", "given", "dead", "keys", "unknown"},
}
OF = {
    "overdue": "Overdue",
    "later": "Due later",
    "given": "Given",
    "dead": "Messages given up",
    "keys": "Key-encryption key",
    "unknown": "Not in the catalogue",
}


def test_an_officer_is_led_to_the_report_of_refused_events_and_to_no_other(
    sandbox: Program, owner: psycopg.Connection
) -> None:
    busy(sandbox, owner)
    desk = holder("officer", sandbox).enter(sandbox)
    line = home(desk)["Not in the catalogue"]
    page = desk.get(line.href).content.decode()
    assert line.told == "2" and 'id="totals"' in page and "All reports" not in page
    assert desk.get("reports/report/overview/").status_code == desk.get("reports/report/").status_code == 403


@pytest.mark.parametrize("role", WHO)
def test_each_role_is_told_what_it_may_see(sandbox: Program, owner: psycopg.Connection, role: str) -> None:
    busy(sandbox, owner)
    desk = holder(role, sandbox)
    assert home(desk) == {} and "Choose a mini-program" in desk.get().content.decode()
    lines = home(desk.enter(sandbox))
    assert {what for what, words in OF.items() if words in lines} == WHO[role]
    for words, line in lines.items():
        assert line.href and desk.get(line.href).status_code == 200, words


def test_who_sees_only_numbers_is_led_to_them(sandbox: Program, owner: psycopg.Connection) -> None:
    busy(sandbox, owner)
    desk = holder("viewer", sandbox).enter(sandbox)
    lines = home(desk)
    page = " ".join(TAG.sub(" ", desk.get(lines["Overdue"].href).content.decode()).split())
    for words in ("Overdue", "Due soon", "Refusals not delivered"):
        assert f"{words}: {lines[words].told}" in page


def test_an_account_without_a_role_is_told_nothing(program: Program) -> None:
    desk = officer("nobody", program, may_see=()).enter(program)
    assert home(desk) == {} and "You don’t have permission to view or edit anything." in desk.get().content.decode()


def test_more_rows_need_no_more_queries(sandbox: Program, owner: psycopg.Connection) -> None:
    desk = holder("inspector", sandbox).enter(sandbox)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            told(desk)
        return len(captured)

    busy(sandbox, owner)
    few = queries()
    busy(sandbox, owner)
    assert queries() == few < 60


def test_a_count_ends_where_nobody_would_read_on(
    sandbox: Program, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST", 1)
    busy(sandbox, owner)
    desk = holder("officer", sandbox).enter(sandbox)
    with CaptureQueriesContext(connection) as captured:
        found = told(desk)
    assert found["Overdue"] == "more than 1" and found["To be verified"] == "1"
    counts = [query["sql"] for query in captured if "count(*)" in query["sql"].lower()]
    # A report of a few days tells how many withdrew in them, through its own index and in its own time.
    unbounded = [sql for sql in counts if not any(bound in sql for bound in ("LIMIT", "turns_14_on", "AS withdrew"))]
    assert counts and not unbounded


def test_keys_are_told_by_version_and_age_and_nothing_else(
    program: Program, owner: psycopg.Connection, own_ring: Ring
) -> None:
    program.decide("alice")
    desk = holder("administrator", program).enter(program)
    lines = home(desk)
    assert lines["Key-encryption key"].told == "version 1"
    assert lines["Key-encryption key"].note == "The keyring does not say since when."
    assert lines["Index key"].note == "The keyring does not say since when."
    assert lines["Data keys under an earlier key-encryption key"].told == "0"
    keyring.add_key(FileStore(own_ring.path), "index", made=datetime(2026, 1, 31, 20, tzinfo=UTC))
    keyring.promote(FileStore(own_ring.path), "index", 2)
    line = home(desk)["Index key"]
    assert (line.told, line.note) == ("version 2", "Made on 2026-02-01.")
    owner.execute("UPDATE data_key SET key_version = 0")
    assert told(desk)["Data keys under an earlier key-encryption key"] == "1"
    page = desk.get().content.decode() + desk.get("keys/").content.decode()
    for key in (*edge.vault().keyring.key_encryption.keys.values(), *edge.vault().keyring.index.keys.values()):
        assert key.hex() not in page


def cells(desk: Desk, path: str) -> list[list[str]]:
    """The rows of a page's table."""
    rows = desk.get(path).content.decode().partition("<tbody>")[2].partition("</tbody>")[0].split("</tr>")[:-1]
    return [[TAG.sub("", cell).strip() for cell in row.split("</td>")[:-1]] for row in rows]


def test_figures_of_keys_and_of_the_ledger_lead_to_what_they_are_of(program: Program, as_worker: Working) -> None:
    for openid in ("alice", "bob"):
        program.decide(openid)
    desk = holder("officer", program).enter(program)
    lines = home(desk)
    assert cells(desk, lines["Key-encryption key"].href)[0] == [
        "Key-encryption key",
        "version 1",
        "for what is new",
        "2",
    ]
    run(as_worker)
    newest = home(desk)["Newest checkpoint of the log"]
    assert cells(desk, newest.href)[0][0] == newest.told != "–"


def test_it_is_all_found_by_an_index(program: Program, owner: psycopg.Connection) -> None:
    """Of a hundred thousand requests that are closed, and as many messages, keys and erasures that are done."""
    subject = subject_of(program, "alice")
    made = {"program": program.id, "subject": subject.pk}
    owner.execute(
        "INSERT INTO subject_request (id, program_id, kind, state, requester, locale, received_at, due_at, closed_at)"
        " SELECT gen_random_uuid(), %(program)s, 'access', 'completed', 'self', 'en', now() - interval '90 days',"
        " now() - interval '60 days', now() - interval '70 days' FROM generate_series(1, 100000)",
        made,
    )
    owner.execute(
        "INSERT INTO purpose_erasure (subject_id, purpose_id, version, program_id, asked_at, owed_from, not_before,"
        " attempts, affected, done_at) SELECT %(subject)s, (SELECT min(id) FROM purpose), 10 + n, %(program)s, now(),"
        " now() - interval '9 days', now(), 0, 0, now() FROM generate_series(1, 100000) n",
        made,
    )
    owner.execute("ANALYZE subject_request; ANALYZE purpose_erasure")
    desk = holder("officer", program).enter(program)
    with CaptureQueriesContext(connection) as captured:
        told(desk)
    asked = [query["sql"] for query in captured if re.match(r"SELECT COUNT\(\*\)", query["sql"])]
    assert len(asked) > 9
    with tenant(program.id), connection.cursor() as cursor:
        for sql in asked:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert not re.search(r"Seq Scan on (subject_request|purpose_erasure)", plan), plan
