"""What is new is closed until somebody says otherwise: each test here fails with the line to add.

Fields without a classification: tests/consent/test_classification.py. Settings without documentation:
tests/config/test_settings_documented.py. Tables without a tenant policy: tests/consent/test_tenancy.py.
"""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from config import env
from config.settings import BASE_DIR
from consent.errors import Forbidden
from consent.programs.authentication import ApiKeyAuthentication, Caller, HasScope
from consent.programs.models import SCOPES
from consent.rights import classification, holders, legal_holds
from consent.rights.models import HoldGround
from consent.vault.models import Subject
from reports.api import rendering
from reports.metrics import registry
from reports.privacy import threshold
from reports.privacy.figures import Figures
from reports.privacy.threshold import Released
from tests.cast import Program, now
from tests.config import test_settings_documented
from tests.consent import rights
from tests.consent.desk import access_row
from tests.consent.receiver import endpoint
from tests.reports.rolled import roll

# A notice is what everybody may read (PIPL 17), and a public key is for everybody to verify with.
PUBLIC = {
    "consent.api.notices.CurrentNotice",
    "consent.api.notices.NoticeBySha256",
    "consent.api.receipts.SigningKeys",
}
# Answers without Django REST framework's checks, so it makes its own: tests below and in test_tenants.py.
ITS_OWN_CHECK = {"tracking.api.events.Events", "tracking.api.batch.Batch"}


def views(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        address = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns, address)
        else:
            yield address, pattern.callback


def api_views() -> list[tuple[str, Any]]:
    """(address, view class) of every call, at the addresses of both shapes."""
    found = [
        item for item in views(get_resolver().url_patterns) if item[0].startswith(("api/v1/", "v1/", ".well-known/"))
    ]
    assert len(found) >= 10
    return [(address, getattr(callback, "cls", None)) for address, callback in found]


def named(view: type) -> str:
    return f"{view.__module__}.{view.__qualname__}"


def unscoped(found: list[tuple[str, Any]]) -> list[str]:
    """What to add, by view."""
    lines = []
    for address, view in found:
        if view is None:
            lines.append(f"{address}: not an APIView, so nothing asks for its scope")
        elif named(view) not in PUBLIC and getattr(view, "scope", None) not in SCOPES:
            lines.append(f'{named(view)}: add scope = "…", one of {", ".join(SCOPES)}')
        elif named(view) not in PUBLIC and (
            view.permission_classes != [HasScope] or view.authentication_classes != [ApiKeyAuthentication]
        ):
            lines.append(f"{named(view)}: take out its own authentication_classes and permission_classes")
    return lines


def test_every_call_names_its_scope_or_is_public_on_purpose() -> None:
    found = unscoped(api_views())
    assert not found, "\n".join(found)


def test_a_call_without_a_scope_is_told() -> None:
    class Careless(APIView):
        pass

    told = unscoped([("api/v1/x", Careless), ("api/v1/y", None)])
    assert len(told) == 2
    assert told[0].endswith(f'add scope = "…", one of {", ".join(SCOPES)}')


def test_a_view_without_a_scope_is_closed_to_every_key() -> None:
    caller = Caller(1, 1, "UTC", False, frozenset(SCOPES))
    with pytest.raises(Forbidden):
        HasScope().has_permission(SimpleNamespace(user=caller), SimpleNamespace())  # type: ignore[arg-type]


def test_what_answers_by_itself_is_known() -> None:
    overriding = {named(view) for _, view in api_views() if view is not None and view.dispatch != APIView.dispatch}
    assert overriding == ITS_OWN_CHECK


# --- Holders ---------------------------------------------------------------------------------------------------------

