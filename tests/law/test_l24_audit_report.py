"""L24 (PIPL 54, NDR 27): a compliance audit report for a period, every figure worked out by hand here and found there."""

import hashlib
import io
import json
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
import rfc8785
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from consent.admin import auditing
from consent.auditing.figures import Period
from consent.officers import accounts
from tests.cast import Program, now
from tests.consent.acts import guarded, minors_notice
from tests.consent.desk import Desk, disclosure_row, holder, request_row

PAGE = "audit-report/"
ZONE = ZoneInfo("Asia/Shanghai")


def day(month: int, day: int, *, year: int = 2025) -> datetime:
    return datetime(year, month, day, 12, tzinfo=ZONE)


def report(program: Program, first: str = "2025-01-01", last: str = "2025-12-31") -> dict[str, Any]:
    out = io.StringIO()
    arguments = ["--program", str(program.id), "--from", first, "--to", last, "--json"]
    call_command("audit_report", *arguments, stdout=out, stderr=io.StringIO())
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def figures(written: dict[str, Any]) -> dict[str, list[tuple[Any, ...]]]:
    """Code -> rows as the values of their cells."""
    return {
        code: [tuple(row.values()) for row in figure["rows"]]
        for section in written["sections"].values()
        for code, figure in section.items()
    }


def moved(owner: psycopg.Connection, to: datetime) -> None:
    """What was decided, withdrawn and is owed just now was so then."""
    recent = now() - timedelta(days=30)
    owner.execute(
        "UPDATE consent_record SET corrected_at = %s, received_at = %s WHERE corrected_at > %s", [to, to, recent]
    )
    owner.execute("UPDATE purpose_erasure SET owed_from = %s WHERE owed_from > %s", [to, recent])


def put(owner: psycopg.Connection, program: Program, at: datetime, actor: str, action: str, **details: Any) -> None:
    owner.execute(
        "INSERT INTO audit_entry (program_id, at, actor, action, target, details) VALUES (%s, %s, %s, %s, %s, %s)",
        [program.id, at, actor, action, details.pop("target", f"program:{program.id}"), json.dumps(details)],
    )


@pytest.fixture
def year(sandbox: Program, owner: psycopg.Connection) -> Program:
    """A small mini-program's 2025, whose figures are all told. Ann asks most of it; nothing else is of that year."""
    owner.execute("UPDATE notice SET published_at = %s", [day(2, 1)])
    owner.execute("DELETE FROM audit_entry")
    _requests(sandbox, owner)
    sandbox.decide("bob")
    moved(owner, day(5, 10))
    sandbox.decide("bob", "withdrawn")
    sandbox.decide("ann", "refused", "personalisation")
    moved(owner, day(6, 11))
    owner.execute("UPDATE purpose_erasure SET done_at = owed_from + interval '71 hours'")
    minors = minors_notice(sandbox)
    sandbox.decide("kid", **guarded(minors))
    moved(owner, day(7, 1))
    for holder_of, made, lifted, until in (
        ("a", day(3, 1), None, date(2026, 6, 1)),
        ("b", day(3, 1), day(9, 1), date(2026, 6, 1)),
        ("c", day(3, 1, year=2024), None, date(2025, 6, 1)),
    ):
        owner.execute(
            "INSERT INTO legal_hold (program_id, holder, ground, law, until, everybody, created_by, created_at, lifted_at,"
            " lifted_by) VALUES (%s, %s, 'accounts', 'a law', %s, true, 'test', %s, %s, %s)",
            [sandbox.id, holder_of, until, made, lifted, "test" if lifted else None],
        )
    put(owner, sandbox, day(4, 2), "officer:7", "breach.listed", table="event")
    put(owner, sandbox, day(4, 3), "officer:7", "phone.looked_up")
    put(owner, sandbox, day(4, 4), "officer:8", "phone.looked_up")
    put(owner, sandbox, day(4, 5), "system", "consent.turned_14")
    put(owner, sandbox, day(4, 6), "officer:8", "officer.assigned", target="officer:9")
    for account in (9, 10):
        accounts.record(actor="officer:8", action="second_factor.reset", account=f"officer:{account}")
    owner.execute("UPDATE account_entry SET at = %s", [day(8, 1)])
    return sandbox


