"""What has a quick way and a thorough one: both say the same, of any body."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import Problem
from consent.records.grants import Coverage, Grant
from tests.cast import Program, event, now
from tracking.ingest.actions import FEW
from tracking.ingest.parse import Batch, parse_batch

WORD = st.sampled_from(["e1", "page_view", "pages/item"])
TEXT = (
    WORD
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.sampled_from(['"', '":', "\\", "\u0000", " a", "张三"])
)
ZONE = st.sampled_from([UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-23, minutes=-59))])
MOMENT = st.datetimes(timezones=ZONE).map(datetime.isoformat)
VALUE = (
    st.none()
    | st.booleans()
    | st.integers()
    | TEXT
    | st.lists(TEXT, max_size=2)
    | st.dictionaries(TEXT, TEXT, max_size=2)
)
OBJECT = st.none() | st.dictionaries(TEXT, VALUE, max_size=3)
EVENT = st.fixed_dictionaries(
    {
        "event_id": WORD | TEXT,
        "name": TEXT,
        "subject": st.sampled_from([{"openid": "oABC"}, {"openid": "o ABC"}, {"openid": " oABC"}])
        | st.dictionaries(st.sampled_from(["openid", "unionid", "external_id"]), TEXT, max_size=2),
        "occurred_at": MOMENT | TEXT,
    },
    optional={
        "sent_at": MOMENT | st.none(),
        "session_id": TEXT | st.none(),
        "page": TEXT | st.none(),
        "dwell_ms": st.integers(-1, 10) | st.none(),
        "scene": TEXT | st.integers(-1, 10) | st.none(),
        "context": OBJECT,
        "properties": OBJECT,
        "more": TEXT,
    },
)


@given(st.lists(EVENT, min_size=1, max_size=3), st.booleans())
@settings(max_examples=400)
def test_a_body_says_the_same_however_it_is_spaced(events: list[dict[str, Any]], ascii_only: bool) -> None:
    """White space before a colon makes each event be looked at by itself."""
    body = {"events": events}
    spaced = json.dumps(body, separators=(",", " :"), ensure_ascii=ascii_only).encode()
    assert read(json.dumps(body, separators=(",", ":"), ensure_ascii=ascii_only).encode()) == read(spaced)


def read(data: bytes) -> Any:
    try:
        batch = parse_batch(data)
    except Problem as error:
        return error.code, error.errors
    return batch.event_ids, batch.refused, [said(batch, place) for place in range(len(batch.read))]


def said(batch: Batch, place: int) -> Any:
    found = batch.read[place]
    if found is None:
        return None
    sent = msgspec.structs.asdict(found.sent) | {"context": found.context.values, "properties": found.properties.values}
    return found.place, found.named, sent


@pytest.mark.parametrize("missing", [None, "page", "dwell_ms", "session_id", "scene", "context", "properties"])
def test_copied_rows_are_those_that_are_inserted(
    program: Program, owner: psycopg.Connection, missing: str | None
) -> None:
    openid = "oABCDEFGHIJKLMNOPQRSTUVWXYZ12"
    program.decide(openid)
    at = now()
    whole: dict[str, Any] = {
        "session_id": "会话-1",
        "page": "pages/item",
        "dwell_ms": 17,
        "scene": 1011,
        "context": {"os": "ios", "network": "wifi"},
        "properties": {"referrer_page": "pages/index"},
    }
    more = {name: value for name, value in whole.items() if name != missing}
    copied = [event(openid, f"copied{n:04}", at + timedelta(milliseconds=n), **more) for n in range(FEW + 1)]
    inserted = [event(openid, f"insert{n:04}", at + timedelta(milliseconds=n), **more) for n in range(FEW)]
    assert program.send(*copied)["stored"] == FEW + 1
    assert program.send(*inserted)["stored"] == FEW
    assert rows(owner, "copied")[:FEW] == rows(owner, "insert")


def rows(owner: psycopg.Connection, prefix: str) -> list[Any]:
    """By event id: all that is stored, but the id's first letters and the time of receipt."""
    return owner.execute(
        "SELECT subject_id, day, right(event_id, 4), program_id, type_id, consent_record_id, session_id, page_id, occurred_at,"
        " corrected_at, dwell_ms, scene, context, properties FROM event WHERE event_id LIKE %s ORDER BY event_id",
        [f"{prefix}%"],
    ).fetchall()


_NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
INSTANT = st.sampled_from([_NOW + timedelta(seconds=seconds) for seconds in (-120, -60, 0, 30, 60, 61)])
GRANT = st.builds(
    Grant,
    subject_id=st.just(1),
    purpose_id=st.just(2),
    state=st.sampled_from(["given", "renewed", "given", "renewed", "withdrawn"]),
    record_id=st.just(3),
    notice_id=st.just(4),
    record_from=INSTANT,
    grant_from=INSTANT,
    grant_until=st.none() | INSTANT,
    pending=st.sampled_from([[], [], [5]]),
    barrier_at=st.none(),
    **dict.fromkeys(
        ("restricted", "erasure_pending", "guardian_pending", "renewal_required"),
        st.sampled_from([False, False, False, False, True]),
    ),
)


@given(GRANT, INSTANT, INSTANT)
@settings(max_examples=2000)
def test_a_grant_covers_an_event_at_one_look_as_it_does_step_by_step(
    grant: Grant, occurred_at: datetime, corrected_at: datetime
) -> None:
    told = Coverage(frozenset(), 30, None)
    step_by_step = (
        grant.refusal(_NOW, told) is None
        and grant.covers(occurred_at, corrected_at, _NOW)
        and grant.record_from is not None
        and corrected_at >= grant.record_from
        and not grant.pending
    )
    assert grant.plainly_covers(occurred_at, corrected_at, _NOW) == step_by_step
