"""A client that decides by the service's own code, without HTTP, several at once: each act a subject's grant anew.

`decided`: as the service records it; `unlogged`: the same without a leaf. It tells {"calls", "seconds"}.
"""

import argparse
import random
import time

import django
from django.db import connection

django.setup()

from consent import edge  # noqa: E402 -- models need the set-up
from consent.records import actions  # noqa: E402
from consent.records.decisions import Act, Decision  # noqa: E402
from consent.records.models import ConsentRecord  # noqa: E402
from consent.vault.models import Subject  # noqa: E402
from tests.benchmarks.calls import counted_in_threads, tell, wait_for_start  # noqa: E402
from tests.benchmarks.people import subject_name  # noqa: E402

NO_LEAF = 0
ACT = Act(method="dialog", kind="single", locale="en")
GIVEN = [Decision("analytics", "given")]


def unlogged(_: Subject, records: list[ConsentRecord]) -> dict[int, bytes]:
    """Instead of consent.records.entries.insert."""
    for record in records:
        record.leaf_id = NO_LEAF
    ConsentRecord.objects.bulk_create(records)
    return {NO_LEAF: b""}


def deciding(program: int, notice: str, subjects: int, seconds: float, done: list[int]) -> None:
    """Acts one after another, on a connection of its own; adds how many to `done`."""
    vault, count, ends = edge.vault(), 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        actions.record_decisions(
            vault=vault,
            program_id=program,
            identifiers={"openid": subject_name(random.randrange(subjects))},
            notice=notice,
            decisions=GIVEN,
            act=ACT,
            client_id=None,
            may_import=False,
        )
        count += 1
    connection.close()
    done.append(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("decided", "unlogged"))
    parser.add_argument("--program", type=int, required=True)
    parser.add_argument("--notice", required=True)
    parser.add_argument("--subjects", type=int, required=True)
    parser.add_argument("--writers", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args()
    if asked.kind == "unlogged":
        vars(actions)["insert"] = unlogged
    given = (asked.program, asked.notice, asked.subjects, asked.seconds)
    wait_for_start()
    tell(counted_in_threads(deciding, given, asked.writers))


if __name__ == "__main__":
    main()