def _requests(shop: Program, owner: psycopg.Connection) -> None:
    def ask(kind: str, state: str, received: datetime, due: datetime, closed: datetime | None, **more: Any) -> Any:
        return request_row(shop, "ann", kind, state, received_at=received, due_at=due, closed_at=closed, **more)

    guardians = ask("access", "completed", day(3, 1), day(3, 16), day(3, 10), requester="guardian")
    ask("access", "completed", day(3, 2), day(4, 7), day(3, 30), extended_from=day(3, 17), extension="complex")
    ask("erasure", "completed", day(4, 1), day(4, 16), day(5, 1))
    refused = {"rejection": "identity_not_verified", "rejection_delivered_at": day(6, 6)}
    ask("rectification", "rejected", day(6, 1), day(6, 16), day(6, 5), **refused)
    # Handed over after the year only.
    late = {"rejection": "retention_required", "rejection_delivered_at": day(1, 3, year=2026)}
    ask("access", "rejected", day(6, 2), day(6, 17), day(6, 10), **late)
    ask("access", "completed", day(12, 30), day(1, 14, year=2026), day(1, 5, year=2026))
    ask("erasure", "in_progress", day(12, 1), day(12, 16), None)
    # A second before the year, and the first moment after it.
    newyear = datetime(2025, 1, 1, tzinfo=ZONE)
    ask("access", "completed", newyear - timedelta(seconds=1), day(1, 15), day(1, 2))
    ask("copy", "in_progress", newyear.replace(year=2026), day(1, 15, year=2026), None)
    disclosure_row(shop, guardians)
    owner.execute("UPDATE disclosure SET at = %s", [day(3, 11)])
    put(owner, shop, day(3, 5), "officer:7", "request.extended", extension="complex")
    verified = {"method": "guardianship", "target": f"request:{guardians.pk}"}
    put(owner, shop, day(3, 3), "officer:7", "request.verified", **verified)


def test_every_figure_of_a_year_is_what_it_is_by_hand(year: Program, owner: psycopg.Connection) -> None:
    written = report(year)
    found = figures(written)
    ((sha256,),) = owner.execute("SELECT sha256 FROM notice WHERE audience = 'general'").fetchall()
    published = found.pop("notices.published")
    assert [(row[0], row[1], row[2], row[5]) for row in published] == [("general", 1, sha256, 0)]
    standing = found.pop("assessments.standing")
    assert standing and all(row[1] is True for row in standing)
    mine = "SELECT count(*) FROM leaf WHERE program_id = %s"  # with that of the report's own entry
    leaves = owner.execute(mine, [year.id]).fetchone()
    assert leaves is not None
    assert found == {
        "requests.received": [("access", 4), ("erasure", 2), ("rectification", 1)],
        "requests.closed": [
            ("access", "completed", 3),
            ("access", "rejected", 1),
            ("erasure", "completed", 1),
            ("rectification", "rejected", 1),
        ],
        "requests.timing": [("access", 3, 1, 0), ("erasure", 0, 0, 1), ("rectification", 1, 0, 0)],
        "requests.open": [("access", 1, 0), ("erasure", 1, 1)],
        "requests.extended": [("complex", 1)],
        "requests.refused": [("identity_not_verified", 1, 1, 0), ("retention_required", 1, 0, 1)],
        "consents.decided": [
            ("2025-05", "analytics", "general", 1, 2, 0, 0, 0, 0),
            ("2025-06", "analytics", "general", 1, 0, 0, 0, 1, 0),
            ("2025-06", "personalisation", "general", 1, 0, 1, 0, 0, 0),
            ("2025-07", "analytics", "minor", 1, 1, 0, 0, 0, 0),
        ],
        "consents.erasures": [("2025-06", "analytics", 1, 0, 0, 0)],
        "purposes.ended": [],
        "minors.consents": [(2025, "analytics", 1, 0, 0)],
        "minors.requests": [(2025, 1, 0)],
        "minors.guardians": [(2025, "guardianship", 1)],
        "minors.turned_14": [(2025, 1)],
        "assessments.recorded": [],
        "holds": [("accounts", 2, 1, 1)],
        "disclosures": [("subject", "access.delivery", 1)],
        "webhooks.given_up": [],
        "breaches.listed": [("2025-04-02T04:00:00+00:00", "table")],
        "risks": [],
        "keys.versions": [("key_encryption", 1, True, None), ("index", 1, True, None), ("signing", 1, True, None)],
        "keys.data": [(1, 3)],
        "keys.api": [(0, 0, 0)],
        "ledger.without_leaf": [(0,)],
        "ledger.leaves": [(leaves[0] - 1,)],
        "accounts": [("second_factor.reset", 1)],
        "actions": [
            ("breach.listed", "officer", 1),
            ("officer.assigned", "officer", 1),
            ("phone.looked_up", "officer", 2),
            ("request.extended", "officer", 1),
            ("request.verified", "officer", 1),
        ],
    }


