"""Saved reports over REST: kept by each mini-program, checked as if asked, asked anew each time."""

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from consent.vault import keyring
from consent.vault.store import FileStore
from reports import tasks
from reports.api.questions import RANGES, dates
from tests.cast import Program, now
from tests.consent.signed import Ring
from tests.reports.events import History, Seen, local

RANGE = {"from": "2025-10-06", "to": "2025-10-07"}
TREND = {"name": "October", "metric": "trends", "question": RANGE | {"interval": "day", "event": "order"}}


def save(program: Program, body: Any = TREND, **headers: str) -> Any:
    response = program.post("saved-reports", body, **headers)
    assert response.status_code == 201, response.content
    return response.json()


def audited(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT action, actor, target, details FROM audit_entry WHERE action LIKE 'saved_report.%' ORDER BY id"
    ).fetchall()


def test_a_report_is_saved_shown_and_deleted(program: Program, owner: psycopg.Connection) -> None:
    made = save(program)
    client = f"client:{program.client_id}"
    assert made == {"id": made["id"], **TREND, "saved_by": client, "saved_at": made["saved_at"]}
    assert program.get(f"saved-reports/{made['id']}").json() == made
    assert program.get("saved-reports").json() == {"results": [made], "next_cursor": None}
    response = program.call("DELETE", f"saved-reports/{made['id']}")
    assert (response.status_code, response.content) == (204, b"")
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/run")):
        assert program.call(method, f"saved-reports/{made['id']}{path}").status_code == 404
    about = (client, f"saved_report:{made['id']}", {"report": "trends"})
    assert audited(owner) == [("saved_report.saved", *about), ("saved_report.deleted", *about)]


def test_running_it_is_asking_its_question(history: Callable[..., History]) -> None:
    shop = history()
    shop.add_all(Seen(f"s{n}", local("2025-10-06 12:00:00"), name="order") for n in range(12))
    made = save(shop.program)
    ran, asked = (
        shop.program.call("POST", f"saved-reports/{made['id']}/run"),
        shop.program.post("reports/trends", TREND["question"]),
    )
    assert ran.status_code == 200, ran.content
    told = [response.json() | {"as_of": None} for response in (ran, asked)]
    assert told[0] == told[1]
    assert [row["subjects"] for row in told[0]["data"]] == [12, 0]
    csv = shop.program.call("POST", f"saved-reports/{made['id']}/run", Accept="text/csv")
    assert csv.content == shop.program.post("reports/trends", TREND["question"], Accept="text/csv").content


@pytest.mark.parametrize("name", RANGES)
def test_a_relative_range_is_that_of_the_day_it_is_asked_on(program: Program, name: str) -> None:
    made = save(program, {"name": name, "metric": "activity", "question": {"range": name}})
    assert made["question"] == {"range": name}
    today = now().astimezone(ZoneInfo(program.zone)).date()
    ran = program.call("POST", f"saved-reports/{made['id']}/run").json()["data"]
    first, last = dates(name, today)
    assert (ran[0]["date"], ran[-1]["date"]) == (first.isoformat(), last.isoformat())


def test_what_the_ranges_are() -> None:
    today = date(2026, 3, 2)
    assert dates("last_7_days", today) == (date(2026, 2, 21), date(2026, 2, 27))
    assert dates("last_90_days", today)[0] == date(2026, 2, 27) - timedelta(days=89)
    assert dates("this_month", today) == (date(2026, 3, 1), today)
    assert dates("last_month", today) == (date(2026, 2, 1), date(2026, 2, 28))


def test_the_last_days_are_closed(program: Program) -> None:
    made = save(program, {"name": "x", "metric": "activity", "question": {"range": "last_7_days"}})
    ran = program.call("POST", f"saved-reports/{made['id']}/run").json()["data"]
    assert len(ran) == 7 and all(row["closed"] for row in ran)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"metric": "nothing"}, "unknown_metric", "/metric"),
    ({"name": ""}, "invalid", "/name"),
    ({"name": " x"}, "invalid_name", "/name"),
    ({"name": "a\nb"}, "invalid_name", "/name"),
    ({"name": "x" * 101}, "invalid", "/name"),
    ({"name": "for 138 1234 5678"}, "identifier_in_name", "/name"),
    ({"question": {}}, "invalid", "/question"),
    ({"question": RANGE | {"range": "this_month"}}, "range_or_dates", "/question/range"),
    ({"question": {"range": "ever"}}, "invalid_range", "/question/range"),
    ({"question": {"range": ["ever"]}}, "invalid_range", "/question/range"),
    ({"question": RANGE | {"interval": "hour"}}, "invalid", "/question/interval"),
    ({"question": RANGE | {"canary": 1}}, "invalid", "/question"),
    ({"question": {"from": "2025-10-07", "to": "2025-10-06"}}, "invalid_range", "/question/from"),
    ({"question": RANGE | {"privacy": "dp"}}, "privacy_unavailable", "/question/privacy"),
    ({"metric": "activity", "question": RANGE | {"breakdown": "os"}}, "breakdown_unavailable", "/question/breakdown"),
    ({"metric": "intervals", "question": RANGE | {"start_event": "a", "end_event": "b", "bound_s": 61}},
     "window_unavailable", "/question/bound_s"),
    ({"question": RANGE | {"filters": [{"field": "page", "op": "eq", "value": "x" * 20_000}]}},
     "question_too_large", "/question"),
    ({"metric": "paths", "question": RANGE | {"start": "pages/13812345678"}},
     "identifier_in_question", "/question/start"),
    ({"question": RANGE | {"filters": [{"field": "page", "op": "eq", "value": 13812345678}]}},
     "identifier_in_question", "/question/filters/0/value"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "code", "pointer"), WRONG)
