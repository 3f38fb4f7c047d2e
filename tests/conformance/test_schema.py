"""schemathesis over the whole OpenAPI document: no 500, and no answer that the document does not describe.

Its check that whatever the schema allows is accepted is left out: a notice must be published, a purpose declared.
"""

import contextlib
import json
from typing import Any

import hypothesis
import psycopg
import pytest
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.wsgi import application
from tests.cast import Program

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def document() -> Any:
    response = Client().get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert response.status_code == 200
    return json.loads(response.content)


def explore(program: Program, examples: int) -> int:
    """Valid and invalid calls of every operation, about so many each; answers how many calls were made."""
    api = schemathesis.openapi.from_dict(document())
    api.app = application
    made = 0
    for found in api.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            def call(case: Any) -> None:
                nonlocal made
                headers = {**(case.headers or {}), "Authorization": f"Bearer {program.key}"}
                case.headers = headers
                response = case.call(base_url="http://testserver")
                case.validate_response(response, checks=CHECKS)
                made += 1

            run = settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            )(hypothesis.given(case=operation.as_strategy(generation_mode=mode))(call))
            # Where no call can be invalid there is none to make.
            with contextlib.suppress(hypothesis.errors.Unsatisfiable):
                run()
    return made


@pytest.fixture
def asked(program: Program, settings: Any) -> Program:
    settings.ALLOWED_HOSTS = ["*"]
    program.decide("alice")
    return program


@pytest.mark.long
def test_no_call_fails_or_breaks_the_document(asked: Program) -> None:
    assert explore(asked, 15) > 100


def test_whoever_may_be_told_to_come_back_is_told_when() -> None:
    """429: every call with a key. 503: every call."""
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            keyed = operation.get("security", [{}]) != [{}]
            described = operation["responses"]
            assert ("429" in described) == keyed, f"{method} {path}: see consent.api.shapes.responses"
            for status in {"429", "503"} & described.keys() if keyed else {"503"}:
                answer = described[status]
                assert list(answer["content"]) == ["application/problem+json"]
                assert answer["headers"]["Retry-After"]["required"] is True


@pytest.mark.longest
def test_no_call_fails_or_breaks_the_document_at_length(asked: Program, owner: psycopg.Connection) -> None:
    assert explore(asked, 300) > 1000
