"""What reports answer, in plain SQL over a table `events`, as one would write it for an analytical database.

One text for PostgreSQL and DuckDB. It knows of no consent, no late events, no rules for cutting sessions (the client's id is the
session), and its days are those of a zone without summer time. Over the events of tests.benchmarks.visits, where all of that
makes no difference, it comes to the reports' figures.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

OF_POSTGRESQL = """
    WITH events AS NOT MATERIALIZED (
        SELECT e.subject_id, t.name, e.page_id AS page, e.corrected_at AT TIME ZONE 'UTC' AS moment, e.event_id, e.session_id, e.dwell_ms,
            (e.properties ->> 'scroll_depth')::float8 AS scroll, (e.properties ->> 'load_ms')::float8 AS load
        FROM event e JOIN event_type t ON t.id = e.type_id
    )
"""
"""`events` as DuckDB has it, in a table; without it, a SELECT of the whole exports them."""

_ACTIVE = "active AS (SELECT DISTINCT (moment + INTERVAL '8 hours')::date AS day, subject_id FROM events)"
_ASKED = "BETWEEN DATE '{first}' AND DATE '{last}'"
_OF_DAYS = f"(moment + INTERVAL '8 hours')::date {_ASKED}"
_VISIT = "PARTITION BY subject_id, session_id ORDER BY moment, event_id"

USERS = f", {_ACTIVE} SELECT day, count(*) FROM active WHERE day {_ASKED} GROUP BY day"
MONTHS = f""", {_ACTIVE},
    days AS (SELECT DISTINCT day FROM active WHERE day {_ASKED})
    SELECT d.day, count(DISTINCT a.subject_id) FROM days d JOIN active a ON a.day BETWEEN d.day - 29 AND d.day GROUP BY d.day
"""
RETENTION = f""", {_ACTIVE},
    cohort AS (SELECT subject_id, min(day) AS began FROM active GROUP BY subject_id)
    SELECT c.began, a.day - c.began, count(*) FROM cohort c JOIN active a ON a.subject_id = c.subject_id
    WHERE c.began {_ASKED} AND a.day - c.began < 30 GROUP BY 1, 2
"""
LIFECYCLE = f""", {_ACTIVE},
    seen AS (
        SELECT day, lag(day) OVER theirs AS before, lead(day) OVER theirs AS next
        FROM active WINDOW theirs AS (PARTITION BY subject_id ORDER BY day)
    ),
    states AS (
        SELECT day, CASE WHEN before IS NULL THEN 'new' WHEN before = day - 1 THEN 'returning' ELSE 'resurrected' END AS state
        FROM seen
        UNION ALL
        SELECT day + 1, 'dormant' FROM seen WHERE next IS NULL OR next > day + 1
    )
    SELECT day, state, count(*) FROM states WHERE day {_ASKED} GROUP BY 1, 2
"""
# Depth and load time come with a page_leave, which belongs to the last view of its page before it. Quantiles are not compared:
# reports tell the middle of a bin.
PAGES = f""",
    visited AS (
        SELECT *, bool_or(name NOT IN ('page_view', 'page_leave')) OVER (PARTITION BY subject_id, session_id) AS interacted,
            sum(CASE WHEN name = 'page_view' THEN 1 END) OVER (PARTITION BY subject_id, session_id, page ORDER BY moment, event_id) AS nth
        FROM events WHERE {_OF_DAYS}
    ),
    viewed AS (
        SELECT subject_id, session_id, page, nth, min(CASE WHEN name = 'page_view' THEN moment END) AS moment, min(event_id) AS event_id,
            bool_or(interacted) AS interacted, max(dwell_ms) / 1000.0 AS dwell, max(scroll) AS scroll, max(load) AS load
        FROM visited WHERE name IN ('page_view', 'page_leave') GROUP BY subject_id, session_id, page, nth
    ),
    placed AS (
        SELECT *, lag(moment) OVER visit IS NULL AS entry, lead(moment) OVER visit IS NULL AS leaves,
            extract(epoch FROM lead(moment) OVER visit - moment) AS gap
        FROM viewed WINDOW visit AS ({_VISIT})
    ),
    touched AS (SELECT page, count(*) AS touches FROM visited WHERE name NOT IN ('page_view', 'page_leave') GROUP BY page),
    heat AS (
        SELECT page, count(*) AS views, count(DISTINCT subject_id) AS subjects,
            sum(CASE WHEN entry THEN 1 ELSE 0 END) AS entries, sum(CASE WHEN leaves THEN 1 ELSE 0 END) AS exits,
            sum(CASE WHEN entry AND leaves AND NOT interacted THEN 1 ELSE 0 END) AS bounces,
            count(dwell), avg(dwell), percentile_cont(0.5) WITHIN GROUP (ORDER BY dwell),
            percentile_cont(0.9) WITHIN GROUP (ORDER BY dwell),
            sum(CASE WHEN dwell IS NULL AND gap <= 1800 THEN 1 ELSE 0 END), avg(CASE WHEN dwell IS NULL AND gap <= 1800 THEN gap END),
            avg(scroll), percentile_cont(0.5) WITHIN GROUP (ORDER BY load), percentile_cont(0.9) WITHIN GROUP (ORDER BY load)
        FROM placed GROUP BY page
    )
    SELECT heat.*, touches FROM heat LEFT JOIN touched ON touched.page = heat.page
