"""A client of the soak: batches of 1, 10 and 100 events, status calls, and now and then a withdrawal.

It tells {"calls", "events", "seconds", "cpu", "answers", "minutes": [{"events", "latencies"}]}, latencies in seconds.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks.calls import Address, address, call, events_answered, expect, request, tell, until
from tests.benchmarks.decisions import withdrawal
from tests.benchmarks.load import requests
from tests.benchmarks.people import subject_name
from tests.benchmarks.withdrawals import ENDED

BATCHES = {1: 40, 10: 30, 100: 20}
STATUS, WITHDRAWAL = 9, 1
"""Of a hundred calls."""
MINUTE_S = 60

Answered = Counter[str]
Sent = tuple[bytes | bytearray, Callable[[bytes], Answered]]
"""A request, and what makes of its answer the counts; it raises Unexpected."""


def batches(key: str, subjects: int, size: int, name: str) -> Iterator[Sent]:
    for sent in requests(key, subjects, size, name):
        yield sent, lambda answer: events_answered(answer, size, ENDED)


def decided(kind: str, status: int) -> Callable[[bytes], Answered]:
    def answered(answer: bytes) -> Answered:
        expect(answer, status)
        return Counter({kind: 1})

    return answered


def statuses(key: str, subjects: int, chance: random.Random) -> Iterator[Sent]:
    answered = decided("status", 200)
    while True:
        named = {"subject": {"openid": subject_name(chance.randrange(subjects))}}
        yield request(key, "consents/status", named), answered


def withdrawals(key: str, subjects: int, chance: random.Random) -> Iterator[Sent]:
    answered = decided("withdrawal", 201)
    while True:
        yield withdrawal(key, subject_name(chance.randrange(subjects))), answered


def calls(key: str, subjects: int, name: str) -> Iterator[Sent]:
    """Of all kinds by chance, without end."""
    chance = random.Random(name)
    kinds = [batches(key, subjects, size, f"{name}{letter}") for size, letter in zip(BATCHES, "abc", strict=True)]
    kinds += [statuses(key, subjects, chance), withdrawals(key, subjects, chance)]
    for kind in kinds:
        next(kind)  # bodies are made now, before the clock starts
    weights = [*BATCHES.values(), STATUS, WITHDRAWAL]
    while True:
        yield next(chance.choices(kinds, weights)[0])


def carried_out(where: Address, stream: Iterator[Sent], seconds: float, rate: float) -> dict[str, Any]:
    minutes: list[dict[str, Any]] = []
    answers: Answered = Counter()
    made = next(stream)
    count, cpu, began = 0, 0.0, 0.0
    for due in until(seconds, rate):
        cpu, began, count = cpu or time.process_time(), began or due, count + 1
        sent, answered = made
        answer = call(where, sent)
        took = time.perf_counter() - due
        got = answered(answer)
        while len(minutes) <= int((due - began) / MINUTE_S):
            minutes.append({"events": 0, "latencies": []})
        minutes[-1]["events"] += got["stored"]
        minutes[-1]["latencies"].append(took)
        answers += got
        made = next(stream)
    told = {"calls": count, "events": answers["stored"], "seconds": time.perf_counter() - began}
    return told | {"cpu": time.process_time() - cpu, "answers": answers, "minutes": minutes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("where", type=address)
    parser.add_argument("key")
    parser.add_argument("name", help="4 letters at most, in no other run on this database")
    parser.add_argument("--subjects", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rate", type=float, default=0.0, help="calls a second; 0: as many as it can")
    asked = parser.parse_args()
    stream = calls(asked.key, asked.subjects, asked.name)
    tell(carried_out(asked.where, stream, asked.seconds, asked.rate))


if __name__ == "__main__":
    main()
