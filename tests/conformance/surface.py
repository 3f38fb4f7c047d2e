"""Every call of the REST API, as a backend makes it, and what the contract says of a refusal."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.cast import Program, event, now

PROBLEM = {"type", "title", "status", "detail", "code", "errors"}
STATUSES = {400, 401, 403, 404, 405, 406, 409, 413, 415, 422}


@dataclass(frozen=True)
class Call:
    """`path` below /api/v1/ or from the root, with {request_id}, {record_id}, {saved_id}; `body` makes a valid one about a subject; `scope` None: public."""

    name: str
    method: str
    path: str
    scope: str | None
    status: int
    body: Callable[[Program, str], Any] | None = None

    def address(self, program: Program, request_id: str | None = None, record_id: str | None = None) -> str:
        return self.path.format(
            request_id=request_id or uuid.uuid4(),
            record_id=record_id or uuid.uuid4(),
            program=program.id,
            notice=program.notice,
            metric="activity",
            saved_id=uuid.uuid4(),
        )


def _subject(openid: str) -> dict[str, Any]:
    return {"openid": openid}


def _consents(program: Program, openid: str) -> Any:
    return {
        "subject": _subject(openid),
        "notice": program.notice,
        "locale": "zh-Hans",
        "occurred_at": now().isoformat(),
        "sent_at": now().isoformat(),
        "method": "dialog",
        "act": "single",
        "age_band": "adult",
        "evidence": {"button_id": "agree"},
        "decisions": [{"purpose": "analytics", "decision": "given"}],
    }


def _events(program: Program, openid: str) -> Any:
    return {
        "sent_at": now().isoformat(),
        "events": [event(openid, uuid.uuid4().hex, page="pages/index", properties={"referrer_page": "pages/home"})],
    }


def _batch(program: Program, openid: str) -> Any:
    return {
        "sentAt": now().isoformat(),
        "writeKey": "not a key",
        "batch": [
            {
                "type": "page",
                "messageId": uuid.uuid4().hex,
                "anonymousId": openid,
                "timestamp": now().isoformat(),
                "properties": {"path": "pages/index", "referrer_page": "pages/home"},
                "context": {"os": {"name": "ios"}, "library": {"name": "analytics-python"}},
            }
        ],
    }


def _request(program: Program, openid: str) -> Any:
    return {
        "subject": _subject(openid),
        "kind": "access",
        "requester": "self",
        "verification": {"method": "sms", "at": now().isoformat(), "evidence": "seen"},
        "locale": "zh-Hans",
    }


def _report(program: Program, openid: str) -> Any:
    today = now().date().isoformat()
    return {"from": today, "to": today, "interval": "day", "privacy": "threshold"}


def _saved_report(program: Program, openid: str) -> Any:
    return {
        "name": uuid.uuid4().hex,
        "metric": "activity",
        "question": {"range": "last_7_days", "privacy": "threshold"},
    }


CALLS = (
    Call("current_notice", "GET", "notices/current?program={program}", None, 200),
    Call("notice_by_sha256", "GET", "notices/{notice}", None, 200),
    Call("signing_keys", "GET", "/.well-known/jwks.json", None, 200),
    Call("record_consents", "POST", "consents", "consents", 201, _consents),
    Call("consent_status", "POST", "consents/status", "consents", 200,
         lambda program, openid: {"subject": _subject(openid), "purposes": ["analytics"]}),
    Call("consent_history", "POST", "consents/history", "consents", 200,
         lambda program, openid: {"subject": _subject(openid), "purposes": ["analytics"]}),
    Call("change_identities", "POST", "identities", "consents", 200,
         lambda program, openid: {"subject": _subject(openid), "add": {"external_id": "user-1", "phone": "+8613800138000"}}),
    Call("get_receipt", "GET", "receipts/{record_id}", "consents", 200),
    Call("put_profile", "PUT", "profile", "consents", 200,
         lambda program, openid: {"subject": _subject(openid), "attributes": {"city": "杭州"}}),
    Call("record_events", "POST", "events", "events", 200, _events),
    Call("record_batch", "POST", "/v1/batch", "events", 200, _batch),
    Call("file_request", "POST", "requests", "requests", 202, _request),
    Call("open_requests", "GET", "requests", "requests", 200),
    Call("get_request", "GET", "requests/{request_id}", "requests", 200),
    Call("get_certificate", "GET", "requests/{request_id}/certificate", "requests", 200),
    Call("withdraw_request", "POST", "requests/{request_id}/withdraw", "requests", 200),
    Call("rejection_delivered", "POST", "requests/{request_id}/rejection-delivered", "requests", 200),
    Call("report", "POST", "reports/{metric}", "reports", 200, _report),
    Call("save_report", "POST", "saved-reports", "reports", 201, _saved_report),
    Call("saved_reports", "GET", "saved-reports", "reports", 200),
    Call("saved_report", "GET", "saved-reports/{saved_id}", "reports", 200),
    Call("delete_saved_report", "DELETE", "saved-reports/{saved_id}", "reports", 204),
    Call("run_report", "POST", "report-runs", "reports", 202,
         lambda program, openid: {"metric": "activity", "range": "last_7_days"}),
    Call("report_runs", "GET", "report-runs", "reports", 200),
    Call("report_run", "GET", "report-runs/{saved_id}", "reports", 200),
    Call("cancel_report_run", "POST", "report-runs/{saved_id}/cancel", "reports", 200),
    Call("run_saved_report", "POST", "saved-reports/{saved_id}/run", "reports", 200),
)  # fmt: skip
EACH_BY_ITSELF = {"record_events", "record_batch"}
"""Calls that answer 200 and refuse each event by itself."""
WITH_BODY = tuple(call for call in CALLS if call.body is not None)


def told(response: Any, *statuses: int) -> Any:
    """The problem, having the contract's shape (RFC 9457); any 4xx of the contract unless some are named."""
    assert response.status_code in (statuses or STATUSES), (response.status_code, response.content)
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem.keys() >= PROBLEM
    assert problem["status"] == response.status_code
    assert all(fault.keys() == {"code", "detail", "pointer"} for fault in problem["errors"])
    return problem


def counted(owner: psycopg.Connection, tables: list[str]) -> dict[str, int]:
    """Rows by table, but for the keys of idempotency and the counters, which count what is refused and keep none of it."""
    found = {}
    for table in sorted(set(tables) - {"idempotency_record", "ingest_count"}):
        row = owner.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        assert row is not None
        found[table] = int(row[0])
    return found
