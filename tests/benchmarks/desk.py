"""The officers' pages over many rows: how many statements each needs, and how long somebody waits for it.

A page is asked over HTTP of the web server as `make serve` runs it, in the session of an officer who may see everything;
statements are counted in a process of its own (tests.benchmarks.looking), where the same pages are asked once before.
"""

import re
import statistics
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.benchmarks.clients import run
from tests.benchmarks.people import subject_name
from tests.benchmarks.reports import DAYS
from tests.benchmarks.rollups import rolled
from tests.benchmarks.server import web
from tests.benchmarks.visits import PEAK, store
from tests.benchmarks.world import World

ROUNDS = 7
BAR_S = 2.0
REQUESTS, ENTRIES = 100, 10
"""Events for each request, and for each entry of the audit log."""
OPEN = 100
"""Of so many requests one is open."""
HIDDEN = re.compile(r'name="(csrfmiddlewaretoken|zq_program)" value="(\w+)"')

# Over a year, the newest open and every other of them overdue; of one subject after another.
_REQUESTS = """
    INSERT INTO subject_request (id, program_id, kind, state, requester, locale, received_at, due_at, closed_at)
    SELECT gen_random_uuid(), %(program)s, (ARRAY['access', 'copy', 'rectification', 'erasure'])[1 + n %% 4],
        CASE WHEN n <= %(open)s THEN 'in_progress' ELSE 'completed' END, 'self', 'zh-Hans', at,
        at + CASE WHEN n %% 2 = 0 THEN interval '1 hour' ELSE interval '21 days' END,
        CASE WHEN n > %(open)s THEN at + interval '9 days' END
    FROM (SELECT n, now() - n * interval '1 year' / %(requests)s AS at FROM generate_series(1, %(requests)s) n) AS filed
"""
_RUNS = """
    INSERT INTO holder_run (request_id, program_id, holder, stage, status, attempts, affected, error, finished_at)
    SELECT id, program_id, holder, stage, CASE WHEN closed_at IS NULL THEN 'pending' ELSE 'done' END, 0, 0, '', closed_at
    FROM subject_request, (VALUES ('tracking.events', 10), ('consent.records', 50)) AS h(holder, stage)
"""
_SUBJECTS = """
    INSERT INTO request_subject (subject_id, request_id, program_id, kind, scope, open)
    SELECT subject_id, id, program_id, kind, id::text, closed_at IS NULL
    FROM (SELECT *, row_number() OVER (ORDER BY received_at) - 1 AS place FROM subject_request) AS filed
    JOIN (SELECT subject_id, row_number() OVER (ORDER BY subject_id) - 1 AS place FROM subject) AS everybody
        ON everybody.place = filed.place %% (SELECT count(*) FROM subject)
"""
_ENTRIES = """
    INSERT INTO audit_entry (program_id, at, actor, action, target, details)
    SELECT %(program)s, now() - n * interval '1 year' / %(entries)s, (ARRAY['worker', 'system', 'operator', 'client:1'])[1 + n %% 4],
        (ARRAY['request.filed', 'request.completed', 'request.due_soon', 'person.viewed'])[1 + n %% 4], 'request:' || id, '{}'
    FROM generate_series(1, %(entries)s) n
    JOIN (SELECT id, row_number() OVER () - 1 AS place FROM subject_request) AS filed
        ON filed.place = n %% (SELECT count(*) FROM subject_request)
"""


class Unanswered(Exception):
    """Another answer than the page; the message is its status."""


@dataclass(frozen=True)
class Page:
    """`posts`: what a form of the page is filled with; the page is what comes of it."""

    path: str
    queries: int
    posts: Mapping[str, str]


def desk(made: World, log: Path, events: int) -> str:
    """Markdown: a line a page."""
    store(made, events, DAYS)
    rolled(made, "build", made.program_id)
    counts, newest = _filled(made, events)
    environment = {**made.environment, "ZHIQING_ROLE": "application"}
    asked = ("tests.benchmarks.looking", str(made.program_id), subject_name(0), str(newest))
    (told,) = run([asked], environment)
    lines = [
        f"{', '.join(f'{number:,} {what}' for what, number in counts.items())}; {len(made.subjects):,} subjects.",
        "",
        "| page | queries | median, ms | longest of " + f"{ROUNDS}, ms | within {BAR_S:.0f} s |",
        "|---|---|---|---|---|",
    ]
    with web(made.environment, log / "desk.log", workers=2) as address:
        browser = Browser(address, told["session"])
        for name, one in told["pages"].items():
            lines.append(_line(name, Page(**one), browser))
    return "\n".join(lines)


class Browser:
    """An officer's, on one connection a page."""

    def __init__(self, address: tuple[str, int], session: str) -> None:
        self.address, self.session = address, session

    def ask(self, page: Page) -> float:
        """Seconds until the page has arrived. Raises Unanswered; RuntimeError where it has no form to fill."""
        headers, data = {"Cookie": f"sessionid={self.session}"}, None
        if page.posts:
            cookie, shown = self._call("GET", page.path, None, headers)[1]
            hidden = dict(HIDDEN.findall(shown.decode()))
            if not hidden:
                raise RuntimeError(f"{page.path} has no form")
            headers["Cookie"] += f"; {cookie.partition(';')[0]}"
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            data = urlencode({**page.posts, **hidden})
        return self._call("POST" if page.posts else "GET", page.path, data, headers)[0]

    def _call(
        self, method: str, path: str, data: str | None, headers: Mapping[str, str]
    ) -> tuple[float, tuple[str, bytes]]:
        """Seconds, and (the cookie that was set, the page)."""
        began = time.perf_counter()
        connection = HTTPConnection(*self.address, timeout=60)
        connection.request(method, path, data, dict(headers))
        response = connection.getresponse()
        body = response.read()
        took = time.perf_counter() - began
        connection.close()
        if response.status != 200:
            raise Unanswered(response.status)
        return took, (response.getheader("Set-Cookie") or "", body)


def _filled(made: World, events: int) -> tuple[dict[str, int], uuid.UUID]:
    """How many rows there are of what, and the newest request's id."""
    requests, entries = max(events // REQUESTS, OPEN), events // ENTRIES
    about: dict[str, Any] = {"program": made.program_id, "requests": requests, "open": requests // OPEN}
    with made.owner() as owner:
        for statement in (_REQUESTS, _RUNS, _SUBJECTS, _ENTRIES):
            owner.execute(statement, about | {"entries": entries})
        owner.execute("VACUUM ANALYZE")
        newest = owner.execute("SELECT id FROM subject_request ORDER BY received_at DESC LIMIT 1").fetchone()
    assert newest is not None
    return {"events": events + PEAK, "requests": requests, "entries of the audit log": entries}, newest[0]


def _line(name: str, page: Page, browser: Browser) -> str:
    try:
        took = [browser.ask(page) for _ in range(ROUNDS)]
    except Unanswered as status:
        line = f"| {name} | {page.queries} | answered {status} | | not met |"
    else:
        met = "met" if max(took) <= BAR_S else "not met"
        line = f"| {name} | {page.queries} | {statistics.median(took) * 1000:,.0f} | {max(took) * 1000:,.0f} | {met} |"
    print(f"desk: {line}", file=sys.stderr)
    return line
