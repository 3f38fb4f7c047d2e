"""A process that makes the access package of a subject, or hands one over in the admin, to an officer who saves it.

    python -m tests.benchmarks.packaging make PROGRAM NUMBER       # of the subject's openid; it tells the {"request"}
    python -m tests.benchmarks.packaging json|page|csv PROGRAM REQUEST

It tells {"seconds", "bytes" of the document, "peak" of its memory in bytes}.
"""

import argparse
import os
import secrets
import time
import uuid
from datetime import timedelta

import django
from django.db.models import Sum
from django.db.models.functions import Length
from django.test import Client

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402 -- models need the set-up

from consent import edge  # noqa: E402
from consent.programs.tenancy import tenant  # noqa: E402
from consent.rights import actions, fulfilment  # noqa: E402
from consent.rights.actions import Asked, Terms  # noqa: E402
from consent.rights.models import Package, PackagePart, RequestKind  # noqa: E402
from tests.benchmarks.calls import tell, wait_for_start  # noqa: E402
from tests.benchmarks.packages import peak  # noqa: E402
from tests.benchmarks.people import subject_name  # noqa: E402
from tests.consent.desk import Tab, sign_in  # noqa: E402

FORMS = ("json", "page", "csv")
KEPT = timedelta(days=7)


def made(program_id: int, number: int) -> uuid.UUID:
    """The request, whose package is complete."""
    request_id = actions.file_request(
        vault=edge.vault(),
        program_id=program_id,
        identifiers={"openid": subject_name(number)},
        asked=Asked(kind=RequestKind.ACCESS, locale="zh-Hans"),
        terms=Terms(undo=timedelta(0)),
        by="bench",
        on_filed=lambda _: None,
    ).request_id
    fulfilment.fulfil(vault=edge.vault(), program_id=program_id, request_id=request_id, package_kept=KEPT)
    return request_id


def length(program_id: int, request_id: uuid.UUID) -> int:
    """Of the document as it is stored."""
    with tenant(program_id):
        package = Package.objects.get(request_id=request_id, complete=True)
        parts = PackagePart.objects.filter(subject_id=package.subject_id, package_id=package.id)
        return int(parts.aggregate(length=Sum(Length("sealed")))["length"])


def entered(program_id: int) -> Client:
    """The browser of somebody who may see everything."""
    browser = Tab(SERVER_NAME="127.0.0.1")
    sign_in(browser, User.objects.create_superuser(secrets.token_hex(8)))
    browser.post("/admin/program/", {"program": program_id})
    return browser


def downloaded(browser: Client, request_id: uuid.UUID, form: str) -> int:
    """Bytes; none is kept."""
    asked = {"form": form, "reason": "delivery"}
    response = browser.post(f"/admin/consent/subjectrequest/{request_id}/package/", asked)
    if not response.streaming:
        raise RuntimeError(f"no package, but {response.status_code}")
    return sum(map(len, response))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["make", *FORMS])
    parser.add_argument("program", type=int)
    parser.add_argument("about", help="the number of a subject's openid, or a request's id")
    asked = parser.parse_args()
    if asked.what != "make":
        browser, request_id = entered(asked.program), uuid.UUID(asked.about)
    wait_for_start()
    began = time.perf_counter()
    if asked.what == "make":
        request_id = made(asked.program, int(asked.about))
        took, size = time.perf_counter() - began, length(asked.program, request_id)
    else:
        size = downloaded(browser, request_id, asked.what)
        took = time.perf_counter() - began
    tell({"request": str(request_id), "seconds": took, "bytes": size, "peak": peak(os.getpid())})


if __name__ == "__main__":
    main()
