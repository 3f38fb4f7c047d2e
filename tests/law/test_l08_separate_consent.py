"""L8 (PIPL 23, 25, 26, 29, 39): what needs a separate consent is granted by an act of its own and by no other."""

from typing import Any

import pytest

from consent.errors import Problem
from consent.notices.models import SeparateConsent
from tests.cast import Program
from tests.consent.acts import act, refused, status
from tests.consent.notice_texts import CONTROLLER, RECIPIENT, REFERENCE, publish, separately, text_with
from tests.consent.processing import mechanism


@pytest.mark.parametrize("article", SeparateConsent.values)
def test_neither_a_bundle_nor_accept_all_grants_it(program: Program, article: str) -> None:
    if article == SeparateConsent.CROSS_BORDER:
        mechanism(program, "apart")
    publish(program, separately("apart", article))
    notice = program.notice
    both = [("analytics", "given"), ("apart", "given")]
    for body in (
        act(program, *both, notice=notice, act="bundled"),
        act(program, *both, notice=notice, act="single"),
        act(program, both[1], notice=notice, act="bundled"),
    ):
        refused(program, body, 422, "separate_consent_required")
    assert status(program, "alice")["state"] == "unknown", "all or nothing"
    program.decide("alice", purpose="apart", notice=notice)
    assert status(program, "alice", "apart")["allowed"]


@pytest.mark.parametrize(
    ("telling", "article"),
    [({"recipients": [CONTROLLER]}, "23"), ({"methods": ["collection", "disclosure"]}, "25")],
)
def test_another_controller_and_public_disclosure_are_not_told_of_without_it(
    program: Program, telling: dict[str, Any], article: str
) -> None:
    plain: dict[str, Any] = {"separate_consent": None, "sensitive": False, "assessment": REFERENCE}
    with pytest.raises(Problem, match=f'/purposes/3/separate_consent.*"{article}"'):
        publish(program, text_with(**plain | telling))
    publish(program, text_with(**plain | telling | {"separate_consent": article}))
    refused(program, act(program, ("health", "given"), act="bundled"), 422, "separate_consent_required")
    program.decide("alice", purpose="health")


def test_a_processor_needs_none_until_it_is_one_no_more(program: Program) -> None:
    """One that begins to decide by itself is provision to another: a purpose of its own, under a new code."""
    plain: dict[str, Any] = {"separate_consent": None, "sensitive": False, "assessment": REFERENCE}
    publish(program, text_with(recipients=[RECIPIENT], **plain))
    assert program.decide("alice", purpose="health", act="bundled")
    own = plain | {"recipients": [CONTROLLER], "separate_consent": "23"}
    with pytest.raises(Problem, match="purpose_changed"):
        publish(program, text_with(**own))
