"""The officers' table of consents by day: distinct people, the mini-program's days, nothing below the threshold."""

import csv
import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import connection, transaction
from hypothesis import example, given
from hypothesis import strategies as st

from consent.admin import statistics
from consent.programs.tenancy import tenant
from consent.records.statistics import Row, Step, decided, tellable
from tests.cast import Program, example_notice, make_program, now
from tests.consent.acts import guarded, minors_notice
from tests.consent.desk import officer
from tests.consent.notice_texts import publish

PAGE = "consent/consentrecord/statistics/"
ZONE = ZoneInfo("Asia/Shanghai")


def rows(program: Program, *, k: int = 1, zone: ZoneInfo = ZONE, days: int = 1) -> list[Row]:
    today = now().astimezone(zone).date()
    with tenant(program.id):
        return list(decided(program_id=program.id, zone=zone, first=today - timedelta(days=days - 1), last=today, k=k))


def people(row: Row) -> tuple[int | None, ...]:
    return tuple(row.people.values())


def test_each_column_counts_people_once_a_day(program: Program) -> None:
    for name in ("ann", "bob", "cat"):
        program.decide(name)
    program.decide("ann")
    program.decide("dan", "refused")
    program.decide("eve", "deferred")
    program.decide("cat", "withdrawn")
    program.post(
        "consents", {"subject": {"openid": "bob"}, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
    )
    program.decide("bob", "refused", "personalisation")
    found = [(row.purpose.code, row.notice and row.notice.version, people(row)) for row in rows(program)]
    assert found == [
        ("analytics", 1, (3, 1, 1, 2, 0)),
        ("personalisation", 1, (0, 1, 0, 0, 0)),
    ]


def test_a_withdrawal_counts_under_the_version_of_the_consent_that_it_ended(program: Program) -> None:
    """Whichever version it names itself; one that ended none has its own, or none."""
    for name in ("ann", "bob", "cat"):
        program.decide(name, "refused" if name == "cat" else "given")
    program.decide("ann", "deferred")
    publish(program, example_notice())
    program.decide("ann", "withdrawn")
    program.decide("bob")
    for name in ("bob", "cat"):
        withdrawn = {"subject": {"openid": name}, "decisions": [{"purpose": "analytics", "decision": "withdrawn"}]}
        assert program.post("consents", withdrawn).status_code == 201
    found = {row.notice and row.notice.version: row.people["withdrawn"] for row in rows(program)}
    assert found == {1: 1, 2: 1, None: 1}


def test_the_day_is_the_mini_programs_and_the_acts_own(database: None, owner: psycopg.Connection) -> None:
    zone = ZoneInfo("America/St_Johns")
    program = make_program(zone=zone.key)
    program.decide("ann")
    midnight = datetime.combine(now().astimezone(zone).date(), time.min, zone)
    for moment, day in (
        (midnight, midnight.date()),
        (midnight - timedelta(seconds=1), midnight.date() - timedelta(days=1)),
    ):
        owner.execute("UPDATE consent_record SET corrected_at = %s", [moment])
        assert [row.day for row in rows(program, zone=zone, days=2)] == [day]
    assert not rows(program, zone=zone), "yesterday is not in a range of today"


def test_a_figure_below_the_threshold_is_not_told(program: Program) -> None:
    for n in range(3):
        program.decide(f"given-{n}")
    for n in range(2):
        program.decide(f"refused-{n}", "refused")
    (row,) = rows(program, k=3)
    assert row.people == {"given": 3, "refused": None, "deferred": 0, "withdrawn": 0, "expired": 0}


def alike(hidden: tuple[int, ...], k: int) -> Iterator[tuple[int, ...]]:
    """What the days withheld may be for whoever has subtracted the days that are told from the month, and knows the rule."""
    told = tellable(hidden, k)
    for other in product(range(1, k), repeat=len(hidden)):
        if tellable(other, k) == told and (not told or sum(other) == sum(hidden)):
            yield other


@given(st.integers(2, 6).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.integers(1, k - 1), max_size=4))))
@example((6, [5]))
@example((6, [5, 5]))
@example((6, [1, 1, 1, 1]))
def test_a_month_less_its_days_leaves_each_day_that_is_withheld_any_number_below_the_threshold(
    drawn: tuple[int, list[int]],
) -> None:
    k, hidden = drawn[0], tuple(drawn[1])
    possible = list(alike(hidden, k))
    for place in range(len(hidden)):
        assert {other[place] for other in possible} == set(range(1, k))


