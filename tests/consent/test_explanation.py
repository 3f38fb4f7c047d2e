"""Explanation (PIPL 48): the rules in force for one subject, in plain words, in both languages."""

from typing import Any

import psycopg
import pytest

from consent import edge
from consent.programs.tenancy import tenant
from consent.rights import page
from consent.rights.models import Package
from tests.cast import Program
from tests.consent.acts import minors_notice
from tests.consent.notice_texts import ABROAD, REFERENCE, publish, text_with
from tests.consent.processing import mechanism
from tests.consent.rights import Working, carry_out, file, lively, package_of, sections


def explained(program: Program, as_worker: Working, openid: str = "alice", locale: str = "zh-Hans") -> Any:
    """The request; completed."""
    filed = file(program, "explanation", openid, locale=locale)
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    return filed


def rules(program: Program, filed: Any) -> dict[str, Any]:
    return {row["purpose"]: row for row in sections(package_of(program, filed))["rules"]}


def read(program: Program, filed: Any) -> str:
    with tenant(program.id):
        package = Package.objects.get(request_id=filed["request_id"])
    return b"".join(page.stream(edge.vault(), package)).decode()


def test_every_purpose_is_told_with_what_was_decided_and_what_follows(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    first = program.notice
    mechanism(program, "sharing")
    publish(program, text_with("sharing", separate_consent="39", assessment=REFERENCE, recipients=[ABROAD]))
    filed = explained(program, as_worker)
    found = rules(program, filed)
    assert set(found) == {"analytics", "personalisation", "precise_location", "sharing"}
    agreed, refused, new = found["analytics"], found["precise_location"], found["sharing"]
    assert (agreed["state"], agreed["recorded"], agreed["notice"], agreed["version"]) == ("given", True, first, 1)
    assert agreed["in_words"]["en"].startswith("You agreed to this.")
    assert agreed["in_words"]["zh-Hans"].startswith("您已同意")
    assert agreed["told"]["en"]["categories"] == ["behaviour", "device"]
    assert agreed["told"]["en"]["retention_days"] == 365
    assert agreed["told"]["en"]["methods"]
    assert agreed["told"]["zh-Hans"]["after_retention"]
    assert (refused["state"], refused["recorded"]) == ("refused", False)
    assert refused["in_words"]["en"].startswith("You refused this")
    assert (new["state"], new["recorded"], new["version"]) == ("unknown", False, 2)
    assert new["told"]["en"]["recipients"][0]["country"] == "SG"
    (notice,) = sections(package_of(program, filed))["notice_in_force"]
    assert notice["notice"] == program.notice
    assert notice["contact"]
    assert set(notice["withdrawal"]) == set(notice["rights"]) == {"zh-Hans", "en"}
    assert set(sections(package_of(program, filed))) == {"notice_in_force", "rules"}


def test_a_consent_that_ran_out_is_told_as_such(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """No record says so. The person's copy has the same."""
    lively(program)
    owner.execute("UPDATE consent_state SET grant_until = now() - interval '1 day' WHERE state = 'given'")
    told = rules(program, explained(program, as_worker))["analytics"]
    assert (told["state"], told["recorded"]) == ("expired", False)
    filed = file(program, "copy")
    carry_out(program, as_worker, filed)
    states = {row["purpose"]: row["state"] for row in sections(package_of(program, filed))["states"]}
    assert states == {"analytics": "expired", "personalisation": "expired", "precise_location": "refused"}


@pytest.mark.parametrize(("locale", "words"), [("zh-Hans", "您拒绝了这一目的"), ("en", "You refused this")])
def test_the_page_is_in_the_persons_language(program: Program, as_worker: Working, locale: str, words: str) -> None:
    lively(program)
    text = read(program, explained(program, as_worker, locale=locale))
    other = {"zh-Hans": "You refused this", "en": "您拒绝了这一目的"}[locale]
    assert words in text
    assert other not in text
    assert ("The rules for your personal information" in text) == (locale == "en")
    assert "everything that" not in text
    assert "小艾" not in text, "it tells rules, not data"


def test_what_changed_what_ended_and_a_childs_notice_are_told(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    program.decide("alice", purpose="personalisation")
    owner.execute("UPDATE purpose SET active = false WHERE code = 'personalisation' AND program_id = %s", [program.id])
    owner.execute("UPDATE purpose SET active = false WHERE code = 'precise_location' AND program_id = %s", [program.id])
    owner.execute("UPDATE consent_state SET grant_until = now(), grant_from = now() - interval '1 day'")
    found = rules(program, explained(program, as_worker))
    assert set(found) == {"analytics", "personalisation"}
    assert found["analytics"]["in_words"]["en"].startswith("The time for which you agreed is over")
    assert found["personalisation"]["in_words"]["en"].startswith("This purpose is no longer pursued")
    assert (found["personalisation"]["recorded"], found["analytics"]["recorded"]) == (False, False)
    minors = minors_notice(program)
    program.decide("kid", "refused", age_band="under_14", notice=minors)
    (notice,) = sections(package_of(program, explained(program, as_worker, "kid")))["notice_in_force"]
    assert notice["notice"] == minors
