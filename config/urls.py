"""Every address of the service."""

from django.urls import include, path, re_path

from config import documentation, health
from consent.api import receipts
from consent.portal import verification
from tracking.api import batch

urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path(".well-known/jwks.json", receipts.SigningKeys.as_view()),
    path("admin/", include("consent.admin.urls")),
    path("portal/", include("consent.portal.urls")),
    path("api/schema/", documentation.Schema.as_view(), name="schema"),
    path("api/docs/", documentation.Docs.as_view()),
    # The most frequent call first: addresses are tried one after another.
    path("api/v1/", include("tracking.api.urls")),
    path("api/v1/", include("consent.api.urls")),
    path("api/v1/", include("reports.api.urls")),
    # Where Segment's libraries send to below the host they are given.
    path("v1/batch", batch.Batch.as_view()),
    re_path(r"^(?P<name>[A-Za-z0-9_-]{1,100}\.txt)$", verification.verification),
]

handler400 = "config.errors.handler400"
handler403 = "config.errors.handler403"
handler404 = "config.errors.handler404"
handler500 = "config.errors.handler500"
