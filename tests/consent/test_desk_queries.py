"""An officer's page asks the database as often, however many rows there are."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent.monitoring import runs
from consent.monitoring.models import RiskRun
from consent.processing import incidents
from consent.processing.incidents import Said
from consent.processing.models import Incident
from consent.programs.tenancy import tenant
from consent.rights import legal_holds
from consent.rights.models import HoldGround
from tests.cast import Program, event, now
from tests.consent.desk import access_row, disclosure_row, package_for, request_row, superuser
from tests.consent.processing import incident, mechanism, processor, risk_run
from tests.consent.receiver import endpoint
from tests.consent.test_find_person import PERSON

OWN = (
    "",
    "record/",
    "audit-report/",
    "ledger/",
    "keys/",
    "consent/consentrecord/statistics/",
    "consent/subjectrequest/statistics/",
)
OF_A_REQUEST, OF_A_PERSON = "subjectrequest/…/change/", "person/…/"
MANY = "somebody"
"""Of whom there are more requests each time."""
OF_ONE = (Incident, RiskRun)
numbers = count()


def one_more(program: Program, owner: psycopg.Connection) -> None:
    """A row of whatever the pages list, and more about the request whose page is looked at."""
    name = f"queried{next(numbers)}"
    asked = request_row(program, name, kind="access")
    package_for(program, asked)
    disclosure_row(program, asked)
    access_row(program)
    program.send(event(name, name))
    request_row(program, MANY, kind="access")
    incident(program)
    _goes_on(program)
    _remarked(program)
    processor(program)
    mechanism(program)
    endpoint(program, f"https://example.com/{name}", events=["consent.changed"])
    program.decide(name, "withdrawn")
    owner.execute("UPDATE webhook_message SET dead_at = now() WHERE dead_at IS NULL")
    legal_holds.hold(
        program_id=program.id, holder="consent.records", ground=HoldGround.TRANSACTIONS, law="law",
        until=now().date() + timedelta(days=9), request_id=asked.pk, by="test",
    )  # fmt: skip


def _goes_on(program: Program) -> None:
    """The first incident is told of once more."""
    with tenant(program.id):
        first = Incident.objects.earliest("id")
        newest = incidents.standing(program.id, first.pk)
    said = Said(happened=newest.happened, found_at=newest.found_at, measures=f"{newest.pk}")
    incidents.add(program_id=program.id, incident_id=first.pk, said=said, after=newest.pk, by="test")


def _remarked(program: Program) -> None:
    """One more look at risks, and one more remark on the first."""
    risk_run(program)
    with tenant(program.id):
        first = RiskRun.objects.earliest("id")
        code = next(finding.code for finding in runs.findings(first) if finding.outcome.above)
    runs.remark(program_id=program.id, run_id=first.pk, check_code=code, said="seen", done="", by="test")


def _registered() -> list[str]:
    """Every list that the desk has."""
    return sorted(f"{model._meta.app_label}/{model._meta.model_name}" for model in admin.site._registry)


@pytest.fixture
def asked_of(program: Program, owner: psycopg.Connection) -> Callable[[], dict[str, int]]:
    """How many queries each page needs."""
    desk = superuser().enter(program)

    def queries() -> dict[str, int]:
        row: Any = owner.execute("SELECT min(id::text) FROM subject_request").fetchone()
        lists = {name: f"{name}/" for name in _registered()}
        with tenant(program.id):
            ones = [f"consent/{model._meta.model_name}/{model.objects.earliest('id').pk}/change/" for model in OF_ONE]
        pages = lists | {path: path for path in (*OWN, *ones)}
        found_at = desk.post("person/", kind="openid", value=MANY).content.decode()
        (person,) = PERSON.findall(found_at)
        pages |= {OF_A_REQUEST: f"consent/subjectrequest/{row[0]}/change/", OF_A_PERSON: person}
        found = {}
        for name, path in pages.items():
            assert desk.get(path).status_code == 200, path
            with CaptureQueriesContext(connection) as captured:
                desk.get(path)
            found[name] = len(captured)
        return found

    return queries


def test_more_rows_need_no_more_queries(
    program: Program, owner: psycopg.Connection, asked_of: Callable[[], dict[str, int]]
) -> None:
    one_more(program, owner)
    few = asked_of()
    for _ in range(4):
        one_more(program, owner)
    owner.execute(
        "INSERT INTO audit_entry (program_id, at, actor, action, target, details)"
        " SELECT program_id, now(), 'test', 'request.extended', 'request:' || id, '{}' FROM subject_request"
    )
    owner.execute(
        "INSERT INTO holder_run (request_id, program_id, holder, stage, status, attempts, affected, error)"
        " SELECT id, program_id, 'consent.profile', 20, 'pending', 0, 0, '' FROM subject_request"
    )
    assert asked_of() == few
    assert max(few.values()) < 60