_OWNED = """
    SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'subject_id'
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
# Rows that live between two statements of one call; test_holders.py has what becomes of a stale one.
PASSING = {"withdrawal_intent"}


def filled(program: Program) -> None:
    """A subject with a row in every owned table, made by callers, an officer and a worker."""
    endpoint(program, "https://backend.example/", events=["consent.changed"])
    rights.lively(program)
    program.post("portal-sessions", {"subject": {"openid": "alice"}, "locale": "en"})
    for decision in ("given", "withdrawn"):
        program.decide("alice", decision, purpose="precise_location")
    access_row(program)


def held_and_lifted(program: Program, filed: Any) -> None:
    """Whom a legal hold was about stays known after it."""
    hold = legal_holds.hold(
        program_id=program.id,
        holder="tracking.events",
        ground=HoldGround.OTHER,
        law="a law",
        until=now().date() + timedelta(days=2),
        request_id=uuid.UUID(filed["request_id"]),
        by="test",
    )
    legal_holds.lift(program_id=program.id, hold_id=hold.pk, by="test")


def test_every_table_of_a_subject_is_emptied_by_an_erasure(
    program: Program, owner: psycopg.Connection, as_worker: rights.Working
) -> None:
    """So a table that no holder covers is found, whoever added it, as long as `filled` fills it."""
    tables = {str(row[0]) for row in owner.execute(_OWNED)}
    filled(program)
    today = now().astimezone(ZoneInfo(program.zone)).date()
    with as_worker():
        roll(program, [today - timedelta(days=n) for n in range(3)])
    access = rights.file(program, "access")
    assert rights.carry_out(program, as_worker, access)["state"] == "completed"
    held_and_lifted(program, access)
    counted = {table: _count(owner, table) for table in sorted(tables - PASSING)}
    empty = [table for table, number in counted.items() if not number]
    assert not empty, f"make `filled` fill, or name in PASSING with the reason: {', '.join(empty)}"
    purpose = owner.execute("SELECT subject_id, purpose_id, program_id FROM consent_state LIMIT 1").fetchone()
    owner.execute("INSERT INTO withdrawal_intent (subject_id, purpose_id, program_id) VALUES (%s, %s, %s)", purpose)
    assert rights.erased(program, owner, as_worker)["state"] == "completed"
    left = [table for table in sorted(tables) if _count(owner, table)]
    assert not left, f"register a holder in personal_data.py that erases: {', '.join(left)}"


def _count(owner: psycopg.Connection, table: str) -> int:
    row = owner.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_every_app_with_a_subjects_rows_registers_a_holder() -> None:
    by_app = {type(holder).__module__.partition(".")[0] for holder in holders.holders()}
    assert by_app == {"consent", "tracking", "reports"}


# --- Metrics ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", registry.names())
def test_every_metric_answers_figures_that_only_the_gate_opens(name: str) -> None:
    """`Figures` has no way out but `release`; what the API renders is `Released`."""
    metric = registry.known(name)
    told = getattr(metric.run, "__annotations__", {}).get("return")
    assert told in (Figures, "Figures"), f"{metric.run.__module__}: let `run` answer reports.privacy.figures.Figures"


NEEDED: dict[str, Any] = {
    "contribution": {"breakdown": "scene"},
    "conversion": {"goal": "order"},
    "funnel": {"steps": [{"event": "launch"}, {"event": "order"}], "window_s": 3600},
    "intervals": {"start_event": "launch", "end_event": "order", "bound_s": 3600},
}
"""What a metric cannot be asked without."""


@pytest.mark.parametrize("name", registry.names())
def test_no_metric_is_told_past_the_gate(program: Program, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The gate is shut: whatever the metric, nothing is answered. It is asked once, with the program's own k."""
    asked: list[int] = []

    def shut(figures: Figures, *, k: int, as_of: Any, by_day: Any) -> Released:
        assert isinstance(figures, Figures)
        asked.append(k)
        raise Forbidden("shut", "the gate is shut")

    monkeypatch.setattr(registry, "release", shut)
    today = now().date().isoformat()
    response = program.post(f"reports/{name}", {"from": today, "to": today} | NEEDED.get(name, {}))
    assert (response.status_code, asked) == (403, [10]), response.content


def test_only_the_registry_releases() -> None:
    """A second way to the gate could ask it with another k."""
    callers = {
        str(path.relative_to(BASE_DIR))
        for path in Path(BASE_DIR, "reports").rglob("*.py")
        if "release(" in path.read_text() and path != Path(threshold.__file__)
    }
    assert callers == {"reports/metrics/registry.py"}
    assert rendering.rendered.__annotations__["answer"] is registry.Answer


# --- A test of the tests elsewhere -----------------------------------------------------------------------------------


def test_an_undocumented_setting_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    new = replace(env.variables()[0], name="ZHIQING_NEW", about="something new")
    known = env.variables()
    monkeypatch.setattr(env, "variables", lambda: (*known, new))
    with pytest.raises(AssertionError, match=r"\| `ZHIQING_NEW` \|.*something new \|"):
        test_settings_documented.test_every_setting_is_documented_and_no_other()


def test_an_unclassified_field_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    less = {label: dict(fields) for label, fields in classification._classified.items()}
    del less["consent.Subject"]["pseudonym"]
    monkeypatch.setattr(classification, "_classified", less)
    assert classification.faults(Subject) == ['add to Subject: "pseudonym": Classified(Kind.…, …),']
