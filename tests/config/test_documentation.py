"""The OpenAPI document says what the contract says."""

import json
import re
from typing import Any

import pytest
from django.test import Client

CALLS = {
    ("get", "/api/v1/notices/current"),
    ("get", "/api/v1/notices/{sha256}"),
    ("get", "/.well-known/jwks.json"),
    ("post", "/api/v1/consents"),
    ("post", "/api/v1/consents/status"),
    ("post", "/api/v1/consents/history"),
    ("post", "/api/v1/identities"),
    ("get", "/api/v1/receipts/{record_id}"),
    ("put", "/api/v1/profile"),
    ("post", "/api/v1/events"),
    ("post", "/v1/batch"),
    ("post", "/api/v1/portal-sessions"),
    ("post", "/api/v1/requests"),
    ("get", "/api/v1/requests"),
    ("get", "/api/v1/requests/{request_id}"),
    ("get", "/api/v1/requests/{request_id}/certificate"),
    ("post", "/api/v1/requests/{request_id}/withdraw"),
    ("post", "/api/v1/requests/{request_id}/rejection-delivered"),
    ("post", "/api/v1/reports/{metric}"),
    ("post", "/api/v1/report-runs"),
    ("get", "/api/v1/report-runs"),
    ("get", "/api/v1/report-runs/{run_id}"),
    ("post", "/api/v1/report-runs/{run_id}/cancel"),
    ("post", "/api/v1/saved-reports"),
    ("get", "/api/v1/saved-reports"),
    ("get", "/api/v1/saved-reports/{saved_id}"),
    ("delete", "/api/v1/saved-reports/{saved_id}"),
    ("post", "/api/v1/saved-reports/{saved_id}/run"),
}
PUBLIC = {
    ("get", "/.well-known/jwks.json"),
    ("get", "/api/v1/notices/current"),
    ("get", "/api/v1/notices/{sha256}"),
}


@pytest.fixture(scope="module")
def document(migrated: None) -> Any:
    response = Client().get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert response.status_code == 200
    return json.loads(response.content)


def test_every_call_is_there_and_closed_unless_public(document: Any) -> None:
    calls = {(method, path): call for path, calls in document["paths"].items() for method, call in calls.items()}
    assert set(calls) == CALLS
    for call, described in calls.items():
        keyed = {"apiKey": []} in described.get("security", []) and {} not in described["security"]
        assert keyed != (call in PUBLIC), call
        assert "4XX" in described["responses"]


def test_the_shapes_are_those_of_the_code(document: Any) -> None:
    def properties(path: str) -> set[str]:
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        return set(body["properties"])

    assert properties("/api/v1/events") == {"events", "sent_at", "historical"}
    assert properties("/v1/batch") == {"batch", "sentAt"}
    assert {"subject", "notice", "decisions", "act", "guardian"} <= properties("/api/v1/consents")


def test_the_pages_load_nothing_from_elsewhere(migrated: None) -> None:
    response = Client().get("/api/docs/")
    assert response.status_code == 200
    assert "script-src 'self'" in response["Content-Security-Policy"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', response.content.decode())
    assert loaded
    assert all(address.startswith("/") and not address.startswith("//") for address in loaded)
