"""L8 (PIPL 23, 25, 26, 29, 39): what needs a separate consent is granted by an act of its own and by no other."""

import pytest

from consent.notices.models import SeparateConsent
from tests.cast import Program
from tests.consent.acts import act, refused, status
from tests.consent.notice_texts import publish, separately


@pytest.mark.parametrize("article", SeparateConsent.values)
def test_neither_a_bundle_nor_accept_all_grants_it(program: Program, article: str) -> None:
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
