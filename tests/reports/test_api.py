"""POST /reports/{metric}: the contract of the call."""

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from drf_spectacular.generators import SchemaGenerator

from reports.api.answers import ANSWERED
from reports.api.answers.people import ActivityAnswered
from reports.api.shapes import ASKED
from reports.metrics.registry import names
from tests.cast import Program, now
from tests.reports.events import History, Seen, local

RANGE = {"from": "2025-10-06", "to": "2025-10-07"}


def ask(program: Program, body: Any = RANGE, metric: str = "activity", **headers: str) -> Any:
    return program.post(f"reports/{metric}", body, **headers)


@pytest.fixture
def dozen(history: Callable[..., History]) -> History:
    """Twelve subjects on October 6, and three on the 7th."""
    shanghai = history()
    shanghai.add_all(Seen(f"s{n}", local("2025-10-06 12:00:00")) for n in range(12))
    shanghai.add_all(Seen(f"s{n}", local("2025-10-07 12:00:00")) for n in range(3))
    return shanghai


def test_the_answer(dozen: History) -> None:
    response = ask(dozen.program)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert answer["zone"] == "Asia/Shanghai"
    assert answer["revision"] == 1
    assert answer["privacy"] == {"mode": "threshold", "k": 10, "suppressed_cells": 3, "range_withheld": False}
    assert answer["data"] == [
        {
            "date": "2025-10-06",
            "dau": 12,
            "wau_rolling": 12,
            "mau_rolling": 12,
            "events": 12,
            "sessions": 12,
            "closed": True,
            "status": dict.fromkeys(["dau", "wau_rolling", "mau_rolling", "events", "sessions"], "ok"),
        },
        {
            "date": "2025-10-07",
            "dau": None,
            "wau_rolling": 12,
            "mau_rolling": 12,
            "events": None,
            "sessions": None,
            "closed": True,
            "status": {
                "dau": "suppressed",
                "wau_rolling": "ok",
                "mau_rolling": "ok",
                "events": "suppressed",
                "sessions": "suppressed",
            },
        },
    ]
    assert answer["weeks"] == [{"week": "2025-10-06", "wau": 12, "closed": True, "status": {"wau": "ok"}}]
    assert answer["months"] == [{"month": "2025-10-01", "mau": 12, "closed": True, "status": {"mau": "ok"}}]
    assert answer["withdrawn_subjects"] == 0
    assert answer["status"] == {"withdrawn_subjects": "ok"}
    assert answer["as_of"].endswith("Z")


def test_the_answer_is_what_the_schema_says(dozen: History) -> None:
    msgspec.json.decode(ask(dozen.program).content, type=ActivityAnswered, strict=True)
    shown = set(json.loads(ask(dozen.program).content))
    assert shown == set(ActivityAnswered.__struct_fields__)


def test_a_sandbox_is_told_everything(sandbox: Program, history: Callable[..., History]) -> None:
    synthetic = history(sandbox=True)
    synthetic.add(Seen("ann", local("2025-10-06 12:00:00")))
    answer = ask(synthetic.program).json()
    assert answer["privacy"] == {"mode": "threshold", "k": 1, "suppressed_cells": 0, "range_withheld": False}
    assert [row["dau"] for row in answer["data"]] == [1, 0]


def test_k_is_the_installations(dozen: History, settings: Any) -> None:
    settings.ZHIQING_K = 3
    assert [row["dau"] for row in ask(dozen.program).json()["data"]] == [12, 3]


def test_today_is_a_total_so_far_and_tomorrow_is_not_observable(history: Callable[..., History]) -> None:
    shanghai = history()
    today = (now() + timedelta(hours=8)).date()
    answer = ask(shanghai.program, {"from": str(today), "to": str(today + timedelta(days=2))}).json()
    assert [row["status"]["dau"] for row in answer["data"]][::2] == ["suppressed", "not_observable"]
    assert [row["dau"] for row in answer["data"]] == [None] * 3


def test_another_programs_events_never_count(dozen: History, program: Program) -> None:
    assert [row["dau"] for row in ask(program).json()["data"]] == [0, 0]