def test_each_figure_says_how_it_is_computed_and_whether_it_stays(year: Program) -> None:
    written = report(year)
    assert written["format"] == "zhiqing-audit-report/1"
    assert written["period"] == {"first": "2025-01-01", "last": "2025-12-31", "zone": "Asia/Shanghai", "over": True}
    for section in written["sections"].values():
        for code, figure in section.items():
            assert len(figure["definition"]) > 10, code
            assert figure["lasting"] in ("fixed", "open", "erasure", "now"), code
    body = {name: value for name, value in written.items() if name != "sha256"}
    assert written["sha256"] == hashlib.sha256(rfc8785.dumps(body)).hexdigest()


def test_what_is_fixed_is_the_same_when_it_is_asked_again_after_an_erasure(
    year: Program, owner: psycopg.Connection
) -> None:
    before = report(year)
    owner.execute("UPDATE subject SET erasure_pending = true")
    owner.execute("DELETE FROM purpose_erasure")
    after = report(year)
    assert after["fixed_sha256"] == before["fixed_sha256"]
    assert after["sha256"] != before["sha256"]
    changed = {code for code, rows in figures(after).items() if rows != figures(before)[code]}
    lasting = {code: figure["lasting"] for section in after["sections"].values() for code, figure in section.items()}
    assert changed and {lasting[code] for code in changed} <= {"erasure", "now"}
    put(owner, year, day(9, 9), "operator", "hold.lifted")
    assert report(year)["fixed_sha256"] != after["fixed_sha256"], "a fixed figure that was tampered with shows"


def test_figures_of_few_people_are_not_told(program: Program, owner: psycopg.Connection) -> None:
    for n in range(10):
        program.decide(f"s{n}")
    program.decide("s0", "refused", "personalisation")
    request_row(program, "s1", requester="guardian", received_at=day(3, 1))
    moved(owner, day(5, 10))
    written = report(program)
    found = figures(written)
    assert written["k"] == 10
    assert ("2025-05", "analytics", "general", 1, 10, 0, 0, 0, 0) in found["consents.decided"]
    assert ("2025-05", "personalisation", "general", 1, 0, None, 0, 0, 0) in found["consents.decided"]
    assert found["minors.requests"] == [(2025, None, 0)]


def test_no_two_periods_tell_by_their_difference_what_neither_tells(year: Program) -> None:
    """People are counted in whole months and years that the period has: a day more or less tells nothing of the day."""
    whole = figures(report(year))
    for first, last in (("2025-05-11", "2025-12-31"), ("2025-01-01", "2025-05-30"), ("2025-05-10", "2025-05-10")):
        months = {row[0] for row in figures(report(year, first, last))["consents.decided"]}
        assert "2025-05" not in months
        found = figures(report(year, first, last))
        assert not found["minors.consents"] and not found["minors.requests"]
        assert all(row in whole["consents.decided"] for row in found["consents.decided"])


@pytest.mark.parametrize(
    ("first", "last", "months", "years"),
    [
        ("2025-01-01", "2025-12-31", ("2025-01-01", "2025-12-31"), ("2025-01-01", "2025-12-31")),
        ("2024-12-31", "2026-01-01", ("2025-01-01", "2025-12-31"), ("2025-01-01", "2025-12-31")),
        ("2025-01-02", "2025-12-31", ("2025-02-01", "2025-12-31"), None),
        ("2024-02-01", "2024-02-29", ("2024-02-01", "2024-02-29"), None),
        ("2024-02-01", "2024-02-28", None, None),
        ("2024-12-15", "2025-01-15", None, None),
    ],
)
def test_the_whole_months_and_years_of_a_period(
    first: str, last: str, months: tuple[str, str] | None, years: tuple[str, str] | None
) -> None:
    period = Period(date.fromisoformat(first), date.fromisoformat(last), ZONE)
    for found, expected in ((period.months, months), (period.years, years)):
        assert (found and tuple(day.isoformat() for day in found)) == expected


