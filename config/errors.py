"""What Django answers where no view does: the same problem+json as the API."""

from django.http import HttpRequest, HttpResponse

from consent.api.problems import of_status


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    return of_status(400)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    return of_status(403)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return of_status(404)


def handler500(request: HttpRequest) -> HttpResponse:
    return of_status(500)