def test_what_is_refused(
    program: Program, owner: psycopg.Connection, changed: dict[str, Any], code: str, pointer: str
) -> None:
    response = program.post("saved-reports", TREND | changed)
    assert response.status_code == 422, response.content
    problem = response.json()
    assert problem["code"] == code
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
    assert "1381234" not in response.content.decode()
    assert owner.execute("SELECT count(*) FROM saved_report").fetchone() == (0,)


def test_a_question_that_is_refused_now_says_so(program: Program, owner: psycopg.Connection) -> None:
    """As the shapes of a later version might: it is checked anew whenever it is asked."""
    made = save(program)
    owner.execute("""UPDATE saved_report SET question = '{"range": "this_month", "gone": 1}'""")
    response = program.call("POST", f"saved-reports/{made['id']}/run")
    assert (response.status_code, response.json()["code"]) == (422, "invalid")
    owner.execute("UPDATE saved_report SET metric = 'gone'")
    assert program.call("POST", f"saved-reports/{made['id']}/run").status_code == 404
    assert program.get(f"saved-reports/{made['id']}").status_code == 200


def test_a_name_is_taken_once_in_a_mini_program(program: Program, other: Program) -> None:
    save(program)
    response = program.post("saved-reports", TREND | {"metric": "activity", "question": RANGE})
    assert (response.status_code, response.json()["code"]) == (409, "name_taken")
    save(other)


def test_the_same_key_saves_once(program: Program, owner: psycopg.Connection, own_ring: Ring) -> None:
    made = save(program, Idempotency_Key="k")
    assert save(program, Idempotency_Key="k") == made
    keyring.add_key(FileStore(own_ring.path), "index", made=now())
    assert save(program, Idempotency_Key="k") == made, "also once the index key has another version"
    refused = program.post("saved-reports", TREND | {"name": "another"}, Idempotency_Key="k")
    assert refused.json()["code"] == "idempotency_conflict"
    assert owner.execute("SELECT count(*) FROM saved_report").fetchone() == (1,)
    program.call("DELETE", f"saved-reports/{made['id']}")
    assert program.post("saved-reports", TREND, Idempotency_Key="k").status_code == 404


def test_a_key_is_not_remembered_for_longer(
    program: Program, owner: psycopg.Connection, as_worker: Callable[[], AbstractContextManager[None]]
) -> None:
    save(program, Idempotency_Key="k")
    held = "SELECT idempotency IS NOT NULL FROM saved_report"
    with as_worker():
        tasks.forget_asked()
    assert owner.execute(held).fetchone() == (True,)
    owner.execute("UPDATE saved_report SET saved_at = saved_at - interval '25 hours'")
    with as_worker():
        tasks.forget_asked()
    assert owner.execute(held).fetchone() == (False,)


def test_the_list_comes_in_pages_the_last_saved_first(program: Program) -> None:
    made = [save(program, TREND | {"name": f"n{n}"})["id"] for n in range(5)]
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        page = program.get(f"saved-reports?limit=2{cursor}").json()
        seen += [row["id"] for row in page["results"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == made[::-1] and page["next_cursor"] is None
    assert program.get("saved-reports?cursor=x").json()["code"] == "invalid_cursor"


def test_another_mini_programs_are_not_there(program: Program, other: Program) -> None:
    made = save(program)
    assert other.get("saved-reports").json()["results"] == []
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/run")):
        assert other.call(method, f"saved-reports/{made['id']}{path}").status_code == 404
    assert program.get(f"saved-reports/{made['id']}").status_code == 200


def test_the_scope_is_that_of_reports(program: Program) -> None:
    key = program.key_with("consents", "events")
    for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{uuid.uuid4()}"), ("POST", f"/{uuid.uuid4()}/run")):
        body = TREND if path == "" else None
        response = program.call(method, f"saved-reports{path}", body, Authorization=f"Bearer {key}")
        assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")
