"""A process that signs an officer in who may see everything, and counts the statements that each page needs.

    python -m tests.benchmarks.looking PROGRAM OPENID REQUEST     # the pages are those of this person and this request too

It tells {"session": its cookie, "pages": {name: {"path", "queries", "posts": what its form is filled with}}}.
"""

import argparse
import re
from datetime import timedelta
from typing import Any

from tests.benchmarks.calls import tell, wait_for_start
from tests.benchmarks.packaging import entered

# Django is set up by then.
from django.db import connection  # isort: skip
from django.test import Client  # isort: skip
from django.test.utils import CaptureQueriesContext  # isort: skip
from django.utils.timezone import localdate  # isort: skip
from reports.admin.pages import PAGES  # isort: skip

PERSON = re.compile(r'href="/admin/(person/[^"/]+/)"')


def pages(browser: Client, openid: str, request: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Name -> (path below /admin/, what its form is filled with)."""
    found = PERSON.search(_asked(browser, "person/", {"kind": "openid", "value": openid}) or "")
    if found is None:
        raise RuntimeError("the person is not found")
    last = localdate().replace(day=1) - timedelta(days=1)
    month = {"first": last.replace(day=1).isoformat(), "last": last.isoformat()}
    looks = {
        "the first page": "",
        "the list of requests": "consent/subjectrequest/",
        "the overdue ones": "consent/subjectrequest/?standing=overdue",
        "a request": f"consent/subjectrequest/{request}/change/",
        "a person": found[1],
        "consent records": "consent/consentrecord/",
        "consents by day": "consent/consentrecord/statistics/",
        "the audit log": "consent/auditentry/",
        "one actor's entries": "consent/auditentry/?actor=operator",
        "the record of processing": "record/",
        "the list of reports": "reports/report/",
    }
    found_pages = {name: (path, dict[str, str]()) for name, path in looks.items()}
    found_pages["the audit report of a month"] = ("audit-report/", month)
    return found_pages | {f"report: {metric}": (f"reports/report/{metric}/", {}) for metric in PAGES}


def _asked(browser: Client, path: str, posts: dict[str, str]) -> str | None:
    """The page; None where it takes longer than a page may."""
    response = browser.post(f"/admin/{path}", posts) if posts else browser.get(f"/admin/{path}")
    if response.status_code == 503:
        return None
    if response.status_code != 200:
        raise RuntimeError(f"{path} answered {response.status_code}")
    page: str = response.content.decode()
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=int)
    parser.add_argument("openid")
    parser.add_argument("request")
    asked = parser.parse_args()
    wait_for_start()
    browser = entered(asked.program)
    told: dict[str, Any] = {}
    for name, (path, posts) in pages(browser, asked.openid, asked.request).items():
        for _ in range(2):
            with CaptureQueriesContext(connection) as captured:
                if _asked(browser, path, posts) is None:
                    break
        told[name] = {"path": f"/admin/{path}", "queries": len(captured), "posts": posts}
    tell({"session": browser.cookies["sessionid"].value, "pages": told})


if __name__ == "__main__":
    main()
