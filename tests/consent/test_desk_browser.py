"""What officers do all day, done in a real browser by its words, in both languages: signing in, and deciding on requests."""

import base64
from typing import Any

import psycopg
import pytest

from consent.officers.second_factor import _step, code_at
from tests import chromium
from tests.cast import Program, now
from tests.consent.deciding import TEXT
from tests.consent.desk import account
from tests.consent.rights import Working, carry_out, file, lively, shown
from tests.consent.test_two_officers import filed_by
from tests.consent.window import LOCALES, NARROW, Window

pytestmark = [chromium.needed, pytest.mark.long]
REQUESTS = "consent/subjectrequest/"


def of(filed: Any) -> str:
    return f"{REQUESTS}{filed['request_id']}/change/"


def test_a_second_factor_is_set_up_at_the_first_sign_in(window: Window, program: Program) -> None:
    user = account("officer", program)
    window.go()
    window.seen("sign-in", narrow=True)
    window.password(user)
    window.reads("Set up the second factor")
    window.seen("enrol", narrow=True)
    secret = base64.b32decode(window.page.inner_text("#secret").replace(" ", ""))
    window.page.locator("[name=code]").press_sequentially("000000")
    with window.page.expect_navigation():
        window.page.keyboard.press("Enter")
    window.reads("This is not the code of now: look again, and set the telephone's clock by the network.")
    window.seen("enrol-wrong")
    window.fill("code", code_at(secret, _step(now())))
    window.press("Go on")
    assert window.tab.count("#recovery-codes li") == 10
    window.seen("recovery-codes", narrow=True)
    window.press("I have kept them")
    window.reads("Overview")


def test_a_mini_program_is_picked_and_the_language_changed_by_keyboard(
    window: Window, program: Program, other: Program
) -> None:
    window.sign_in(account("officer", program, other))
    with window.page.expect_navigation():
        window.page.click("#picked-program")
    window.seen("programs", narrow=True)
    with window.page.expect_navigation():
        window.named("Enter").first.click()
    window.seen("home", narrow=True)
    assert (window.named("Side bar").count(), window.named("Close").count()) == (1, 0)
    window.page.focus("[aria-controls=own-menu]")
    window.page.keyboard.press("Enter")
    window.page.wait_for_function("getComputedStyle(document.getElementById('own-menu')).opacity === '1'")
    window.seen("own-menu")
    window.locale = next(locale for locale in LOCALES if locale != window.locale)
    window.page.focus(f"#own-menu form:has([value={window.locale.lower()}]) button")
    with window.page.expect_navigation():
        window.page.keyboard.press("Enter")
    window.seen("home-other-language")
    window.tab.size(NARROW)
    window.named("Side bar").click()
    window.page.locator("#nav-sidebar").wait_for(state="visible")
    window.named("Close").click()
    window.page.locator("#nav-sidebar").wait_for(state="hidden")
    window.named("Side bar").click()
    with window.page.expect_navigation():
        window.page.locator(f"#nav-sidebar a[href$='{REQUESTS}']").click()
    assert window.page.url.endswith(REQUESTS), "on a telephone it leads everywhere"


def test_who_asks_is_verified_and_the_erasure_approved(window: Window, reviewed: Program) -> None:
    lively(reviewed)
    filed = file(reviewed, "erasure", requester="agent")
    window.enter("senior_officer", reviewed, REQUESTS)
    window.seen("requests", narrow=True)
    window.follow(of(filed))
    window.seen("request-verifying", narrow=True)
    window.press("Verify who asks")
    window.seen("verify", narrow=True)
    window.choose("method", "authority")
    window.fill("reference", "file 17")
    window.press("Verify who asks")
    window.reads("The requester is verified.")
    window.press("Approve")
    window.seen("approve", narrow=True)
    window.press("Approve")
    window.reads("The request is approved.")
    window.seen("request-approved")
    assert shown(reviewed, filed)["state"] == "approved"