def test_some_months_are_told_beside_days_that_are_not() -> None:
    assert [tellable(hidden, 10) for hidden in ((), (5, 5), (3,) * 8, (9, 9, 1))] == [True] * 4
    assert not any(tellable(hidden, 10) for hidden in ((9,), (5, 6), (9, 9), (1,) * 12, (9,) * 4))


def test_a_month_is_told_only_where_it_tells_no_day(program: Program, owner: psycopg.Connection) -> None:
    """Three people on one day are told; of one on the next the month would tell; with two on a third day it does not."""
    found = []
    for number, (day, people) in enumerate(((10, 3), (11, 1), (12, 2))):
        for n in range(people):
            program.decide(f"s{number}-{n}")
        owner.execute(
            "UPDATE consent_record SET corrected_at = %s WHERE corrected_at > %s",
            [datetime(2025, 5, day, 12, tzinfo=ZONE), now() - timedelta(days=1)],
        )
        with tenant(program.id):
            (row,) = decided(
                program_id=program.id, zone=ZONE, first=date(2025, 5, 1), last=date(2025, 5, 31), k=3, step=Step.MONTH
            )
        found.append(row.people["given"])
    assert found == [3, None, 6]


@pytest.mark.parametrize("column", ["restricted", "erasure_pending"])
def test_who_is_read_by_nobody_is_not_counted(program: Program, owner: psycopg.Connection, column: str) -> None:
    program.decide("ann")
    owner.execute(f"UPDATE subject SET {column} = true".encode())
    assert not rows(program)


def test_a_child_who_turned_14_stands_under_expired(program: Program, owner: psycopg.Connection) -> None:
    program.decide("ann", **guarded(minors_notice(program)))
    program.decide("ann", "refused", "personalisation", age_band="14_17")
    found = {(row.purpose.code, row.notice and row.notice.audience): people(row) for row in rows(program)}
    assert found["analytics", "minor"] == (1, 0, 0, 0, 1)


def page(program: Program, query: dict[str, Any] | None = None, k: int | None = None) -> str:
    response = officer(f"grace{now().timestamp()}", program).enter(program).get(PAGE, query_params=query or {})
    assert response.status_code == 200, response.content
    found: str = response.content.decode()
    return found


def test_the_page_holds_back_what_is_below_ten(program: Program, sandbox: Program) -> None:
    for shop in (program, sandbox):
        for n in range(10):
            shop.decide(f"s{n}")
        shop.decide("s0", "refused", "personalisation")
    told = page(program)
    assert ">10</td>" in told and "&lt; 10</td>" in told and ">1</td>" not in told
    assert "fewer than 10 people is not told" in told
    told = page(sandbox)
    assert ">1</td>" in told and "&lt;" not in told and "is not told" not in told


def test_the_csv_says_the_same_in_codes(program: Program, owner: psycopg.Connection) -> None:
    for n in range(10):
        program.decide(f"s{n}")
    program.decide("s0", "refused", "personalisation")
    desk = officer("grace", program).enter(program)
    assert desk.get(PAGE).status_code == 200
    response = desk.get(PAGE, query_params={"format": "csv"})
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in response["Content-Disposition"]
    first, second = csv.DictReader(io.StringIO(response.content.decode()))
    assert (first["purpose"], first["given"], first["given_status"]) == ("analytics", "10", "ok")
    assert (first["audience"], first["version"], first["sha256"]) == ("general", "1", program.notice)
    assert (second["purpose"], second["refused"], second["refused_status"]) == ("personalisation", "", "suppressed")
    assert (second["given"], second["given_status"]) == ("0", "ok")
    (entry,) = owner.execute("SELECT actor, details FROM audit_entry WHERE action = 'statistics.exported'").fetchall()
    today = now().astimezone(ZONE).date()
    days = {"first": (today - timedelta(days=29)).isoformat(), "last": today.isoformat()}
    assert entry == (f"officer:{desk.user.pk}", days | {"rows": 2})


