"""What officers keep about the processing, in a real browser: nothing is refused or cut off, wide and narrow."""

from datetime import timedelta

import psycopg
import pytest
from playwright.sync_api import Browser

from consent.monitoring import runs
from consent.processing import incidents
from consent.programs.tenancy import tenant
from consent.rights import minor_access
from tests import chromium
from tests.cast import Program, now
from tests.chromium import Tab
from tests.consent.desk import holder
from tests.consent.notice_texts import ABROAD, REFERENCE, publish, text_with
from tests.consent.processing import incident, mechanism, processor, risk_run
from tests.consent.rights import lively
from tests.journeys.server import Server
from tests.ledger.logged import Working, run

pytestmark = [chromium.needed, pytest.mark.long]
WIDTHS = {"zh-hans": 1280, "en": 400}


def test_every_page_fits(
    program: Program, server: Server, browser: Browser, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    made = mechanism(program, "abroad", valid_until=now().date() + timedelta(days=9))
    publish(program, text_with("abroad", separate_consent="39", recipients=[ABROAD], assessment=REFERENCE))
    mechanism(program, "abroad", kind="exemption", reference="", ground="a contract with the person needs it")
    owner.execute("UPDATE mechanism SET valid_from = '2026-01-01', valid_until = '2026-03-01' WHERE kind = 'exemption'")
    entrusted = processor(program)
    found = incident(program, since=now() - timedelta(hours=9), until=now() + timedelta(minutes=1))
    with tenant(program.id):
        minor_access.list_admitted(incidents.standing(program.id, found.pk), by="officer:7")
    risks = risk_run(program)
    said = {"said": "known since spring", "done": "the contract is renewed", "by": "officer:7"}
    runs.remark(program_id=program.id, run_id=risks.pk, check_code="terms.ending", **said)
    purpose = owner.execute("SELECT id FROM purpose WHERE code = 'abroad'").fetchone()
    assert purpose is not None
    run(as_worker)
    desk = holder("senior_officer", program).enter(program)
    pages = {
        "record": "record/",
        "ledger": "ledger/",
        "keys": "keys/",
        "mechanisms": "consent/mechanism/",
        "mechanism": f"consent/mechanism/{made.pk}/change/",
        "mechanism-add": "consent/mechanism/add/",
        "processors": "consent/processor/",
        "processor": f"consent/processor/{entrusted.pk}/change/",
        "incidents": "consent/incident/",
        "incident-add": "consent/incident/add/",
        "incident": f"consent/incident/{found.pk}/change/",
        "incident-entry": f"consent/incident/{found.pk}/entry/",
        "affected": f"consent/incident/{found.pk}/affected/",
        "pseudonyms": f"consent/incident/{found.pk}/pseudonyms/",
        "incident-approve": f"consent/incident/{found.pk}/approve/",
        "risks": "consent/riskrun/",
        "risk-run": f"consent/riskrun/{risks.pk}/change/",
        "risk-remark": f"consent/riskrun/{risks.pk}/remark/",
        "purpose": f"consent/purpose/{purpose[0]}/change/",
    }
    for language, width in WIDTHS.items():
        tab = Tab(browser, width)
        tab.cookie(server.base_url, "sessionid", desk.client.cookies["sessionid"].value)
        tab.cookie(server.base_url, "django_language", language)
        for name, path in pages.items():
            tab.page.goto(f"{server.base_url}/admin/{path}")
            if name == "affected":
                with tab.page.expect_navigation():
                    tab.page.click("#affected-form button[type=submit]")
                assert tab.count("#by-field tbody tr") > 10
            assert tab.page.evaluate("document.documentElement.lang") == language
            tab.sound(f"{name}-{width}")
        owner.execute("UPDATE mechanism SET valid_until = '2026-03-01', valid_from = '2026-01-01'")