def test_an_officers_own_erasure_is_approved_by_another(
    window: Window, program: Program, owner: psycopg.Connection
) -> None:
    program.decide("alice")
    first = account("senior_officer", program, name="first")
    filed = filed_by(program, f"officer:{first.pk}")
    window.sign_in(first, of(filed))
    window.press("Enter")
    window.press("Approve")
    window.press("Approve")
    window.reads("You filed this request: another officer approves it.")
    window.seen("request-own")
    window.enter("senior_officer", program, of(filed), name="second")
    window.press("Approve")
    window.press("Approve")
    window.reads("The request is approved.")
    assert shown(program, filed)["state"] == "approved"


def test_a_request_is_rejected_in_words_that_are_read_first(window: Window, reviewed: Program) -> None:
    reviewed.decide("alice")
    filed = file(reviewed, "erasure")
    window.enter("senior_officer", reviewed, of(filed))
    window.press("Reject")
    window.seen("reject", narrow=True)
    window.choose("reason", "identity_not_verified")
    window.fill("text", TEXT)
    appended = window.page.inner_text("blockquote")
    window.seen("reject-filled")
    window.press("Preview")
    read = window.page.inner_text("#preview")
    assert TEXT in read and appended in read
    window.seen("reject-preview", narrow=True)
    window.press("Reject")
    window.reads("The request is rejected.")
    window.seen("request-rejected", narrow=True)
    told = shown(reviewed, filed)["rejection"]["text"]
    assert TEXT in told and appended in told


def test_a_deadline_is_extended_with_a_reason(window: Window, program: Program) -> None:
    program.decide("alice")
    filed = file(program, "access")
    window.enter("officer", program, of(filed))
    window.press("Extend the deadline")
    window.seen("extend", narrow=True)
    window.page.press("[name=working_days]", "5")
    window.choose("reason", "complex")
    window.press("Extend the deadline")
    window.reads("The deadline is extended.")
    window.seen("request-extended")


def test_what_is_sealed_is_opened_by_a_senior_officer(window: Window, program: Program, as_worker: Working) -> None:
    lively(program)
    changes = {"attributes": {"city": "苏州"}}
    access, rectified = file(program, "access"), file(program, "rectification", changes=changes)
    for filed in (access, rectified):
        carry_out(program, as_worker, filed)
    window.enter("senior_officer", program, of(access))
    window.press("Download…")
    window.seen("package", narrow=True)
    window.choose("reason", "review")
    with window.page.expect_download() as download:
        window.named("Download the package").click()
    assert download.value.suggested_filename.endswith(".html")
    window.go(of(rectified))
    window.press("What was put right…")
    window.seen("rectified-asked")
    window.press("Show what was put right")
    assert "苏州" in window.page.inner_text("#rectified")
    window.seen("rectified", narrow=True)


def test_a_person_is_found_and_who_they_are_is_shown_for_a_reason(window: Window, program: Program) -> None:
    lively(program)
    filed = file(program, "access")
    window.enter("senior_officer", program, REQUESTS)
    window.go("person/")
    window.seen("find", narrow=True)
    window.choose("kind", "openid")
    window.fill("value", "alice")
    window.press("Find")
    assert "alice" not in window.page.content()
    window.seen("found")
    with window.page.expect_navigation():
        window.page.click("#found a")
    assert "page_view" in window.page.inner_text("#events")
    window.seen("person", narrow=True)
    with window.page.expect_navigation():
        window.page.locator("#records a[href*='notice']").first.click()
    assert "/notice/" in window.page.url
    window.page.go_back()
    window.press("Identifiers and profile")
    window.choose("reason", "request")
    window.choose("request_id", filed["request_id"])
    window.press("Show identifiers and profile")
    assert "alice" in window.page.inner_text("#content-main") and "杭州" in window.page.inner_text("#content-main")
    window.seen("revealed", narrow=True)
