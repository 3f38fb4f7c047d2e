"""Progress where there is no terminal: few lines, and no control characters."""

import io
import itertools

from consent.management.progress import plain, progress


def test_lines_come_now_and_then_and_at_each_stages_end() -> None:
    stream, seconds = io.StringIO(), itertools.count()
    report = plain(stream, clock=lambda: float(next(seconds)))
    for done in range(1, 13):
        report("sending events", done * 1000, 12_000)
    report("checking", 1, 1)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "sending events: 5,000 of 12,000",
        "sending events: 10,000 of 12,000",
        "sending events: 12,000 of 12,000",
        "checking: 1 of 1",
    ]


def test_a_stream_that_is_no_terminal_gets_lines() -> None:
    stream = io.StringIO()
    with progress(stream) as report:
        report("sending events", 2, 2)
    assert stream.getvalue() == "sending events: 2 of 2\n"