def test_the_number_of_statements_does_not_grow(year: Program, owner: psycopg.Connection) -> None:
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as asked:
            report(year)
        counts.append(len(asked))
        for n in range(30):
            put(owner, year, day(3, 1), f"officer:{n}", "hold.made")
            request_row(year, f"p{n}", received_at=day(3, 1))
    assert counts[0] == counts[1] < 60


@pytest.fixture
def inspector(year: Program) -> Desk:
    return holder("inspector", year).enter(year)


def test_an_officer_makes_it_on_a_page(year: Program, inspector: Desk, owner: psycopg.Connection) -> None:
    assert 'id="audit-report"' not in inspector.get(PAGE).content.decode()
    made = "SELECT actor, target, details FROM audit_entry WHERE action = 'audit_report.made'"
    assert not owner.execute(made).fetchall()
    page = inspector.post(PAGE, first="2025-01-01", last="2025-12-31").content.decode()
    for told in (
        "Requests received",
        "Identity not verified",
        "Stubs of requests by the time they were received.",
        ">2025-05<",
    ):
        assert told in page
    details = {"first": "2025-01-01", "last": "2025-12-31"}
    by = f"officer:{inspector.user.pk}"
    assert owner.execute(made).fetchall() == [(by, f"program:{year.id}", details)]
    response = inspector.post(PAGE, first="2025-01-01", last="2025-12-31", format="json")
    written = json.loads(response.content)
    assert "attachment" in response["Content-Disposition"] and "no-store" in response["Cache-Control"]
    assert written["fixed_sha256"] == report(year)["fixed_sha256"] and written["fixed_sha256"] in page
    assert len(owner.execute(made).fetchall()) == 3
    inspector.client.cookies["django_language"] = "zh-hans"
    chinese = inspector.post(PAGE, first="2025-01-01", last="2025-12-31")
    assert "合规审计报告" in chinese.content.decode() and written["fixed_sha256"] in chinese.content.decode()


def test_of_a_month_that_is_not_over_no_people_are_told(program: Program) -> None:
    program.decide("alice")
    program.decide("alice", "withdrawn")
    today = now().astimezone(ZONE).date()
    found = figures(report(program, f"{today.year}-01-01", f"{today.year}-12-31"))
    assert not [
        row for code in ("consents.decided", "consents.erasures") for row in found[code] if row[0] == f"{today:%Y-%m}"
    ]
    assert found["minors.consents"] == []


def test_a_report_that_takes_too_long_is_no_error(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(**_: Any) -> Any:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '5ms'")
            cursor.execute("SELECT pg_sleep(1)")

    monkeypatch.setattr(auditing, "make", slow)
    answer = holder("officer", program).enter(program).post("audit-report/", first="2025-01-01", last="2025-12-31")
    assert answer.status_code == 200 and "ask for a shorter period" in answer.content.decode()


def test_a_period_that_is_none_is_told(year: Program, inspector: Desk, owner: psycopg.Connection) -> None:
    for first, last in (("2025-02-01", "2025-01-01"), ("x", "2025-01-01"), ("2020-01-01", "2025-01-01")):
        page = inspector.post(PAGE, first=first, last=last)
        assert page.status_code == 200 and 'id="audit-report"' not in page.content.decode()
    with pytest.raises(CommandError, match="begins before it ends"):
        report(year, "2025-02-01", "2025-01-01")
    assert owner.execute("SELECT count(*) FROM audit_entry WHERE action = 'audit_report.made'").fetchone() == (0,)


def test_another_mini_programs_year_is_not_in_it(year: Program, other: Program) -> None:
    found = figures(report(other))
    assert not any(found[code] for code in ("requests.received", "consents.decided", "holds", "actions", "accounts"))
