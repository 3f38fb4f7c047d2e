"""What Django answers where no view does: the same problem+json as the API, and a page where a page was asked for."""

import sys

from django.http import HttpRequest, HttpResponse

from consent import pages
from consent.api.problems import of_status, uncaught


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    return of_status(400)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    return of_status(403)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return of_status(404)


def handler500(request: HttpRequest) -> HttpResponse:
    """Django calls it while it handles what nothing has caught."""
    error = sys.exception()
    assert error is not None
    return pages.refused(request, uncaught(error))
