"""What a person is told where their page cannot be made: a page as well, and not the API's JSON. Nothing is read for it."""

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation

from consent.admin.security import below_admin
from consent.api.problems import of_problem
from consent.errors import Problem
from consent.portal.access import POLICY, below_portal


def refused(request: HttpRequest, problem: Problem) -> HttpResponse:
    """The refusal, as a page to whoever asked for a page, and else as problem+json."""
    officers = below_admin(request)
    answer = of_problem(problem)
    if not (officers or below_portal(request)):
        return answer
    context = {
        "passing": problem.retry_after is not None,
        "incident": problem.extra.get("incident"),
        "officers": officers,
    }
    with translation.override(translation.get_language_from_request(request)):
        text = render_to_string("consent/failed.html", context)
    page = HttpResponse(text, status=answer.status_code)
    page.headers["Content-Security-Policy"] = POLICY
    page.headers["Cache-Control"] = "no-store"
    if "Retry-After" in answer.headers:
        page.headers["Retry-After"] = answer.headers["Retry-After"]
    return page