def test_csv(dozen: History) -> None:
    response = ask(dozen.program, Accept="text/csv")
    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert "Accept" in response["Vary"]
    rows = list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))
    assert [[row[name] for name in ("date", "dau", "dau_status", "closed")] for row in rows] == [
        ["2025-10-06", "12", "ok", "true"],
        ["2025-10-07", "", "suppressed", "true"],
    ]
    assert list(rows[0])[:6] == ["date", "dau", "wau_rolling", "mau_rolling", "events", "sessions"]
    about = json.loads(response["Zhiqing-Report"])
    assert about["zone"] == "Asia/Shanghai"
    assert about["privacy"]["suppressed_cells"] == 3
    assert about["withdrawn_subjects"] == 0
    assert not {"data", "weeks", "months"} & set(about)


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"from": "2025-10-07", "to": "2025-10-06"}, "invalid_range", "/from"),
        ({"from": "2024-01-01", "to": "2025-02-04"}, "invalid_range", "/to"),  # 401 days
        ({"from": "0001-01-01", "to": "0001-01-02"}, "invalid_range", "/from"),
        ({"from": "9999-12-30", "to": "9999-12-31"}, "invalid_range", "/to"),
        ({"from": "2025-10-06"}, "invalid", ""),
        ({"from": "2025-10-06T00:00:00Z", "to": "2025-10-06"}, "invalid", "/from"),
        (RANGE | {"zone": "UTC"}, "invalid", ""),
        (RANGE | {"interval": "hour"}, "invalid", "/interval"),
        (RANGE | {"interval": "week"}, "interval_unavailable", "/interval"),
        (RANGE | {"filters": [{"field": "os", "op": "eq", "value": "x"}]}, "filters_unavailable", "/filters"),
        (RANGE | {"filters": [{"field": "os", "op": "like", "value": "x"}]}, "invalid", "/filters/0/op"),
        (RANGE | {"breakdown": "os"}, "breakdown_unavailable", "/breakdown"),
        (RANGE | {"privacy": "dp"}, "privacy_unavailable", "/privacy"),
        (RANGE | {"privacy": "none"}, "invalid", "/privacy"),
    ],
)
def test_a_body_against_the_rules(program: Program, body: Any, code: str, pointer: str) -> None:
    response = ask(program, body)
    assert response.status_code == 422, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == code
    assert problem["errors"][0]["pointer"] == pointer


def test_everything_unavailable_is_named_at_once(program: Program) -> None:
    response = ask(program, RANGE | {"breakdown": "os", "privacy": "dp"})
    assert [error["code"] for error in response.json()["errors"]] == ["breakdown_unavailable", "privacy_unavailable"]


def test_the_longest_range(program: Program) -> None:
    response = ask(program, {"from": "2024-01-01", "to": "2025-02-03", "interval": "day", "filters": []})
    assert response.status_code == 200
    assert len(response.json()["data"]) == 400


@pytest.mark.parametrize("metric", ["funnels", "Activity", "activity%00"])
def test_an_unknown_metric(program: Program, metric: str) -> None:
    response = ask(program, metric=metric)
    assert (response.status_code, response.json()["code"]) == (404, "unknown_metric")


def test_the_scope_is_needed(program: Program) -> None:
    key = program.key_with("events", "consents")
    response = ask(program, Authorization=f"Bearer {key}")
    assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")
    assert ask(program, Authorization="Bearer zq_none_none").status_code == 401
    assert ask(program, Authorization=f"Bearer {program.key_with('reports')}").status_code == 200


def test_an_answer_in_another_form_is_refused(program: Program) -> None:
    assert ask(program, Accept="application/xml").status_code == 406
    wrong = ask(program, {"from": "2025-10-07", "to": "2025-10-06"}, Accept="text/csv")
    assert (wrong.status_code, wrong["Content-Type"]) == (422, "application/problem+json")


def test_only_post(program: Program) -> None:
    response = program.get("reports/activity")
    assert (response.status_code, response["Allow"]) == (405, "POST, OPTIONS")


def test_openapi_tells_of_it() -> None:
    generator: Any = SchemaGenerator
    schema = generator().get_schema(request=None, public=True)
    operation = schema["paths"]["/api/v1/reports/{metric}"]["post"]
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/csv"}
    shapes = operation["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    for asked in shapes:
        assert {"from", "to", "interval", "filters", "breakdown", "privacy"} <= set(asked["properties"])
    (metric,) = [parameter for parameter in operation["parameters"] if parameter["name"] == "metric"]
    assert metric["schema"]["enum"] == names() == sorted(ASKED) == sorted(ANSWERED)
    assert len(shapes) == len(ASKED)