def test_a_csv_that_is_cut_says_so_and_where_the_rest_is(
    program: Program, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whole days, of which it has one at least."""
    monkeypatch.setattr(statistics, "ROWS_TAKEN", 2)
    desk, today = officer("grace", program).enter(program), now().astimezone(ZONE).date()
    for ago, purposes in ((2, 1), (1, 3), (0, 1)):
        for name in ("analytics", "personalisation", "precise_location")[:purposes]:
            program.decide("ann", "refused", name)
        moved = datetime.combine(today - timedelta(days=ago), time(12), ZONE)
        owner.execute(
            "UPDATE consent_record SET corrected_at = %s WHERE corrected_at > now() - interval '1 hour'", [moved]
        )
    query: dict[str, str] = {}
    found = []
    for rest in (1, 2, None):
        lines = desk.get(PAGE, query_params={**query, "format": "csv"}).content.decode().splitlines()
        told = desk.get(PAGE, query_params=query).content.decode()
        until = None if rest is None else (today - timedelta(days=rest)).isoformat()
        assert (lines[-1] == f"cut,last={until}") is (rest is not None)
        assert ('id="cut"' in told and f"last={until}" in told) is (rest is not None)
        found.append([line.partition(",")[0] for line in lines[1:] if not line.startswith("cut")])
        query = {"last": until or ""}
    assert found == [[(today - timedelta(days=ago)).isoformat()] * number for ago, number in ((0, 1), (1, 3), (2, 1))]


def test_a_range_that_takes_too_long_is_told_on_the_page(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(**_: Any) -> Any:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '5ms'")
            cursor.execute("SELECT pg_sleep(1)")

    monkeypatch.setattr(statistics, "decided", slow)
    for form in ("", "csv"):
        assert "ask for fewer days" in page(program, {"format": form})


def test_a_range_that_is_none_is_told_on_the_page(program: Program) -> None:
    program.decide("ann")
    today = date.today()  # noqa: DTZ011  any day will do
    for query in ({"first": "x"}, {"first": today, "last": today - timedelta(days=1)}, {"first": "2020-01-01"},
                  {"first": "9999-12-01", "last": "9999-12-31"}):  # fmt: skip
        response = page(program, {**query, "format": "csv"})
        assert 'id="consents-by-day"' not in response
        assert "400 days at most" in response or "Enter a valid date" in response


def test_it_is_for_those_who_may_see_records_of_the_mini_program_they_picked(program: Program, other: Program) -> None:
    program.decide("ann")
    other.decide("bob", "refused")
    assert officer("hal", program, may_see=("notice",)).enter(program).get(PAGE).status_code == 403
    desk = officer("grace", program)
    assert desk.get(PAGE)["Location"].startswith("/admin/program/?next=")
    desk.enter(program)
    assert desk.post(PAGE).status_code == 405
    lines = desk.get(PAGE, query_params={"format": "csv"}).content.decode().splitlines()
    assert len(lines) == 2
    link = desk.get("consent/consentrecord/").content.decode()
    assert f"/admin/{PAGE}" in link


def test_the_page_speaks_chinese(program: Program) -> None:
    desk = officer("grace", program).enter(program)
    desk.client.cookies["django_language"] = "zh-hans"
    told = desk.get(PAGE).content.decode()
    for words in ("按日统计同意情况", "这些日子里没有人作出决定。"):
        assert words in told
    assert "Nobody decided" not in told
