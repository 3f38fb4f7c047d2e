"""A client that withdraws consent: of many subjects once each, or of one again and again.

It tells {"calls", "seconds", "latencies"} of the withdrawals alone, in seconds.
"""

import argparse
import random
import time
from collections.abc import Iterator

from tests.benchmarks.calls import Address, address, call, expect, request, tell, until
from tests.benchmarks.people import subject_name

REST_S = 0.03
"""Between a decision about one subject and the next: events are to be stored, and refused, in between."""


def withdrawal(key: str, openid: str) -> bytes:
    decisions = [{"purpose": "analytics", "decision": "withdrawn"}]
    return request(key, "consents", {"subject": {"openid": openid}, "decisions": decisions})


def grant(key: str, openid: str, notice: str) -> bytes:
    act = {"notice": notice, "locale": "en", "method": "dialog", "act": "single"}
    decisions = [{"purpose": "analytics", "decision": "given"}]
    return request(key, "consents", {"subject": {"openid": openid}, "decisions": decisions, **act})


def timed(where: Address, sent: bytes, due: float) -> float:
    """Seconds from `due` to the answer. Raises Unexpected."""
    answer = call(where, sent)
    took = time.perf_counter() - due
    expect(answer, 201)
    return took


def of_many(where: Address, key: str, subjects: int, seconds: float, rate: float, name: str) -> Iterator[float]:
    """Subjects drawn uniformly, none twice; `rate` withdrawals a second."""
    drawn = iter(random.Random(name).sample(range(subjects), int(rate * seconds) + 1))
    for due in until(seconds, rate):
        yield timed(where, withdrawal(key, subject_name(next(drawn))), due)


def of_one(where: Address, key: str, notice: str, seconds: float) -> Iterator[float]:
    """The first subject, which consents anew before each withdrawal and stays without consent after the last."""
    ended, begun = withdrawal(key, subject_name(0)), grant(key, subject_name(0), notice)
    for due in until(seconds, rate=0):
        timed(where, begun, due)
        time.sleep(REST_S)
        yield timed(where, ended, time.perf_counter())
        time.sleep(REST_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("where", type=address)
    parser.add_argument("key")
    commands = parser.add_subparsers(dest="command", required=True)
    many = commands.add_parser("many")
    many.add_argument("name", help="another name draws other subjects")
    many.add_argument("--subjects", type=int, required=True)
    many.add_argument("--seconds", type=float, required=True)
    many.add_argument("--rate", type=float, required=True)
    one = commands.add_parser("one")
    one.add_argument("--notice", required=True)
    one.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args()
    if asked.command == "many":
        stream = of_many(asked.where, asked.key, asked.subjects, asked.seconds, asked.rate, asked.name)
    else:
        stream = of_one(asked.where, asked.key, asked.notice, asked.seconds)
    latencies = list(stream)
    tell({"calls": len(latencies), "latencies": latencies})


if __name__ == "__main__":
    main()