"""
PATHS = f""",
    views AS (
        SELECT subject_id, session_id, page, moment, event_id, lag(page) OVER ({_VISIT}) AS before
        FROM events WHERE name = 'page_view' AND {_OF_DAYS}
    ),
    folded AS (
        SELECT *, row_number() OVER ({_VISIT}) AS step FROM views WHERE before IS NULL OR page <> before
    ),
    linked AS (
        SELECT subject_id, step, page, lead(page) OVER (PARTITION BY subject_id, session_id ORDER BY step) AS target FROM folded
    )
    SELECT step, page, target, count(*), count(DISTINCT subject_id) FROM linked WHERE step < 5 GROUP BY 1, 2, 3
"""
FUNNEL = f""",
    wanted AS (SELECT subject_id, name, moment FROM events WHERE name IN ('add_to_cart', 'order', 'payment'))
    SELECT count(DISTINCT a.subject_id), count(DISTINCT b.subject_id), count(DISTINCT c.subject_id)
    FROM (SELECT * FROM wanted WHERE name = 'add_to_cart' AND {_OF_DAYS}) AS a
    LEFT JOIN (SELECT * FROM wanted WHERE name = 'order') AS b
        ON b.subject_id = a.subject_id AND b.moment >= a.moment AND b.moment <= a.moment + INTERVAL '1 day'
    LEFT JOIN (SELECT * FROM wanted WHERE name = 'payment') AS c
        ON c.subject_id = a.subject_id AND c.moment >= b.moment AND c.moment <= a.moment + INTERVAL '1 day'
"""

Rows = set[tuple[Any, ...]]
Told = Mapping[str, Any]
"""A report's answer, ungated."""


@dataclass(frozen=True)
class Asked:
    """A report, what is asked of it beside dates, and the SQL that comes to the same.

    `ours`: what of the answer both must agree in; `theirs`: the same of SQL's rows. `sql`: how many times as fast as SQL in
    PostgreSQL the report is to be, None where that is not asked; `duckdb`: how many times as long as DuckDB it may take.
    """

    metric: str
    options: Mapping[str, Any]
    statement: str
    ours: Callable[[Told], Rows]
    theirs: Callable[[Rows, Mapping[int, str]], Rows]
    sql: float | None = 50
    duckdb: float = 1


def _plain(rows: Rows, _: Mapping[int, str]) -> Rows:
    """Dates as JSON has them."""
    return {tuple(one.isoformat() if isinstance(one, date) else one for one in row) for row in rows}


def _by_date(name: str) -> Callable[[Told], Rows]:
    return lambda told: {(row["date"], row[name]) for row in told["data"] if row[name]}


def _cohorts(told: Told) -> Rows:
    return {(row["cohort"], n, value) for row in told["data"] for n, value in enumerate(row["values"]) if value}


def _states(told: Told) -> Rows:
    states = ("new", "returning", "resurrected", "dormant")
    return {(row["date"], state, row[state]) for row in told["data"] for state in states if row[state]}


_HEAT = ("views", "subjects", "entries", "exits", "dwell_client_known", "dwell_gap_known")
_MEANS = ("dwell_client_mean_s", "dwell_gap_mean_s", "scroll_depth_mean")


def _heat(told: Told) -> Rows:
    return {(row["page"], *(row[name] for name in _HEAT), *(row[name] for name in _MEANS)) for row in told["data"]}


def _heat_in_sql(rows: Rows, paths: Mapping[int, str]) -> Rows:
    found = set()
    for page, *counts, known, mean, _, _, gaps, gap, scroll, _, _, _ in rows:
        views, subjects, entries, exits, _ = map(int, counts)
        found.add((paths[page], views, subjects, entries, exits, known, int(gaps), *map(_number, (mean, gap, scroll))))
    return found


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def agree(ours: Rows, theirs: Rows) -> bool:
    """Whether they are the same, means but for how they are rounded."""
    pairs = zip(sorted(ours, key=repr), sorted(theirs, key=repr), strict=False)
    return len(ours) == len(theirs) and all(len(a) == len(b) and all(map(_close, a, b)) for a, b in pairs)


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        return None not in (one, other) and math.isclose(one, other, rel_tol=1e-3, abs_tol=0.01)
    return bool(one == other)


def _links(told: Told) -> Rows:
    data = told["data"]
    links = {(r["step"], r["source"], r["target"], r["transitions"], r["subjects"]) for r in data["links"]}
    return links | {(r["step"], r["name"], None, r["sessions"], r["subjects"]) for r in data["drop_offs"]}


def _links_in_sql(rows: Rows, paths: Mapping[int, str]) -> Rows:
    return {(step, paths[page], paths.get(target), *counts) for step, page, target, *counts in rows}


STEPS = ("add_to_cart", "order", "payment")
QUESTIONS: Mapping[str, Asked] = {
    "daily users": Asked("activity", {}, USERS, _by_date("dau"), _plain),
    "rolling monthly users": Asked("stickiness", {}, MONTHS, _by_date("mau_rolling"), _plain),
    "retention, 30 x 30": Asked("retention", {"periods": 30}, RETENTION, _cohorts, _plain),
    "lifecycle": Asked("lifecycle", {}, LIFECYCLE, _states, _plain),
    "page heat": Asked("pages", {}, PAGES, _heat, _heat_in_sql, sql=None),
    "paths, 5 pages": Asked("paths", {}, PATHS, _links, _links_in_sql, sql=None),
    "funnel, 3 steps": Asked(
        "funnel",
        {"steps": [{"event": name} for name in STEPS], "window_s": 86_400},
        FUNNEL,
        lambda told: {tuple(row["subjects"] for row in told["data"])},
        _plain,
        sql=None,
        duckdb=3,
    ),
}
