"""A compressed body is bounded by what it becomes, while it becomes it."""

import gzip
import io
import tracemalloc

import pytest

from consent.api.bodies import raw_body
from consent.errors import Malformed, Problem, TooLarge, UnsupportedMedia

LIMIT = 1024 * 1024
BODY = b'{"a": 1}'


def read(sent: bytes, coding: str = "gzip", length: str | None = None) -> bytes:
    headers = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": length if length is not None else str(len(sent))}
    return raw_body(headers | {"HTTP_CONTENT_ENCODING": coding}, io.BytesIO(sent), limit=LIMIT)


def test_what_is_within_the_bound_is_read() -> None:
    for size in (len(BODY), LIMIT):
        body = BODY.ljust(size)
        assert read(gzip.compress(body)) == body


def test_a_bomb_is_not_inflated_past_the_bound() -> None:
    bomb = gzip.compress(b" " * (64 * LIMIT))
    assert len(bomb) < LIMIT / 10
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            read(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * LIMIT


@pytest.mark.parametrize(
    ("sent", "coding", "refusal"),
    [
        (gzip.compress(b" " * LIMIT + b"x", mtime=0), "gzip", TooLarge),
        (gzip.compress(BODY, mtime=0) * 2, "gzip", Malformed),
        (gzip.compress(b"", mtime=0) * 1000, "gzip", Malformed),
        (gzip.compress(BODY, mtime=0)[:-4], "gzip", Malformed),
        (gzip.compress(BODY, mtime=0) + b"\0", "gzip", Malformed),
        (gzip.compress(gzip.compress(BODY, mtime=0), mtime=0), "gzip, gzip", UnsupportedMedia),
        (b"", "gzip", Malformed),
        (BODY.ljust(LIMIT + 1), "identity", TooLarge),
    ],
    ids=["a byte too much", "two members", "a thousand", "half", "more behind it", "twice", "nothing", "as it is"],
)
def test_what_is_not_one_member_within_the_bound_is_refused(sent: bytes, coding: str, refusal: type[Problem]) -> None:
    with pytest.raises(refusal):
        read(sent, coding)
    # Sent in chunks, without a length.
    with pytest.raises(refusal):
        read(sent, coding, "")
