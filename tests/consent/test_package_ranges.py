"""The package's document over HTTP by ranges of bytes (RFC 9110, 14), as a download manager asks for it."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent import edge
from consent.errors import Conflict
from consent.programs.tenancy import tenant
from consent.rights import packages, renditions
from consent.rights.models import Package
from consent.rights.renditions import Form
from tests.cast import Program
from tests.consent.browsing import Browser, opened
from tests.consent.deciding import download
from tests.consent.desk import officer
from tests.consent.rights import Working, carry_out, file, lively

SMALL = 700
"""Bytes of a part, so that a small package has many."""


@dataclass
class Download:
    """A ready package, the browser that may fetch it, and its text."""

    browser: Browser
    path: str
    text: bytes
    parts: list[tuple[int, int]]

    def get(self, **headers: str) -> Any:
        return self.browser.client.get(
            self.path, headers={name.replace("_", "-"): told for name, told in headers.items()}
        )

    @property
    def tag(self) -> str:
        return str(self.get(Range="bytes=0-0")["ETag"])


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def step_up(owner: psycopg.Connection) -> None:
    owner.execute("UPDATE portal_session SET stepped_up = true")


@pytest.fixture
def ready(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Download]:
    gathered = packages.gathered
    monkeypatch.setattr(packages, "gathered", lambda pieces: gathered(pieces, SMALL))
    lively(program, days=10)
    filed = file(program, "copy")
    carry_out(program, as_worker, filed)
    browser = opened(program)
    step_up(owner)
    with tenant(program.id):
        held = packages.document(edge.vault(), Package.objects.get())
    path = f"/portal/requests/{filed['request_id']}/package.json"
    yield Download(browser, path, b"".join(held.pieces(range(held.length))), held.parts)


def test_the_whole_says_how_long_it_is_and_that_it_may_be_had_in_parts(ready: Download) -> None:
    assert len(ready.parts) > 5
    response = ready.get()
    assert (response.status_code, body(response)) == (200, ready.text)
    assert (response["Content-Length"], response["Accept-Ranges"]) == (str(len(ready.text)), "bytes")
    assert response["ETag"].startswith('"') and response["ETag"].endswith('"')
    assert "Content-Range" not in response
    head = ready.browser.client.head(ready.path, headers={"Range": "bytes=0-0"})
    assert (head.status_code, head["Content-Length"], head["ETag"]) == (
        200,
        response["Content-Length"],
        response["ETag"],
    )


def expected(text: bytes, first: int | None, last: int | None) -> bytes:
    if first is None:
        return text[-last:] if last else b""
    return text[first:] if last is None else text[first : last + 1]


def test_any_range_is_that_part_of_the_whole(ready: Download) -> None:
    length = len(ready.text)
    edges, at = [0], 0
    for _, part in ready.parts:
        at += part
        edges += [at - 1, at]
    place = st.one_of(st.sampled_from(edges), st.integers(0, length + 10))

    @settings(max_examples=60, deadline=None)
    @given(st.one_of(st.none(), place), st.one_of(st.none(), place))
    def holds(first: int | None, last: int | None) -> None:
        if first is None and last is None:
            return
        response = ready.get(Range=f"bytes={'' if first is None else first}-{'' if last is None else last}")
        if first is not None and last is not None and last < first:
            assert (response.status_code, body(response)) == (200, ready.text)
            return
        wanted = expected(ready.text, first, last)
        if not wanted:
            assert (response.status_code, response["Content-Range"]) == (416, f"bytes */{length}")
            assert response.content == b""
            return
        begin = length - len(wanted) if first is None else first
        assert (response.status_code, body(response)) == (206, wanted)
        assert response["Content-Range"] == f"bytes {begin}-{begin + len(wanted) - 1}/{length}"
        assert response["Content-Length"] == str(len(wanted))

    holds()


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=", "bytes=-", "bytes=x-1", "chars=0-1", "0-1", "bytes=٠-١"])
def test_what_is_no_single_range_is_answered_whole(ready: Download, asked: str) -> None:
    response = ready.get(Range=asked)
    assert (response.status_code, body(response)) == (200, ready.text)


def test_only_the_parts_that_are_needed_are_opened(ready: Download, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    part = packages.Document.part

    def noting(document: packages.Document, number: int) -> bytes:
        read.append(number)
        return part(document, number)

    monkeypatch.setattr(packages.Document, "part", noting)
    begin = sum(length for _, length in ready.parts[:2])
    body(ready.get(Range=f"bytes={begin - 1}-{begin}"))
    assert read == [number for number, _ in ready.parts[1:3]]


def test_a_download_that_broke_off_goes_on_if_it_is_of_the_same_text(ready: Download) -> None:
    tag, broken = ready.tag, ready.text[:1000]
    response = ready.get(Range="bytes=1000-", If_Range=tag)
    assert response.status_code == 206
    assert broken + body(response) == ready.text
    for other in (f'"{uuid.uuid4()}"', f"W/{tag}", "Fri, 27 Nov 2026 08:00:00 GMT"):
        response = ready.get(Range="bytes=1000-", If_Range=other)
        assert (response.status_code, body(response)) == (200, ready.text)


@pytest.mark.parametrize("form", ["page", "csv"])
def test_what_is_made_while_it_is_read_has_no_ranges(ready: Download, form: str) -> None:
    ready.path = ready.path.replace(".json", f".{form}")
    response = ready.get(Range="bytes=0-9")
    assert (response.status_code, response["Accept-Ranges"]) == (200, "none")
    assert len(body(response)) > 10


LOGGED = (
    "SELECT (SELECT count(*) FROM disclosure), (SELECT count(*) FROM audit_entry WHERE action = 'package.downloaded')"
)


def test_only_a_range_that_goes_on_in_the_same_session_is_not_logged(
    program: Program, ready: Download, owner: psycopg.Connection
) -> None:
    def logged() -> Any:
        return owner.execute(LOGGED).fetchone()

    assert ready.get(Range=f"bytes={len(ready.text)}-").status_code == 416
    ready.browser.client.head(ready.path)
    assert logged() == (0, 0), "nothing was given"
    for asked, expected in (
        ("bytes=5-", (1, 1)),  # the first of the session, wherever it begins
        ("bytes=9-20", (1, 1)),
        ("bytes=-1", (1, 1)),
        ("bytes=0-4", (1, 2)),
        ("", (1, 3)),
        ("bytes=5-", (1, 3)),
    ):
        body(ready.get(Range=asked))
        assert logged() == expected, asked
    ready.browser = opened(program)
    step_up(owner)
    body(ready.get(Range="bytes=5-"))
    assert logged() == (2, 4), "another session"
    ready.path = ready.path.replace(".json", ".csv")
    for downloads in (5, 6):
        body(ready.get())
        assert logged() == (3, downloads), "another form"


def test_nobody_elses_session_and_none_without_a_login_gets_a_byte(
    program: Program, ready: Download, owner: psycopg.Connection
) -> None:
    first = {"Range": "bytes=0-9"}
    program.decide("bob")
    bobs = opened(program, "bob")
    step_up(owner)
    assert bobs.client.get(ready.path, headers=first).status_code == 404
    mine = opened(program)
    assert mine.client.get(ready.path, headers=first).status_code == 403
    step_up(owner)
    response = mine.client.get(ready.path, headers={"Range": "bytes=10-", "If-Range": ready.tag})
    assert (response.status_code, ready.text[:10] + body(response)) == (206, ready.text), "in a later session of theirs"


def test_nothing_of_what_has_expired_is_given(ready: Download, owner: psycopg.Connection) -> None:
    owner.execute("UPDATE package SET expires_at = now()")
    assert ready.get(Range="bytes=0-9").status_code == 404


@pytest.mark.parametrize("kind", ["erasure", "restriction"])
def test_what_is_filed_between_two_parts_stops_the_stream(program: Program, ready: Download, kind: str) -> None:
    pieces = iter(ready.get().streaming_content)
    assert ready.text.startswith(next(pieces))
    file(program, kind)
    with pytest.raises(Conflict):
        next(pieces)


def test_what_is_too_large_for_a_page_or_a_table_is_had_as_the_document(
    program: Program, ready: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ready.path.removesuffix("/package.json")
    assert "too large" not in ready.browser.get(page)
    for form in (Form.PAGE, Form.TABLE):
        made = replace(renditions.RENDITIONS[form], most=len(ready.text) - 1)
        monkeypatch.setitem(renditions.RENDITIONS, form, made)
    text = ready.browser.get(page)
    assert "too large to be had as a page or a table. The JSON has everything" in text
    assert "package.json" in text and "package.csv" not in text and "package.page" not in text
    desk = officer("grace", program).enter(program)
    asked = {"request_id": page.rpartition("/")[2]}
    for name in ("page", "csv"):
        assert "The JSON has everything" in ready.browser.get(f"{page}/package.{name}")
        assert ready.browser.status == 409
        assert download(desk, asked, name).status_code == 302
    assert body(ready.get()) == ready.text
    assert b"".join(download(desk, asked, "json").streaming_content) == ready.text
