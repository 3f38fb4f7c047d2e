"""What officers keep about the processing, in a real browser: nothing is refused or cut off, wide and narrow."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests import chromium
from tests.cast import Program, now
from tests.consent.desk import holder
from tests.consent.notice_texts import ABROAD, REFERENCE, publish, text_with
from tests.consent.processing import incident, mechanism, processor
from tests.consent.rights import lively
from tests.journeys.server import Server, serving

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(chromium.found() is None, reason=f"no Chromium on PATH, and {chromium.VARIABLE} names none"),
]
PICTURES = os.environ.get("ZHIQING_PICTURES", "")
WIDTHS = {"zh-hans": 1280, "en": 400}


@pytest.fixture(scope="module")
def server(migrated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("web"), workers=2) as started:
        yield started


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Browser]:
    with chromium.running(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def test_every_page_fits(
    program: Program, server: Server, browser: chromium.Browser, owner: psycopg.Connection
) -> None:
    lively(program)
    made = mechanism(program, "abroad", valid_until=now().date() + timedelta(days=9))
    publish(program, text_with("abroad", separate_consent="39", recipients=[ABROAD], assessment=REFERENCE))
    mechanism(program, "abroad", kind="exemption", reference="", ground="a contract with the person needs it")
    owner.execute("UPDATE mechanism SET valid_from = '2026-01-01', valid_until = '2026-03-01' WHERE kind = 'exemption'")
    entrusted = processor(program)
    found = incident(program, since=now() - timedelta(hours=9), until=now() + timedelta(minutes=1))
    purpose = owner.execute("SELECT id FROM purpose WHERE code = 'abroad'").fetchone()
    assert purpose is not None
    desk = holder("senior_officer", program).enter(program)
    tab = browser.tab()
    tab.cookie(server.base_url, "sessionid", desk.client.cookies["sessionid"].value)
    pages = {
        "record": "record/",
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
        "purpose": f"consent/purpose/{purpose[0]}/change/",
    }
    wide = []
    for language, width in WIDTHS.items():
        tab.cookie(server.base_url, "django_language", language)
        tab.size(width)
        for name, path in pages.items():
            tab.open(f"{server.base_url}/admin/{path}")
            if name == "affected":
                tab.ask("Runtime.evaluate", expression="document.querySelector('#affected-form').requestSubmit()")
                browser.until("Page.loadEventFired")
                assert tab.evaluate("document.querySelectorAll('#by-field tbody tr').length") > 10
            assert tab.evaluate("document.documentElement.lang") == language
            if tab.evaluate("document.documentElement.scrollWidth") > width:
                wide.append((name, width))
            assert not tab.complaints, (name, tab.complaints)
            if PICTURES:
                tab.picture(Path(PICTURES, f"{name}-{width}.png"), width)
                tab.size(width)
        owner.execute("UPDATE mechanism SET valid_until = '2026-03-01', valid_from = '2026-01-01'")
    assert wide == []
