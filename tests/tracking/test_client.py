"""The REST client: what it sends again, how it divides, and what it raises."""

import gzip
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tracking.client import (
    MAX_BYTES,
    MAX_EVENTS,
    Client,
    Patience,
    Refused,
    UnexpectedAnswer,
    Unreachable,
    Unsettled,
    batches,
)

BASE = "https://zhiqing.example.com"
NOW = datetime(2026, 10, 5, tzinfo=UTC)
Answer = httpx.Response | Exception | Callable[[Any], httpx.Response]


class Service:
    """Answers in turn; keeps what it was asked and how long the client waited between."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = iter(answers)
        self.requests: list[httpx.Request] = []
        self.bodies: list[Any] = []
        self.waits: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        content = request.content
        if request.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        self.requests.append(request)
        self.bodies.append(json.loads(content) if content else None)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer(self.bodies[-1]) if callable(answer) else answer

    def client(self, attempts: int = 4) -> Client:
        return Client(
            BASE,
            "zq_a_b",
            patience=Patience(attempts=attempts),
            clock=lambda: NOW,
            sleep=self.waits.append,
            transport=httpx.MockTransport(self),
        )


def busy(status: int = 503, **headers: str) -> httpx.Response:
    body = {"code": "busy", "detail": "try again", "status": status}
    return httpx.Response(status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def every(result: str) -> Callable[[Any], httpx.Response]:
    def answer(body: Any) -> httpx.Response:
        return httpx.Response(
            200, json={"results": [{"event_id": e["event_id"], "result": result} for e in body["events"]]}
        )

    return answer


def events(count: int) -> list[dict[str, Any]]:
    return [{"event_id": str(number), "occurred_at": NOW} for number in range(count)]


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("late"), busy(429), busy(503), busy(502)]
)
def test_a_passing_failure_is_sent_again_under_the_same_idempotency_key(failure: Answer) -> None:
    service = Service(failure, failure, httpx.Response(201, json={"subject_id": "s"}))
    assert service.client().consent({"subject": {"openid": "o"}}) == {"subject_id": "s"}
    keys = {request.headers["Idempotency-Key"] for request in service.requests}
    assert (len(service.requests), len(keys)) == (3, 1)
    assert service.bodies[0] == service.bodies[2]


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [("7", 7, 7), ("Mon, 05 Oct 2026 00:00:09 GMT", 9, 9), ("99999", 60, 60), ("nonsense", 0, 1), ("-3", 0, 1)],
)
def test_retry_after_is_honoured_within_bounds(asked: str, least: float, most: float) -> None:
    service = Service(busy(429, Retry_After=asked), httpx.Response(200, json=[]))
    service.client().status({"openid": "o"})
    assert len(service.waits) == 1
    assert least <= service.waits[0] <= most


def test_a_conflict_is_sent_again_only_where_the_service_says_when() -> None:
    service = Service(busy(409, Retry_After="1"), httpx.Response(201, json={}))
    assert service.client().consent({}) == {}
    service = Service(busy(409))
    with pytest.raises(Refused, match="409 busy: try again"):
        service.client().consent({})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422, 500])
def test_a_refusal_is_raised_at_once(status: int) -> None:
    service = Service(busy(status))
    with pytest.raises(Refused) as raised:
        service.client().request({})
    assert (raised.value.status, raised.value.code, service.waits) == (status, "busy", [])


def test_attempts_are_bounded() -> None:
    service = Service(*[busy()] * 4)
    with pytest.raises(Refused, match="503"):
        service.client().status({"openid": "o"})
    service = Service(*[httpx.ConnectError("x")] * 4)
    with pytest.raises(Unreachable):
        service.client().status({"openid": "o"})
    assert len(service.waits) == 3


@pytest.mark.parametrize("answer", [httpx.Response(200, content=b"<html>"), httpx.Response(302, content=b"x")])
def test_another_service_is_noticed(answer: httpx.Response) -> None:
    with pytest.raises((UnexpectedAnswer, Refused)):
        Service(answer).client().status({"openid": "o"})


def test_only_events_answered_retry_are_sent_again() -> None:
    def first(body: Any) -> httpx.Response:
        results = ["stored", "retry", "duplicate", "retry", "refused"]
        pairs = zip(body["events"], results, strict=True)
        return httpx.Response(
            200, json={"results": [{"event_id": e["event_id"], "result": r, "code": "c"} for e, r in pairs]}
        )

    service = Service(first, every("stored"))
    client = service.client()
    sent = client.events(events(5))
    assert [event["event_id"] for event in service.bodies[1]["events"]] == ["1", "3"]
    assert [each["event_id"] for each in sent.results] == list("01234")
    assert (sent.count("stored"), sent.count("duplicate"), sent.refused()) == (3, 1, {"c": 1})
    assert client.repeats == 1
    with pytest.raises(Unsettled, match="2 events"):
        Service(*[every("retry")] * 4).client().events(events(2))


def test_each_attempt_carries_the_senders_clock_and_the_past_none() -> None:
    service = Service(busy(), every("stored"), every("stored"))
    client = service.client()
    moments = itertools.count()
    client._clock = lambda: NOW.replace(second=next(moments))
    client.events(events(1))
    client.events(events(1), historical=True)
    assert [body.get("sent_at") for body in service.bodies] == ["2026-10-05T00:00:00Z", "2026-10-05T00:00:01Z", None]
    assert [body.get("historical") for body in service.bodies] == [None, None, True]


def test_an_answer_without_a_result_for_each_event_is_not_taken() -> None:
    with pytest.raises(UnexpectedAnswer):
        Service(httpx.Response(200, json={"results": []})).client().events(events(1))


def test_events_are_divided_by_number_and_by_size() -> None:
    service = Service(*[every("stored")] * 3)
    assert service.client().events(events(2 * MAX_EVENTS + 1)).count("stored") == 2 * MAX_EVENTS + 1
    assert [len(body["events"]) for body in service.bodies] == [MAX_EVENTS, MAX_EVENTS, 1]
    assert service.requests[0].headers["Content-Encoding"] == "gzip"
    big = b"x" * 1_400_000
    assert [len(batch) for batch in batches([big] * 5)] == [2, 2, 1]
    assert sum(map(len, next(batches([b"y" * 3000] * MAX_EVENTS)))) < MAX_BYTES
    assert list(batches([])) == []


@pytest.mark.parametrize(
    ("url", "key"), [("127.0.0.1:8000", "k"), ("ftp://x", "k"), (BASE, ""), (BASE, "a\nb"), (BASE, "钥匙")]
)
def test_what_cannot_be_a_service_or_a_key_is_refused(url: str, key: str) -> None:
    with pytest.raises(ValueError, match="as "):
        Client(url, key)
