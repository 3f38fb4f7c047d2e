"""L20 (PIPL 38): nothing goes abroad without a mechanism, or an exemption with its ground."""

from typing import Any

import msgspec
import pytest

from consent.errors import Invalid
from consent.notices.linter import checked
from tests.cast import Program
from tests.consent.acts import status
from tests.consent.notice_texts import ABROAD, REFERENCE, publish, text_with

GROUND = {"zh-Hans": "履行合同所必需", "en": "A contract with the person needs it"}


@pytest.mark.parametrize(
    "mechanism",
    [
        None,
        {"kind": "standard_contract"},
        {"kind": "assessment"},
        {"kind": "certification"},
        {"kind": "exemption"},
        {"kind": "exemption", "reference": "SCC-1"},
    ],
)
def test_nothing_goes_abroad_without_a_mechanism(mechanism: dict[str, Any] | None) -> None:
    told = msgspec.to_builtins(text_with(separate_consent="39", recipients=[ABROAD], assessment=REFERENCE))
    told["purposes"][-1]["recipients"][0]["mechanism"] = mechanism
    with pytest.raises(Invalid, match="mechanism"):
        checked(told)


@pytest.mark.parametrize(
    "mechanism", [{"kind": "certification", "reference": "C-1"}, {"kind": "exemption", "ground": GROUND}]
)
def test_with_one_and_a_consent_of_its_own_it_may(program: Program, mechanism: dict[str, Any]) -> None:
    abroad = [ABROAD | {"mechanism": mechanism}]
    publish(program, text_with("abroad", separate_consent="39", recipients=abroad, assessment=REFERENCE))
    assert status(program, "alice", "abroad")["allowed"] is False
    program.decide("alice", purpose="abroad")
    assert status(program, "alice", "abroad")["allowed"] is True
