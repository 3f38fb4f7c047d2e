"""What senior officers and administrators set up, done in a real browser by its words, in both languages."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from django.contrib.auth.models import User

from consent.rights.models import LegalHold
from tests import chromium
from tests.cast import Program, now
from tests.consent.desk import PASSWORD, account
from tests.consent.notice_texts import publish, text_with
from tests.consent.receiver import Receiver, receiving
from tests.consent.window import Window

pytestmark = [chromium.needed, pytest.mark.long]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def test_a_notice_is_drafted_compared_previewed_and_published(window: Window, program: Program) -> None:
    window.enter("senior_officer", program, "consent/noticedraft/")
    window.seen("drafts", narrow=True)
    window.follow("/noticedraft/add/")
    window.seen("draft-new", narrow=True)
    source = window.page.input_value("[name=source]")
    window.fill("name", "Next")
    window.fill("source", source.replace("  - behaviour\n", "", 1))
    window.press("Save")
    window.reads("Nothing is missing")
    window.seen("draft", narrow=True)
    window.press("Preview")
    assert window.tab.count("article[lang]") == 2
    window.seen("draft-preview", narrow=True)
    window.page.go_back()
    window.press("Publish")
    window.seen("draft-publish", narrow=True)
    window.press("Publish")
    window.reads("The notice is published.")
    window.seen("notice", narrow=True)


def test_a_purpose_is_activated_once_its_impact_is_assessed(
    window: Window, program: Program, owner: psycopg.Connection
) -> None:
    publish(program, text_with())
    (key,) = owner.execute("SELECT id FROM purpose WHERE code = 'health'").fetchone()  # type: ignore[misc]
    window.enter("senior_officer", program, "consent/purpose/")
    window.seen("purposes", narrow=True)
    window.follow(f"/purpose/{key}/change/")
    window.seen("purpose", narrow=True)
    window.press("Activate")
    window.press("Activate")
    window.reads("An impact assessment is missing; the purpose stays as it is.")
    window.press("Record an assessment")
    window.fill("reference", "PIA-1")
    window.fill("assessed_on", "2026-10-01")
    window.choose("conclusion", "with_measures")
    window.seen("assess", narrow=True)
    window.press("Record an assessment")
    window.reads("The assessment is recorded.")
    window.press("Activate")
    window.seen("activate")
    window.press("Activate")
    window.reads("The purpose is active.")
    window.seen("purpose-active")


def test_a_legal_hold_is_made_and_lifted(window: Window, program: Program) -> None:
    window.enter("senior_officer", program, "consent/legalhold/")
    window.seen("holds")
    window.follow("/legalhold/add/")
    window.seen("hold-new", narrow=True)
    window.choose("holder", "consent.records")
    window.fill("law", "E-Commerce Law, Art. 31")
    window.fill("until", (now() + timedelta(days=400)).date().isoformat())
    window.press("Save")
    window.page.locator("#result_list").wait_for()
    window.seen("holds-one", narrow=True)
    window.follow("/change/")
    window.page.check("[name=lift]")
    window.seen("hold-lift", narrow=True)
    window.press("Save")
    window.seen("holds-lifted")
    assert LegalHold.objects.filter(lifted_at=None).count() == 0


def test_an_endpoint_is_set_up_and_a_given_up_message_sent_again(
    window: Window, program: Program, owner: psycopg.Connection, receiver: Receiver
) -> None:
    window.enter("administrator", program, "consent/webhookendpoint/")
    window.follow("/webhookendpoint/add/")
    window.seen("endpoint-new", narrow=True)
    window.fill("url", receiver.url)
    window.tick("events", "consent.changed")
    window.press("Save")
    secret = window.page.get_by_text("whsec_")
    assert secret.is_visible()
    window.seen("endpoint-secret", narrow=True)
    window.go("consent/webhookendpoint/")
    window.seen("endpoints", narrow=True)
    window.follow("/change/")
    assert not secret.is_visible()
    window.seen("endpoint", narrow=True)
    program.decide("alice")
    owner.execute("UPDATE webhook_message SET dead_at = now(), attempts = 9, last_status = 500")
    window.go("consent/webhookmessage/")
    window.seen("messages", narrow=True)
    window.follow("/change/")
    window.press("Send it again")
    window.seen("message-again")
    window.press("Send it again")
    window.reads("It is sent again within seconds.")
    window.seen("message", narrow=True)


def test_an_account_is_made_and_given_a_role(window: Window, program: Program) -> None:
    window.sign_in(account("administrator", program), "auth/user/")
    window.seen("accounts", narrow=True)
    window.follow("/user/add/")
    window.fill("username", "heidi")
    window.fill("password1", PASSWORD)
    window.fill("password2", PASSWORD)
    window.seen("account-new", narrow=True)
    window.press("Save")
    window.page.get_by_role("checkbox", name=window.words("Senior officer")).check()
    window.seen("account-roles", narrow=True)
    window.press("Save")
    window.seen("accounts-two")
    assert [group.name for group in User.objects.get(username="heidi").groups.all()] == ["role:senior_officer"]
