"""What a leaf commits to is RFC 8785's form, whoever writes it."""

from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from consent.ledger.leaves import canonical_json

KEYS = st.text(max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=6))
@example({"\U0001f600": 1, "\ufb33": 2})
@example({"inner": [{"\U0001f600": 1, "\ufb33": 2}]})
@example({"control": "".join(map(chr, range(0x20))) + '\x7f"\\/\u2028\u2029'})
@example({"large": 2**53 - 1, "tenth": 0.1, "whole": 1.0, "many": 1e21, "minus": -0.0})
def test_it_is_what_rfc_8785_says(content: dict[str, Any]) -> None:
    assert canonical_json(content) == rfc8785.dumps(content)


@pytest.mark.parametrize("value", [2**53, -(2**53), float("nan"), float("inf"), "\ud800", {1: 2}, b""])
def test_what_has_no_such_form_is_refused_alike(value: Any) -> None:
    for dumps in (canonical_json, rfc8785.dumps):
        with pytest.raises(ValueError):
            dumps({"value": value})
