"""L4 (PIPL 16): who refuses is served all the same, unless the purpose is necessary for the service and says why."""

import msgspec
import pytest
import yaml

from consent.errors import Invalid
from consent.notices.actions import publish_notice
from consent.notices.linter import parse
from tests.cast import AT_ONCE, EXAMPLES, Program, example_notice, now
from tests.consent.acts import status


@pytest.mark.parametrize("decision", ["refused", "deferred"])
def test_the_service_is_allowed_though_a_purpose_is_refused(program: Program, decision: str) -> None:
    program.decide("alice", decision)
    found = status(program, "alice")
    assert (found["allowed"], found["service_allowed"]) == (False, True)


def test_without_a_purpose_necessary_for_the_service_there_is_none(program: Program) -> None:
    text = example_notice()
    words = {"zh-Hans": "履行订单所必需", "en": "An order cannot be delivered without it"}
    needed = msgspec.structs.replace(text.purposes[0], code="delivery", necessary=True, justification=words)
    text = msgspec.structs.replace(text, purposes=[*text.purposes, needed])
    notice = publish_notice(program_id=program.id, text=text, effective_at=None, lead=AT_ONCE, by="test", now=now())
    assert status(program, "alice", "delivery")["service_allowed"] is False
    program.decide("alice", "refused", "delivery", notice=notice.sha256)
    assert status(program, "alice", "delivery")["service_allowed"] is False
    program.decide("alice", "given", "delivery", notice=notice.sha256)
    assert status(program, "alice", "delivery")["service_allowed"] is True


def test_necessary_needs_a_written_justification() -> None:
    written = yaml.safe_load((EXAMPLES / "notice.yaml").read_text())
    written["purposes"][0]["necessary"] = True
    with pytest.raises(Invalid, match="/purposes/0/justification"):
        parse(yaml.safe_dump(written))
