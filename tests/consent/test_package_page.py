"""The package as a page for people: everything that is in the document, nothing that runs, in the request's language."""

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import msgspec
import psycopg
import pytest

from consent import edge
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.rights import packages, page
from consent.rights.models import Package
from consent.rights.packages import PackageExpired
from consent.rights.review import set_review
from tests.cast import Program, event, now
from tests.consent.deciding import reject
from tests.consent.desk import DECIDES, officer
from tests.consent.rights import Working, carry_out, file, lively, package_of, subject_of
from tests.consent.test_packages import _many_events

HOSTILE = '<script>alert(\'x\')</script>" onload="x" <img src=x onerror=y> &amp; </td></table></style>-->'
EVIDENCE = {"a.b=c": HOSTILE, HOSTILE: {"deep": [1.5, True, {"deeper": HOSTILE}, [], None]}}
TAGS = (
    "html head meta title style body main h1 h2 h3 p br div dl dt dd ul li table thead tbody tr th td data time bdi span"
    " code"
)
ATTRIBUTES = "lang charset http-equiv content name class value datetime data-label data-holder"


class Read(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.values: set[str] = set()
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("value", "datetime", "data-holder"):
                self.values.add(value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        self.values.add(data)


def page_of(program: Program, filed: Any) -> str:
    with tenant(program.id):
        package = Package.objects.get(request_id=filed["request_id"])
    return b"".join(page.stream(edge.vault(), package)).decode()


def leaves(value: Any) -> Iterator[str]:
    """Every value of a document as its page holds it, and every name that somebody sent."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, str):
        yield value
    elif value is not None:
        yield msgspec.json.encode(value).decode()


def filled(program: Program) -> None:
    """A subject of whom everything is held, some of it hostile."""
    lively(program)
    set_review(program_id=program.id, kind="erasure", on=True, by="test")
    rejected = file(program, "erasure")
    reject(officer("grace", program, may=DECIDES).enter(program), rejected, text=HOSTILE)
    profile = {"subject": {"openid": "alice"}, "attributes": {"city": HOSTILE, "nickname": "小艾"}}
    assert program.call("PUT", "profile", profile).status_code == 200
    program.decide("alice", evidence={"button_id": HOSTILE[:60]})
    program.send(event("alice", "h", page="pages/<b>", properties={"referrer_page": HOSTILE}, scene="1011", dwell_ms=7))
    changes = {"attributes": {"city": HOSTILE, "nickname": None}}
    program.post(
        "requests",
        {"subject": {"openid": "alice"}, "kind": "rectification", "locale": "en", "changes": changes},
    )


@pytest.mark.parametrize("locale", ["zh-Hans", "en"])
def test_the_page_holds_every_value_of_the_document(program: Program, as_worker: Working, locale: str) -> None:
    filled(program)
    verification = {"method": HOSTILE, "at": now().isoformat(), "evidence": EVIDENCE}
    filed = file(program, "access", locale=locale, verification=verification)
    carry_out(program, as_worker, filed)
    document, read = package_of(program, filed), Read(page_of(program, filed))
    for holder in document["holders"]:
        for state in holder["sections"].get("states", []):
            state["told"] = state["told"][locale]
    wanted = set(leaves(document))
    assert len(wanted) > 100
    assert wanted - read.values == set()
    assert "alice" in read.values
    assert sum(text == HOSTILE for text in read.texts) >= 6
    assert read.open == []


def test_nothing_in_the_page_runs_or_comes_from_elsewhere(program: Program, as_worker: Working) -> None:
    filled(program)
    deep: Any = HOSTILE
    for _ in range(12):
        deep = {"x": [deep]}
    verification = {"method": "form", "at": now().isoformat(), "evidence": deep}
    filed = file(program, "access", verification=verification)
    carry_out(program, as_worker, filed)
    text = page_of(program, filed)
    read = Read(text)
    assert any("alert('x')" in told and told.startswith(("{", "[")) for told in read.texts), "what lies deep is shown"
    assert read.tags <= set(TAGS.split())
    assert read.attributes <= set(ATTRIBUTES.split())
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_says_in_the_requests_language_what_and_why_and_how_long(program: Program, as_worker: Working) -> None:
    lively(program)
    labels = {
        "zh-Hans": ("信息种类", "用途", "自何时起记录", "提供给", "保存期限(自收集之日起的天数)", "期满之后"),
        "en": ("what", "why", "recorded since", "shared with", "kept for (days from collection)", "and then"),
    }
    for locale, told in (
        ("zh-Hans", ("使用情况统计", "您的决定", "同意", "期满之后", "到期后删除。", "提供给", "无", "查阅", "小艾")),
        ("en", ("Usage statistics", "your decision", "given", "and then", "Deleted when the period ends.", "shared with",
                "none", "access", "A page was shown")),
    ):  # fmt: skip
        filed = file(program, "access", locale=locale)
        carry_out(program, as_worker, filed)
        text = page_of(program, filed)
        assert f'<html lang="{locale}">' in text
        assert [word for word in told if f">{word}<" not in text] == []
        assert [word for word in labels[locale] if f">{word}<" not in text] == []
        assert "privacy@example.com" in text
        assert "Shop " in text
    assert "使用情况统计" not in text


def test_who_one_is_comes_first_and_the_events_last(program: Program, as_worker: Working) -> None:
    lively(program)
    filed = file(program, "access")
    carry_out(program, as_worker, filed)
    text = page_of(program, filed)
    holders = [holder["holder"] for holder in package_of(program, filed)["holders"]]
    places = [text.index(f'data-holder="{holder}"') for holder in holders]
    assert places == sorted(places, reverse=True)
    assert text.index(f'datetime="{filed["received_at"]}"') < places[-1], "the request stands above them all"


def test_times_are_the_mini_programs(program: Program, as_worker: Working) -> None:
    program.decide("alice")
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    program.decide("alice", occurred_at=at.isoformat())
    filed = file(program, "access")
    carry_out(program, as_worker, filed)
    local = f"{at + timedelta(hours=8):%Y-%m-%d %H:%M:%S}"
    assert f'<time datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{local}</time>' in page_of(program, filed)


@pytest.mark.parametrize("moment", ["9999-12-31T23:30:00Z", "0001-01-01T00:30:00Z"])
def test_a_moment_at_the_calendars_end_does_not_end_the_page(program: Program, as_worker: Working, moment: str) -> None:
    """In Shanghai the first would be in the year 10,000."""
    lively(program)
    filed = file(program, "access", verification={"method": "sms", "at": moment})
    carry_out(program, as_worker, filed)
    text = page_of(program, filed)
    assert moment in text
    assert Read(text).open == []


def test_a_page_of_many_parts_has_every_event(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    alice = subject_of(owner, lively(program))
    _many_events(owner, program, alice, 4000)
    filed = file(program, "access")
    carry_out(program, as_worker, filed)
    (parts,) = owner.execute("SELECT count(*) FROM package_part").fetchone()  # type: ignore[misc]
    assert parts > 8
    read = Read(page_of(program, filed))
    events = {row["event_id"] for holder in package_of(program, filed)["holders"]
              for row in holder["sections"].get("events", [])}  # fmt: skip
    assert len(events) >= 4000
    assert events <= read.values


def test_an_expired_package_is_no_page(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lively(program)
    filed = file(program, "access")
    carry_out(program, as_worker, filed)
    owner.execute("UPDATE package SET expires_at = now()")
    with pytest.raises(PackageExpired):
        page_of(program, filed)


def test_the_page_takes_no_more_memory_for_more_rows(program: Program) -> None:
    """4,000 events, 10 MB of them, pass through less than 2 MB."""
    row = {"event_id": "e", "name": "page_view", "occurred_at": "2026-11-24T10:00:00Z", "properties": {"x": "y" * 2400}}
    line = b"\n," + msgspec.json.encode(row)

    def document() -> Iterator[bytes]:
        yield b'{"format":"zhiqing.package/1","holders":['
        yield b'\n{"holder":"tracking.events","title":"t","description":"d","sections":{\n"events":[\n'
        yield line[2:]
        for _ in range(40):
            yield line * 100
        yield b"\n]}}\n]}\n"

    made = page._Page(MiniProgram.objects.select_related("controller").get(id=program.id), "en")
    tracemalloc.start()
    size = sum(len(piece) for piece in made.pieces(packages.lines(document())))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 10_000_000
    assert peak < 2_000_000
