"""L2 (PIPL 14): what adds to a purpose or broadens it asks for consent anew; what narrows it or says it otherwise does not."""

from typing import Any

import msgspec
import pytest

from tests.cast import Program, example_notice
from tests.consent.acts import code, status
from tests.consent.notice_texts import RECIPIENT, REFERENCE, publish

WORDS = {"zh-Hans": "换句话说", "en": "In other words"}
SHARED: dict[str, Any] = {"recipients": [RECIPIENT | {"categories": ["device"]}], "assessment": REFERENCE}


@pytest.mark.parametrize(
    ("change", "material"),
    [
        ({"methods": ["collection", "storage", "aggregation", "profiling"]}, True),
        ({"categories": ["behaviour", "device", "location"]}, True),
        (SHARED, True),
        ({"retention_days": 366}, True),
        ({"methods": ["collection"]}, False),
        ({"categories": ["behaviour"]}, False),
        ({"retention_days": 364}, False),
        ({"description": WORDS}, False),
    ],
)
def test_a_broader_version_ends_older_consents_and_another_does_not(
    program: Program, change: dict[str, Any], material: bool
) -> None:
    program.decide("alice")
    text = example_notice()
    changed = msgspec.convert(msgspec.to_builtins(text.purposes[0]) | change, type(text.purposes[0]))
    publish(program, msgspec.structs.replace(text, purposes=[changed, *text.purposes[1:]]))
    assert status(program, "alice")["renewal_required"] is material
    assert code(program, "e1") == ("renewal_required" if material else None)
    program.decide("alice")
    assert code(program, "e2") is None
